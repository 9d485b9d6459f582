"""What we are made of tells nobody of the machine, and keeps nothing about it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_the_runtimes_leave_nothing_behind_and_are_about_to_send_nothing(tmp_path: Path) -> None:
    runtimes = "import edge.inference.onnx_runtime, edge.inference.openvino_runtime"
    kept = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", runtimes], check=True, env={**kept, **home})
    assert list(tmp_path.rglob("*")) == []
