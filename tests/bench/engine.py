"""The engine on a ready tensor (binding, tiling, decoding) beside the bare loop of the same runtime."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from edge.bundles.store import Bundle, find
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.domain.image import Volume
from edge.inference.background import give_way
from edge.inference.deadline import Deadline
from edge.inference.decode import decode
from edge.inference.forms import Form, open_session
from edge.inference.openvino_runtime import CORE
from edge.inference.session import Session
from edge.inference.volume_network import look
from edge.inference.volumes import read_volume_exam
from edge.kit.clock import SystemClock
from tests.bench.rounds import Timed, in_turns, low, timed
from tests.bench.rows import Row

MODELS = Path(__file__).parents[2] / "models"
INT8 = Form("int8", "openvino", "cpu")
FP32 = Form("fp32", "onnxruntime", "cpu")
THREADS = 1
SIDE_VOXELS = 128


def run(root: Path = MODELS) -> list[Row]:
    """Return what the engine adds to each runtime, and what int8 gains, on one thread.

    The engine and its bare loop take turns at being first, and a form has only itself beside it: a run of
    fp32 in between would leave cold caches, and no time for rounds enough of int8. Of int8 either side is
    opened three times: where its memory happens to lie made 20 ms of 540, most often for the first one.
    """
    bundle = find("brain-mr", [root])
    picture = _filled(read_volume_exam(bundle, _manifest(bundle)).images[0, 0], side=SIDE_VOXELS)
    shape = "x".join(map(str, picture.shape))
    rows = []
    for form, copies, rounds, bare in ((INT8, 3, 6, _bare_openvino), (FP32, 1, 4, _bare_onnxruntime)):
        work: dict[str, Timed] = {}
        for copy in range(copies):
            session = open_session(bundle, form, threads=THREADS)
            work[f"engine {copy}"] = timed(partial(_answer, bundle, session, picture))
            work[f"bare {copy}"] = timed(bare(bundle, form, picture))
        taken = in_turns(work, rounds=rounds)
        ours, peer = (
            low([ms for copy in range(copies) for ms in taken[f"{side} {copy}"]])
            for side in ("engine", "bare")
        )
        name = f"{form} {shape}, {THREADS} thread, with tiling and decoding, beside its bare loop"
        rows.append(Row(name, ours, peer, "ms", peer / ours))
    int8, fp32 = rows
    gain = Row(
        f"{INT8} beside {FP32}, {THREADS} thread, bare", int8.peer, fp32.peer, "ms", fp32.peer / int8.peer
    )
    return [int8, fp32, gain]


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
    """Return the loop at its best: nothing copied, and in the thread that the runtime has for it.

    As the engine's, that thread gives way: on a busy machine it would else get more of the core, which says
    nothing about work. In the caller's thread the runtime's memory went back to the system after each run, as
    it lay, and 8000 pages were fetched anew: that took 8 ms of 540, and hid as many of ours.
    """
    options = {
        "INFERENCE_NUM_THREADS": THREADS,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,  # pins the caller too, and with it whatever is measured after this
    }
    network = io.BytesIO(_network(bundle, form))
    compiled = give_way(lambda: CORE.compile_model(CORE.read_model(network), "CPU", options))
    request = compiled.create_infer_request()
    given = [picture[None, None]]

    def once() -> object:
        request.start_async(given, share_inputs=True)
        request.wait()
        return request.get_output_tensor(0).data

    return once


def _network(bundle: Bundle, form: Form) -> bytes:
    return bundle.network(next(v for v in bundle.manifest.variants if v.precision == form.precision))
