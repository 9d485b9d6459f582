"""A new bundle from a bare ONNX file: its network, a manifest with what is known, and an honest card."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from edge.bundles.edits import places
from edge.bundles.verify import MANIFEST
from edge.domain.errors import BundleRejectedError, StorageFullError
from edge.kit.files import write_durably
from edge.workshop.answers import Answers
from edge.workshop.guess import guess
from edge.workshop.guessed import Guess, Said
from edge.workshop.manifest_text import card_text, manifest_text
from edge.workshop.network import Network, read

REFERENCE: Final = "model.fp32.onnx"
CARD: Final = "CARD.md"
NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


@dataclass(frozen=True, slots=True)
class Sketch:
    """What a file seems to be, before anything is written."""

    file: Path
    network: Network
    guess: Guess


@dataclass(frozen=True, slots=True)
class Written:
    """A new bundle.

    Attributes:
        folder: Where it lies.
        open_places: What is still to be filled in: path in the manifest, and what is wanted there.
    """

    folder: Path
    open_places: tuple[tuple[str, str], ...]


def sketch(file: Path, *, task: str | None = None, classes: int = 0) -> Sketch:
    """Read a bare network and guess what it is for.

    Args:
        file: ONNX.
        task: What the person who asks says it does; None leaves it to its shapes.
        classes: How many classes that person has named; 0 where none was.

    Raises:
        BundleRejectedError: It is no network that a bundle can be made of; the message says why.
    """
    network = read(file)
    return Sketch(file, network, guess(network, Said(task, classes)))


def write(sketch: Sketch, answers: Answers, *, name: str, into: Path) -> Written:
    """Write the bundle; a folder that is there is left alone.

    Args:
        sketch: Of the file.
        answers: What a person has said.
        name: Of the bundle: small letters, digits, hyphens.
        into: Folder that will hold it.

    Raises:
        BundleRejectedError: The name is none, or is taken.
        StorageFullError: It cannot be written.
    """
    if not NAME.fullmatch(name):
        raise BundleRejectedError(
            f"name: seen {name!r}, wanted small letters, digits and hyphens, at most 64"
        )
    folder = into / name
    if folder.exists():
        raise BundleRejectedError(f"{folder}: is there already; take it away, or choose another name")
    text = manifest_text(sketch.network, sketch.guess, answers, name=name, file=REFERENCE)
    card = card_text(sketch.network, sketch.guess, name=name, source=sketch.file.name)
    try:
        folder.mkdir(parents=True)
        write_durably(folder / REFERENCE, sketch.network.content())
        write_durably(folder / CARD, card.encode())
        write_durably(folder / MANIFEST, text.encode())
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise StorageFullError(f"{folder}: {error.strerror}") from error
    return Written(folder, tuple(places(yaml.safe_load(text))))
