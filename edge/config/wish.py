"""Whether a device can be what the fleet wants: the whole wish over its own YAML, in the fleet's words."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edge.config.document import Problem
from edge.config.load import Report, check
from edge.config.schema import Config
from edge.domain.errors import DocumentRefusedError
from edge.kit.trees import written


def accept(path: Path, overlay: Mapping[str, Any], *, bundles: Collection[str] = ()) -> Config:
    """Return the configuration that a wish makes of a device's YAML.

    Args:
        path: The YAML.
        overlay: The wish (`Wanted.config`).
        bundles: Names of those that come with it; what is there of them today says nothing.

    Raises:
        DocumentRefusedError: The message has everything that is wrong, the path is that of the first.
            `local_lock`: it sets what only the YAML may. `schema`: it makes no configuration. `unsupported`:
            it asks for what this machine does not have, or the YAML itself cannot be used now.
    """
    report = check(path, overlay=overlay)
    if report.left_out:
        places = [written(place) for place in report.left_out]
        what = "may be set by the device's own file only"
        raise DocumentRefusedError("local_lock", f"{', '.join(places)}: {what}", path=places[0])
    alone = check(path, overlay={})
    if alone.config is None:
        said = "; ".join(str(problem) for problem in alone.errors)
        raise DocumentRefusedError("unsupported", f"the device's own file cannot be used now: {said}")
    if report.config is None:
        raise _refusal("schema", report.errors)
    lacking = _lacking(report, alone, bundles)
    if lacking:
        raise _refusal("unsupported", lacking)
    return report.config


def _lacking(report: Report, alone: Report, bundles: Collection[str]) -> Sequence[Problem]:
    """Return what this machine does not have for a wish, and would not be missed by the YAML alone."""
    assert report.config is not None, "only a configuration lacks something"
    known = {(problem.path, problem.what) for problem in (*alone.errors, *alone.warnings)}
    coming = {one.name for one in report.config.pipelines if getattr(one, "bundle", None) in bundles}
    blind = [problem for problem in report.warnings if problem.path[-1:] == ("bundle",)]
    return [
        problem
        for problem in (*report.errors, *blind)
        if (problem.path, problem.what) not in known
        and not (problem.path[0] == "pipelines" and problem.path[1] in coming)
    ]


def _refusal(code: str, problems: Iterable[Problem]) -> DocumentRefusedError:
    listed = list(problems)
    said = "; ".join(str(problem).removeprefix("warning: ") for problem in listed)
    return DocumentRefusedError(code, said, path=listed[0].place)
