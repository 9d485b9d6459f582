"""The engine on a ready tensor (binding, tiling, decoding) beside the bare loop of the same runtime."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from edge.bundles.store import Bundle, find
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.domain.image import Volume
from edge.inference.deadline import Deadline
from edge.inference.decode import decode
from edge.inference.forms import Form, open_session
from edge.inference.openvino_runtime import CORE
from edge.inference.session import Session
from edge.inference.volume_network import look
from edge.inference.volumes import read_volume_exam
from edge.kit.clock import SystemClock
from tests.bench.rows import Row

MODELS = Path(__file__).parents[2] / "models"
INT8 = Form("int8", "openvino", "cpu")
FP32 = Form("fp32", "onnxruntime", "cpu")
THREADS = 1
SIDE_VOXELS = 128
TIMES = 5


def run(root: Path = MODELS) -> list[Row]:
    """Return what the engine adds to each runtime, and what int8 gains, on one thread."""
    bundle = find("brain-mr", [root])
    picture = _filled(read_volume_exam(bundle, _manifest(bundle)).images[0, 0], side=SIDE_VOXELS)
    work: dict[str, Callable[[], object]] = {}
    for form, bare in ((INT8, _bare_openvino), (FP32, _bare_onnxruntime)):
        session = open_session(bundle, form, threads=THREADS)
        work[f"{form.runtime} engine"] = lambda session=session: _answer(bundle, session, picture)  # type: ignore[misc]  # one session each
        work[f"{form.runtime} bare"] = bare(bundle, form, picture)
    ms = _best_ms(work)
    shape = "x".join(map(str, picture.shape))
    rows = [
        Row(
            f"{form} {shape}, {THREADS} thread, with tiling and decoding, beside its bare loop",
            ms[f"{form.runtime} engine"],
            ms[f"{form.runtime} bare"],
            "ms",
            ms[f"{form.runtime} bare"] / ms[f"{form.runtime} engine"],
        )
        for form in (INT8, FP32)
    ]
    gain = Row(
        f"{INT8} beside {FP32}, {THREADS} thread, bare",
        ms["openvino bare"],
        ms["onnxruntime bare"],
        "ms",
        ms["onnxruntime bare"] / ms["openvino bare"],
    )
    return [*rows, gain]


def _filled(picture: NDArray[np.float32], *, side: int) -> NDArray[np.float32]:
    """Stretch a picture to a cube, to the nearest voxel: decoding then meets one head, as it does in use."""
    rows = [np.arange(side) * length // side for length in picture.shape]
    return np.ascontiguousarray(picture[np.ix_(*rows)])


def _answer(bundle: Bundle, session: Session, picture: NDArray[np.float32]) -> None:
    deadline = Deadline(SystemClock(), 300)
    manifest = _manifest(bundle)
    labels = look(session, picture[None], manifest, deadline)
    grid = Volume(
        voxels=picture,
        unit="normalised",
        spacing_mm=(1.5, 1.5, 1.5),
        patient_from_voxel=np.diag([1.5, 1.5, 1.5, 1.0]),
        modality="MR",
    )
    decode(labels, grid=grid, source=grid, output=manifest.output)


def _manifest(bundle: Bundle) -> VolumeSegmentation:
    assert isinstance(bundle.manifest, VolumeSegmentation)
    return bundle.manifest


def _bare_onnxruntime(bundle: Bundle, form: Form, picture: NDArray[np.float32]) -> Callable[[], object]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = ort.InferenceSession(_network(bundle, form), options, providers=["CPUExecutionProvider"])
    name = bundle.manifest.input.name
    return lambda: session.run(None, {name: picture[None, None]})


def _bare_openvino(bundle: Bundle, form: Form, picture: NDArray[np.float32]) -> Callable[[], object]:
    options = {
        "INFERENCE_NUM_THREADS": THREADS,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,  # pins the caller too, and with it whatever is measured after this
    }
    compiled = CORE.compile_model(CORE.read_model(io.BytesIO(_network(bundle, form))), "CPU", options)
    return lambda: compiled([picture[None, None]])


def _network(bundle: Bundle, form: Form) -> bytes:
    return bundle.network(next(v for v in bundle.manifest.variants if v.precision == form.precision))


def _best_ms(work: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Best of some rounds, interleaved, so that a busy minute touches all alike; the first warms up."""
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(TIMES + 1):
        for name, once in work.items():
            started = time.perf_counter()
            once()
            taken[name].append(1e3 * (time.perf_counter() - started))
    return {name: min(times[1:]) for name, times in taken.items()}
