"""brain-mr on an NVIDIA GPU, from GPU memory to GPU memory, beside the best that PyTorch does there."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.bundles.store import Bundle, find
from edge.inference.deadline import Deadline
from edge.inference.device import has_cuda
from edge.inference.forms import Form, open_session
from edge.inference.onnx_runtime import OnnxRuntimeSession
from edge.kit.clock import SystemClock
from tests.bench.engine import MODELS
from tests.bench.rows import Row

SIDE_VOXELS = 128
ROUNDS = 30
WARM_UPS = 5
PRECISIONS = ("fp32", "tf32", "fp16")
COMPILED = "compiled"


def run(root: Path = MODELS) -> list[Row]:
    """Return two rows for each precision: beside PyTorch's own kernels, and compiled; none without a GPU."""
    torch = _torch()
    if torch is None or not has_cuda():
        return []
    bundle = find("brain-mr", [root])
    picture = np.random.default_rng(1).random((1, 1, *[SIDE_VOXELS] * 3), np.float32)
    work = {f"edge {precision}": _ours(bundle, precision, picture) for precision in PRECISIONS}
    work |= _peers(torch, root / bundle.manifest.name, picture)
    ms = _median_ms(work)
    rows = []
    for precision in PRECISIONS:
        peers = [name for name in ms if name.startswith(f"torch {precision}")]
        for compiled in (False, True):
            best = min((name for name in peers if (COMPILED in name) == compiled), key=ms.__getitem__)
            rows.append(_row(f"edge {precision}", ms[f"edge {precision}"], best, ms[best]))
    return rows


def _row(name: str, ours_ms: float, peer: str, peer_ms: float) -> Row:
    what = f"{name}, {SIDE_VOXELS}³, GPU to GPU, beside {peer} (wanted 0.87 for the fastest)"
    return Row(what, ours_ms, peer_ms, "ms", peer_ms / ours_ms)


def _torch() -> Any:
    try:
        return importlib.import_module("torch")
    except ImportError:
        return None


def _ours(bundle: Bundle, precision: str, picture: NDArray[np.float32]) -> Callable[[], object]:
    session = open_session(bundle, Form(precision, "onnxruntime", "cuda"), threads=1)
    assert isinstance(session, OnnxRuntimeSession)
    assert session.bound is not None
    session.run(picture, Deadline(SystemClock(), 300))
    return session.bound.go


def _peers(torch: Any, folder: Path, picture: NDArray[np.float32]) -> dict[str, Callable[[], object]]:
    """Return the network and its decision in PyTorch: each precision, as it is, as a CUDA graph, compiled."""
    sys.path.insert(0, str(folder))
    network, export = importlib.import_module("network"), importlib.import_module("export")
    torch.backends.cudnn.benchmark = True
    found: dict[str, Callable[[], object]] = {}
    for precision in PRECISIONS:
        dtype = torch.float16 if precision == "fp16" else torch.float32
        for layout in ("contiguous_format", "channels_last_3d"):
            model = export.Labelled(network.fold_batch_norms(network.BrainNet())).eval().cuda().to(dtype)
            model = model.to(memory_format=getattr(torch, layout))
            given = torch.from_numpy(picture).cuda().to(dtype).to(memory_format=getattr(torch, layout))
            once = _eager(torch, model, given, allows_tf32=precision == "tf32")
            found[f"torch {precision} {layout}"] = once
            found[f"torch {precision} {layout}, graph"] = _graph(torch, once)
            compiled = torch.compile(model, mode="reduce-overhead")
            found[f"torch {precision} {layout}, {COMPILED}"] = _eager(
                torch, compiled, given, allows_tf32=precision == "tf32"
            )
    return found


def _eager(torch: Any, model: Any, given: Any, *, allows_tf32: bool) -> Callable[[], object]:
    def once() -> object:
        torch.backends.cudnn.allow_tf32 = allows_tf32
        torch.backends.cuda.matmul.allow_tf32 = allows_tf32
        with torch.inference_mode():
            answer = model(given)
        if not torch.cuda.is_current_stream_capturing():
            torch.cuda.synchronize()
        return answer

    return once


def _graph(torch: Any, once: Callable[[], object]) -> Callable[[], object]:
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            once()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = once()

    def replay() -> object:
        graph.replay()
        torch.cuda.synchronize()
        return kept

    return replay


def _median_ms(work: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median of some rounds, interleaved."""
    taken: dict[str, list[float]] = {name: [] for name in work}
    for number in range(WARM_UPS + ROUNDS):
        for name, once in work.items():
            once()  # brings the caches to what it leaves behind, not to what the one before left
            started = time.perf_counter()
            once()
            if number >= WARM_UPS:
                taken[name].append(1e3 * (time.perf_counter() - started))
    return {name: float(np.median(times)) for name, times in taken.items()}
