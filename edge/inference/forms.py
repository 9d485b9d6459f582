"""The forms of a network: each precision on each runtime and device that is really here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from edge.bundles.manifest import Manifest
from edge.bundles.parts import Variant
from edge.bundles.store import Bundle
from edge.domain.errors import BundleRejectedError
from edge.domain.finding import ModelStamp
from edge.inference import device
from edge.inference.onnx_runtime import OnnxRuntimeSession
from edge.inference.openvino_runtime import OpenVinoSession, takes_bf16
from edge.inference.session import Session, wiring

# `cuda` and `tensorrt` are ONNX Runtime on an NVIDIA GPU, `gpu` and `npu` are OpenVINO on what Intel builds.
DEVICES: Final = ("cpu", "cuda", "tensorrt", "gpu", "npu")
CAREFUL_FIRST: Final = ("fp32", "tf32", "fp16", "bf16", "int8")
FAST_FIRST: Final = tuple(reversed(CAREFUL_FIRST))
OUT_OF_FP32: Final = ("tf32", "bf16")  # the arithmetic of a file that holds fp32
HINTS: Final[dict[str, Literal["f32", "bf16", "f16"]]] = {
    "fp32": "f32",
    "bf16": "bf16",
    "fp16": "f16",
}


@dataclass(frozen=True, slots=True)
class Form:
    """One way to run a network: precision of the arithmetic, `onnxruntime` or `openvino`, and the device."""

    precision: str
    runtime: str
    device: str

    def __str__(self) -> str:
        return f"{self.precision} with {self.runtime} on {self.device}"


REFERENCE: Final = Form("fp32", "onnxruntime", "cpu")


def forms_of(manifest: Manifest, providers: Collection[str]) -> list[Form]:
    """Return every form that may run here: the reference first, then those that tend to be fast.

    Args:
        manifest: Of the bundle.
        providers: Devices that may be used, of `DEVICES`.
    """
    variants = sorted(manifest.variants, key=lambda variant: FAST_FIRST.index(variant.precision))
    on_cpu = [v.precision for v in variants if "cpu" in v.devices]
    on_gpu = [v.precision for v in variants if "gpu" in v.devices]
    there = [one for one in device.there() if one in providers]
    found = [form for one in there for form in _forms_on(one, on_cpu if one == "cpu" else on_gpu)]
    return sorted(found, key=lambda form: form != REFERENCE)


def _forms_on(name: str, precisions: Sequence[str]) -> Iterator[Form]:
    if name in ("gpu", "npu"):
        yield from (Form(precision, "openvino", name) for precision in precisions if precision != "bf16")
        return
    if name == "cpu":
        yield from (Form(precision, "openvino", name) for precision in precisions)
        if "fp32" in precisions and "bf16" not in precisions and takes_bf16():
            yield Form("bf16", "openvino", name)
    if name == "cuda" and "fp32" in precisions:
        yield Form("tf32", "onnxruntime", name)
    yield from (Form(precision, "onnxruntime", name) for precision in precisions)


def variant_of(bundle: Bundle, form: Form) -> Variant:
    """Return the file that a form runs.

    Raises:
        BundleRejectedError: The bundle has none.
    """
    stored: dict[str, Variant] = {variant.precision: variant for variant in bundle.manifest.variants}
    variant = stored.get(form.precision)
    if variant is None and form.precision in OUT_OF_FP32:
        variant = stored.get("fp32")
    if variant is None:
        raise BundleRejectedError(f"{bundle.manifest.name}: has no variant in {form.precision}")
    return variant


def open_session(bundle: Bundle, form: Form, *, threads: int, gives_way: bool = False) -> Session:
    """Open one form of a bundle's network; its bytes are checked on the way.

    Args:
        bundle: Whose files are in order.
        form: One that it has.
        threads: On the CPU; with OpenVINO only what gives way may have more than one.
        gives_way: Its threads leave the cores to live networks first.

    Raises:
        BundleRejectedError: The bundle has no such form, or the runtime does not take it.
    """
    variant = variant_of(bundle, form)
    network, name = bundle.network(variant), f"{bundle.manifest.name}/{variant.file}"
    addressed = wiring(bundle.manifest)
    if form.runtime == "openvino":
        return OpenVinoSession(
            network,
            name=name,
            wiring=addressed,
            device=form.device,
            hint=HINTS.get(form.precision, "f32" if form.device == "cpu" else "f16"),
            threads=threads,
            gives_way=gives_way,
        )
    return OnnxRuntimeSession(
        network,
        name=name,
        wiring=addressed,
        provider=form.device,
        arithmetic=form.precision,
        threads=threads,
        gives_way=gives_way,
    )


def stamp_of(bundle: Bundle, form: Form, session: Session) -> ModelStamp:
    """Say which weights speak, and on what."""
    return ModelStamp(
        model_id=bundle.manifest.name,
        version=bundle.manifest.version,
        sha256=bundle.digest,
        precision=form.precision,
        runtime=session.runtime,
        provider=session.provider,
        signed_by=bundle.signed_by,
    )
