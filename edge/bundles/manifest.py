"""What a bundle says about itself: `manifest.yaml`, for each task one strict tree with units and ranges."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from edge.bundles.edits import places
from edge.bundles.picture_classification import PictureClassification
from edge.bundles.spectra_regression import SpectraRegression
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.domain.errors import BundleRejectedError

Manifest = VolumeSegmentation | PictureClassification | SpectraRegression

TASKS: Final[Mapping[str, type[Manifest]]] = {
    "volume-segmentation": VolumeSegmentation,
    "picture-classification": PictureClassification,
    "spectra-regression": SpectraRegression,
}
UNNAMED: Final = "volume-segmentation"  # the task of a manifest that names none


def parse(text: str, *, origin: str) -> Manifest:
    """Read a manifest.

    Args:
        text: YAML.
        origin: Names it in errors.

    Returns:
        The manifest of its task; it says nothing yet about the files it names.

    Raises:
        BundleRejectedError: Everything that is wrong, each with its path.
    """
    try:
        document: Any = yaml.safe_load(text)
        _refuse_unfinished(document, origin)
        return _kind_of(document, origin).model_validate_json(json.dumps(document))
    except yaml.YAMLError as error:
        raise BundleRejectedError(f"{origin}: not YAML: {error}") from error
    except (TypeError, ValueError) as error:
        if not isinstance(error, ValidationError):
            raise BundleRejectedError(f"{origin}: holds what JSON cannot: {error}") from error
        problems = (_problem(wrong) for wrong in error.errors())
        raise BundleRejectedError(f"{origin}: {'; '.join(problems)}") from error


def _refuse_unfinished(document: object, origin: str) -> None:
    unfinished = "; ".join(f"{path}: {wanted}" for path, wanted in places(document))
    if unfinished:
        raise BundleRejectedError(f"{origin}: still to be filled in, each marked EDIT: {unfinished}")


def _kind_of(document: object, origin: str) -> type[Manifest]:
    task = document.get("task", UNNAMED) if isinstance(document, dict) else UNNAMED
    if not isinstance(task, str) or task not in TASKS:
        raise BundleRejectedError(f"{origin}: task: seen {task!r}, wanted one of {', '.join(TASKS)}")
    return TASKS[task]


def _problem(wrong: ErrorDetails) -> str:
    path = ".".join(map(str, wrong["loc"])) or "manifest"
    seen = "" if isinstance(wrong["input"], dict | list) else f", seen {str(wrong['input'])[:60]}"
    return f"{path}: {wrong['msg'].removeprefix('Value error, ')}{seen}"
