"""Series of the command line: volumes and pictures, looked at and drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from edge.cli.analyze_models import Models
from edge.cli.analyze_pictures import write_picture
from edge.cli.desk import Answer, Desk, was_assessed
from edge.cli.overlay import draw, save
from edge.domain.errors import StorageFullError
from edge.domain.study import Series
from edge.formats import nifti
from edge.pipelines.looked import Looked
from edge.pipelines.result import Result
from edge.studies.pictures import SeriesPicture


class Pages:
    """Draws each picture of a series as soon as somebody has looked at it: none is kept."""

    def __init__(self, desk: Desk) -> None:
        self._name = ""
        self._is_alone = True
        self._desk = desk
        self._stems: dict[tuple[str, int], str] = {}

    def begin(self, name: str, *, is_alone: bool) -> None:
        """Take up a series.

        Args:
            name: Of its files.
            is_alone: It has one object only.
        """
        self._name, self._is_alone = name, is_alone
        self._stems = {}

    def take(self, pipeline: str, picture: SeriesPicture, looked: Looked) -> None:
        """Draw a picture.

        Raises:
            StorageFullError: It cannot be written.
        """
        if self._desk.out is None:
            return
        stem = f"{self._stem(picture)}.{pipeline}"
        write_picture(stem, picture.rgb, looked, pipeline=pipeline, lines=looked.notes, desk=self._desk)

    def _stem(self, picture: SeriesPicture) -> str:
        """Name the files of a picture: as the series where it is its only one, else with its numbers."""
        if self._is_alone and picture.frames == 1:
            return self._name
        key = picture.sop_uid, picture.frame
        if key not in self._stems:
            number = "" if self._is_alone else f"-{picture.number if picture.number is not None else 'x'}"
            frame = f"-{picture.frame}" if picture.frames > 1 else ""
            self._stems[key] = self._desk.unique(f"{self._name}{number}{frame}")
        return self._stems[key]


def assess(series: Sequence[Series], models: Models, desk: Desk, pages: Pages) -> Iterator[Answer]:
    """Look at every series.

    Args:
        series: Closed.
        models: Who is asked; they show their pictures to `pages`.
        desk: Where pictures of volumes go.
        pages: Where pictures of pictures go.

    Raises:
        StorageFullError: A picture cannot be written.
    """
    for number, one in enumerate(series, start=1):
        name = desk.unique(_name(one))
        desk.progress(f"series {number} of {len(series)}: {name}, {len(one.instances)} files")
        pages.begin(name, is_alone=len(one.instances) == 1)
        if models.lacks_volumes and is_file_of_a_volume(one):
            result = models.series.give_up(one, models.lacks_volumes)
        else:
            result = models.series.assess(one)
        if desk.out is not None:
            for path in write_volumes(result, name, desk):
                desk.written(path)
        yield Answer(name=name, findings=result.findings, is_damaged=result.is_damaged)


def is_file_of_a_volume(series: Series) -> bool:
    """Return whether a series is one file that holds a volume, and no DICOM."""
    return series.instances[0].format == "nifti"


def _name(series: Series) -> str:
    """Name the files that are written for a series after what was given: the NIfTI file, or the folder."""
    path = series.instances[0].path
    if is_file_of_a_volume(series):
        return path.name.removesuffix(".gz").removesuffix(".nii")
    return path.stem if len(series.instances) == 1 else path.resolve().parent.name or "series"


def write_volumes(result: Result, name: str, desk: Desk) -> Iterator[Path]:
    """Write a picture for every volume that a model saw, and a mask for every one that was assessed.

    Yields:
        What was written.

    Raises:
        StorageFullError: It cannot be.
    """
    try:
        for number, (pipeline, segmentation) in enumerate(result.segmentations, start=1):
            stem = f"{name}.{pipeline}" + (f"-{number}" if number > 1 else "")
            said = tuple(finding for finding in result.findings if finding.pipeline == pipeline)
            verdicts = ", ".join(dict.fromkeys(finding.observation.verdict.value for finding in said))
            lines = [finding.observation.reason for finding in said if finding.observation.reason]
            picture = desk.place(f"{stem}.png")
            is_measured = any(finding.observation.measurements for finding in said)
            page = draw(segmentation, title=f"{pipeline}: {verdicts}", lines=lines, has_volumes=is_measured)
            save(page, picture)
            yield picture
            if was_assessed(said):  # what was not recognised is nobody's mask
                mask = desk.place(f"{stem}.nii.gz")
                nifti.write_labels(mask, segmentation)
                yield mask
    except OSError as trouble:
        raise StorageFullError(f"{desk.out}: cannot be written: {trouble.strerror}") from trouble
