"""`edge analyze --json` in a process of its own, its findings held against the published schema."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fulfils import assert_fulfils_schema
from tests.peers.command import edge


@dataclass(frozen=True, slots=True)
class Analyzed:
    """What it did.

    Attributes:
        code: How it ended.
        findings: In their order.
        said: What it said to people.
    """

    code: int
    findings: list[dict[str, Any]]
    said: str

    @property
    def unreadable(self) -> list[str]:
        """What it called unreadable, without that word."""
        lines = [line for line in self.said.splitlines() if line.startswith("unreadable: ")]
        return [line.removeprefix("unreadable: ") for line in lines]

    @property
    def pipelines(self) -> set[str]:
        """Whoever spoke."""
        return {finding["pipeline"] for finding in self.findings}

    def told(self, pipeline: str) -> list[tuple[str, str]]:
        """Phases and verdicts of the events of a pipeline."""
        return [
            (one["stream"]["phase"], one["verdict"]) for one in self.findings if one["pipeline"] == pipeline
        ]


def analyzed(*words: object, bundles: Path) -> Analyzed:
    """Run it."""
    done = edge("analyze", *words, "--bundles", bundles, "--json", home=bundles.parent)
    assert "Traceback" not in done.stderr, done.stderr
    findings: list[dict[str, Any]] = json.loads(done.stdout)
    for finding in findings:
        assert_fulfils_schema(finding)
    return Analyzed(done.returncode, findings, done.stderr)
