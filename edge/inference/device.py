"""What this machine is, as far as it decides which form of a network runs best."""

from __future__ import annotations

from pathlib import Path

from edge.inference import onnx_runtime, openvino_runtime
from edge.inference.onnx_runtime import OnnxRuntimeSession
from edge.inference.openvino_runtime import OpenVinoSession

DRIVER = Path("/proc/driver/nvidia/version")


def describe() -> str:
    """Name the CPU, the GPUs, their driver and the runtimes; another answer means to measure again."""
    cpu = _values(Path("/proc/cpuinfo"), "model name")
    gpus = [value for path in _gpus() for value in _values(path, "Model")]
    driver = _values(DRIVER, "NVRM version")
    cores = f"{len(cpu)} x {cpu[0] if cpu else 'unknown CPU'}"
    return "; ".join(
        [cores, *gpus, *driver, " and ".join(there()), OnnxRuntimeSession.runtime, OpenVinoSession.runtime]
    )


def there() -> tuple[str, ...]:
    """Return the devices to try: `cuda` and `tensorrt` by ONNX Runtime, `gpu` and `npu` by OpenVINO.

    A session still has to say that it really runs there.
    """
    nvidia = onnx_runtime.offered() & {"cuda", "tensorrt"} if has_cuda() else frozenset[str]()
    intel = openvino_runtime.offered() & {"gpu", "npu"}
    return tuple(one for one in ("tensorrt", "cuda", "gpu", "npu", "cpu") if one in {"cpu", *nvidia, *intel})


def has_cuda() -> bool:
    """Return whether a driver for NVIDIA GPUs is loaded; only a session tells whether it can be used."""
    return bool(_gpus()) or Path("/dev/nvidia0").exists()


def _gpus() -> list[Path]:
    return sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))


def _values(path: Path, key: str) -> list[str]:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return []
    return [line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key]
