"""Still pictures of the command line: each looked at once by every model for pictures, and drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.cli import overlay_picture
from edge.cli.analyze_models import Models
from edge.cli.desk import Answer, Desk
from edge.domain.answer import Embedding, PictureMask
from edge.domain.errors import FormatError, StorageFullError
from edge.domain.finding import Finding
from edge.domain.frame import Frame
from edge.findings.track import Pace
from edge.formats.stills import StillPicture, read_still
from edge.pipelines.looked import Looked
from edge.pipelines.looks import PictureLook
from edge.pipelines.recorded import Recorded
from edge.pipelines.result import UNROUTED
from edge.pipelines.stations import PictureStation
from edge.sources.still_pictures import picture_of

LOOK_DEADLINE_S = 60.0
THINGS_MAX = 1000  # of one picture: whatever a policy lets be said one by one
THINGS_DRAWN_MAX = 65_535  # a PNG has 16 bits


def assess(pictures: Sequence[Path], models: Models, desk: Desk, *, pace: Pace) -> Iterator[Answer]:
    """Look at every picture.

    Args:
        pictures: Files.
        models: Who is asked.
        desk: Where pictures go.
        pace: How often something is said; nothing has to settle, for there is one moment only.

    Raises:
        StorageFullError: A picture cannot be written.
    """
    for number, path in enumerate(pictures, start=1):
        name = desk.unique(path.stem)
        desk.progress(f"picture {number} of {len(pictures)}: {name}")
        yield _assessed(path, name, models, desk, replace(pace, settle_s=0.0, things_max=THINGS_MAX))


def _assessed(path: Path, name: str, models: Models, desk: Desk, pace: Pace) -> Answer:
    none = PictureStation(model=None, manifest=None, refusal=models.lacks_pictures)
    stations = models.pictures or ((UNROUTED, none),)
    watchers = [_Watcher(pipeline, station, name, models, pace) for pipeline, station in stations]
    trouble = ""
    try:
        stills = {stated: read_still(path, stated=stated) for stated in {one.stated for one in watchers}}
    except FormatError as damage:
        trouble = str(damage).removeprefix(f"{path.name}: ")
    else:
        for one in watchers:
            still = stills[one.stated]
            one.see(still)
            if desk.out is not None and one.looked is not None:
                lines = (*still.notes, *one.looked.notes)
                stem = f"{name}.{one.pipeline}"
                write_picture(stem, still.rgb, one.looked, pipeline=one.pipeline, lines=lines, desk=desk)
    findings = [finding for one in watchers for finding in one.end(trouble)]
    return Answer(
        name=name,
        findings=tuple(findings),
        trouble=f"{path}: {trouble}" if trouble else "",
        is_damaged=bool(trouble),
    )


class _Watcher:
    """One model that looks at one picture.

    Attributes:
        pipeline: Its name.
        stated: The range of stills of 16 bits that its bundle states, or None.
        looked: What it saw, or None where it could not look.
    """

    def __init__(self, pipeline: str, station: PictureStation, name: str, models: Models, pace: Pace) -> None:
        self.pipeline = pipeline
        self.stated = station.manifest.input.range_16_bits if station.manifest else None
        self.looked: Looked | None = None
        self._name = name
        self._notes: tuple[str, ...] = ()
        self._said: list[Finding] = []
        self._recorded = Recorded(
            pipeline=pipeline,
            source=name,
            look=PictureLook(station, deadline_s=LOOK_DEADLINE_S),
            pace=pace,
            losses=dict,
            identity=models.identity,
            clock=models.clock,
            is_still=True,
            told=self._told,
        )

    def see(self, still: StillPicture) -> None:
        """Look at the picture."""
        self._notes = still.notes
        frame = Frame(
            source=self._name,
            sequence=1,
            captured_at_ns=0,
            timed_by="arrival",
            content=picture_of(still.rgb),
        )
        self._said += self._recorded.see(frame)

    def end(self, trouble: str) -> list[Finding]:
        """Return what was said; where nobody could look, that.

        Args:
            trouble: Why the picture could not be read, or "".
        """
        said = [*self._said, *self._recorded.end(trouble or f"{self._name} was not looked at")]
        return [replace(one, notes=(*self._notes, *one.notes)) for one in said]

    def _told(self, _at_s: float, _frame: Frame, looked: Looked) -> None:
        self.looked = looked


def write_picture(
    stem: str,
    rgb: NDArray[np.uint8],
    looked: Looked,
    *,
    pipeline: str,
    lines: Sequence[str],
    desk: Desk,
) -> None:
    """Write the picture with what was seen; of a mask also its labels and things, of a vector its numbers.

    Args:
        stem: Of the names of the files.
        rgb: (height, width, 3): what was looked at.
        looked: What was seen.
        pipeline: Who saw it.
        lines: What else to say below.
        desk: Where to write.

    Raises:
        StorageFullError: A file cannot be written.
    """
    answer = looked.answer
    mask = answer if isinstance(answer, PictureMask) else None
    verdicts = ", ".join(dict.fromkeys(one.verdict.value for one in looked.observations))
    page = overlay_picture.draw(
        rgb, title=f"{pipeline}: {verdicts}", observations=looked.observations, mask=mask, lines=lines
    )
    desk.picture(stem, page)
    if mask is not None:
        _write_grey(f"{stem}.labels", mask.labels, desk)
        if mask.things.max(initial=0) <= THINGS_DRAWN_MAX:
            _write_grey(f"{stem}.things", mask.things.astype(np.uint16), desk)
        else:
            desk.say(f"{stem}.things: not written, more than {THINGS_DRAWN_MAX} things")
    if isinstance(answer, Embedding):
        path = desk.place(f"{stem}.npy")
        try:
            np.save(path, answer.vector, allow_pickle=False)
        except OSError as trouble:
            raise StorageFullError(f"{path}: cannot be written: {trouble.strerror}") from trouble
        desk.written(path)


def _write_grey(stem: str, numbers: NDArray[np.uint8] | NDArray[np.uint16], desk: Desk) -> None:
    """Write (height, width) numbers as a grey PNG of 8 or 16 bits, one number a pixel."""
    path = desk.place(f"{stem}.png")
    done, encoded = cv2.imencode(".png", numbers)
    assert done, "an array of 8 or 16 bits can always be a PNG"
    try:
        path.write_bytes(encoded.tobytes())
    except OSError as trouble:
        raise StorageFullError(f"{path}: cannot be written: {trouble.strerror}") from trouble
    desk.written(path)
