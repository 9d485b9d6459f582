"""What `metadata.json` of a MONAI bundle says of the network's input and output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from edge.bundles.edits import MARK

MODALITIES: Final = {"CT": "CT", "MR": "MR", "MRI": "MR", "PT": "PT", "PET": "PT", "US": "US"}
UNITS: Final = {"CT": "hounsfield", "PT": "suv_bw", "MR": "arbitrary", "US": "arbitrary"}


@dataclass(frozen=True, slots=True)
class Data:
    """What `network_data_format` says of the input and of the output, as far as it says it.

    Attributes:
        modality: DICOM's word, or a place to fill in.
        unit: Ours, or a place to fill in.
        roles: Of the channels, in the graph's order.
        shape: Sides as they are written: numbers, `8*n` …
        labels: Name of each channel of the output, by its number.
    """

    modality: str
    unit: str
    roles: tuple[str, ...]
    shape: tuple[object, ...]
    labels: Mapping[int, str]


def data_of(metadata: Mapping[str, Any]) -> Data:
    """Read what `metadata.json` says of the tensors; what it does not say is a place to fill in."""
    form = metadata.get("network_data_format")
    form = form if isinstance(form, dict) else {}
    given, answer = _first(form.get("inputs")), _first(form.get("outputs"))
    said = str(given.get("modality", "")).upper()
    modality = (
        MODALITIES.get(said) or f"{MARK} DICOM's word: CT, MR, PT …; the bundle says {said or 'nothing'}"
    )
    unit = UNITS.get(modality, f"{MARK} hounsfield, suv_bw or arbitrary")
    if given.get("format") == "hounsfield":
        unit = "hounsfield"
    count = given.get("num_channels")
    names = _by_number(given.get("channel_def"))
    channels = count if isinstance(count, int) and count > 0 else max(len(names), 1)
    roles = tuple(names.get(n) or f"{MARK} role of channel {n}: T1, FLAIR …" for n in range(channels))
    shape = given.get("spatial_shape")
    return Data(
        modality=modality,
        unit=unit,
        roles=roles,
        shape=tuple(shape) if isinstance(shape, list) else (),
        labels=_by_number(answer.get("channel_def")),
    )


def _first(part: object) -> Mapping[str, Any]:
    """Return what is said of the first tensor."""
    values = list(part.values()) if isinstance(part, dict) else []
    return values[0] if values and isinstance(values[0], dict) else {}


def _by_number(part: object) -> dict[int, str]:
    pairs = part.items() if isinstance(part, dict) else ()
    return {int(key): str(value) for key, value in pairs if str(key).isdigit() and str(value).strip()}
