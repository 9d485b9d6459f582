"""A scanner that is not there: sends study after study by C-STORE, and counts the answers."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from edge.domain.errors import ConfigurationError
from edge.simulate.pace import Pace
from edge.simulate.patients import as_new_patient
from edge.simulate.scu import CONTEXTS_MAX, Outcome, Parcel, Peer, carry, parcel_of

Report = Callable[[Parcel, Outcome], None]


@dataclass(slots=True)
class Tally:
    """What became of everything that was sent so far.

    Attributes:
        studies: Begun.
        stored: Instances that the peer answered for.
        refused: Instances that it did not want.
        failed: Instances without an answer.
    """

    studies: int = 0
    stored: int = 0
    refused: int = 0
    failed: int = 0

    @property
    def instances(self) -> int:
        """All of them."""
        return self.stored + self.refused + self.failed

    def count(self, outcome: Outcome) -> None:
        """Add one instance."""
        self.stored += outcome.is_stored
        self.refused += outcome.status is not None and not outcome.is_stored
        self.failed += outcome.status is None


class Scanner:
    """Sends while its `with` lasts, each study over an association of its own.

    Attributes:
        tally: What was answered; read at any time.
        last_reason: What the peer said last when it did not store, or "".
        pace: How far it is, and what went wrong.
    """

    def __init__(
        self,
        peer: Peer,
        studies: Sequence[Sequence[Path]],
        *,
        every_s: float,
        studies_max: int | None = None,
        are_new: bool = True,
        report: Report | None = None,
    ) -> None:
        """Choose what is sent.

        Args:
            peer: Where to.
            studies: Files of each; sent in turn, from the beginning when all were.
            every_s: From the beginning of one study to that of the next; above 0.
            studies_max: After how many it ends; None for no end.
            are_new: Every study gets new UIDs and a patient of its own; else the same objects come again.
            report: Also told of each instance, from the thread that sends.

        Raises:
            ConfigurationError: There is nothing to send.
        """
        if not studies or not all(studies):
            raise ConfigurationError("nothing to send: wanted at least one study with a DICOM object")
        self.tally = Tally()
        self.last_reason = ""
        self._peer, self._studies = peer, studies
        self._are_new, self._report = are_new, report
        self._stopping = threading.Event()
        self.pace = Pace(self._step, period_s=every_s, name="scanner", steps_max=studies_max)

    def __enter__(self) -> Self:
        self.pace.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self.pace.__exit__()

    def _step(self, number: int) -> None:
        files = self._studies[number % len(self._studies)]
        self.tally.studies += 1
        with tempfile.TemporaryDirectory(prefix="edge-scanner-") as folder:
            if self._are_new:
                files = as_new_patient(files, Path(folder), patient=f"SIM^{number + 1:08d}")
            parcels = [parcel_of(path) for path in files]
            contexts = {parcel.context for parcel in parcels}
            assert len(contexts) <= CONTEXTS_MAX, f"{len(contexts)} kinds of object in one study"
            carry(parcels, self._peer, report=self._take, stopping=self._stopping)

    def _take(self, parcel: Parcel, outcome: Outcome) -> None:
        self.tally.count(outcome)
        if not outcome.is_stored:
            self.last_reason = outcome.reason or f"status 0x{outcome.status or 0:04X}"
        if self._report is not None:
            self._report(parcel, outcome)
