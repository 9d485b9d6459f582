"""A scanner that keeps what was not confirmed and sends it again, as scanners do."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE

SUCCESS = 0x0000
AGAIN_S = 0.05


class Sender:
    """Sends files one by one until each has been answered with Success, whatever happens to the receiver."""

    def __init__(self, port: int, files: Sequence[Path], *, seed: int = 0) -> None:
        self._port = port
        self._files = list(files)
        self.answered: dict[str, Path] = {}
        self.stop = threading.Event()
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
        entity = AE("SCANNER")
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 5
        entity.add_requested_context(MRImageStorage, ExplicitVRLittleEndian)
        waiting = list(self._files)
        while waiting and not self.stop.is_set():
            association = entity.associate("127.0.0.1", self._port, ae_title="EDGE")
            while association.is_established and waiting and not self.stop.is_set():
                dataset = dcmread(waiting[0])
                try:
                    status = association.send_c_store(dataset)
                except RuntimeError:  # the association ended between two objects
                    break
                if getattr(status, "Status", None) == SUCCESS:
                    self.answered[str(dataset.SOPInstanceUID)] = waiting.pop(0)
            if association.is_established:
                association.release()
            self.stop.wait(AGAIN_S)
