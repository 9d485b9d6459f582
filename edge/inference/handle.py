"""A model that may be exchanged while it is in use: who holds it keeps the one they began with."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge.bundles.store import Bundle
from edge.domain.answer import Estimates, PictureAnswer
from edge.domain.errors import BundleRejectedError, InferenceError
from edge.domain.finding import ModelStamp
from edge.domain.frame import Picture
from edge.domain.image import Segmentation, Volume
from edge.inference.drift_reference import Reference
from edge.inference.forms import Form
from edge.inference.golden import Exam
from edge.inference.keeping import KeptSession
from edge.inference.tasks import AnyModel, AnyPictureModel, AnySpectraModel, AnyVolumeModel

Kind = TypeVar("Kind", bound=AnyModel)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Active(Generic[Kind]):
    """A model at work and what it is made of; none of this changes.

    Attributes:
        bundle: Its files.
        model: Answers.
        form: How it runs.
        sessions: Of the model.
        exam: Its golden check.
        reference: For drift; None where its bundle has none.
    """

    bundle: Bundle
    model: Kind
    form: Form
    sessions: tuple[KeptSession, ...]
    exam: Exam
    reference: Reference | None = None

    @property
    def stamp(self) -> ModelStamp:
        """Which weights speak."""
        return self.model.stamp


class Handle(Generic[Kind]):
    """The place of one bundle's model; it stays while models come and go.

    Args:
        name: Of the bundle.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._active: Active[Kind] | None = None
        self._refusal = f"{name}: not ready"
        self._users: dict[Active[Kind], int] = {}

    @contextmanager
    def held(self) -> Iterator[Active[Kind]]:
        """Hold the model of this moment: it answers, unchanged, for as long as the `with` lasts.

        Raises:
            InferenceError: There is none; the message says why.
        """
        active = self._take()
        try:
            yield active
        finally:
            self._give_back(active)

    def _take(self) -> Active[Kind]:
        with self._lock:
            active = self._active
            if active is None:
                raise InferenceError(self._refusal)
            self._users[active] = self._users.get(active, 0) + 1
        return active

    def _give_back(self, active: Active[Kind]) -> None:
        with self._lock:
            self._users[active] -= 1
            if not self._users[active]:
                del self._users[active]
                self._changed.notify_all()

    @property
    def active(self) -> Active[Kind]:
        """Return the model of this moment, to look at; who asks it something must hold it.

        Raises:
            BundleRejectedError: There is none; the message says why.
        """
        active = self._active
        if active is None:
            raise BundleRejectedError(self._refusal)
        return active

    @property
    def stamp(self) -> ModelStamp:
        """Which weights speak at this moment; who needs those of an answer holds the model.

        Raises:
            BundleRejectedError: There are none; the message says why.
        """
        return self.active.stamp

    @property
    def is_idle(self) -> bool:
        """Return whether nobody holds it."""
        return not self._users

    def put(self, active: Active[Kind]) -> None:
        """Answer with this model from now on; the one before is closed when its last user is done."""
        before = self.exchange(active)
        if before is not None:
            before.model.close()

    def close(self, refusal: str) -> None:
        """Answer no more, for this reason."""
        before = self.exchange(None, refusal=refusal)
        if before is not None:
            before.model.close()

    def exchange(self, active: Active[Kind] | None, *, refusal: str = "") -> Active[Kind] | None:
        """Answer with this model from now on, or no more; return the one before, once nobody holds it."""
        with self._changed:
            before, self._active, self._refusal = self._active, active, refusal
            if before is not None:
                self._changed.wait_for(lambda: before not in self._users)
            return before


class VolumeHandle(Handle[AnyVolumeModel]):
    """A `Model`: its inside may be exchanged between two volumes."""

    def infer(
        self, volume: Volume, *, deadline_s: float, others: Mapping[str, Volume] = MappingProxyType({})
    ) -> Segmentation:
        """Segment a volume, with what further channels see by role; trouble is an exception.

        Raises:
            PictureRejectedError: The volume is not something the model can honestly work on.
            DeadlineExceededError: It took longer than `deadline_s`.
            InferenceError: The runtime failed, or there is no model.
        """
        with self.held() as active:
            return active.model.infer(volume, deadline_s=deadline_s, others=others)


class PictureHandle(Handle[AnyPictureModel]):
    """A `PictureModel`: its inside may be exchanged between two pictures."""

    def look(self, picture: Picture, *, deadline_s: float) -> PictureAnswer:
        """Judge a picture; trouble is an exception.

        Raises:
            PictureRejectedError: The picture is not something the model can honestly work on.
            DeadlineExceededError: It took longer than `deadline_s`.
            InferenceError: The runtime failed, or there is no model.
        """
        active = self._take()  # as `held`, without what a generator costs right after a network
        try:
            return active.model.look(picture, deadline_s=deadline_s)
        finally:
            self._give_back(active)


class SpectraHandle(Handle[AnySpectraModel]):
    """A `SpectraModel`: its inside may be exchanged between two calls."""

    @property
    def wavelengths_nm(self) -> NDArray[np.float64]:
        """(bands,) the wavelengths its spectra must be given at.

        Raises:
            BundleRejectedError: There is no model.
        """
        return self.active.model.wavelengths_nm

    def estimate(self, spectra: NDArray[np.float32], *, deadline_s: float) -> Estimates:
        """Read quantities out of (spectra, bands) reflectance; NaN where the model does not know.

        Raises:
            PictureRejectedError: The spectra have not the bands the model was made for.
            DeadlineExceededError: It took longer than `deadline_s`.
            InferenceError: The runtime failed, or there is no model.
        """
        with self.held() as active:
            return active.model.estimate(spectra, deadline_s=deadline_s)
