"""Transforms of MONAI as steps of a manifest; what has no step is told by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from edge.bundles.edits import MARK

Transform = Mapping[str, Any]
Steps = list[Any]

NOTHING: Final = {
    "LoadImage", "EnsureChannelFirst", "AddChannel", "AsChannelFirst", "EnsureType", "CastToType", "ToTensor",
    "ToDevice", "SqueezeDim", "Identity", "ConcatItems", "DeleteItems", "SelectItems", "CopyItems",
}  # fmt: skip
PADDED: Final = {"SpatialPad", "DivisiblePad"}
ENDING_IN_D: Final = {*PADDED, "BorderPad", "CropForeground", "RandCropForeground"}
_ABOVE: Final = re.compile(r"lambda\s+(\w+)\s*:\s*\1\s*>\s*(-?\d+(?:\.\d+)?)\s*$")


@dataclass(slots=True)
class Prepared:
    """What the preprocessing of a MONAI bundle is here.

    Attributes:
        steps: Of the manifest; a step that could not be made is a sentence that begins with `EDIT:`.
        notes: What was left out because nothing here needs it, or differs a little.
        multiple: Sides are padded to multiples of it.
    """

    steps: Steps = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    multiple: int = 1


def plain(target: object) -> str:
    """Return the name of a transform, without its module and without the `d` of dictionaries."""
    name = str(target).rpartition(".")[2]
    return name if name in ENDING_IN_D else re.sub(r"(Dict|d|D)$", "", name)


def prepare_steps(transforms: Sequence[Transform], *, roles: Sequence[str]) -> Prepared:
    """Translate a preprocessing.

    Args:
        transforms: In their order, resolved.
        roles: Of the channels, in the graph's order.
    """
    made = Prepared()
    images = _image_keys(transforms)
    for transform in transforms:
        name = plain(transform["_target_"])
        keys = _keys(transform)
        if transform.get("_disabled_") is True or name in NOTHING:
            continue
        if keys and images and not keys & images:
            made.notes.append(f"{name}: is for {', '.join(sorted(keys))}, not for the image")
        elif name in PADDED:
            made.multiple = _multiple(transform.get("k", 1))
            made.notes.append(f"{name}: the engine pads by itself, with 0, at the far ends")
        else:
            made.steps += _step(name, transform, roles)
    return _in_order(made)


def _step(name: str, transform: Transform, roles: Sequence[str]) -> Steps:
    translate = TABLE.get(name)
    try:
        steps = translate(transform, roles) if translate else None
    except (TypeError, ValueError, KeyError):
        steps = None
    return steps if steps is not None else [unsupported(name, transform)]


def unsupported(name: str, transform: Transform) -> str:
    """Return a place to fill in for a transform that has no step."""
    given = ", ".join(f"{key}={value}" for key, value in transform.items() if key not in ("_target_", "keys"))
    return (
        f"{MARK} MONAI's {name}({given[:120]}) has no step here: write what does the same, or take this away"
    )


def _in_order(made: Prepared) -> Prepared:
    """See to it that there is one `orient`, and that steps by axis come after it."""
    oriented = [n for n, step in enumerate(made.steps) if isinstance(step, dict) and step["step"] == "orient"]
    if not oriented:
        wanted = "RAS, LPS, SPL …: where the axes of its training volumes ran to; no Orientation says it"
        made.steps.insert(0, {"step": "orient", "axes": f"{MARK} {wanted}"})
        return made
    for number, step in enumerate(made.steps[: oriented[0]]):
        by_axis = isinstance(step, dict) and isinstance(
            step.get("spacing_mm", step.get("shape_voxels")), list
        )
        if by_axis:
            made.steps[number] = (
                f"{MARK} {step} came before the Orientation, along the axes of the stored files: "
                "write it after `orient`, for its axes"
            )
    return made


def _keys(transform: Transform) -> set[str]:
    keys = transform.get("keys", ())
    return {keys} if isinstance(keys, str) else {str(key) for key in keys}


def _image_keys(transforms: Sequence[Transform]) -> set[str]:
    """Return the keys that become the network's input: those that are loaded, labels aside."""
    loaded = [_keys(one) for one in transforms if plain(one["_target_"]) == "LoadImage"]
    joined = [one.get("name") for one in transforms if plain(one["_target_"]) == "ConcatItems"]
    keys = {key for some in loaded for key in some if key not in ("label", "labels", "seg")}
    return keys | {str(name) for name in joined if name}


def _multiple(k: object) -> int:
    given = k if isinstance(k, list) else [k]
    numbers = [one for one in given if isinstance(one, int) and one > 0]
    return max(numbers, default=1)


