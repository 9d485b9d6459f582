"""OpenVINO: one network, one warm request, on the CPU, a GPU or an NPU; the fastest with int8 in 3-D."""

from __future__ import annotations

import io
import sys
import time
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import BundleRejectedError
from edge.inference.background import give_way
from edge.inference.deadline import Deadline
from edge.inference.session import Answers, Wiring, failed

# Importing OpenVINO reports the import to a web address. Without this package it has nothing to do so with.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # the documented way to forbid an import

import openvino as ov  # noqa: E402

CORE: Final = ov.Core()
# A live network runs in the caller's thread, where it waits for no other thread to get a core: on a busy
# machine that took 10 ms instead of 2. It cannot be ended there, so it must be known to be quick.
SYNC_MARGIN: Final = 4.0
SYNC_MAX_S: Final = 0.4
NEVER_S: Final = float("inf")
TYPES: Final = {"float32": "f32", "float16": "f16", "uint8": "u8"}


class OpenVinoSession:
    """A compiled network with one request; one caller at a time.

    A network with one thread has it for itself. Those with more share one pool in each process, whose threads
    stay what the first of them made of them: so all of them give way (docs/decisions/two-lanes.md).

    Args:
        network: The ONNX file's bytes.
        name: Names the network in errors.
        wiring: By which names and types the graph is addressed.
        device: `cpu`, `gpu` or `npu`.
        hint: Precision of the arithmetic where the graph says float: `f32`, `bf16` or `f16`.
        threads: On the CPU; only a network that gives way may have more than one.
        gives_way: Its threads, of which none is the caller's, leave the cores to others first.

    Raises:
        BundleRejectedError: The runtime does not take the network.
    """

    runtime: Final = f"openvino {ov.__version__.split('-')[0]}"

    def __init__(
        self,
        network: bytes,
        *,
        name: str,
        wiring: Wiring,
        device: str = "cpu",
        hint: str,
        threads: int,
        gives_way: bool = False,
    ) -> None:
        assert threads == 1 or gives_way, f"{name}: {threads} threads would not give way, nor later ones"
        options: dict[str, object] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
        if device == "cpu":
            options |= {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
        self._name, self._wiring = name, wiring
        self.provider = device.upper()
        try:
            graph = CORE.read_model(io.BytesIO(network))
            # Also a live network is opened by threads that give way: compiling takes all cores for a while.
            compiled = give_way(lambda: CORE.compile_model(graph, device.upper(), options))
            _check_names(compiled, name=name, wiring=wiring)
            sides = compiled.input(0).get_partial_shape()
            self._takes = [side.get_length() if side.is_static else None for side in sides]
            self._request = compiled.create_infer_request()
            self._given: NDArray[Any] | None = None
            self._view: Any = None
            self._shape: tuple[int, ...] = ()
            self._may_sync = device == "cpu" and not gives_way
            self._took_s = NEVER_S
        except RuntimeError as error:
            raise BundleRejectedError(f"{name}: OpenVINO refuses it: {_last_line(error)}") from error

    def run(self, given: NDArray[Any], deadline: Deadline) -> Answers:
        """Run once.

        Raises:
            DeadlineExceededError: It was ended because the time was up.
            InferenceError: The runtime failed.
        """
        deadline.check(self._name)
        try:
            self._bind(given)
            began_s = time.monotonic()
            took_s, self._took_s = self._took_s, NEVER_S  # one that fails or is late proves nothing
            if took_s * SYNC_MARGIN < min(deadline.remaining_s(), SYNC_MAX_S):
                self._request.infer(share_outputs=True)
                deadline.check(self._name)
            else:
                self._run_endable(deadline)
            if self._may_sync:
                self._took_s = time.monotonic() - began_s
            return {name: np.array(self._request.get_tensor(name).data) for name in self._wiring.answers}
        except RuntimeError as error:
            said = f"OpenVINO: {_last_line(error)}"
            raise failed(self._name, given, wiring=self._wiring, takes=self._takes, because=said) from error

    def _run_endable(self, deadline: Deadline) -> None:
        """Run in a thread of the runtime: only there can it be ended in the middle."""
        self._request.start_async()
        if not self._request.wait_for(max(1, round(deadline.remaining_s() * 1000))):
            self._cancel()
            raise deadline.exceeded(self._name)

    def _bind(self, given: NDArray[Any]) -> None:
        """Let the network read an array; one that comes again is bound already."""
        if given is self._given and given.flags.writeable:
            return
        if given.shape != self._shape:
            self._shape, self._took_s = given.shape, NEVER_S
        self._given = given
        self._view = ov.Tensor(given, shared_memory=given.flags.writeable)  # else it is copied
        self._request.set_tensor(self._wiring.given, self._view)

    def close(self) -> None:
        """Free the network."""
        del self._request
        self._given = self._view = None

    def _cancel(self) -> None:
        self._request.cancel()
        try:
            self._request.wait()
        except RuntimeError:
            return  # says that it was cancelled, which is what we asked for


def offered() -> frozenset[str]:
    """Return the devices that are there, `cpu`, `gpu` and `npu`; of several alike the first is used."""
    return frozenset(name.partition(".")[0].lower() for name in CORE.available_devices)


def takes_bf16() -> bool:
    """Return whether this CPU computes in bfloat16."""
    return "BF16" in CORE.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _check_names(compiled: Any, *, name: str, wiring: Wiring) -> None:
    # A node that does nothing is left out, and then one place has the names of both of its sides.
    inputs = {
        wiring.given if wiring.given in node.names else node.any_name: node.element_type.get_type_name()
        for node in compiled.inputs
    }
    outputs = [name for node in compiled.outputs for name in sorted(node.names)]
    wanted = TYPES[wiring.dtype]
    if inputs != {wiring.given: wanted}:
        raise BundleRejectedError(
            f"{name}: inputs are {inputs}, the manifest says {wiring.given!r}, {wanted}"
        )
    for answer in wiring.answers:
        if answer not in outputs:
            raise BundleRejectedError(f"{name}: outputs are {outputs}, the manifest says {answer!r}")


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip()[:200] if lines else type(error).__name__
