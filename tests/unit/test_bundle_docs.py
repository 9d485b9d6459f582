"""The page about the bundle format says what the schema says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge.bundles.manifest import N4, Manifest, Orient, Percentile, Resample, Window, ZScore, parse
from edge.preprocess.steps import STEPS

PAGE = (Path(__file__).parents[2] / "docs" / "bundle-format.md").read_text()


SCHEMA: dict[str, Any] = Manifest.model_json_schema()


def lines(schema: dict[str, Any] = SCHEMA, path: str = "") -> Iterator[str]:
    """One line of the table for each key."""
    for key, about in schema["properties"].items():
        yield f"| `{path}{key}` | {about['description']} |"
        below = about.get("$ref") or about.get("items", {}).get("$ref")
        for name in [str(below).rpartition("/")[2]] * bool(below):
            yield from lines(SCHEMA["$defs"][name], f"{path}{key}{'[]' * ('items' in about)}.")


def test_the_example_is_a_manifest() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    manifest = parse(example, origin="docs/bundle-format.md")
    assert manifest.name == "brain-mr"
    assert [step.step for step in manifest.preprocessing] == [
        "window",
        "window",
        "resample",
        "orient",
        "percentile",
    ]


def test_the_table_of_fields_is_that_of_the_schema() -> None:
    (table,) = re.findall(r"\| key \| meaning \|\n\|---\|---\|\n((?:\|.*\n)+)", PAGE)
    assert table.splitlines() == list(lines())


def test_every_step_and_each_of_its_parameters_is_explained() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*)$", PAGE, re.MULTILINE))
    assert set(STEPS) <= set(rows)
    for model in (Window, Resample, Orient, ZScore, Percentile, N4):
        for parameter in set(model.model_fields) - {"step", "when"}:
            assert f"`{parameter}`" in rows[model.__name__.lower()]
