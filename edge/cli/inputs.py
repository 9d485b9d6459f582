"""What the operator named on the command line: series, videos, pictures, thermal pictures, cubes, spectra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge.cli.instances import (
    dicom_instance,
    dicom_shortfall,
    grouped,
    nifti_instance,
    spectral_instance,
)
from edge.cli.kinds import HEAD_BYTES, Kind, is_meant, is_radiometric, kind_of, names_wavelengths
from edge.cli.paths import files_of, missing
from edge.domain.errors import FormatError, UnsupportedError
from edge.domain.study import Instance, Series
from edge.formats import nifti, spectral_files, spectrum_files, stills, thermal_files
from edge.formats.cube_names import ENVI_ENDS, NPZ_ENDS, TIFF_ENDS, header_of
from edge.formats.spectrum_points import FILE_BYTES_MAX, Hints
from edge.preprocess.thermal_site import SiteCalibration
from edge.sources import video_files
from edge.sources.video_files import AboutVideo

AIR_HU_MAX = -300.0
NEEDS_SCALE = "--kelvin-per-count says what a count is"
OR_PICTURE = "; --bundle NAME looks at it as a picture"
NEEDS_KIND = "--measures raman, infrared or reflectance says it"
NOT_RECOGNISED = "not recognised: neither DICOM, NIfTI, video, picture, thermal picture, cube nor spectrum"
LIST_ENDS = ("wavelengths.txt", "wavelengths.csv", ".wavelengths")


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What the operator says about files that do not say it themselves.

    Attributes:
        modality: What NIfTI files show; None: judged by their values.
        site: What goes before what thermal files say.
        hints: What spectra are.
        names_a_bundle: Somebody is to look at pictures: also at those that nobody named, and at grey ones of
            16 bits, which could be counts of a thermal camera.
    """

    modality: str | None
    site: SiteCalibration
    hints: Hints
    names_a_bundle: bool = False


@dataclass(slots=True)
class Inputs:
    """What was found.

    Attributes:
        series: DICOM and NIfTI, in the order of the command line.
        measured: Cubes and spectra, each a series of one file.
        thermal: Files of thermal cameras.
        pictures: Still pictures.
        videos: Videos, and what they say of themselves.
        unreadable: What is missing, garbage or cut off, with the reason.
        skipped: How many files in folders are no pictures.
        notes: What was assumed.
    """

    series: list[Series] = field(default_factory=list)
    measured: list[Series] = field(default_factory=list)
    thermal: list[Path] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)
    videos: list[tuple[Path, AboutVideo]] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    skipped: int = 0
    notes: list[str] = field(default_factory=list)


def read_inputs(paths: Sequence[Path], known: Knowledge) -> Inputs:
    """Find everything that can be looked at under the paths; volumes are grouped by series.

    Args:
        paths: Files and folders.
        known: What the operator says about them.
    """
    reader = _Reader(known)
    reader.inputs.unreadable += missing(paths)
    for path in paths:
        if path.exists():
            reader.take(path)
    reader.inputs.series = grouped(reader.volumes)
    reader.inputs.measured = grouped(reader.measurements)
    if reader.unnamed:
        reader.inputs.notes.append(
            f"{reader.unnamed} files of two columns do not say what was measured, skipped; {NEEDS_KIND}"
        )
    if reader.unasked:
        reader.inputs.notes.append(
            f"{reader.unasked} still pictures in folders, skipped; --bundle NAME says who looks at them"
        )
    return reader.inputs


