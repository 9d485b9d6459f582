"""Which series of a study is which for a model that takes several: rules on what a series says of itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset

from edge.domain.errors import FormatError
from edge.domain.study import Series
from edge.formats.dicom_dataset import items_of, number_of, read_header
from edge.studies.select import Rule

TEXT_CHARS_MAX = 64  # what DICOM allows (LO); what a rule looks for is searched in no more
KEYWORDS: Mapping[str, tuple[str, ...]] = {
    "series_description": ("SeriesDescription",),
    "protocol_name": ("ProtocolName",),
    "sequence_name": ("SequenceName", "PulseSequenceName"),  # the latter in enhanced objects
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleRule:
    """What a series has to say of itself to play a role; all of it must hold.

    Attributes:
        role: As the bundle's manifest calls it.
        modalities: One of these; empty: any of the pipeline's.
        texts: By name in `KEYWORDS`: what has to be found somewhere in that attribute.
        image_type: Each of these is among the values of ImageType.
        contrast_bolus: Whether a contrast agent is named; None where it does not matter.
    """

    role: str
    modalities: frozenset[str] = frozenset()
    texts: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    image_type: frozenset[str] = frozenset()
    contrast_bolus: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RolesWanted:
    """A pipeline that looks at several series of a study together.

    Attributes:
        select: What every one of the series has to be, whatever its role.
        roles: In the order of the configuration; each once.
        wait_s: So long after the last object of a study its roles are waited for.
    """

    select: Rule
    roles: tuple[RoleRule, ...]
    wait_s: float

    @property
    def pipeline(self) -> str:
        """Its name."""
        return self.select.pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a series says of itself; none of it leaves the device.

    Attributes:
        modalities: Of its objects.
        texts: By name in `KEYWORDS`; "" where it says nothing.
        image_type: Values of ImageType, in capitals.
        has_contrast: A contrast agent is named.
        number: SeriesNumber, or None.
    """

    modalities: frozenset[str]
    texts: Mapping[str, str]
    image_type: frozenset[str]
    has_contrast: bool
    number: int | None


def header_of(series: Series) -> Header:
    """Read what a series says of itself, from the first of its objects that can be read.

    Args:
        series: Of DICOM objects.

    Raises:
        FormatError: None of them can.
    """
    trouble: FormatError | None = None
    for instance in series.instances:
        try:
            return _header(series, read_header(instance.path))
        except FormatError as reason:
            trouble = reason
    raise trouble or FormatError("no object of the series is here")


def roles_of(series: Series, header: Header, wanted: RolesWanted) -> tuple[str, ...]:
    """Return which roles of a pipeline a series plays: () for none, several where its rules overlap."""
    if not header.modalities & wanted.select.modalities:
        return ()
    slices_min = wanted.select.slices_min
    if len(series.instances) < slices_min and _frames(series) < slices_min:
        return ()  # a localizer
    return tuple(rule.role for rule in wanted.roles if _fits(header, rule))


def _fits(header: Header, rule: RoleRule) -> bool:
    return (
        (not rule.modalities or bool(header.modalities & rule.modalities))
        and rule.image_type <= header.image_type
        and rule.contrast_bolus in (None, header.has_contrast)
        and all(pattern.search(header.texts[name]) for name, pattern in rule.texts.items())
    )


def _header(series: Series, dataset: Dataset) -> Header:
    if not dataset:
        raise FormatError("the header cannot be parsed: nothing is in it")
    return Header(
        modalities=frozenset(filter(None, series.modality.split("+"))),
        texts={name: _first_text(dataset, keywords) for name, keywords in KEYWORDS.items()},
        image_type=frozenset(value.strip().upper() for value in _values(dataset, "ImageType")),
        has_contrast=bool(_first_text(dataset, ("ContrastBolusAgent",)))
        or bool(items_of(dataset, "ContrastBolusAgentSequence")),
        number=_number(dataset),
    )


def _first_text(dataset: Dataset, keywords: tuple[str, ...]) -> str:
    texts = ("\\".join(_values(dataset, keyword)).strip()[:TEXT_CHARS_MAX] for keyword in keywords)
    return next(filter(None, texts), "")


def _values(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    value = dataset.get(keyword)
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(map(str, value))


def _number(dataset: Dataset) -> int | None:
    said = str(dataset.get("SeriesNumber", "")).strip()
    return int(said) if re.fullmatch(r"-?\d{1,12}", said) else None


def _frames(series: Series) -> int:
    """Count the pictures of a series; an object that cannot be read counts as one."""
    return sum(_frames_of(instance.path) for instance in series.instances)


def _frames_of(path: Path) -> int:
    try:
        return int(number_of(read_header(path).get("NumberOfFrames")) or 1)
    except (
        FormatError,
        OverflowError,
        TypeError,
        ValueError,
    ):  # a sender's value is anything
        return 1
