"""The report of a validation as one HTML page without scripts or pictures, and as JSON."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.cli.validation import Judged, Point, Rate, Report

FORMAT = "edge.validation/1"
BINS = 25
CHART_W, CHART_H = 560, 190

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1b2126;max-width:860px;margin:2.5em auto;padding:0 1.5em}
h1{font-size:1.5em;margin-bottom:.2em} h2{font-size:1.1em;margin-top:2em}
table{border-collapse:collapse;width:100%}
td,th{padding:.3em .7em;text-align:right;border-bottom:1px solid #dde3e8}
td:first-child,th:first-child{text-align:left} th{font-weight:600;color:#56616b}
tr.used{background:#eef4fb} .faint{color:#56616b}
code,pre{background:#f3f5f7;padding:.1em .3em;border-radius:3px}
pre{padding:1em;overflow:auto} .verdict{padding:.8em 1.1em;border-left:6px solid;border-radius:3px}
.yes{border-color:#0a7d55;background:#e9f6f0} .no{border-color:#b3261e;background:#fbeceb}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What was validated, when, and on what.

    Attributes:
        bundle: Name.
        version: Of the bundle.
        bundle_sha256: Its digest.
        form: Precision, runtime and provider that answered.
        made_on: Day, ISO 8601.
        files: How many were read.
        per_second: Frames taken in each second of a video.
        enter: Score that opens the gate.
        stay: Score that keeps it open.
    """

    bundle: str
    version: str
    bundle_sha256: str
    form: str
    made_on: str
    files: int
    per_second: float
    enter: float
    stay: float


def verdict(report: Report) -> str:
    """One sentence for a person."""
    if report.objections:
        return "This site must not declare a local validation on the strength of these frames."
    return (
        f"On these frames at most {report.staying.outside.upper:.2%} of pictures from outside are called "
        f"inside (95 % bound), within the {report.rate_max:.2%} that was asked for. The site may declare it."
    )


def to_dict(subject: Subject, report: Report) -> dict[str, Any]:
    """The report for machines."""
    return {
        "format": FORMAT,
        "bundle": {"name": subject.bundle, "version": subject.version, "sha256": subject.bundle_sha256},
        "answered_by": subject.form,
        "made_on": subject.made_on,
        "files": subject.files,
        "frames_per_second": subject.per_second,
        "verdict": {"may_be_declared": not report.objections, "objections": list(report.objections)},
        "entering": _point(report.entering),
        "staying": _point(report.staying),
        "outside_files_with_a_miss": _rate(report.outside_files),
        "area_under_roc": report.auc,
        "asked_rate_max": report.rate_max,
        "outside_frames_needed": report.frames_needed,
        "table": [_point(point) for point in report.table],
        "worst_outside": [{"frame": f.name, "score": f.score} for f in report.worst_outside],
        "worst_inside": [{"frame": f.name, "score": f.score} for f in report.worst_inside],
    }


def to_html(subject: Subject, report: Report, frames: Sequence[Judged]) -> str:
    """The report for people; it holds names of files, and no pixel."""
    title = f"Local validation of {subject.bundle} {subject.version}"
    stay, enter = report.staying, report.entering
    parts = [
        f"<h1>{_text(title)}</h1>",
        f"<p class=faint>{subject.made_on} · bundle <code>{subject.bundle_sha256[:16]}…</code> · "
        f"{_text(subject.form)} · {subject.files} files, {len(frames)} frames "
        f"({subject.per_second:g} per second of video)</p>",
        f"<div class='verdict {'no' if report.objections else 'yes'}'><b>{_text(verdict(report))}</b>",
        _bullets(report.objections) + "</div>",
        "<h2>What was counted</h2>",
        _table(
            ("", "called outside", "called inside", "share called inside"),
            [
                (f"from {side}, score {point.score_min:g} ({what})", *_counts(rate))
                for point, what in ((enter, "opens the gate"), (stay, "keeps it open"))
                for side, rate in (("outside", point.outside), ("inside", point.inside))
            ],
        ),
        f"<p>Of frames from outside, {stay.outside.count} of {stay.outside.total} reach the score that keeps "
        f"the gate open; with 95 % confidence it is at most <b>{stay.outside.upper:.2%}</b> of such frames "
        f"(Wilson). By recording: {report.outside_files.count} of {report.outside_files.total} files from "
        f"outside hold such a frame, at most {report.outside_files.upper:.1%}. Frames of one recording "
        f"are alike, so the truth lies between the two.</p>",
        f"<p>To claim at most {report.rate_max:.2%} with {stay.outside.count} misses, "
        f"<b>{report.frames_needed}</b> frames from outside are needed; "
        f"{stay.outside.total} were given.</p>",
        "<h2>Scores</h2>",
        _histogram(frames, enter=subject.enter, stay=subject.stay),
        f"<p>A frame from inside scores higher than one from outside in {report.auc:.2%} of pairs.</p>",
        "<h2>Other thresholds</h2>",
        _table(
            ("score at least", "outside called inside", "95 % bound", "inside called inside"),
            [
                (f"{p.score_min:g}", _of(p.outside), f"{p.outside.upper:.2%}", _of(p.inside))
                for p in report.table
            ],
            used={f"{subject.enter:g}", f"{subject.stay:g}"},
        ),
        "<h2>Frames from outside that look most like inside</h2>",
        _worst(report.worst_outside),
        "<h2>Frames from inside that look most like outside</h2>",
        _worst(report.worst_inside),
        "<p class=faint>Research use, not a medical device. Frames next to one another in a video are not "
        "independent. This page stays with the site: names of files may tell who was filmed.</p>",
    ]
    head = "<!doctype html><html lang=en><meta charset=utf-8>"
    head += f"<title>{_text(title)}</title><style>{STYLE}</style>"
    return head + "\n".join(parts) + "</html>\n"


