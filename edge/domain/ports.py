"""The seams: what the path asks of its stations, one small protocol each.

Every port has a contract suite in `tests/contract/`; an implementation is done when it is listed there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.domain.answer import Estimates, PictureAnswer
from edge.domain.finding import Envelope, ModelStamp
from edge.domain.frame import Frame, Picture
from edge.domain.image import Segmentation, Volume
from edge.domain.study import Arrival, Kept


class Clock(Protocol):
    """Time, injected: `monotonic_ns` measures, `utc_ns` labels."""

    def monotonic_ns(self) -> int:
        """Return a time that never goes back, in ns from an arbitrary start."""

    def utc_ns(self) -> int:
        """Return ns since 1970-01-01T00:00:00Z."""


class Intake(Protocol):
    """Where a source hands over what it received."""

    def keep(self, arrival: Arrival) -> Kept:
        """Make an arrival durable; it is on disk and in the journal when this returns.

        Raises:
            StorageFullError: The disk reserve is reached; nothing was taken.
            JournalError: It could not be made durable; nothing was taken.
        """

    def association_closed(self, association: str) -> None:
        """Say that nothing more comes with this association."""


class StudySource(Protocol):
    """A door for studies."""

    def serve(self, intake: Intake) -> AbstractContextManager[None]:
        """Receive until the `with` ends, answering a sender only after `intake.keep` has returned."""


class FrameSource(Protocol):
    """A live source: a camera, a thermal camera, a recording at its own pace."""

    def frames(self) -> AbstractContextManager[Iterator[Frame]]:
        """Open the source; the iterator gives each frame as it comes, and holds none back.

        It ends (StopIteration) only where a recording is over. Opening and every step return or raise within
        the time the source was given for it, whatever the far side does.

        Raises:
            SourceLostError: It cannot be opened, says nothing any more, or sends what cannot be decoded.
        """


class PictureModel(Protocol):
    """A network that looks at pictures, ready to answer; which kind of answer it gives is its task's."""

    @property
    def stamp(self) -> ModelStamp:
        """Which weights speak, and on what."""

    def look(self, picture: Picture, *, deadline_s: float) -> PictureAnswer:
        """Say what a picture shows, in pixels of the picture; trouble is an exception, never an empty answer.

        Raises:
            PictureRejectedError: The picture is not something the model can honestly work on.
            DeadlineExceededError: It took longer than `deadline_s`.
            InferenceError: The runtime failed.
        """


class SpectraModel(Protocol):
    """A network that reads quantities out of spectra, ready to answer."""

    @property
    def stamp(self) -> ModelStamp:
        """Which weights speak, and on what."""

    @property
    def wavelengths_nm(self) -> NDArray[np.float64]:
        """(bands,) the wavelengths its spectra must be given at."""

    def estimate(self, spectra: NDArray[np.float32], *, deadline_s: float) -> Estimates:
        """Read quantities out of (spectra, bands) reflectance; NaN where the model does not know.

        Raises:
            PictureRejectedError: The spectra have not the bands the model was made for.
            DeadlineExceededError: It took longer than `deadline_s`.
            InferenceError: The runtime failed.
        """


class Model(Protocol):
    """A network that segments volumes, ready to answer."""

    @property
    def stamp(self) -> ModelStamp:
        """Which weights speak, and on what."""

    def infer(
        self, volume: Volume, *, deadline_s: float, others: Mapping[str, Volume] = MappingProxyType({})
    ) -> Segmentation:
        """Segment a volume; trouble is an exception, never an empty answer.

        Args:
            volume: What the first channel is given; the answer lies on its grid.
            deadline_s: For all of it.
            others: What further channels are given, by role.

        Raises:
            PictureRejectedError: The volume is not something the model can honestly work on.
            DeadlineExceededError: It took longer than `deadline_s`.
            InferenceError: The runtime failed.
        """


class Sink(Protocol):
    """A door for findings."""

    def deliver(self, envelope: Envelope, *, timeout_s: float) -> None:
        """Return when the far side has the envelope; safe to repeat.

        Raises:
            DeliveryError: It has not (yet) taken it.
            RefusedError: It says that it never will.
        """


class Alerts(Protocol):
    """Where a station says what a person must act on; cheap to call again with the same words."""

    def raise_alert(self, name: str, text: str, *, severity: Literal["warning", "error"] = "error") -> None:
        """Keep an alert before people's eyes until it is cleared; `name` is words joined by `-`."""

    def clear_alert(self, name: str) -> None:
        """Take it back, if it was raised."""
