"""`edge check` and `edge schema`: what may be configured, and what is wrong with what was."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from edge.config.load import check
from edge.config.schema import Config
from edge.domain.errors import ConfigurationError


def run(path: Path) -> int:
    """Print every problem of a configuration file, or a summary of what it sets up.

    Returns:
        0 when it can be used, 2 when not.
    """
    report = check(path)
    for problem in (*report.errors, *report.warnings):
        typer.echo(str(problem))
    if report.config is None or report.errors:
        typer.echo(f"{path}: cannot be used, {_count(len(report.errors), 'error')}")
        return 2
    warned = f"; {_count(len(report.warnings), 'warning')}" if report.warnings else ""
    typer.echo(f"{path}: good: {_summary(report.config)}{warned}")
    return 0


def print_schema(which: str) -> int:
    """Print the JSON Schema of `bundle`, `config`, `finding`, `desired`, `group`, `cmd` or `reported`."""
    if which == "config":
        document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}
    elif which == "finding":
        from edge.findings.json_schema import schema

        document = schema()
    elif which == "bundle":
        from edge.bundles.json_schema import schema as bundle_schema

        document = bundle_schema()
    else:
        from edge.fleet.json_schema import FORMS
        from edge.fleet.json_schema import schema as fleet_schema

        if which not in FORMS:
            known = ", ".join(("bundle", "config", "finding", *FORMS))
            raise ConfigurationError(f"schema of {which}; wanted one of {known}")
        document = fleet_schema(which)
    typer.echo(json.dumps(document, indent=2))
    return 0


def _summary(config: Config) -> str:
    doors = ", ".join(f"{source.name} ({source.kind})" for source in config.sources)
    pipelines = ", ".join(pipeline.name for pipeline in config.pipelines)
    broker = f"{'mqtts' if config.mqtt.tls else 'mqtt'}://{config.mqtt.host}:{config.mqtt.port}"
    return f"{config.site.id}/{config.device.id}; from {doors}; to {pipelines}; findings to {broker}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
