"""Videos of the command line: every frame judged by every model for pictures, none dropped."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.bundles.picture_classification import PictureClassification
from edge.bundles.picture_tasks import PictureManifest
from edge.cli import overlay_timeline
from edge.cli.analyze_models import Models
from edge.cli.desk import Answer, Desk
from edge.cli.overlay_timeline import Moment, Span, Still
from edge.domain.errors import SourceLostError
from edge.domain.finding import Finding, StreamSeen
from edge.domain.frame import Frame, Thermogram
from edge.findings.track import Pace
from edge.pipelines.looked import Looked
from edge.pipelines.looks import PictureLook
from edge.pipelines.recorded import Recorded
from edge.pipelines.result import UNROUTED
from edge.pipelines.stations import PictureStation
from edge.sources.camera_decoder import WAITS_FOR_KEY
from edge.sources.camera_file import VideoFile
from edge.sources.live_books import LiveBooks
from edge.sources.video_files import AboutVideo

LOOK_DEADLINE_S = 30.0
OPEN_S, SILENCE_S = 20.0, 60.0
UNDECODED = "could not be decoded"
STILLS_MAX = 8
STILL_PX = 220
_SHORT_SHARE, _SHORT_S = 0.02, 0.25  # of an announced length: the last picture may stand for longer


def assess(
    videos: Sequence[tuple[Path, AboutVideo]], models: Models, desk: Desk, *, pace: Pace, has_frames: bool
) -> Iterator[Answer]:
    """Look at every frame of every video, in its order.

    Args:
        videos: Files, and what they say of themselves.
        models: Who is asked.
        desk: Where pictures go.
        pace: How quickly and how often something is said.
        has_frames: Whether frames of the video may be in what is written: they are pixels of a patient.

    Raises:
        StorageFullError: A picture cannot be written.
    """
    for path, about in videos:
        yield _Video(path, about, desk.unique(path.stem), models, desk, pace).assessed(has_frames=has_frames)


class _Video:
    """One video on its way."""

    def __init__(
        self, path: Path, about: AboutVideo, name: str, models: Models, desk: Desk, pace: Pace
    ) -> None:
        self._path = path
        self._about = about
        self._name = name
        self._desk = desk
        self._books = LiveBooks(name, clock=models.clock)
        self._source = VideoFile(
            name,
            path=path,
            is_live=False,
            open_s=OPEN_S,
            silence_s=SILENCE_S,
            clock=models.clock,
            books=self._books,
        )
        if about.length_s is not None and about.length_s <= 2 * pace.settle_s:
            pace = replace(pace, settle_s=0.0)  # it would be over before anything was said
        none = PictureStation(model=None, manifest=None, refusal=models.lacks_pictures)
        self._watchers = [
            _Watcher(pipeline, station, name, models, pace, self._losses)
            for pipeline, station in models.pictures or ((UNROUTED, none),)
        ]
        self._frames = 0
        self._last_s = 0.0

    def assessed(self, *, has_frames: bool) -> Answer:
        """Look at it, and write what was asked for."""
        able = [one for one in self._watchers if not one.look.refusal]
        began_s = time.monotonic()
        trouble = self._play(able, keeps_stills=has_frames and self._desk.out is not None) if able else ""
        trouble = trouble or (self._damage() if able else "")
        for one in self._watchers:
            one.end(trouble or f"{self._name} is over")
        if able:
            self._desk.say(f"{self._name}: {self._counted()}, {_rate(self._frames, began_s)}")
        for one in able if self._desk.out is not None else ():
            self._desk.picture(f"{self._name}.{one.pipeline}", one.page(self._last_s, self._counted()))
        return Answer(
            name=self._name,
            findings=tuple(finding for one in self._watchers for finding in one.findings),
            trouble=f"{self._path}: {trouble.removeprefix(f'{self._path.name}: ')}" if trouble else "",
            is_damaged=bool(trouble),
        )

    def _play(self, able: Sequence[_Watcher], *, keeps_stills: bool) -> str:
        """Show every frame to everybody; return why it ended before its end, if so."""
        total = self._about.frames_likely
        of_all = f" of {total}" if total else ""
        began_s, first_ns = time.monotonic(), None
        try:
            with self._source.frames() as frames:
                for frame in frames:
                    first_ns = frame.captured_at_ns if first_ns is None else first_ns
                    self._frames += 1
                    self._last_s = (frame.captured_at_ns - first_ns) / 1e9
                    for one in able:
                        one.see(frame, keeps_stills=keeps_stills)
                    self._desk.progress(
                        f"{self._name}: {self._frames}{of_all} frames, {_rate(self._frames, began_s)}"
                    )
        except SourceLostError as lost:
            return str(lost)
        return ""

    def _losses(self) -> Mapping[str, int]:
        undecoded = self._books.health().set_aside
        return {**self._books.losses(), **({UNDECODED: undecoded} if undecoded else {})}

    def _damage(self) -> str:
        """Say what of it is broken or missing, "" where it is whole; a clip may begin before a key frame."""
        losses = self._losses()
        missing = sum(losses.values())
        seen = self._frames + missing
        if not self._frames:
            return "no frame of it can be decoded"
        parts = []
        if any(reason != WAITS_FOR_KEY for reason in losses):
            parts.append(f"{missing} of {seen} frames could not be decoded")
        announced, length_s = self._about.frames, self._about.length_s
        end_s = self._last_s + 1 / (self._about.frames_per_s or 1.0)
        if announced is not None and seen < announced:
            parts.append(f"cut off after {seen} frames, it announces {announced}")
        elif announced is None and length_s and end_s < length_s - max(_SHORT_S, _SHORT_SHARE * length_s):
            parts.append(f"cut off after {end_s:.1f} s, it announces {length_s:.1f} s")
        return "; ".join(parts)

    def _counted(self) -> str:
        missing = sum(self._losses().values())
        return f"{self._frames} frames" + (f" and {missing} that could not be decoded" if missing else "")


class _Watcher:
    """One model that looks at one video, and what is drawn of it."""

    def __init__(
        self,
        pipeline: str,
        station: PictureStation,
        name: str,
        models: Models,
        pace: Pace,
        losses: Callable[[], Mapping[str, int]],
    ) -> None:
        self.pipeline = pipeline
        self.look = PictureLook(station, deadline_s=LOOK_DEADLINE_S)
        self.findings: list[Finding] = []
        self._manifest = station.manifest
        self._moments: list[Moment] = []
        self._stills: list[Still] = []
        self._recorded = Recorded(
            pipeline=pipeline,
            source=name,
            look=self.look,
            pace=pace,
            losses=losses,
            identity=models.identity,
            clock=models.clock,
            told=self._told,
        )

    def see(self, frame: Frame, *, keeps_stills: bool) -> None:
        """Look at a frame."""
        said = self._recorded.see(frame)
        self.findings += said
        for finding in said:
            if keeps_stills and _phase(finding) == "begin" and len(self._stills) < STILLS_MAX:
                at_s = self._recorded.seconds_in(finding.observed_at_ns)
                self._stills.append(Still(at_s, finding.observation.verdict, _small(frame)))

    def end(self, because: str) -> None:
        """Nothing more comes."""
        self.findings += self._recorded.end(because)

    def page(self, length_s: float, counted: str) -> NDArray[np.uint8]:
        """Draw what it said over time."""
        limits = _limits(self._manifest)
        verdicts = ", ".join(dict.fromkeys(one.observation.verdict.value for one in self.findings))
        reasons = dict.fromkeys(one.observation.reason for one in self.findings if one.observation.reason)
        meaning = self.findings[0].observation.code.meaning if self.findings else ""
        return overlay_timeline.draw(
            self._moments,
            self._spans(length_s),
            title=f"{self.pipeline}: {verdicts}",
            subtitle=f"{meaning}; {counted}, {length_s:.1f} s",
            length_s=length_s,
            limits=limits,
            stills=self._stills,
            lines=list(reasons),
        )

    def _told(self, at_s: float, _frame: Frame, looked: Looked) -> None:
        scores = [one.score for one in looked.observations if one.score is not None]
        self._moments.append(Moment(at_s, max(scores, default=None)))

    def _spans(self, length_s: float) -> list[Span]:
        """Return what each event said, from when to when; one gives way when the next begins."""
        spans: dict[str, Span] = {}
        for finding in self.findings:
            assert isinstance(finding.seen, StreamSeen), "a video is a stream"
            begin_s = self._recorded.seconds_in(finding.seen.began_at_ns)
            is_over = finding.seen.phase == "end"
            end_s = self._recorded.seconds_in(finding.observed_at_ns) if is_over else length_s
            spans[finding.seen.event_id] = Span(begin_s, end_s, finding.observation.verdict)
        ordered = sorted(spans.values(), key=lambda one: one.begin_s)
        nexts = [*(one.begin_s for one in ordered[1:]), math.inf]
        return [
            replace(one, end_s=min(one.end_s, following))
            for one, following in zip(ordered, nexts, strict=True)
        ]


def _limits(manifest: PictureManifest | None) -> tuple[float, ...]:
    """Return the thresholds of a bundle that judges pictures by one class; others have none, or several."""
    judged = manifest.policy.one_class if isinstance(manifest, PictureClassification) else None
    return () if judged is None else (judged.enter_score_min, judged.stay_score_min)


def _phase(finding: Finding) -> str:
    return finding.seen.phase if isinstance(finding.seen, StreamSeen) else ""


def _small(frame: Frame) -> NDArray[np.uint8]:
    """Return a frame as a small picture, (height, width, 3) RGB."""
    assert not isinstance(frame.content, Thermogram), "videos are colour pictures"
    height_px, width_px = frame.content.shape_px
    size = STILL_PX, max(1, round(height_px * STILL_PX / width_px))
    return np.asarray(cv2.resize(frame.content.rgb(), size, interpolation=cv2.INTER_AREA), np.uint8)


def _rate(frames: int, began_s: float) -> str:
    return f"{frames / max(time.monotonic() - began_s, 1e-9):.0f} a second"