def _histogram(frames: Sequence[Judged], *, enter: float, stay: float) -> str:
    """Both sides' scores, each side's highest bar at full height."""
    edges = np.linspace(0, 1, BINS + 1)
    wide, half = CHART_W / BINS, CHART_H / 2
    bars = []
    for label, colour, up in (("inside", "#0a7d55", True), ("outside", "#b3261e", False)):
        counts, _ = np.histogram([f.score for f in frames if f.label == label], edges)
        tall = np.sqrt(counts / max(counts.max(), 1)) * (half - 12)
        bars += [
            f"<rect x='{n * wide + 1:.1f}' y='{half - t if up else half:.1f}' width='{wide - 2:.1f}' "
            f"height='{t:.1f}' fill='{colour}'><title>{label}: {count}</title></rect>"
            for n, (t, count) in enumerate(zip(tall, counts, strict=True))
        ]
        where = "x='4' y='14'" if up else f"x='{CHART_W - 4}' y='{CHART_H - 6}' text-anchor='end'"
        bars.append(f"<text {where} fill='{colour}'>from {label}</text>")
    for score, word in ((enter, "opens"), (stay, "stays")):
        at = score * CHART_W
        bars.append(
            f"<line x1='{at}' x2='{at}' y1='0' y2='{CHART_H}' stroke='#1b2126' stroke-dasharray='4 3'/>"
        )
        bars.append(f"<text x='{at - 4}' y='{12 if word == 'opens' else 26}' text-anchor='end'>{word}</text>")
    axis = f"<line x1='0' x2='{CHART_W}' y1='{half}' y2='{half}' stroke='#9aa5ae'/>"
    names = "".join(
        f"<text x='{x * CHART_W}' y='{CHART_H + 16}' text-anchor='{a}'>{x:g}</text>"
        for x, a in ((0, "start"), (0.5, "middle"), (1, "end"))
    )
    return (
        f"<svg viewBox='0 0 {CHART_W} {CHART_H + 22}' width='100%' role=img font-size='12' "
        f"font-family='system-ui,sans-serif'>{axis}{''.join(bars)}{names}</svg>"
        "<p class=faint>Score of each frame; heights are roots of counts: single frames show.</p>"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], *, used: Iterable[str] = ()) -> str:
    marked = set(used)
    lines = [_row("td", row, " class=used" if row[0] in marked else "") for row in rows]
    return f"<table>{_row('th', head)}{''.join(lines)}</table>"


def _row(kind: str, cells: Sequence[str], attributes: str = "") -> str:
    return f"<tr{attributes}>{''.join(f'<{kind}>{_text(cell)}</{kind}>' for cell in cells)}</tr>"


def _worst(frames: Sequence[Judged]) -> str:
    return _table(("frame", "score"), [(frame.name, f"{frame.score:.3f}") for frame in frames])


def _bullets(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{_text(line)}</li>' for line in lines)}</ul>" if lines else ""


def _counts(rate: Rate) -> tuple[str, str, str]:
    return str(rate.total - rate.count), str(rate.count), f"{rate.share:.2%}"


def _of(rate: Rate) -> str:
    return f"{rate.count} of {rate.total} ({rate.share:.2%})"


def _point(point: Point) -> dict[str, Any]:
    return {
        "score_min": point.score_min,
        "outside_called_inside": _rate(point.outside),
        "inside_called_inside": _rate(point.inside),
    }


def _rate(rate: Rate) -> dict[str, Any]:
    return {"count": rate.count, "of": rate.total, "share": rate.share, "upper_95": rate.upper}


def _text(words: str) -> str:
    return html.escape(words)
