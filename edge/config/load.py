"""A YAML file to the tree, or everything that is wrong with it at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from edge.config.checks import across, on_this_machine
from edge.config.document import Document, Problem, Value, parse
from edge.config.document import Path as Steps
from edge.config.named import named, with_kinds
from edge.config.overlay import local_of, locked, overlaid
from edge.config.partial import check_partial
from edge.config.problems import in_words
from edge.config.schema import Config
from edge.domain.errors import ConfigurationError
from edge.kit.trees import without


def load(path: Path, *, overlay: Mapping[str, Any] | None = None) -> Config:
    """Return what a file says.

    Args:
        path: YAML.
        overlay: What the fleet wants over it (`Wanted.config`); what only the file may set is left out of it.

    Raises:
        ConfigurationError: It cannot be used; the message lists everything that is wrong.
    """
    report = check(path, overlay=overlay)
    if report.config is None:
        listed = "\n".join(f"  {problem}" for problem in report.errors)
        raise ConfigurationError(f"{path} cannot be used:\n{listed}")
    return report.config


@dataclass(frozen=True, slots=True)
class Report:
    """What there is to say about a configuration file.

    Attributes:
        config: The tree; None where the file itself is at fault. What this machine lacks keeps no daemon from
            starting: it opens its doors, and says NOT_ASSESSED where it has no model.
        errors: What is wrong, in the order of the file.
        warnings: What it asks for and this machine does not have.
        left_out: Paths of what the fleet wants that only the file may set; there the file counts.
    """

    config: Config | None
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    left_out: tuple[Steps, ...] = ()


def check(path: Path, *, overlay: Mapping[str, Any] | None = None) -> Report:
    """Read a file and say everything that is wrong with it, or with what the fleet wants over it."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as trouble:
        return Report(None, (Problem((), f"{path}: {trouble.strerror}"),), ())
    except UnicodeDecodeError as trouble:
        what = f"not text: byte {trouble.start} is not UTF-8"
        return Report(None, (Problem((), what),), ())
    return check_text(text, folder=path.resolve().parent, overlay=overlay)


def check_text(text: str, *, folder: Path, overlay: Mapping[str, Any] | None = None) -> Report:
    """Say everything that is wrong with a configuration.

    Args:
        text: YAML.
        folder: Where relative paths start.
        overlay: What the fleet wants over it; sources and pipelines then are called by their names.
    """
    document = parse(text)
    problems = list(document.problems)
    if not isinstance(document.value, dict):
        if not problems:
            problems.append(
                Problem((), f"holds {_kind(document.value)}; wanted a mapping with site, device, sources …")
            )
        return Report(None, tuple(problems), ())
    if overlay is None:
        return _checked(document, problems, folder)
    left_out = locked(overlay, [*local_of(document.value).values()], base=document.value)
    wish = without(overlay, left_out)
    refused = check_partial(wish)
    if refused:
        return Report(None, tuple(refused), (), tuple(left_out))
    joined = overlaid(document, wish)
    report = _checked(joined, problems, folder)
    errors, warnings = (
        tuple(replace(one, path=named(one.path, joined.value)) for one in found)
        for found in (report.errors, report.warnings)
    )
    return Report(report.config, errors, warnings, tuple(left_out))


def _checked(document: Document, problems: list[Problem], folder: Path) -> Report:
    assert isinstance(document.value, dict), "only a mapping is checked"
    config: Config | None = None
    problems += across(document)
    try:
        config = Config.model_validate_json(
            json.dumps(with_kinds(document.value)), context={"folder": folder}
        )
    except ValidationError as errors:
        problems += in_words(errors, root=Config, document=document)
    if problems:
        config = None
    if config is not None:
        problems += on_this_machine(config, document)
    problems.sort(key=lambda problem: problem.line)
    wrong = tuple(problem for problem in problems if not problem.is_warning)
    return Report(config, wrong, tuple(problem for problem in problems if problem.is_warning))


def _kind(value: Value) -> str:
    if value is None:
        return "nothing"
    return "a list" if isinstance(value, list) else "a single value"
