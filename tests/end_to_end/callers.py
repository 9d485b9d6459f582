"""Scanners that come one after the other, whatever happens, and do not come again."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from edge.domain.errors import EdgeError
from edge.sources.dicom_echo import echo
from tests.builders.raw_scu import RawScu
from tests.end_to_end.kept import data_set_of

EVERY_S = 0.1
PATIENCE_S = 20.0
ECHOES = 3  # between two that send a series


class Callers:
    """Begins an association every 100 ms while its `with` lasts: a C-ECHO, or a series while there is one.

    Attributes:
        answered: Where each object lies that was answered with Success.
        failed: What anybody met with who was not served at once.
        waited_s: How long each was there, from its first packet to its last.
    """

    def __init__(self, port: int, series: Sequence[Sequence[Path]]) -> None:
        self._port = port
        self._series = list(series)
        self._stop = threading.Event()
        self._calls: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._run, name="callers")
        self.answered: dict[str, Path] = {}
        self.failed: list[str] = []
        self.waited_s: list[float] = []

    def __enter__(self) -> Callers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for call in self._calls:
            call.join()

    def _run(self) -> None:
        for number in itertools.count():
            files = self._series.pop(0) if number % (1 + ECHOES) == 0 and self._series else []
            call = threading.Thread(target=self._call, args=(files,), name=f"caller {number}")
            self._calls.append(call)
            call.start()
            if self._stop.wait(EVERY_S):
                return

    def _call(self, files: Sequence[Path]) -> None:
        began_s = time.monotonic()
        try:
            if files:
                self._store(files)
            else:
                echo(
                    "127.0.0.1", self._port, calling="SCU", called="EDGE", is_tls=False, timeout_s=PATIENCE_S
                )
        except (OSError, EdgeError, AssertionError) as trouble:
            self.failed.append(f"after {time.monotonic() - began_s:.1f} s: {trouble}")
        self.waited_s.append(time.monotonic() - began_s)

    def _store(self, files: Sequence[Path]) -> None:
        with RawScu(self._port, contexts=((str(MRImageStorage), str(ExplicitVRLittleEndian)),)) as scu:
            assert scu.associate() == 2, f"rejected: {scu.reply.hex()}"
            for file in files:
                sop_uid = str(dcmread(file, stop_before_pixels=True).SOPInstanceUID)
                assert scu.store(sop_uid, data_set_of(file), sop_class=str(MRImageStorage)) == 0x0000
                self.answered[sop_uid] = file
            assert scu.release() == 6
