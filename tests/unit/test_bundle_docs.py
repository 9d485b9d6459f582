"""The page about the bundle format says what the schema says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from edge.bundles import pictures, volume_steps
from edge.bundles import spectra_regression as spectra
from edge.bundles.manifest import TASKS, parse
from edge.bundles.parts import About
from edge.bundles.pictures import PictureBundle

PAGE = (Path(__file__).parents[2] / "docs" / "bundle-format.md").read_text()

PICTURE_STEPS: tuple[type[BaseModel], ...] = (
    pictures.Letterbox,
    pictures.Stretch,
    pictures.Crop,
    pictures.Keep,
    pictures.Scale,
    pictures.Offset,
    pictures.Normalize,
)


def chapter(task: str) -> str:
    """What the page says about one task."""
    return PAGE.partition(f"\n## Task `{task}`\n")[2].partition("\n## ")[0]


PICTURES = PAGE.partition("\n## What every bundle for pictures says\n")[2].partition("\n## ")[0]
STEPS: dict[str, tuple[type[BaseModel], ...]] = {
    chapter("volume-segmentation"): get_args(get_args(volume_steps.Step)[0]),
    PICTURES: PICTURE_STEPS,
    chapter("spectra-regression"): (spectra.Logarithm, spectra.StandardNormal),
}


def lines(tree: dict[str, Any], schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """One line of the table for each key."""
    for key, about in schema["properties"].items():
        yield f"| `{path}{key}` | {about.get('description', '')} |"
        forms = [about, *about.get("anyOf", [])]  # what may be left out is this or null
        below = [form.get("$ref") or form.get("items", {}).get("$ref") for form in forms]
        for name in [str(one).rpartition("/")[2] for one in below if one]:
            yield from lines(tree, tree["$defs"][name], f"{path}{key}{'[]' * ('items' in about)}.")


def table(text: str) -> list[str]:
    (rows,) = re.findall(r"\| key \| meaning \|\n\|---\|---\|\n((?:\|.*\n)+)", text)
    return str(rows).splitlines()


def of(model: type[BaseModel]) -> list[str]:
    schema = model.model_json_schema()
    return list(lines(schema, schema))


def shared() -> list[str]:
    return of(About)


def said_elsewhere(task: str) -> list[str]:
    """What the table of a task leaves out: what all share, and decoders of pictures, which have a chapter."""
    elsewhere = shared()
    if issubclass(TASKS[task], PictureBundle):
        elsewhere += of(PictureBundle)
    if issubclass(TASKS[task], PictureBundle) and task != "picture-classification":
        elsewhere += [line for line in of(TASKS[task]) if line.startswith("| `output.")]
    return elsewhere


@pytest.mark.parametrize("task", TASKS)
def test_the_example_of_each_task_is_a_manifest(task: str) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", chapter(task), re.DOTALL)
    assert parse(example, origin="docs/bundle-format.md").task == task


def test_the_table_of_what_every_bundle_says_is_that_of_the_schema() -> None:
    assert table(PAGE.partition("\n## What every bundle says\n")[2].partition("\n## ")[0]) == shared()


@pytest.mark.parametrize("task", TASKS)
def test_the_table_of_each_task_is_that_of_the_schema(task: str) -> None:
    elsewhere = said_elsewhere(task)
    assert table(chapter(task)) == [line for line in of(TASKS[task]) if line not in elsewhere]


def test_the_table_of_what_every_bundle_for_pictures_says_is_that_of_the_schema() -> None:
    assert table(PICTURES) == [line for line in of(PictureBundle) if line not in shared()]


@pytest.mark.parametrize("text", STEPS, ids=["volumes", "pictures", "spectra"])
def test_every_step_and_each_of_its_parameters_is_explained(text: str) -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*)$", text, re.MULTILINE))
    for step in STEPS[text]:
        (name,) = step.model_json_schema()["properties"]["step"]["const"].split()
        for parameter in set(step.model_fields) - {"step", "when"}:
            assert f"`{parameter}`" in rows[name]