def _number(value: object) -> float:
    """Return a number.

    Raises:
        ValueError: It is none, or only running the configuration would tell it.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number")
    return float(value)


# ── one function for each transform: None where it says something that no step does ────────────────────────


def _orientation(transform: Transform, _roles: Sequence[str]) -> Steps | None:
    axes = transform.get("axcodes")
    letters = "".join(axes) if isinstance(axes, list) else axes
    if not isinstance(letters, str) or not re.fullmatch(r"[LRAPSI]{3}", letters):
        return None
    return [{"step": "orient", "axes": letters}]


def _spacing(transform: Transform, _roles: Sequence[str]) -> Steps | None:
    pixdim = transform["pixdim"]
    given = [_number(one) for one in (pixdim if isinstance(pixdim, list | tuple) else [pixdim] * 3)]
    if len(given) != 3:
        return None
    sides = [round(side, 4) if side > 0 else None for side in given]
    if all(side is None for side in sides):
        return []
    return [{"step": "resample", "spacing_mm": sides[0] if len(set(sides)) == 1 else sides}]


def _scale_range(transform: Transform, _roles: Sequence[str]) -> Steps | None:
    low, high = _number(transform["a_min"]), _number(transform["a_max"])
    clip = transform.get("clip", False) is True
    if transform.get("b_min") is None or transform.get("b_max") is None:
        return [{"step": "window", "low": low, "high": high}] if clip else None
    to_low, to_high = _number(transform["b_min"]), _number(transform["b_max"])
    return [
        {"step": "scale_range", "low": low, "high": high, "to_low": to_low, "to_high": to_high, "clip": clip}
    ]


def _scale(transform: Transform, roles: Sequence[str]) -> Steps | None:
    low, high = transform.get("minv", 0.0), transform.get("maxv", 1.0)
    if low is None or high is None or transform.get("factor") is not None or _is_joint(transform, roles):
        return None
    return [_percentiles(0, 100, _number(low), _number(high), clip=False)]


def _scale_percentiles(transform: Transform, roles: Sequence[str]) -> Steps | None:
    lacks_range = transform.get("b_min") is None or transform.get("b_max") is None
    if lacks_range or transform.get("relative", False) is not False or _is_joint(transform, roles):
        return None
    low, high = _number(transform["lower"]), _number(transform["upper"])
    clip = transform.get("clip", False) is True
    return [_percentiles(low, high, _number(transform["b_min"]), _number(transform["b_max"]), clip=clip)]


def _percentiles(low: float, high: float, to_low: float, to_high: float, *, clip: bool) -> dict[str, Any]:
    return {
        "step": "scale_percentiles",
        "low_percent": low,
        "high_percent": high,
        "to_low": to_low,
        "to_high": to_high,
        "clip": clip,
    }


def _normalize(transform: Transform, roles: Sequence[str]) -> Steps | None:
    mean, std = transform.get("subtrahend"), transform.get("divisor")
    nonzero = transform.get("nonzero", False) is True
    if mean is None and std is None:
        if _is_joint(transform, roles):
            return None
        return [{"step": "zscore", "over": "nonzero" if nonzero else "all"}]
    if mean is None or std is None or nonzero:
        return None
    if isinstance(mean, list) and isinstance(std, list):
        each = zip(roles, mean, std, strict=True)
        fixed = [
            {"step": "zscore", "mean": _number(m), "std": _number(s), "when": {"role": [r]}}
            for r, m, s in each
        ]
        return fixed if len(roles) > 1 else [{key: one for key, one in fixed[0].items() if key != "when"}]
    return [{"step": "zscore", "mean": _number(mean), "std": _number(std)}]


def _is_joint(transform: Transform, roles: Sequence[str]) -> bool:
    """Whether MONAI takes one statistic over all channels, which no step does."""
    return len(roles) > 1 and transform.get("channel_wise", False) is not True


def _crop(transform: Transform, _roles: Sequence[str]) -> Steps | None:
    above, margin = 0.0, transform.get("margin", 0)
    if "select_fn" in transform:
        found = _ABOVE.search(str(transform["select_fn"]))
        if found is None:
            return None
        above = float(found[2])
    margins = set(margin) if isinstance(margin, list) else {margin}
    if len(margins) != 1 or transform.get("k_divisible", 1) not in (1, [1, 1, 1]):
        return None
    return [{"step": "crop_foreground", "above": above, "margin_voxels": int(_number(margins.pop()))}]


def _resize(transform: Transform, _roles: Sequence[str]) -> Steps | None:
    size = transform["spatial_size"]
    sides = list(size) if isinstance(size, list | tuple) else [size] * 3
    if len(sides) != 3 or transform.get("size_mode", "all") != "all":
        return None
    return [{"step": "fit", "shape_voxels": [int(side) if _number(side) > 0 else None for side in sides]}]


TABLE: Final[Mapping[str, Callable[[Transform, Sequence[str]], Steps | None]]] = {
    "Orientation": _orientation,
    "Spacing": _spacing,
    "ScaleIntensityRange": _scale_range,
    "ScaleIntensity": _scale,
    "ScaleIntensityRangePercentiles": _scale_percentiles,
    "NormalizeIntensity": _normalize,
    "CropForeground": _crop,
    "Resize": _resize,
}
