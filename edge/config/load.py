"""A YAML file to the tree, or everything that is wrong with it at once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from edge.config.checks import across, on_this_machine
from edge.config.document import Problem, Value, parse
from edge.config.problems import in_words
from edge.config.schema import Config
from edge.domain.errors import ConfigurationError


def load(path: Path) -> Config:
    """Return what a file says.

    Raises:
        ConfigurationError: It cannot be used; the message lists everything that is wrong.
    """
    report = check(path)
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
    """

    config: Config | None
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def check(path: Path) -> Report:
    """Read a file and say everything that is wrong with it."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as trouble:
        return Report(None, (Problem((), f"{path}: {trouble.strerror}"),), ())
    except UnicodeDecodeError as trouble:
        what = f"not text: byte {trouble.start} is not UTF-8"
        return Report(None, (Problem((), what),), ())
    return check_text(text, folder=path.resolve().parent)


def check_text(text: str, *, folder: Path) -> Report:
    """Say everything that is wrong with a configuration.

    Args:
        text: YAML.
        folder: Where relative paths start.
    """
    document = parse(text)
    problems = list(document.problems)
    config: Config | None = None
    if not isinstance(document.value, dict):
        if not problems:
            problems.append(
                Problem((), f"holds {_kind(document.value)}; wanted a mapping with site, device, sources …")
            )
        return Report(None, tuple(problems), ())
    problems += across(document)
    try:
        config = Config.model_validate_json(
            json.dumps(_with_kinds(document.value)), context={"folder": folder}
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


def _with_kinds(tree: dict[str, Value]) -> dict[str, Value]:
    """Write into each pipeline that names no kind the one that is meant: imaging."""
    pipelines = tree.get("pipelines")
    if not isinstance(pipelines, list):
        return tree
    kinds: list[Value] = [
        {"kind": "imaging", **pipeline} if isinstance(pipeline, dict) else pipeline for pipeline in pipelines
    ]
    return {**tree, "pipelines": kinds}


def _kind(value: Value) -> str:
    if value is None:
        return "nothing"
    return "a list" if isinstance(value, list) else "a single value"
