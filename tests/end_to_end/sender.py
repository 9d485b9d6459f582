"""A scanner that keeps what was not confirmed and sends it again, as scanners do."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Sequence
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from tests.builders.raw_scu import RawScu
from tests.end_to_end.kept import data_set_of

SUCCESS = 0x0000
ACCEPTED = 2
AGAIN_S = 0.05


class Sender:
    """Sends files one by one until each has been answered with Success, whatever happens to the receiver."""

    def __init__(self, port: int, files: Sequence[Path], *, pace_s: float, seed: int | None = 0) -> None:
        self._port = port
        self._files = list(files)
        self._pace_s = pace_s
        self.answered: dict[str, Path] = {}
        self.stop = threading.Event()
        if seed is not None:  # else one series after the other
            random.Random(seed).shuffle(self._files)
        self._thread = threading.Thread(target=self._run, name="scanner")

    def __enter__(self) -> Sender:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._thread.join()

    def is_done(self) -> bool:
        return len(self.answered) == len(self._files)

    def _run(self) -> None:
        waiting = list(self._files)
        while waiting and not self.stop.is_set():
            with contextlib.suppress(OSError):  # refused, reset, hung up: the rest stays with us
                self._send(waiting)
            self.stop.wait(AGAIN_S)

    def _send(self, waiting: list[Path]) -> None:
        """Send on one association for as long as it holds; what is answered leaves `waiting`."""
        contexts = ((str(MRImageStorage), str(ExplicitVRLittleEndian)),)
        with RawScu(self._port, contexts=contexts) as scu:
            if scu.associate() != ACCEPTED:
                return
            while waiting and not self.stop.is_set():
                sop_uid = str(dcmread(waiting[0], stop_before_pixels=True).SOPInstanceUID)
                status = scu.store(sop_uid, data_set_of(waiting[0]), sop_class=str(MRImageStorage))
                if status == SUCCESS:
                    self.answered[sop_uid] = waiting.pop(0)
                self.stop.wait(self._pace_s)
            scu.release()
