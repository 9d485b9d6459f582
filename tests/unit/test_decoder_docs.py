"""The page says of the decoders of pictures what the schema says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from edge.bundles import detection_outputs, detection_priors, mask_outputs, picture_outputs
from edge.bundles.picture_outputs import OutputPart

PAGE = (Path(__file__).parents[2] / "docs" / "bundle-format.md").read_text()
CHAPTER = PAGE.partition("\n## Decoders of pictures\n")[2].partition("\n## ")[0]

# Each table of the page: whose keys, and whose it does not repeat.
GROUPS: dict[str, tuple[type[BaseModel], type[BaseModel] | None]] = {
    "things": (detection_outputs.Overlapping, None),
    "yolox": (picture_outputs.YoloxOutput, detection_outputs.Overlapping),
    "yolov8": (picture_outputs.YoloV8Output, detection_outputs.Overlapping),
    "yolov5": (picture_outputs.YoloV5Output, detection_outputs.Overlapping),
    "anchors": (picture_outputs.AnchorsOutput, detection_outputs.Overlapping),
    "level": (detection_priors.PriorLevel, None),
    "centres": (picture_outputs.CentresOutput, detection_outputs.Overlapping),
    "candidates": (picture_outputs.CandidatesOutput, detection_outputs.Overlapping),
    "boxes": (picture_outputs.BoxesOutput, detection_outputs.FindsThings),
    "pixels": (mask_outputs.LabelsPixels, None),
    "labels": (picture_outputs.LabelMapOutput, mask_outputs.LabelsPixels),
    "logits": (picture_outputs.LogitsOutput, mask_outputs.LabelsPixels),
    "sigmoid": (picture_outputs.SigmoidOutput, mask_outputs.LabelsPixels),
    "instances": (picture_outputs.InstancesOutput, None),
    "components": (mask_outputs.Components, None),
    "boundary": (mask_outputs.Boundary, None),
    "distance": (mask_outputs.Distance, None),
    "offset": (mask_outputs.CentreOffset, None),
    "rectangles": (mask_outputs.Rectangles, None),
    "map": (mask_outputs.Map, None),
    "points": (picture_outputs.PlacesPoints, None),
    "heatmaps": (picture_outputs.HeatmapsOutput, picture_outputs.PlacesPoints),
    "coordinates": (picture_outputs.CoordinatesOutput, picture_outputs.PlacesPoints),
    "simcc": (picture_outputs.SimccOutput, picture_outputs.PlacesPoints),
    "linear": (picture_outputs.LinearOutput, None),
    "quantity": (picture_outputs.LinearQuantity, None),
    "vector": (picture_outputs.VectorOutput, None),
}


def rows(group: str) -> list[str]:
    """The lines of one table: what tells decoders or rules apart is told in the text."""
    model, known = GROUPS[group]
    left_out = {"decoder", "by", *(known.model_fields if known else ())}
    return [
        f"| `{key}` | {field.description}{else_(field)} |"
        for key, field in model.model_fields.items()
        if key not in left_out
    ]


def else_(field: FieldInfo) -> str:
    """What counts where the key is left out, as YAML; nothing where it must be given, or nothing counts."""
    default = field.default
    is_word = isinstance(default, str)
    is_plain = isinstance(default, bool | int | float) or (isinstance(default, tuple) and bool(default))
    said = default if is_word else json.dumps(default) if is_plain else ""
    return f" Else `{said}`." * bool(said)


def examples() -> Iterator[dict[str, Any]]:
    for block in re.findall(r"```yaml\n(.*?)```", CHAPTER, re.DOTALL):
        yield yaml.safe_load(block)["output"]


@pytest.mark.parametrize("group", GROUPS)
def test_the_table_of_each_decoder_is_that_of_the_schema(group: str) -> None:
    assert "| key | meaning |\n|---|---|\n" + "\n".join(rows(group)) + "\n\n" in CHAPTER + "\n"


def test_there_is_an_example_of_every_decoder_and_each_can_be_used() -> None:
    of: TypeAdapter[OutputPart] = TypeAdapter(OutputPart)
    read = [of.validate_json(json.dumps(example)) for example in examples()]
    wanted = {model for model in get_args(OutputPart) if isinstance(model, type)}
    assert {type(one) for one in read} == wanted


def test_every_decoder_is_in_a_table_of_typical_networks() -> None:
    listed = set(re.findall(r"^\| `([a-z0-9]+)` \| .* \| .* \|$", CHAPTER, re.MULTILINE))
    assert {example["decoder"] for example in examples()} == listed
