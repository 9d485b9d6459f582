"""What a wish of the fleet would make of this device, and why it must not; nothing is done yet."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.config.classes import changes
from edge.config.document import Problem, parse
from edge.config.load import Report, check, check_text
from edge.config.overlay import local_of, locked
from edge.config.pipelines import PipelineWithBundle
from edge.config.schema import Config
from edge.config.sources import LiveSourceOption
from edge.daemon.live_sources import live_source_of
from edge.daemon.readings import readings_of
from edge.domain.errors import DocumentRefusedError, EdgeError
from edge.domain.ports import Clock
from edge.fleet.ports import Change, Wanted
from edge.inference.engine import Engine
from edge.kit.trees import written
from edge.pipelines.watching import nobody_watches
from edge.sources.live_books import LiveBooks


@dataclass(frozen=True, slots=True)
class Site:
    """The device's own file, as it was when this process began.

    Attributes:
        path: Where it lies.
        text: What it said.
    """

    path: Path
    text: str

    def report(self, overlay: Mapping[str, Any]) -> Report:
        """Return what there is to say about it with a wish over it."""
        return check_text(self.text, folder=self.path.resolve().parent, overlay=overlay)

    def report_alone(self) -> Report:
        """Return what there is to say about it by itself."""
        return check_text(self.text, folder=self.path.resolve().parent)

    def report_of_today(self, overlay: Mapping[str, Any]) -> Report:
        """Return the same for the file as it lies there now, which the next start will read."""
        return check(self.path, overlay=overlay)


class Planning:
    """Says what a wish changes.

    Args:
        site: The device's own file.
        clock: Time.
    """

    def __init__(self, site: Site, *, clock: Clock) -> None:
        self._site = site
        self._clock = clock

    def after(self, wanted: Wanted) -> Config:
        """Return the configuration that a wish asks for.

        Raises:
            DocumentRefusedError: local_lock, schema or unsupported, with the path.
        """
        self._check_locks(wanted)
        report = self._site.report(wanted.config)
        config = _usable(report, self._known(), wanted.bundles)
        self._check_none_is_left_alone(report)
        return config

    def check_next_start(self, wanted: Wanted) -> None:
        """Refuse what the next start could not read: somebody may have changed the file since this one.

        Raises:
            DocumentRefusedError: schema or unsupported, with the path.
        """
        _usable(self._site.report_of_today(wanted.config), self._known(), wanted.bundles)

    def check_parts(self, after: Config, before: Config, engine: Engine) -> None:
        """Refuse what cannot be built here: a library that is missing, a password that cannot be read.

        Raises:
            DocumentRefusedError: unsupported.
        """
        try:
            readings_of(after, engine, nobody_watches)
            for source in after.sources:
                if isinstance(source, LiveSourceOption) and source not in before.sources:
                    live_source_of(source, self._clock, LiveBooks(source.name, clock=self._clock))
        except DocumentRefusedError:
            raise
        except EdgeError as trouble:
            raise DocumentRefusedError("unsupported", str(trouble)) from trouble

    def seen(self) -> tuple[int, int]:
        """Return what tells whether somebody has written the file since it was looked at last."""
        try:
            stat = self._site.path.stat()
        except OSError:
            return (0, 0)
        return stat.st_mtime_ns, stat.st_size

    def drift(self, at_work: Config, wanted: Wanted | None) -> Sequence[str]:
        """Return in which paths the file and the wish, as they are today, ask for what is not at work.

        What the wish asks for and only the file may set, by now, is among them: the fleet does not get it.
        """
        report = self._site.report_of_today(wanted.config if wanted is not None else {})
        if report.config is None:
            return [problem.place or str(self._site.path) for problem in report.errors[:1]]
        left_out = [written(path) for path in report.left_out]
        return [*left_out, *(change.path for change in changes(at_work, report.config))]

    def _check_locks(self, wanted: Wanted) -> None:
        tree = parse(self._site.text).value
        assert isinstance(tree, dict), "the file was read at the start"
        paths = locked(wanted.config, list(local_of(tree).values()), base=tree)
        if paths:
            where = written(paths[0])
            scope = wanted.origins.get(where, "")
            by = f" ({scope})" if scope else ""
            text = f"{where}: only the device's own file may set it{by}"
            raise DocumentRefusedError("local_lock", text, path=where)

    def _check_none_is_left_alone(self, report: Report) -> None:
        """Refuse a source that nobody would look at, and a gate that nobody would guard: silent for ever.

        Raises:
            DocumentRefusedError: unsupported.
        """
        silent = {_sentence(problem): problem for problem in report.warnings if _is_of_a_source(problem)}
        before = {_sentence(problem) for problem in self._site.report({}).warnings}
        for sentence, problem in silent.items():
            if sentence not in before:
                raise _refused("unsupported", problem)

    def _known(self) -> Collection[str]:
        """Return what is wrong with the file by itself: no wish is to blame for that."""
        return {_sentence(problem) for problem in self._site.report({}).errors}


def bundle_changes(now: Wanted | None, wanted: Wanted, in_use: Collection[str]) -> list[Change]:
    """Return which bundles become others.

    Args:
        now: The wish at work.
        wanted: The new one.
        in_use: Of its bundles, those whose package is in use already.
    """
    coming = [name for name in wanted.bundles if name not in in_use]
    leaving = [name for name in (now.bundles if now is not None else ()) if name not in wanted.bundles]
    return [Change(f"bundles.{name}", "pipeline") for name in (*coming, *leaving)]


def _usable(report: Report, known: Collection[str], coming: Collection[str]) -> Config:
    config = report.config
    if config is None:
        raise _refused("schema", report.errors[0])
    bundles = {one.name: one.bundle for one in config.pipelines if isinstance(one, PipelineWithBundle)}
    for problem in report.errors:
        pipeline = problem.path[1] if len(problem.path) > 1 and problem.path[0] == "pipelines" else None
        if _sentence(problem) in known or bundles.get(str(pipeline)) in coming:
            continue  # of a bundle that comes it is seen when it is there
        raise _refused("unsupported", problem)
    return config


def _refused(code: str, problem: Problem) -> DocumentRefusedError:
    return DocumentRefusedError(code, _sentence(problem), path=problem.place)


def _is_of_a_source(problem: Problem) -> bool:
    """Return whether a warning is of a source as a whole: nothing would ever be said about what it sees."""
    return len(problem.path) == len(("sources", "NAME")) and problem.path[0] == "sources"


def _sentence(problem: Problem) -> str:
    return f"{problem.place}: {problem.what}" if problem.path else problem.what
