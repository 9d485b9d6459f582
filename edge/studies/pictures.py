"""A closed series becomes pictures, one after the other, shown as its objects say, in bytes of colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from edge.domain.errors import EdgeError, FormatError, UnsupportedError
from edge.domain.study import Instance
from edge.formats import dicom_tags as tags
from edge.formats.dicom_colours import check_picture, read_colours
from edge.formats.dicom_dataset import read_header
from edge.formats.dicom_pixels import GREY, read_frames, significant
from edge.studies import classic
from edge.studies.display import shown
from edge.studies.functional_groups import groups_of
from edge.studies.rulers import Ruler, rulers_of
from edge.studies.slices import label_of

LOSSY = "compressed with loss at some time before it came here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One object of a series, and the pictures it promises.

    Attributes:
        instance: Its file.
        label: Names it in messages.
        number: InstanceNumber, or None.
        header: Where its pixels are, or None where nobody can look.
        trouble: Why not, or None.
    """

    instance: Instance
    label: str
    number: int | None
    header: classic.Header | None
    trouble: EdgeError | None

    @property
    def frames(self) -> int:
        """How many pictures it holds; one that cannot be read counts as one."""
        return self.header.source.frames if self.header else 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeriesPicture:
    """One picture of a series.

    Attributes:
        label: Names it in messages.
        number: InstanceNumber of its object, or None.
        sop_uid: Of its object.
        frame: Counted from 1.
        frames: Of its object.
        rgb: (height, width, 3) uint8, read-only, in the pixels of the object.
        aspect: Height of a pixel over its width.
        rulers: What pixels measure.
        notes: What a reader must know.
    """

    label: str
    number: int | None
    sop_uid: str
    frame: int
    frames: int
    rgb: NDArray[np.uint8]
    aspect: float
    rulers: tuple[Ruler, ...]
    notes: tuple[str, ...]

    def __post_init__(self) -> None:
        self.rgb.flags.writeable = False

    @property
    def shape_px(self) -> tuple[int, int]:
        """(height, width)."""
        return self.rgb.shape[0], self.rgb.shape[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A picture that cannot be shown.

    Attributes:
        number: InstanceNumber of its object, or None.
        sop_uid: Of its object.
        frame: Counted from 1.
        frames: Of its object.
        trouble: Why.
    """

    number: int | None
    sop_uid: str
    frame: int
    frames: int
    trouble: EdgeError


def sheets_of(instances: Sequence[Instance]) -> tuple[Sheet, ...]:
    """List the objects of a series in the order of their numbers, without decoding a pixel."""
    sheets = [_sheet(instance) for instance in instances]
    last = max((sheet.number for sheet in sheets if sheet.number is not None), default=0) + 1
    return tuple(sorted(sheets, key=lambda sheet: last if sheet.number is None else sheet.number))


def read_pictures(sheet: Sheet) -> Iterator[SeriesPicture | Unreadable]:
    """Show every picture of an object, one at a time; where one cannot be shown, why."""
    unreadable = partial(Unreadable, number=sheet.number, sop_uid=sheet.instance.sop_uid, frames=sheet.frames)
    if sheet.header is None or sheet.trouble is not None:
        trouble = sheet.trouble or FormatError(f"{sheet.label}: cannot be read")
        yield from (unreadable(frame=frame, trouble=trouble) for frame in range(1, sheet.frames + 1))
        return
    wanted = list(range(sheet.frames))
    while wanted:
        try:
            for picture in _decoded(sheet, sheet.header, frozenset(wanted)):
                wanted.remove(picture.frame - 1)
                yield picture
            if wanted:
                raise FormatError(f"{sheet.label}: ends before frame {wanted[0] + 1} of {sheet.frames}")
        except EdgeError as trouble:  # the others may be in order
            yield unreadable(frame=wanted.pop(0) + 1, trouble=trouble)


def _sheet(instance: Instance) -> Sheet:
    label = label_of(None, instance.sop_uid)
    number: int | None = None
    header: classic.Header | None = None
    trouble: EdgeError | None = None
    try:
        if instance.format != "dicom":
            raise UnsupportedError(f"{label}: a {instance.format} file is a volume, wanted DICOM pictures")
        found = classic.read_header(instance, check=lambda _source, _size_bytes: None)
        label, number = found.label, found.elements.integer(tags.INSTANCE_NUMBER)
        _check(found)
        header = found
    except EdgeError as refusal:
        trouble = refusal
    return Sheet(instance=instance, label=label, number=number, header=header, trouble=trouble)


def _check(header: classic.Header) -> None:
    """Refuse what cannot be shown, now that it has a name.

    Raises:
        FormatError: It is damaged.
        UnsupportedError: It is no picture that can be looked at by itself.
    """
    refused = _no_single_picture(header)
    if refused:
        raise UnsupportedError(f"{header.label}: {refused}")
    check_picture(header.source, header.instance.path.stat().st_size)


def _no_single_picture(header: classic.Header) -> str:
    """Say why the frames of a slide cannot be looked at one by one, or ""."""
    columns = header.elements.binary(tags.SLIDE_COLUMNS, "I")
    if columns and columns[0] > header.source.format.columns:
        return "its frames are tiles of a slide; wanted the slide in one, as its thumbnail shows it"
    if header.elements.text(tags.MODALITY) == "SM" and "LABEL" in classic.image_type(header.elements):
        return "shows the label of a slide, which may name a patient"
    return ""


def _decoded(sheet: Sheet, header: classic.Header, wanted: frozenset[int]) -> Iterator[SeriesPicture]:
    """Decode some frames.

    Raises:
        FormatError: The object is damaged.
        UnsupportedError: No codec gives a picture.
    """
    dataset = _dataset(header)
    if header.source.format.photometric not in GREY:
        for frame, rgb in read_colours(header.source, wanted, dataset):
            yield _picture(sheet, header, dataset, frame, rgb, ())
        return
    form = header.source.format
    for frame, samples in read_frames(header.source, wanted):
        try:
            seen = shown(significant(samples, form), form, dataset, groups_of(dataset, frame))
        except FormatError as trouble:
            raise FormatError(f"{header.label}: {trouble}") from trouble
        rgb = np.repeat(seen.grey[..., np.newaxis], 3, axis=2)
        yield _picture(sheet, header, dataset, frame, rgb, seen.notes)


def _dataset(header: classic.Header) -> Dataset:
    try:
        return read_header(header.instance.path)
    except FormatError as trouble:
        raise FormatError(f"{header.label}: {trouble}") from trouble


def _picture(
    sheet: Sheet,
    header: classic.Header,
    dataset: Dataset,
    frame: int,
    rgb: NDArray[np.uint8],
    notes: tuple[str, ...],
) -> SeriesPicture:
    try:
        measured = rulers_of(dataset, groups_of(dataset, frame))
    except FormatError as trouble:
        raise FormatError(f"{header.label}: {trouble}") from trouble
    is_lossy = header.elements.text(tags.IS_LOSSY) == "01"
    frames = header.source.frames
    return SeriesPicture(
        label=label_of(sheet.number, sheet.instance.sop_uid, frame=frame if frames > 1 else None),
        number=sheet.number,
        sop_uid=sheet.instance.sop_uid,
        frame=frame + 1,
        frames=frames,
        rgb=rgb,
        aspect=measured.aspect,
        rulers=measured.rulers,
        notes=(*notes, *measured.notes, *((LOSSY,) if is_lossy else ())),
    )
