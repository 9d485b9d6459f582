"""Samples for building a bundle: pictures, volumes or spectra from files, whatever its task is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.bundles.manifest import Manifest
from edge.bundles.pictures import PictureBundle
from edge.bundles.spectra_regression import SpectraRegression
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.cli.inputs import Knowledge, read_inputs
from edge.cli.instances import dicom_instance
from edge.cli.kinds import HEAD_BYTES, Kind, kind_of
from edge.cli.paths import files_of, missing
from edge.domain.errors import ConfigurationError, EdgeError, FormatError
from edge.domain.image import Volume
from edge.domain.study import Instance
from edge.formats import stills
from edge.formats.cube_files import read_cube
from edge.formats.spectrum_points import Hints
from edge.pipelines.square import SquarePicture
from edge.preprocess.cube_bands import resample
from edge.preprocess.cube_pixels import is_whole
from edge.preprocess.thermal_site import SiteCalibration
from edge.sources.recorded_pictures import read_pictures
from edge.sources.still_pictures import picture_of
from edge.studies.pictures import Unreadable, sheets_of
from edge.studies.pictures import read_pictures as read_shown
from edge.studies.pixels import build
from edge.workshop.questions import Sample

SPECTRA_OF_A_CUBE = 512  # spread over it
FRAMES_PER_S = 1.0
PICTURES_OF_A_FILE = 64


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """A sample, and what it was taken of.

    Attributes:
        sample: Of the kind of the bundle's task.
        group: Samples of one study, video, cube or folder are alike, and have the same.
    """

    sample: Sample
    group: str


def read_samples(paths: Sequence[Path], manifest: Manifest, *, most: int) -> tuple[list[Taken], list[str]]:
    """Read what a bundle's network may be given.

    Args:
        paths: Files and folders. For a network of several series each folder holds cases, a folder each, in
            which a file or folder is named after each role: `T1.nii.gz`, `FLAIR`.
        manifest: Of the bundle.
        most: So many at most, spread over all there are.

    Returns:
        The samples, and a line for each file that is none, or of which something must be known.

    Raises:
        ConfigurationError: There is nothing of the kind.
    """
    notes: list[str] = []
    found = list(each_sample(paths, manifest, most=most, notes=notes))
    if not found:
        because = f" ({notes[0]})" if notes else ""
        raise ConfigurationError(f"{', '.join(map(str, paths))}: nothing for {manifest.task}{because}")
    return found, notes


def each_sample(paths: Sequence[Path], manifest: Manifest, *, most: int, notes: list[str]) -> Iterator[Taken]:
    """Read the same one after the other, so that one at a time is in memory; there may be none.

    Args:
        paths: As above.
        manifest: Of the bundle.
        most: So many at most.
        notes: Gets a line for each file that is none.

    Raises:
        ConfigurationError: A path is not there, or a case is not as it should be.
    """
    trouble = missing(paths)
    if trouble:
        raise ConfigurationError("; ".join(trouble))
    match manifest:
        case PictureBundle():
            yield from islice(_pictures(_spread(_files(paths), most), manifest, most, notes), most)
        case VolumeSegmentation() if len(manifest.input.roles) > 1:
            yield from (_case(case, manifest) for case in _spread(_cases(paths), most)[:most])
        case VolumeSegmentation():
            yield from islice(_volumes(paths, manifest, notes, most), most)
        case SpectraRegression():
            yield from islice(_spectra(_files(paths), manifest, notes), most)


def _files(paths: Sequence[Path]) -> list[Path]:
    return [file for path in paths for file in files_of(path)]


def _spread(files: Sequence[Path], most: int) -> list[Path]:
    """Take every n-th, so that a folder of many kinds gives some of each."""
    step = max(1, -(-len(files) // most))
    return list(files[::step])


def _pictures(files: Sequence[Path], manifest: PictureBundle, most: int, notes: list[str]) -> Iterator[Taken]:
    stated = manifest.input.range_16_bits
    several = [file for file in files if _holds_several(file)]  # the first video must not be all there is
    singles = sum(map(_is_still, set(files).difference(several)))
    of_a_file = min(PICTURES_OF_A_FILE, max(1, -(-(most - singles) // max(1, len(several)))))
    for file in files:
        try:
            yield from islice(_of_file(file, stated, notes), of_a_file)
        except (EdgeError, OSError) as trouble:
            notes.append(f"not a picture: {trouble}")


def _of_file(file: Path, stated: tuple[int, int] | None, notes: list[str]) -> Iterator[Taken]:
    """Read the pictures of a DICOM object, a still or a video as `edge analyze` and the daemon see them.

    Raises:
        EdgeError: It is none, or is damaged.
        OSError: It cannot be read.
    """
    kind = _kind_of(file)
    if kind == "dicom":
        instance = dicom_instance(file)
        for sheet in sheets_of([instance]):
            for shown in read_shown(sheet):
                if isinstance(shown, Unreadable):
                    notes.append(f"not a picture: {file.name}: {shown.trouble}")
                else:
                    yield Taken(
                        SquarePicture(picture_of(shown.rgb), aspect=shown.aspect), _study_of(instance)
                    )
    elif kind != "video" and stills.begins_like_one(file):
        still = stills.read_still(file, stated=stated)
        notes += [f"{file.name}: {note}" for note in still.notes]
        yield Taken(picture_of(still.rgb), f"folder {file.parent}")
    else:
        for _, picture in read_pictures(file, per_second=FRAMES_PER_S):
            yield Taken(picture, f"file {file}")


def _holds_several(file: Path) -> bool:
    """Whether a file may hold more than one picture; one that cannot be read holds none."""
    try:
        return _kind_of(file) in ("dicom", "video")
    except OSError:
        return False


def _is_still(file: Path) -> bool:
    """Whether a file may be a still picture; one that cannot be read is none."""
    try:
        return stills.begins_like_one(file)
    except OSError:
        return False


def _kind_of(file: Path) -> Kind | None:
    with file.open("rb") as opened:
        return kind_of(file, opened.read(HEAD_BYTES))


def _study_of(instance: Instance) -> str:
    """Return what pictures of one patient at one time share; of a file that says nothing its folder."""
    return instance.study_uid or instance.series_uid or f"folder {instance.path.parent}"


def _volumes(
    paths: Sequence[Path], manifest: VolumeSegmentation, notes: list[str], most: int
) -> Iterator[Taken]:
    kinds = {kind.modality: kind.unit for kind in manifest.input.accepts}
    only = next(iter(kinds)) if len(kinds) == 1 else None
    inputs = read_inputs(paths, Knowledge(modality=only, site=SiteCalibration(), hints=Hints(kind=None)))
    notes += [f"unreadable: {line}" for line in inputs.unreadable]
    step = max(1, -(-len(inputs.series) // most))
    for series in inputs.series[::step]:
        try:
            yield Taken([build(series)[0].volumes[0]], _study_of(series.instances[0]))
        except EdgeError as trouble:
            notes.append(f"not a volume: {trouble}")


def _cases(paths: Sequence[Path]) -> list[Path]:
    return [folder for path in paths if path.is_dir() for folder in sorted(path.iterdir()) if folder.is_dir()]


def _case(folder: Path, manifest: VolumeSegmentation) -> Taken:
    """Read one case of several series, each named after its role.

    Raises:
        ConfigurationError: A role is missing, or holds more than one series.
    """
    volumes: list[Volume] = []
    for channel in manifest.input.channels:
        named = [
            path for path in folder.iterdir() if path.name.partition(".")[0].lower() == channel.role.lower()
        ]
        if len(named) != 1:
            raise ConfigurationError(
                f"{folder}: wanted one file or folder named {channel.role}, seen {len(named)}"
            )
        known = Knowledge(
            modality=channel.accepts[0].modality, site=SiteCalibration(), hints=Hints(kind=None)
        )
        series = read_inputs(named, known).series
        if len(series) != 1:
            raise ConfigurationError(f"{named[0]}: holds {len(series)} series, wanted one")
        volumes.append(build(series[0])[0].volumes[0])
    return Taken(volumes, f"folder {folder}")


def _spectra(files: Sequence[Path], manifest: SpectraRegression, notes: list[str]) -> Iterator[Taken]:
    """Read cubes, and `.npy` files that hold (n, bands) values at the manifest's wavelengths."""
    wanted_nm = np.array(manifest.input.wavelengths_nm, np.float64)
    for file in files:
        try:
            if file.suffix == ".npy":
                yield Taken(_rows(file, bands=len(wanted_nm)), f"file {file}")
                continue
            cube = read_cube(file)
            if cube.unit != manifest.input.unit:
                raise FormatError(f"{file.name}: in {cube.unit}, wanted {manifest.input.unit}")
            banded = resample(cube, wavelengths_nm=wanted_nm)
            rows = banded.values[is_whole(banded.values)]
            some = np.ascontiguousarray(rows[:: max(1, len(rows) // SPECTRA_OF_A_CUBE)], np.float32)
            yield Taken(some, f"file {file}")
        except (EdgeError, OSError) as trouble:
            notes.append(f"no spectra: {trouble}")


def _rows(file: Path, *, bands: int) -> NDArray[np.float32]:
    try:
        rows = np.load(file, allow_pickle=False)
    except (ValueError, EOFError) as trouble:
        raise FormatError(f"{file.name}: no array: {trouble}") from trouble
    if rows.ndim != 2 or rows.shape[1] != bands:
        raise FormatError(f"{file.name}: {rows.shape}, wanted (n, {bands})")
    return np.asarray(rows, np.float32)
