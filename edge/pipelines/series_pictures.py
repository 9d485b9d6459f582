"""The path of pictures: each picture of a series is shown to each model that is meant for it.

series ─▶ objects ─▶ pictures, one at a time ─▶ models ─▶ policy ─▶ findings that name the picture
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from edge.domain.errors import EdgeError, InferenceError
from edge.domain.finding import Finding, PictureSeen
from edge.domain.ports import Clock
from edge.domain.study import Series
from edge.findings import pictures
from edge.findings.identity import KeyedHash
from edge.findings.picture_millimetres import Box, in_millimetres
from edge.pipelines.looked import Looked
from edge.pipelines.looks import A_PICTURE
from edge.pipelines.result import Result, SeriesVoice, is_damage
from edge.pipelines.square import SquarePicture, as_stored
from edge.pipelines.stations import Viewer
from edge.pipelines.watching import Watch, nobody_watches, scanner_of
from edge.sources.still_pictures import picture_of
from edge.studies.pictures import SeriesPicture, Sheet, Unreadable, read_pictures, sheets_of

REFUSALS_TOLD_MAX = 3

Told = Callable[[str, SeriesPicture, Looked], None]


@dataclass(slots=True)
class _Said:
    """What one pipeline has said so far."""

    findings: list[Finding]
    refusals: list[str]
    notes: tuple[str, ...] = ()
    is_damaged: bool = False

    def result(self) -> Result:
        told = list(dict.fromkeys(self.refusals))
        more = len(told) - REFUSALS_TOLD_MAX
        words = [*told[:REFUSALS_TOLD_MAX], *([f"and {more} more"] if more > 0 else [])]
        findings = tuple(replace(one, notes=(*one.notes, *self.notes)) for one in self.findings)
        return Result(findings=findings, refusal="; ".join(words), is_damaged=self.is_damaged)


class PicturesAssessor:
    """Looks at the pictures of a series; expected trouble is a finding that says NOT_ASSESSED and why."""

    def __init__(
        self,
        *,
        viewers: Mapping[str, Viewer],
        identity: KeyedHash,
        clock: Clock,
        beat: Callable[[], None],
        told: Told,
        watch: Watch = nobody_watches,
    ) -> None:
        """Store what is needed.

        Args:
            viewers: By pipeline.
            identity: Makes subjects.
            clock: Time.
            beat: Called before each picture.
            told: Is shown each picture that was assessed: pipeline, picture, what was seen.
            watch: Is shown every answer.
        """
        self._watch = watch
        self._viewers = viewers
        self._identity = identity
        self._voice = SeriesVoice(identity, clock)
        self._clock = clock
        self._beat = beat
        self._told = told

    def assess(self, series: Series, pipelines: Sequence[str]) -> dict[str, Result]:
        """Look at a series.

        Args:
            series: Closed.
            pipelines: Meant for it, each with a viewer.

        Returns:
            What each pipeline says: about every picture, or about the series where it looks at none.
        """
        said = {name: _Said([], []) for name in pipelines}
        sheets = sheets_of(series.instances)
        looking: dict[str, list[Sheet]] = {}
        for name in pipelines:
            viewer = self._viewers[name]
            mine = [one for one in sheets if one.instance.modality in (*viewer.modalities, "")]
            refusal = _refusal(name, viewer, mine)
            if refusal:
                said[name].refusals.append(refusal)
                said[name].findings.append(self._unassessed(series, name, refusal))
                continue
            looking[name] = mine
            if len(mine) < len(sheets):
                said[name].notes = (
                    f"{len(sheets) - len(mine)} objects of other modalities were not assessed",
                )
        for sheet in sheets:
            here = [name for name in pipelines if sheet in looking.get(name, ())]
            if here:
                self._look_at(series, sheet, here, said)
        return {name: one.result() for name, one in said.items()}

    def refuse(self, series: Series, pipelines: Sequence[str], reason: str) -> dict[str, Result]:
        """Say for each pipeline that it could not look at a series."""
        return {
            name: Result(findings=(self._unassessed(series, name, reason),), refusal=reason)
            for name in pipelines
        }

    def _look_at(self, series: Series, sheet: Sheet, names: Sequence[str], said: Mapping[str, _Said]) -> None:
        """Show every picture of an object to everybody who is meant to see it."""
        began_ns = self._clock.monotonic_ns()
        for picture in read_pictures(sheet):
            self._beat()
            read_ms = (self._clock.monotonic_ns() - began_ns) / 1e6
            for name in names:
                try:
                    if isinstance(picture, Unreadable):
                        raise picture.trouble
                    looked = self._ask(name, picture, read_ms, scanner=scanner_of(sheet.instance))
                except EdgeError as trouble:
                    said[name].refusals.append(str(trouble))
                    said[name].is_damaged = said[name].is_damaged or is_damage(trouble)
                    silent = self._unassessed(series, name, str(trouble))
                    said[name].findings.append(replace(silent, picture=self._seen(picture)))
                else:
                    said[name].findings += self._findings(series, name, picture, looked)
                    self._told(name, picture, looked)
            began_ns = self._clock.monotonic_ns()

    def _ask(self, name: str, picture: SeriesPicture, read_ms: float, *, scanner: str) -> Looked:
        """Let one model look at one picture.

        Raises:
            EdgeError: It could not look.
        """
        viewer = self._viewers[name]
        with viewer.station.held() as station:
            model, manifest = station.model, station.manifest
            if model is None or manifest is None:
                raise InferenceError(f"bundle of pipeline {name} is not in use: {station.refusal}")
            shown = SquarePicture(picture_of(picture.rgb), aspect=picture.aspect)
            seen = model.look(shown, deadline_s=viewer.deadline_s)
            answer = as_stored(seen, seen_px=shown.shape_px, stored_px=picture.shape_px)
            observations = pictures.judge(answer, manifest, is_present=lambda _code, _segment: False)
            told = pictures.notes(manifest, shape_px=shown.shape_px)
            stamp = model.stamp
            changed = self._watch(stamp, scanner, seen)
        return Looked(
            observations=in_millimetres(
                observations, shape_px=picture.shape_px, spacing_of=lambda box: _spacing(picture, box)
            ),
            latency_ms={"assemble": read_ms, **answer.latency_ms},
            notes=(*picture.notes, *_stretched(picture), *told, *changed),
            answer=answer,
            stamp=stamp,
        )

    def _findings(
        self, series: Series, name: str, picture: SeriesPicture, looked: Looked
    ) -> Iterator[Finding]:
        for observation in looked.observations:
            yield replace(
                self._voice.finding(series, name, observation),
                model=looked.stamp,
                latency_ms=looked.latency_ms,
                notes=looked.notes,
                picture=self._seen(picture),
            )

    def _seen(self, picture: SeriesPicture | Unreadable) -> PictureSeen:
        seen = PictureSeen(
            object=self._identity.instance(picture.sop_uid),
            number=picture.number,
            frame=picture.frame,
            frames=picture.frames,
        )
        if isinstance(picture, Unreadable):
            return seen
        spacing_mm = _spacing(picture, _all_of(picture))
        return replace(seen, shape_px=picture.shape_px, spacing_mm=spacing_mm)

    def _unassessed(self, series: Series, name: str, reason: str) -> Finding:
        manifest = self._viewers[name].station.manifest
        code = manifest.policy.looked_for.code() if manifest else A_PICTURE
        return self._voice.unassessed(series, name, code, reason)


def _refusal(name: str, viewer: Viewer, sheets: Sequence[Sheet]) -> str:
    """Say why a pipeline looks at no picture of a series, or ""."""
    station = viewer.station
    if station.model is None or station.manifest is None:
        return f"bundle of pipeline {name} is not in use: {station.refusal}"
    strange = {sheet.instance.modality for sheet in sheets} - station.manifest.input.pictured - {""}
    if strange:
        seen = " and ".join(sorted(strange))
        return (
            f"{station.manifest.name} looks at pictures, not at {seen}; its manifest would name it in "
            "input.modalities"
        )
    count = sum(sheet.frames for sheet in sheets)
    if count > viewer.pictures_max:
        return f"the series has {count} pictures, at most {viewer.pictures_max} are looked at (pictures_max)"
    return (
        "" if sheets else f"no object of modality {' or '.join(sorted(viewer.modalities))} is in the series"
    )


def _spacing(picture: SeriesPicture, box_px: Box) -> tuple[float, float] | None:
    """Return what pixels measure within a box, None where no ruler holds for all of it."""
    return next((ruler.spacing_mm for ruler in picture.rulers if ruler.holds(box_px)), None)


def _all_of(picture: SeriesPicture) -> Box:
    return (0.0, 0.0, float(picture.shape_px[1]), float(picture.shape_px[0]))


def _stretched(picture: SeriesPicture) -> tuple[str, ...]:
    if picture.aspect == 1.0:
        return ()
    return (f"its pixels are {picture.aspect:.3g} times as high as wide; the model saw it undistorted",)
