"""A closed series becomes scans: decode, rescale, order, straighten."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.domain.errors import FormatError, SeriesRejectedError
from edge.domain.image import Scan, Volume
from edge.domain.study import Instance, Series
from edge.formats import READERS
from edge.formats.dicom_codecs import Pixels
from edge.formats.dicom_pixels import PixelSource, is_plain, read_frames, read_into, significant
from edge.formats.dicom_uids import is_enhanced
from edge.studies import classic, enhanced, mosaic
from edge.studies.geometry import patient_from_voxel
from edge.studies.slices import Scaling, Slice, label_of
from edge.studies.stack import Group, groups_of
from edge.studies.straighten import straightened

VOLUME_BYTES_MAX = 4 << 30
DECODERS = 2  # threads; codecs and NumPy work outside the interpreter lock
SHARES = 16  # of the work, to be taken by whichever thread is free
AIR_HU = -1024.0

Voxels = NDArray[np.int16] | NDArray[np.float32]
Place = tuple[int, int]  # volume, slice
Job = tuple[PixelSource, dict[int, list[tuple[Place, Slice]]]]  # a file, and where its frames belong


def build(series: Series) -> tuple[Scan, ...]:
    """Make the scans of a series.

    Raises:
        SeriesRejectedError: It is no volume; the message names the offending instances.
        FormatError: An instance is damaged.
        UnsupportedError: An instance is not of a kind, or not compressed in a way, that can be read here.
    """
    if all(instance.format in READERS for instance in series.instances):
        return tuple(_whole_scan(instance) for instance in series.instances)
    instances, notes = _without_doubles(series.instances)
    slices = [one for instance in instances for one in _slices(instance)]
    if any(one.is_lossy for one in slices):
        notes += ("compressed with loss at some time before it came here",)
    if any(one.source.format.photometric == "MONOCHROME1" for one in slices):
        notes += ("stored with low values bright (MONOCHROME1)",)
    return tuple(_scan(group, notes) for group in groups_of(slices))


def _whole_scan(instance: Instance) -> Scan:
    try:
        scan = READERS[instance.format](instance.path)
    except FormatError as trouble:
        raise type(trouble)(f"{label_of(None, instance.sop_uid)}: {trouble}") from trouble
    is_ct = instance.modality == "CT"
    notes = ("the site says that this is a CT: values taken as Hounsfield units",) if is_ct else ()
    unit = "hounsfield" if is_ct else "arbitrary"
    return replace(
        scan,
        volumes=tuple(replace(volume, modality=instance.modality, unit=unit) for volume in scan.volumes),
        notes=(*scan.notes, *notes),
    )


def _slices(instance: Instance) -> list[Slice]:
    header = classic.read_header(instance)
    if mosaic.is_mosaic(header):
        return mosaic.slices_of(header)
    if is_enhanced(header.instance.sop_class_uid) or header.source.frames > 1:
        return enhanced.slices_of(header)
    return [classic.slice_of(header)]


def _without_doubles(instances: Sequence[Instance]) -> tuple[list[Instance], tuple[str, ...]]:
    """Keep one of each SOP instance; another version of it must show the very same picture."""
    versions: dict[str, list[Instance]] = defaultdict(list)
    for instance in instances:
        versions[instance.sop_uid].append(instance)
    again = [found for found in versions.values() if len(found) > 1]
    for first, *others in again:
        for other in others:
            _refuse_another_picture(first, other)
    notes = (f"{len(again)} instances came twice with other headers and the same picture",) if again else ()
    return [found[0] for found in versions.values()], notes


def _refuse_another_picture(first: Instance, other: Instance) -> None:
    pairs = zip(_slices(first), _slices(other), strict=False)
    for mine, theirs in pairs:
        is_same_place = (mine.plane, mine.scaling) == (theirs.plane, theirs.scaling)
        if not is_same_place or not np.array_equal(_picture(mine), _picture(theirs)):
            raise SeriesRejectedError(f"{mine.label}: came twice with the same UID and another picture")


def _picture(one: Slice) -> Pixels:
    _, samples = next(iter(read_frames(one.source, frozenset((one.frame,)))))
    return significant(samples, one.source.format)


def _scan(group: Group, notes: tuple[str, ...]) -> Scan:
    voxels = _decoded(group)
    first = group.volumes[0][0]
    unit = first.scaling.unit
    origin = group.stack.origin_mm
    stacks: Iterable[Voxels] = voxels
    if not group.is_regular:
        outside = AIR_HU if unit == "hounsfield" else float(voxels.min())
        made = [
            straightened(one, group.stack, slice_spacing_mm=group.slice_spacing_mm, outside=outside)
            for one in voxels
        ]
        stacks, origin = [one for one, _ in made], made[0][1]
    affine = patient_from_voxel(group.stack, origin, group.slice_spacing_mm)
    return Scan(
        volumes=tuple(
            Volume(
                voxels=one,
                unit=unit,
                spacing_mm=(group.slice_spacing_mm, *group.stack.spacing_mm),
                patient_from_voxel=affine,
                modality=first.modality,
            )
            for one in stacks
        ),
        times_ms=group.times_ms,
        name=group.name,
        notes=(*notes, *group.notes),
    )


def _decoded(group: Group) -> Voxels:
    """Return (volume, k, j, i): int16 where all values are whole numbers that fit, float32 otherwise."""
    first = group.volumes[0][0]
    shape = (len(group.volumes), len(group.volumes[0]), first.rows, first.columns)
    if (size := int(np.prod(shape, dtype=object)) * 4) > VOLUME_BYTES_MAX:
        raise SeriesRejectedError(
            f"{shape[0]} volumes of {shape[1]}x{shape[2]}x{shape[3]} voxels take {size >> 20} MiB, "
            f"at most {VOLUME_BYTES_MAX >> 20} MiB are allowed"
        )
    whole = all(
        not one.source.format.is_float and float(number).is_integer()
        for volume in group.volumes
        for one in volume
        for number in one.scaling[:2]
    )
    if whole and _fill(voxels := np.empty(shape, np.int16), group):
        return voxels
    floats = np.empty(shape, np.float32)
    _fill(floats, group)
    return floats


def _fill(voxels: Voxels, group: Group) -> bool:
    """Decode every slice into its place with two threads; return whether all values fitted the type."""
    work: dict[int, Job] = {}
    for t, volume in enumerate(group.volumes):
        for k, one in enumerate(volume):
            _, frames = work.setdefault(id(one.source), (one.source, defaultdict(list)))
            frames[one.frame].append(((t, k), one))
    jobs = list(work.values())
    share = len(jobs) // SHARES + 1  # a hand-over costs as much as a small slice: hand over several at once
    with ThreadPoolExecutor(DECODERS, thread_name_prefix="decode") as pool:
        shares = (jobs[n : n + share] for n in range(0, len(jobs), share))
        return all(pool.map(lambda some: _decode(some, voxels), shares))


def _decode(jobs: Sequence[Job], voxels: Voxels) -> bool:
    """Decode some files into their places; return whether all values fitted the type."""
    buffer = np.empty(max(source.format.frame_bytes for source, _ in jobs), np.uint8)
    fits = True
    for source, frames in jobs:
        for frame, samples in _frames(source, frozenset(frames), buffer):
            for place, one in frames[frame]:
                fits = _store(_tile(samples, one), one, voxels[place]) and fits
    return fits


def _frames(
    source: PixelSource, wanted: frozenset[int], buffer: NDArray[np.uint8]
) -> Iterable[tuple[int, Pixels]]:
    """Read pictures, uncompressed ones into one buffer: each is gone when the next is asked for."""
    if not is_plain(source):
        yield from read_frames(source, wanted)
        return
    for frame in sorted(wanted):
        yield frame, read_into(source, frame, buffer)


def _tile(samples: Pixels, one: Slice) -> Pixels:
    if one.crop is None:
        return samples
    top, left = one.crop
    return samples[top : top + one.rows, left : left + one.columns]


def _store(samples: Pixels, one: Slice, into: NDArray[Any]) -> bool:
    """Rescale one picture into its place in one pass; return False where int16 cannot hold it."""
    samples = significant(samples, one.source.format)
    slope, intercept, _ = one.scaling
    if into.dtype == np.float32:
        np.multiply(samples, np.float32(slope), out=into, dtype=np.float32, casting="unsafe")
        into += np.float32(intercept)
        return True
    if not _fits(one.source.format.ends, one.scaling) and not _fits(
        (samples.min(), samples.max()), one.scaling
    ):
        return False
    if slope == 1.0:  # sums modulo 2**16 are right where the result fits
        np.add(samples, np.int16(intercept), out=into, dtype=np.int16, casting="unsafe")
    else:
        np.add(samples * slope, intercept, out=into, casting="unsafe")
    return True


def _fits(ends: tuple[int, int], scaling: Scaling) -> bool:
    """Whether int16 holds all values between those of two samples."""
    values = [int(end) * scaling.slope + scaling.intercept for end in ends]
    ends_fit = min(values) >= -32768 and max(values) <= 32767
    return bool(ends_fit and abs(scaling.intercept) <= 32767)
