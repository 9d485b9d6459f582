"""Whether OpenVINO lives through a network: tried in a process of its own, some graphs make it crash."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import BundleRejectedError, InferenceError
from edge.inference.deadline import Deadline
from edge.inference.openvino_runtime import OpenVinoSession
from edge.inference.session import Wiring
from edge.kit.clock import SystemClock

RUN_S: Final = 600.0
ALIVE: Final = "alive"


class Probe:
    """A process that opens and runs networks for us, one at a time; who kills it is not opened here.

    OpenVINO 2026.4 ends with a segmentation fault where two concatenations with constants in int8 follow on
    each other: so a network that nobody has opened before is opened there first. Open it with `with`.

    Args:
        wiring: By which names the networks are addressed.
        feed: What each is run on.
    """

    def __init__(self, wiring: Wiring, feed: NDArray[Any]) -> None:
        self._wiring = wiring
        self._feed = feed
        self._folder = tempfile.TemporaryDirectory(prefix="edge-")
        self._process: subprocess.Popen[str] | None = None
        self._known: dict[int, bool] = {}

    def __enter__(self) -> Self:
        np.save(self._path("feed.npy"), self._feed)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._folder.cleanup()

    def check(self, network: bytes) -> None:
        """Let the process open and run a network; what it thinks of the answer does not matter here.

        Raises:
            BundleRejectedError: The process died of it.
        """
        key = hash(network)
        if key not in self._known:
            self._path("network.onnx").write_bytes(network)
            self._known[key] = self._is_survived()
        if not self._known[key]:
            raise BundleRejectedError("OpenVINO crashes on it: the process that opened it died")

    def _is_survived(self) -> bool:
        if self._process is None:
            command = [sys.executable, "-m", "edge.workshop.probe"]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        assert self._process.stdin is not None, "it was asked for"
        assert self._process.stdout is not None, "it was asked for"
        asked = {"folder": self._folder.name, "wiring": asdict(self._wiring)}
        try:
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            is_alive = self._process.stdout.readline().strip() == ALIVE
        except BrokenPipeError:
            is_alive = False
        if not is_alive:
            self._end()
        return is_alive

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _path(self, name: str) -> Path:
        return Path(self._folder.name, name)


def answer(lines: Iterable[str]) -> None:
    """Open and run what is asked for, line by line, and say that we live; the body of the process."""
    clock = SystemClock()
    for line in lines:
        asked = json.loads(line)
        folder, words = Path(asked["folder"]), asked["wiring"]
        wiring = Wiring(words["given"], words["dtype"], tuple(words["answers"]))
        try:
            network = (folder / "network.onnx").read_bytes()
            session = OpenVinoSession(network, name="candidate", wiring=wiring, hint="f32", threads=1)
            session.run(np.load(folder / "feed.npy"), Deadline(clock, RUN_S))
            session.close()
        except (BundleRejectedError, InferenceError):
            pass  # who asks finds out himself
        sys.stdout.write(f"{ALIVE}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    answer(sys.stdin)
