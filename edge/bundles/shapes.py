"""Whether a network is the one its manifest speaks of: names, types and shapes of its inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence

from edge.bundles.graph import Network
from edge.bundles.graph_tensors import Tensor
from edge.bundles.manifest import Manifest
from edge.bundles.spectra_regression import SpectraRegression
from edge.bundles.volume_input import Input as VolumeInput
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.domain.errors import BundleRejectedError

Shape = tuple[int | None, ...]  # None: free


def check_fits(network: Network, manifest: Manifest, *, origin: str) -> None:
    """Compare an ONNX file with its manifest.

    A dimension that the file leaves open may be anything; one it fixes must be what the manifest says.

    Raises:
        BundleRejectedError: An input or output is missing, unknown, or of another type or shape.
    """
    given = _given(manifest)
    seen = ", ".join(map(str, network.inputs)) or "none"
    if [one.name for one in network.inputs] != [given.name]:
        raise BundleRejectedError(f"{origin}: its inputs are {seen}; the manifest says {given}")
    _check(network.inputs[0], given, origin=origin, what="input")
    there = {one.name: one for one in network.outputs}
    for wanted, shape in _answers(manifest):
        if wanted not in there:
            named = ", ".join(map(str, network.outputs)) or "none"
            raise BundleRejectedError(f"{origin}: its outputs are {named}; the manifest says {wanted!r}")
        if shape is not None:
            like = Tensor(wanted, there[wanted].dtype, _written(shape))
            _check(there[wanted], like, origin=origin, what="output")


def _check(seen: Tensor, wanted: Tensor, *, origin: str, what: str) -> None:
    shape = wanted.shape or ()
    if seen.dtype != wanted.dtype or not (seen.shape is None or _is_like(seen.shape, shape, what)):
        raise BundleRejectedError(f"{origin}: its {what} is {seen}; the manifest says {wanted}")


def _is_like(seen: Sequence[int | str], wanted: Sequence[int | str], what: str) -> bool:
    """Return whether each side that the file fixes is the one that is wanted.

    A free side of an input will be given any number, one of an output may have any.
    """
    return len(seen) == len(wanted) and all(
        isinstance(side, str) or side == want or (what == "output" and isinstance(want, str))
        for side, want in zip(seen, wanted, strict=True)
    )


def _given(manifest: Manifest) -> Tensor:
    """What the engine will give to the network."""
    if isinstance(manifest, VolumeSegmentation):
        sides = _volume_shape(manifest.input)
        return Tensor(manifest.input.name, manifest.input.dtype, _written(sides))
    if isinstance(manifest, SpectraRegression):
        return Tensor(manifest.input.name, "float32", _written((None, len(manifest.input.wavelengths_nm))))
    given = manifest.input
    rows, columns = given.shape_px or (None, None)
    channels = given.depth
    picture: Shape = (channels, rows, columns) if given.layout == "NCHW" else (rows, columns, channels)
    return Tensor(given.name, given.dtype, _written((1, *picture)))


def _volume_shape(given: VolumeInput) -> Shape:
    sides: Shape = given.shape_voxels or (None,) * (2 if given.slices else 3)
    channels = len(given.roles)
    return (1, *sides, channels) if given.is_channel_last else (1, channels, *sides)


def _answers(manifest: Manifest) -> list[tuple[str, Shape | None]]:
    """The outputs that are read; None for a shape that the decoder judges."""
    if isinstance(manifest, VolumeSegmentation):
        return [(manifest.output.name, _volume_answer(manifest))]
    if isinstance(manifest, SpectraRegression):
        output, shape = manifest.output, (None, len(manifest.output.quantities))
        names = [output.name, output.uncertainty] if output.uncertainty else [output.name]
        return [(name, shape) for name in names]
    return [(name, None) for name in manifest.output.graph_outputs]


def _volume_answer(manifest: VolumeSegmentation) -> Shape | None:
    """Scores have a channel for each class; where those are the labels already, the decoder judges."""
    if manifest.output.decoder == "labels":
        return None
    given = manifest.input
    sides, classes = (None,) * (2 if given.slices else 3), manifest.output.classes
    return (1, *sides, classes) if given.is_channel_last else (1, classes, *sides)


def _written(shape: Shape) -> tuple[int | str, ...]:
    return tuple("" if side is None else side for side in shape)
