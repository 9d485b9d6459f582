"""ONNX Runtime: one network, one warm session, on the CPU or an NVIDIA GPU, there with TensorRT or not."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as trouble

from edge.domain.errors import BundleRejectedError, InferenceError
from edge.inference.background import at_once, give_way
from edge.inference.deadline import Deadline
from edge.inference.ender import Ender
from edge.inference.session import Answers, Wiring

TYPES: Final = {"float32": "tensor(float)", "float16": "tensor(float16)", "uint8": "tensor(uint8)"}
PROVIDERS: Final = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
LARGE_BYTES: Final = 100_000  # an answer above this is given away with its memory; a smaller one is copied

# What the runtime raises; it has no common parent of its own.
TROUBLE: Final = (
    RuntimeError,
    trouble.EPFail,
    trouble.Fail,
    trouble.InvalidArgument,
    trouble.InvalidGraph,
    trouble.InvalidProtobuf,
    trouble.NoModel,
    trouble.NotImplemented,
    trouble.RuntimeException,
)


class OnnxRuntimeSession:
    """A session with bound input and output; one caller at a time.

    Args:
        network: The ONNX file's bytes.
        name: Names the network in errors.
        wiring: By which names and types the graph is addressed.
        provider: `cpu`, `cuda` or `tensorrt`.
        arithmetic: On an NVIDIA GPU: `fp32`, `tf32` for matrices of fp32, `fp16` or `int8` as the file says.
        threads: On the CPU, the caller's among them.
        gives_way: The others leave the cores to others first.

    Raises:
        BundleRejectedError: The runtime does not take the network, or does not give the provider.
    """

    runtime: Final = f"onnxruntime {ort.__version__}"

    def __init__(
        self,
        network: bytes,
        *,
        name: str,
        wiring: Wiring,
        provider: str,
        arithmetic: str = "fp32",
        threads: int,
        gives_way: bool = False,
    ) -> None:
        ort.disable_telemetry_events()
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.enable_mem_pattern = False  # keeps a block for each shape: series differ, memory would grow
        options.log_severity_level = 4  # trouble reaches us as an exception
        # Spinning threads took half of the throughput from whoever shares the cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._name, self._wiring = name, wiring
        try:
            chosen = _providers(provider, arithmetic)
            # A network with one thread has none of its own: opening it gives way all the same.
            self._session = (give_way if gives_way or threads == 1 else at_once)(
                lambda: ort.InferenceSession(network, options, providers=chosen)
            )
        except TROUBLE as error:
            raise BundleRejectedError(f"{name}: ONNX Runtime refuses it: {_first_line(error)}") from error
        self.provider = str(self._session.get_providers()[0])  # the list of available ones promises nothing
        if self.provider != PROVIDERS[provider]:
            raise BundleRejectedError(f"{name}: runs on {self.provider}, wanted {PROVIDERS[provider]}")
        _check_names(self._session, name=name, wiring=wiring)
        self._binding = self._session.io_binding()
        self._place = "cpu" if provider == "cpu" else "cuda"
        self._bound: NDArray[Any] | None = None
        self._bound_for: tuple[int, ...] = ()
        self._on_device: Any = None
        self._run = ort.RunOptions()
        self._ender = Ender()

    def run(self, given: NDArray[Any], deadline: Deadline) -> Answers:
        """Run once.

        Raises:
            DeadlineExceededError: It was ended because the time was up.
            InferenceError: The runtime failed.
        """
        deadline.check(self._name)
        self._run.terminate = False  # it may have been set just as the last run was done
        try:
            self._bind(given)
            with self._ender.ending(self._run, after_s=deadline.remaining_s()):
                self._session.run_with_iobinding(self._binding, self._run)
        except TROUBLE as error:
            if self._run.terminate:
                raise deadline.exceeded(self._name) from error
            raise InferenceError(f"{self._name}: ONNX Runtime: {_first_line(error)}") from error
        return {
            name: self._taken(value)
            for name, value in zip(self._wiring.answers, self._binding.get_outputs(), strict=True)
        }

    def _bind(self, given: NDArray[Any]) -> None:
        if given.shape != self._bound_for:  # an output that was bound keeps the shape of its first run
            self._binding.clear_binding_outputs()
            for answer in self._wiring.answers:
                self._binding.bind_output(answer, self._place)
            self._bound, self._on_device, self._bound_for = None, None, given.shape
        if self._place == "cuda":
            self._bind_device(given)
        elif given is not self._bound:  # the same array again is bound already: the runtime reads its memory
            self._binding.bind_cpu_input(self._wiring.given, given)
            self._bound = given

    def _bind_device(self, given: NDArray[Any]) -> None:
        if self._on_device is None:
            self._on_device = ort.OrtValue.ortvalue_from_numpy(given, "cuda", 0)
            self._binding.bind_ortvalue_input(self._wiring.given, self._on_device)
        else:
            self._on_device.update_inplace(given)

    def _taken(self, value: Any) -> NDArray[Any]:
        """Return an answer that is the caller's own; the next run writes where this one did."""
        seen: NDArray[Any] = value.numpy()
        if self._place == "cuda":
            return seen  # a copy already
        if seen.nbytes < LARGE_BYTES:
            return np.array(seen)
        self._bound_for = ()  # the caller keeps this memory; the next run gets other memory
        return seen

    def close(self) -> None:
        """Free the network."""
        self._ender.close()
        del self._binding, self._session
        self._bound = self._on_device = None


def offered() -> frozenset[str]:
    """Return the devices this build of the runtime knows; only a session tells whether one can be used."""
    known = set(ort.get_available_providers())
    return frozenset(name for name, provider in PROVIDERS.items() if provider in known)


def _providers(provider: str, arithmetic: str) -> list[Any]:
    if provider == "cpu":
        return [PROVIDERS["cpu"]]
    ort.preload_dlls()
    # HEURISTIC: the other two were five and ten times slower on some networks. `fuse_conv_bias` gave wrong
    # answers for Conv3D and stays out.
    options = {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": str(int(arithmetic == "tf32"))}
    cuda = [(PROVIDERS["cuda"], options), PROVIDERS["cpu"]]
    if provider == "cuda":
        return cuda
    allowed = {f"trt_{lower}_enable": str(int(arithmetic == lower)) for lower in ("fp16", "int8")}
    return [(PROVIDERS["tensorrt"], allowed), *cuda]


def _check_names(session: Any, *, name: str, wiring: Wiring) -> None:
    inputs = {node.name: node.type for node in session.get_inputs()}
    outputs = [node.name for node in session.get_outputs()]
    wanted = TYPES[wiring.dtype]
    if inputs != {wiring.given: wanted}:
        raise BundleRejectedError(
            f"{name}: inputs are {inputs}, the manifest says {wiring.given!r}, {wanted}"
        )
    for answer in wiring.answers:
        if answer not in outputs:
            raise BundleRejectedError(f"{name}: outputs are {outputs}, the manifest says {answer!r}")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
