"""ONNX Runtime: one network, one warm session, on the CPU or an NVIDIA GPU, there with TensorRT or not."""

from __future__ import annotations

import re
from typing import Any, Final

import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as trouble

from edge.bundles.graph import read_network
from edge.domain.errors import BundleRejectedError
from edge.inference.background import at_once, give_way
from edge.inference.cuda import Bound, is_recordable
from edge.inference.deadline import Deadline
from edge.inference.ender import Ender
from edge.inference.session import Answers, Wiring, failed

TYPES: Final = {"float32": "tensor(float)", "float16": "tensor(float16)", "uint8": "tensor(uint8)"}
PROVIDERS: Final = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}

ort.set_default_logger_severity(4)  # what it says to everybody: trouble reaches us as an exception

# Without `use_tf32` the runtime leaves out every kernel of the tensor cores, those of fp16 among them.
USES_TENSOR_CORES: Final = ("tf32", "fp16")

PREFIX: Final = r"^\[ONNXRuntimeError\] : \d+ : \w+ : "
ORIGIN: Final = r"^/\S+:\d+ .*?\) (?=[A-Z])"
PLACE: Final = r" Status Message: \S+:\d+ .*? was false\. "

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
    """A session; one caller at a time.

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
        # A network with one thread has none of its own: opening it gives way all the same.
        calmly = give_way if gives_way or threads == 1 else at_once
        try:
            self._session, records = calmly(lambda: _open(network, options, provider, arithmetic, name=name))
        except TROUBLE as error:
            raise BundleRejectedError(f"{name}: ONNX Runtime refuses it: {_first_line(error)}") from error
        self.provider = str(self._session.get_providers()[0])  # the list of available ones promises nothing
        if self.provider != PROVIDERS[provider]:
            raise BundleRejectedError(f"{name}: runs on {self.provider}, wanted {PROVIDERS[provider]}")
        _check_names(self._session, name=name, wiring=wiring)
        self._answers = list(wiring.answers)
        self.bound = Bound(self._session, wiring) if records else None
        self._run = ort.RunOptions()
        self._ender = Ender()

    def run(self, given: NDArray[Any], deadline: Deadline) -> Answers:
        """Run once.

        Raises:
            DeadlineExceededError: It was ended because the time was up.
            InferenceError: The runtime failed.
        """
        deadline.check(self._name)
        options = self._run
        try:
            if self.bound is not None:
                options = self.bound.take(given)
            options.terminate = False  # it may have been set just as the last run was done
            self._ender.begin(options, after_s=deadline.remaining_s())
            if self.bound is not None:
                self.bound.go()
                values = self.bound.answers()
            else:  # on the CPU a binding took 0.06 ms of 2 more; the answers are the caller's own without it
                values = self._session.run(self._answers, {self._wiring.given: given}, options)
        except TROUBLE as error:
            if options.terminate:
                raise deadline.exceeded(self._name) from error
            takes = self._session.get_inputs()[0].shape
            said = f"ONNX Runtime: {_first_line(error)}"
            raise failed(self._name, given, wiring=self._wiring, takes=takes, because=said) from error
        finally:
            self._ender.end()
        return dict(zip(self._answers, values, strict=True))

    def close(self) -> None:
        """Free the network."""
        self._ender.close()
        del self.bound, self._session


def offered() -> frozenset[str]:
    """Return the devices this build of the runtime knows; only a session tells whether one can be used."""
    known = set(ort.get_available_providers())
    return frozenset(name for name, provider in PROVIDERS.items() if provider in known)


def _open(network: bytes, options: Any, provider: str, arithmetic: str, *, name: str) -> tuple[Any, bool]:
    """Return a session, and whether it records its work on the GPU: that wants every node there."""
    if provider != "cpu":
        ort.preload_dlls()
    if provider == "cuda" and is_recordable(read_network(network, origin=name).operators):
        try:
            return _session(network, options, _providers(provider, arithmetic, records=True)), True
        except TROUBLE:
            pass  # a node has to run on the CPU, or there is no GPU: the next attempt says which
    return _session(network, options, _providers(provider, arithmetic, records=False)), False


def _session(network: bytes, options: Any, providers: list[Any]) -> Any:
    """Open a session that fails where it cannot do what it was asked for, instead of doing something else."""
    return ort.InferenceSession(network, options, providers=providers, enable_fallback=0)


def _providers(provider: str, arithmetic: str, *, records: bool) -> list[Any]:
    if provider == "cpu":
        return [PROVIDERS["cpu"]]
    # HEURISTIC: the other two were five and ten times slower on some networks. `fuse_conv_bias` stays out:
    # with channels first, the fused kernel adds what was in the memory of its answer before.
    options = {
        "cudnn_conv_algo_search": "HEURISTIC",
        "use_tf32": str(int(arithmetic in USES_TENSOR_CORES)),
        "enable_cuda_graph": str(int(records)),
    }
    if arithmetic in USES_TENSOR_CORES:
        options["prefer_nhwc"] = "1"  # as the tensor cores want it; in fp32 it is slower
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
    """Return what the runtime says, without its own name, and the place in its code."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(PLACE, " ", re.sub(ORIGIN, "", re.sub(PREFIX, "", lines[0])))[:200]
