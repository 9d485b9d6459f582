"""The engine on a frame that is ready (seat, binding, decoding) beside the bare loop of the same runtime."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from edge.bundles.store import Bundle, load
from edge.inference.forms import Form, open_session, stamp_of, variant_of
from edge.inference.handle import Active, PictureHandle
from edge.inference.keeping import KeptSession
from edge.inference.openvino_runtime import CORE
from edge.inference.tasks import AnyPictureModel, task_of
from edge.kit.clock import SystemClock
from tests.bench.rounds import Timed, in_turns, low, timed
from tests.bench.rows import Row
from tests.builders.networks import SIDE_PX, write_residual_bundle
from tests.fakes.picture import FakePicture

FORMS = [
    Form("int8", "openvino", "cpu"),
    Form("bf16", "openvino", "cpu"),
    Form("int8", "onnxruntime", "cpu"),
    Form("fp32", "onnxruntime", "cpu"),
]
ROUNDS = 200
CLOCK = SystemClock()
PICTURE = FakePicture.grey(120, height_px=SIDE_PX, width_px=SIDE_PX)
TENSOR = np.full((1, 3, SIDE_PX, SIDE_PX), 120 / 255, np.float32)


def run() -> list[Row]:
    """Return what the engine adds to a frame in each form, and what preprocessing takes beside it."""
    rows = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as rooms:
        bundle = load(write_residual_bundle(Path(folder)))
        for form in FORMS:
            handle = _handle(bundle, form)
            rooms.callback(handle.close, "measured")
            bare = _bare_openvino if form.runtime == "openvino" else _bare_onnxruntime
            taken = in_turns(
                {"engine": _engine(handle), "bare": timed(bare(bundle, form))},
                rounds=ROUNDS,
            )
            ours, peer = low(taken["engine"]), low(taken["bare"])
            preparing = low([_preparing_ms(handle) for _ in range(50)])
            name = f"{form} {SIDE_PX}x{SIDE_PX}, 1 thread, with seat and decoding, beside its bare loop"
            rows.append(Row(f"{name} (preprocessing {preparing:.2f} ms)", ours, peer, "ms", peer / ours))
    return rows


def _handle(bundle: Bundle, form: Form) -> PictureHandle:
    session = open_session(bundle, form, threads=1)
    kept = KeptSession(session, name="bench", memory_mb=0, reopen=lambda: session, budget=None, clock=CLOCK)
    task = task_of(bundle, CLOCK)
    model = task.build([kept], stamp_of(bundle, form, kept))
    assert isinstance(model, AnyPictureModel)
    handle = PictureHandle("bench")
    handle.put(Active(bundle=bundle, model=model, form=form, sessions=(kept,), exam=task.exam))
    return handle


def _engine(handle: PictureHandle) -> Timed:
    """Look at a picture, and count all but the preprocessing."""

    def look() -> float:
        began_ns = CLOCK.monotonic_ns()
        answer = handle.look(PICTURE, deadline_s=30)
        return (CLOCK.monotonic_ns() - began_ns) / 1e6 - answer.latency_ms["preprocess"]

    return look


def _preparing_ms(handle: PictureHandle) -> float:
    return handle.look(PICTURE, deadline_s=30).latency_ms["preprocess"]


def _bare_onnxruntime(bundle: Bundle, form: Form) -> Callable[[], NDArray[np.float32]]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    network = bundle.network(variant_of(bundle, form))
    session = ort.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    return lambda: np.asarray(session.run(None, {"image": TENSOR})[0])


def _bare_openvino(bundle: Bundle, form: Form) -> Callable[[], object]:
    options = {
        "INFERENCE_NUM_THREADS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if form.precision == "bf16" else "f32",
        "ENABLE_CPU_PINNING": False,
    }
    network = io.BytesIO(bundle.network(variant_of(bundle, form)))
    compiled = CORE.compile_model(CORE.read_model(network), "CPU", options)
    return lambda: compiled([TENSOR])
