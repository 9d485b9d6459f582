"""How a MONAI bundle shows its network a volume, and how its scores become labels."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edge.bundles.edits import MARK
from edge.bundles.volume_steps import PLANES
from edge.domain.errors import BundleRejectedError
from edge.workshop.monai_config import Config
from edge.workshop.monai_transforms import Prepared, plain
from edge.workshop.network import Network
from edge.workshop.text_parts import slug

OVERLAP_USUAL: Final = 0.25  # MONAI's, where the inferer does not say
PASS_VOXELS_MAX: Final = 7_000_000
VOLUME_VOXELS_MAX: Final = 80_000_000
TILE_USUAL: Final = 96
QUIET: Final = {
    "Invert",
    "SaveImage",
    "EnsureType",
    "Identity",
    "CopyItems",
    "ToTensor",
    "EnsureChannelFirst",
}


@dataclass(frozen=True, slots=True)
class Window:
    """What the network sees at a time.

    Attributes:
        sides: Of it, in the order of the graph; () where it sees the whole volume.
        overlap: Neighbours share this share of a side.
        slice_axis: Where it sees slices: which axis of `orient` they lie behind each other on; else None.
        multiple: Sides must be a multiple of it.
        notes: What differs from MONAI.
    """

    sides: tuple[int, ...]
    overlap: float
    slice_axis: int | None
    multiple: int
    notes: tuple[str, ...] = ()


def window_of(config: Config, network: Network, shape: Sequence[object]) -> Window:
    """Read the inferer, the graph and the spatial shape.

    Args:
        config: Of the bundle.
        network: Its graph.
        shape: `spatial_shape` of the input.

    Raises:
        BundleRejectedError: The graph takes no volumes and no slices.
    """
    graph = network.given.shape or ()
    if len(graph) not in (4, 5):
        raise BundleRejectedError(f"network: input {network.given}, wanted (1, channels, and 2 or 3 sides)")
    fixed = tuple(side for side in graph[2:] if isinstance(side, int))
    inferer = config.get("inferer")
    inferer = inferer if isinstance(inferer, dict) else {}
    kind = plain(inferer.get("_target_", ""))
    roi = inferer.get("roi_size")
    sides = tuple(roi) if isinstance(roi, list) and all(_is_side(one) for one in roi) else ()
    flat, notes = len(graph) == 4, []
    if flat and len(sides) == 3:
        sides = tuple(side for side in sides if side != 1)
    if len(fixed) == len(graph) - 2:
        sides = fixed
    elif len(sides) != len(graph) - 2:
        sides = ()
        notes += [
            f"{kind or 'inferer'}: no window of known sides, so the whole volume where it fits one pass"
        ]
    if kind == "SlidingWindowInferer":
        notes += ["windows are blended with weights that fall off towards their rim"] * bool(sides)
    overlap = inferer.get("overlap", OVERLAP_USUAL)
    overlap = max(overlap, default=OVERLAP_USUAL) if isinstance(overlap, list) else overlap
    axis = inferer.get("spatial_dim", 2 if kind == "SliceInferer" else 0)
    return Window(
        sides=sides,
        overlap=overlap if isinstance(overlap, int | float) and 0 <= overlap < 1 else OVERLAP_USUAL,
        slice_axis=axis if flat and isinstance(axis, int) and 0 <= axis < 3 else 2 if flat else None,
        multiple=max((_multiple(one) for one in shape), default=1),
        notes=tuple(notes),
    )


def _is_side(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _multiple(written: object) -> int:
    """Read `8*n`, `2**4*n`: 1 where it is neither."""
    words = str(written).replace(" ", "")
    if found := re.fullmatch(r"(\d+)\*[a-z]|[a-z]\*(\d+)", words):
        return int(found[1] or found[2])
    if found := re.fullmatch(r"(\d+)\*\*(\d+)\*[a-z]", words):
        power = int(found[1]) ** min(int(found[2]), 8)
        return power if power <= 64 else 1
    return 1


def input_part(
    network: Network, window: Window, roles: Sequence[str], kind: Mapping[str, str], prepared: Prepared
) -> dict[str, Any]:
    """Return `input` of the manifest; `kind` is what each channel accepts."""
    kinds = [dict(kind)]
    flat = window.slice_axis is not None
    multiple = math.lcm(prepared.multiple, window.multiple)
    part: dict[str, Any] = {"name": network.given.name, "layout": "NCHW" if flat else "NCDHW"}
    if window.slice_axis is not None:
        part["slices"] = _slices(window.slice_axis, prepared.steps)
    if len(roles) > 1:
        part["channels"] = [{"role": role, "accepts": kinds} for role in roles]
    else:
        part["accepts"] = kinds
    if window.sides:
        part["shape_voxels"] = list(window.sides)
        part["overlap_voxels"] = [min(side - 1, round(side * window.overlap)) for side in window.sides]
    else:
        side = max(multiple, TILE_USUAL // multiple * multiple)
        part["multiple_of_voxels"] = (
            multiple if multiple > 1 else f"{MARK} sides the network takes are multiples of: 8, 16, 32"
        )
        part["pass_voxels_max"] = PASS_VOXELS_MAX
        part["tile_voxels"] = [side] * (2 if flat else 3)
        part["overlap_voxels"] = side // 4
    part["volume_voxels_max"] = VOLUME_VOXELS_MAX
    return part


def _slices(axis: int, steps: Sequence[Any]) -> str:
    """Return what kind of slices lie behind each other on an axis of `orient`."""
    axes = next((one["axes"] for one in steps if isinstance(one, dict) and one["step"] == "orient"), "")
    for kind, letters in PLANES.items():
        if len(axes) == 3 and axes[axis] in letters:
            return kind
    return f"{MARK} axial, coronal or sagittal: slices lie behind each other on axis {axis + 1} of `orient`"


def output_part(config: Config, network: Network, labels: Mapping[int, str]) -> dict[str, Any]:
    """Return `output` of the manifest."""
    transforms = config.transforms("postprocessing", "postprocessing_transforms")
    by_name = {plain(one["_target_"]): one for one in transforms if one.get("_disabled_") is not True}
    decoder, threshold = _decoder(network, by_name)
    part: dict[str, Any] = {"name": network.answers[0].name, "decoder": decoder}
    part |= _pieces(by_name)
    part["fill_holes"] = "FillHoles" in by_name
    part["field_of_view"] = {"margin_mm": 2.0, "contact_min_mm2": 100.0}
    by_label = decoder == "sigmoid"
    part["labels"] = _labels(labels, network, by_label=by_label, threshold=threshold)
    known = {"Activations", "AsDiscrete", "KeepLargestConnectedComponent", "FillHoles"} | QUIET
    for name in by_name.keys() - known:
        wanted = f"{MARK} MONAI's {name} after the network has nothing like it here: take this line away"
        part.setdefault("labels", []).append(f"{wanted} when it may be left out")
    return part


def _decoder(network: Network, by_name: Mapping[str, Mapping[str, Any]]) -> tuple[str, float | None]:
    """Return the decoder, and the threshold of a sigmoid."""
    if network.answers[0].dtype in ("uint8", "int32", "int64"):
        return "labels", None
    activation, discrete = by_name.get("Activations", {}), by_name.get("AsDiscrete", {})
    threshold = discrete.get("threshold")
    if activation.get("sigmoid") is True and isinstance(threshold, int | float):
        return "sigmoid", float(threshold)
    if discrete.get("argmax") is True:
        return "logits", None
    return f"{MARK} logits, probabilities, sigmoid or sigmoid_in_graph: the postprocessing does not say", None


def _pieces(by_name: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    largest = by_name.get("KeepLargestConnectedComponent")
    if largest is None:
        return {"largest_component_only": False}
    each = largest.get("independent", True) is True
    return {"largest_component_only": True, "pieces_of": "label" if each else "union"}


def _labels(
    labels: Mapping[int, str], network: Network, *, by_label: bool, threshold: float | None
) -> list[Any]:
    """Return the labels; where they may lie within each other, a person says which is the outer one."""
    shape = network.answers[0].shape or ()
    channels = shape[1] if len(shape) > 1 and isinstance(shape[1], int) else None
    numbers = sorted(number for number in labels if by_label or number > 0)
    if not numbers:
        how_many = f"{channels} channels" if channels else "as many as the graph has"
        return [f"{MARK} the labels ({how_many}): - {{name: …, code: {{system: …, value: …, meaning: …}}}}"]
    made: list[Any] = []
    for number in numbers:
        name = labels[number]
        code = {"system": "99EDGE", "value": slug(name), "meaning": name}
        made.append({"name": name, "code": code})
        if by_label:
            made[-1] |= {"channel": number, "threshold": threshold}
    first = labels.get(0, "background").lower()
    if not by_label and not re.search("background|other|nothing|empty", first):
        made.append(
            f"{MARK} channel 0 is called {first!r}, wanted the background there; take this away if it is"
        )
    if by_label and len(made) > 1:
        made.append(
            f"{MARK} where labels lie within each other, list them from the outermost to the innermost, a "
            "later one wins, and let a measurement of an outer one sum the inner ones; then take this away"
        )
    return made
