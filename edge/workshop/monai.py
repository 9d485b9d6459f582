"""A MONAI bundle becomes one of ours: what its documents say is written down, the rest is marked EDIT."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from edge.bundles.edits import MARK, places
from edge.bundles.verify import MANIFEST
from edge.domain.errors import BundleRejectedError, StorageFullError
from edge.kit.files import write_durably
from edge.workshop.monai_config import Config
from edge.workshop.monai_files import MonaiFiles
from edge.workshop.monai_metadata import Data, data_of
from edge.workshop.monai_network import Window, input_part, output_part, window_of
from edge.workshop.monai_transforms import Prepared, plain, prepare_steps
from edge.workshop.network import Network, read
from edge.workshop.picture_text import UNSEALED
from edge.workshop.scaffold import CARD, NAME, REFERENCE, Written

METRICS_MAX: Final = 8


def import_monai(files: MonaiFiles, *, name: str | None, into: Path) -> Written:
    """Write a bundle.

    Args:
        files: Of the MONAI bundle.
        name: Of the new one; None: after the old one.
        into: Folder that will hold it.

    Raises:
        BundleRejectedError: It does not segment volumes, its network cannot be used, or the name is taken.
        StorageFullError: It cannot be written.
    """
    name = name or re.sub(r"[^a-z0-9]+", "-", files.name.lower()).strip("-")[:64]
    if not NAME.fullmatch(name):
        raise BundleRejectedError(f"name: seen {name!r}, wanted small letters, digits and hyphens")
    network = read(files.network)
    config, data = Config(files.inference), data_of(files.metadata)
    _refuse_other_tasks(network, data, config, files.network.name)
    window = window_of(config, network, data.shape)
    prepared = prepare_steps(config.transforms("preprocessing", "preprocessing_transforms"), roles=data.roles)
    manifest = _manifest(files, data, network, window, prepared, config, name=name)
    notes = [*prepared.notes, *window.notes, *network.notes]
    text = _text(manifest, notes, source=files.name)
    _write(into / name, network, text, _card(files, notes, name=name))
    return Written(into / name, tuple(places(yaml.safe_load(text))))


def _refuse_other_tasks(network: Network, data: Data, config: Config, file: str) -> None:
    """Refuse classifiers, detectors and networks of photographs: `edge bundle new` knows those."""
    given, answer = network.given.shape or (), network.answers[0].shape
    is_map = answer is None or len(answer) in (len(given), len(given) - 1)
    inferer = config.get("inferer")
    kind = plain(inferer.get("_target_", "")) if isinstance(inferer, dict) else ""
    is_photograph = len(given) == 4 and kind != "SliceInferer" and data.modality.startswith(MARK)
    if not is_map or is_photograph:
        raise BundleRejectedError(
            f"{file}: input {network.given}, output {network.answers[0]}: does not segment volumes; "
            "`edge bundle new` makes bundles of pictures, of classifiers and of detectors"
        )


def _manifest(
    files: MonaiFiles,
    data: Data,
    network: Network,
    window: Window,
    prepared: Prepared,
    config: Config,
    *,
    name: str,
) -> dict[str, Any]:
    said = files.metadata
    output = output_part(config, network, data.labels)
    version = str(said.get("version", ""))
    return {
        "format": "edge.bundle/1",
        "task": "volume-segmentation",
        "name": name,
        "version": version if re.fullmatch(r"\d+\.\d+\.\d+", version) else f"{MARK} three numbers: 1.0.0",
        "licence": files.licence or f"{MARK} SPDX identifier of the weights; see the bundle's licence file",
        "intended_use": _words(said.get("intended_use"))
        or f"{MARK} what it looks for, in what, and what it is not for; {_words(said.get('description'))}",
        "input": input_part(
            network, window, data.roles, {"modality": data.modality, "unit": data.unit}, prepared
        ),
        "preprocessing": prepared.steps,
        "output": output,
        "variants": [{"precision": "fp32", "file": REFERENCE, "sha256": UNSEALED, "devices": ["cpu", "gpu"]}],
        "golden": {
            "file": "golden.npz",
            "sha256": UNSEALED,
            "union_dice_min": 0.98,
            "label_dice_min": 0.95,
        },
        "policy": {
            "looked_for": {
                "system": "SCT",
                "value": f"{MARK} code of what is looked for, quoted; 99EDGE where there is no public one",
                "meaning": f"{MARK} words for a reader; the bundle's task is: {_words(said.get('task'))}",
            },
            "nothing_marked": "NOT_ASSESSED",
            "cutting_faces": ["L", "R", "A", "P", "S", "I"],
            "measurements": [_measurement(one, data.modality) for one in _named(output)],
        },
        "accuracy": _accuracy(said),
        "provenance": {
            "script": CARD,
            "trained_on": [
                {
                    "name": _words(said.get("data_source")) or f"{MARK} what it was trained on",
                    "licence": f"{MARK} SPDX identifier of the data, or unknown",
                }
            ],
        },
    }


def _words(value: object) -> str:
    return " ".join(value.split())[:300] if isinstance(value, str) else ""


def _named(output: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return [one for one in output["labels"] if isinstance(one, dict)]


def _measurement(label: Mapping[str, Any], modality: str) -> dict[str, Any]:
    return {
        "name": label["name"],
        "code": label["code"],
        "labels": [label["name"]],
        "modalities": [modality],
    }


def _accuracy(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what the bundle says was measured; nobody here has seen it."""
    metrics = said.get("eval_metrics")
    data = f"{_words(said.get('data_source')) or 'data of its authors'}, as its authors say"
    told = [
        {"data": data, "metric": str(key), "value": float(value)}
        for key, value in (metrics.items() if isinstance(metrics, dict) else ())
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    return told[:METRICS_MAX] or [{"data": "nothing yet", "metric": "not measured"}]


def _text(manifest: Mapping[str, Any], notes: Sequence[str], *, source: str) -> str:
    head = [
        f"# Made of the MONAI bundle {source} by `edge bundle import`.",
        "# What begins with EDIT: must be filled in, else it is refused; docs/bundle-format.md explains each",
        "# key. Public codes (SCT, DCM) are better than 99EDGE. Then: edge bundle golden, edge bundle check.",
        *(f"#   {note}" for note in notes),
    ]
    body = yaml.safe_dump(
        dict(manifest), sort_keys=False, allow_unicode=True, width=1000, default_flow_style=None
    )
    return "\n".join([*head, body])


def _card(files: MonaiFiles, notes: Sequence[str], *, name: str) -> str:
    said = files.metadata
    authors = _words(said.get("authors")) or "its authors"
    differing = "\n".join(f"- {note}" for note in notes) or "- nothing that is known"
    return f"""# {name}

For research use. Not a medical device; nobody may decide about a patient by what it says.

## What it does
{_words(said.get("description")) or "NOT_ASSESSED: fill in"}

Made of the MONAI bundle `{files.name}` {said.get("version", "")} by {authors}.
{_words(said.get("copyright"))}

## What differs from MONAI
- volumes are resampled linearly, and by the covered area where they shrink more than twofold
{differing}

## Accuracy
What its authors say stands in manifest.yaml. Here: NOT_ASSESSED.

## What it was trained on
{_words(said.get("data_source")) or "NOT_ASSESSED: fill in"}
"""


def _write(folder: Path, network: Network, text: str, card: str) -> None:
    if folder.exists():
        raise BundleRejectedError(f"{folder}: is there already; take it away, or choose another name")
    try:
        folder.mkdir(parents=True)
        write_durably(folder / REFERENCE, network.content())
        write_durably(folder / CARD, card.encode())
        write_durably(folder / MANIFEST, text.encode())
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise StorageFullError(f"{folder}: {error.strerror}") from error