class _Reader:
    """Goes through files, each once."""

    def __init__(self, known: Knowledge) -> None:
        self.inputs = Inputs()
        self.volumes: list[Instance] = []
        self.measurements: list[Instance] = []
        self.unnamed = 0
        self.unasked = 0
        self._known = known
        self._seen: set[Path] = set()
        self._found = 0

    def take(self, path: Path) -> None:
        """Take a path of the command line."""
        before = self._found + len(self.inputs.unreadable)
        unasked = self.unasked
        for file in files_of(path):
            self._file(file, is_named=file == path)
        if self._found + len(self.inputs.unreadable) == before:
            why = "only still pictures, and no --bundle says who looks at them"
            self.inputs.unreadable.append(
                f"{path}: {why if self.unasked > unasked else 'no picture in this folder'}"
            )

    def _file(self, file: Path, *, is_named: bool) -> None:
        kind: Kind | None = None
        head = b""
        try:
            if not file.is_file():
                raise FormatError("neither a file nor a folder")
            with file.open("rb") as opened:
                head = opened.read(HEAD_BYTES)
            kind = kind_of(file, head)
            self._found += self._read(file, kind, is_named=is_named)
        except FormatError as trouble:
            if is_named or is_meant(file, kind, head, trouble):
                unknown = "" if kind else NOT_RECOGNISED if head else "it is empty"
                self._unreadable(file, unknown or str(trouble))
            else:
                self.inputs.skipped += 1
        except OSError as trouble:
            self._unreadable(file, f"cannot be read: {trouble.strerror}")

    def _unreadable(self, file: Path, reason: str) -> None:
        self.inputs.unreadable.append(f"{file}: {reason.removeprefix(f'{file.name}: ')}")

    def _read(self, file: Path, kind: Kind | None, *, is_named: bool) -> bool:
        """Read as much of a file as tells whether it can be looked at; return whether it counts by itself.

        Raises:
            FormatError: It cannot be.
            OSError: It cannot be read.
        """
        if file.name.lower().endswith(LIST_ENDS):
            return is_named  # a list of wavelengths comes with its cubes
        header = header_of(file) if file.name.lower().endswith(ENVI_ENDS) else None
        if kind == "cube" or (header is not None and header.read_bytes()[:4] == b"ENVI"):
            return self._cube(file, is_named=is_named)
        match kind:
            case "nifti":
                self.volumes.append(nifti_instance(file, self._known.modality or self._judged(file)))
            case "video":
                if self._once(file):
                    self.inputs.videos.append((file, video_files.about(file)))
            case "picture":
                taken = self._thermal if is_radiometric(file) else self._picture
                return taken(file, is_named=is_named)
            case "thermal":
                return self._thermal(file, is_named=is_named)
            case "spectrum":
                return self._spectrum(file, is_named=is_named)
            case _:
                self._dicom(file)
        return True

    def _dicom(self, file: Path) -> None:
        self.volumes.append(dicom_instance(file))
        shortfall = dicom_shortfall(file)
        if shortfall:
            self._unreadable(file, shortfall)

    def _judged(self, file: Path) -> str:
        """Judge by its values whether a NIfTI file is a CT: only there is air far below zero.

        Raises:
            FormatError: It cannot be read.
        """
        try:
            scan = nifti.read(file)
        except UnsupportedError:
            return "MR"  # the path says why it cannot be looked at
        modality = "CT" if float(scan.volumes[0].voxels.min()) < AIR_HU_MAX else "MR"
        self.inputs.notes.append(f"{file}: taken as {modality}; --modality says otherwise")
        return modality

    def _picture(self, file: Path, *, is_named: bool) -> bool:
        """Take a still picture; in a folder only where somebody named a bundle."""
        if not (is_named or self._known.names_a_bundle):
            self.unasked += 1
            return False
        stills.about(file)
        if self._once(file):
            self.inputs.pictures.append(file)
        return True

    def _thermal(self, file: Path, *, is_named: bool) -> bool:
        """Read the first picture: whether it is one, and whether anybody says what its counts mean."""
        try:
            first = next(thermal_files.read(file), None)
        except UnsupportedError:
            if not stills.begins_like_one(file):
                raise
            return self._picture(file, is_named=is_named)  # of colours, or of 8 bits
        if first is None:
            raise FormatError("holds no thermogram")
        if first.scale is None and self._known.site.scale is None:
            if self._known.names_a_bundle:
                return self._picture(file, is_named=is_named)
            is_tiff = file.name.lower().endswith(TIFF_ENDS)
            beside = "; a cube needs a list of wavelengths beside it" if is_tiff else ""
            self._unreadable(file, f"16-bit counts without a scale; {NEEDS_SCALE}{beside}{OR_PICTURE}")
        elif self._once(file):
            self.inputs.thermal.append(file)
        return True

    def _cube(self, file: Path, *, is_named: bool) -> bool:
        if not is_named and file.name.lower().endswith(NPZ_ENDS) and not names_wavelengths(file):
            raise FormatError("no cube by what its arrays are called")
        found = spectral_files.recognise(file, kind="cube")
        if found.is_reference and not is_named:
            return False  # it comes with its cubes
        if not self._once(found.lead):
            return True
        if found.lacking:
            raise FormatError(found.lacking)
        self.measurements.append(spectral_instance(found))
        return True

    def _spectrum(self, file: Path, *, is_named: bool) -> bool:
        """Take a spectrum; a text that came with its folder is one only where it says of what."""
        if file.stat().st_size > FILE_BYTES_MAX:
            raise FormatError(f"larger than {FILE_BYTES_MAX} bytes, wanted a spectrum")
        try:
            points = spectrum_files.parse(file.read_bytes())
        except FormatError as no_spectrum:
            try:
                self._dicom(file)  # a bare data set may have any name
            except FormatError:
                raise no_spectrum from None
            return True
        if points.kind is None and self._known.hints.kind is None:
            if is_named:
                raise UnsupportedError(f"does not say what was measured; {NEEDS_KIND}")
            self.unnamed += 1
            self.inputs.skipped += 1
            return False
        if self._once(file):
            found = spectral_files.SpectralFile(kind="spectrum", lead=file, parts={"cube": (file,)})
            spectrum_files.read_spectrum(file, hints=self._known.hints)
            self.measurements.append(spectral_instance(found))
        return True

    def _once(self, file: Path) -> bool:
        """Whether a file comes for the first time; a doubled path is looked at once."""
        real = file.resolve()
        is_new = real not in self._seen
        self._seen.add(real)
        return is_new
