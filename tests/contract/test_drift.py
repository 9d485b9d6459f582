"""Drift from end to end of the room: a reference is written by the product, and real models are watched."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.bundles.spectra_regression import SpectraInput
from edge.bundles.store import load
from edge.domain.errors import BundleRejectedError
from edge.domain.image import Volume
from edge.inference.drift import OTHERS, SOURCES_MAX, Drift, slug_of
from edge.inference.drift_reference import reference_of
from edge.kit.clock import SystemClock
from edge.workshop.drift_reference import Wishes, make_reference
from tests.builders.bundles import write_bundle
from tests.builders.picture_bundles import write_picture_bundle
from tests.builders.picture_tasks import write_task_bundle
from tests.builders.spectra_bundles import write_spectra_bundle
from tests.builders.volumes import volume
from tests.contract.test_models import engine_of
from tests.fakes.alerts import FakeAlerts
from tests.fakes.clock import FakeClock
from tests.fakes.picture import FakePicture

Rgb = NDArray[np.uint8]
WINDOW = 40
SAMPLES = 60


def scene(rng: np.random.Generator, *, side_px: int = 96) -> NDArray[np.float32]:
    """A picture of something: a gradient, blobs, texture and the noise of a sensor, 0 to 255."""
    y, x = np.mgrid[:side_px, :side_px] / side_px
    picture = np.full((side_px, side_px, 3), rng.uniform(70, 110, 3))
    picture += (rng.uniform(-30, 30) * x + rng.uniform(-30, 30) * y)[..., None]
    for _ in range(6):
        near = np.hypot(y - rng.uniform(), x - rng.uniform()) < rng.uniform(0.05, 0.2)
        picture[near] += rng.uniform(-40, 60, 3)
    picture += cv2.GaussianBlur(rng.normal(0, 12, picture.shape), (0, 0), 1.0)
    return np.asarray(picture + rng.normal(0, 3, picture.shape), np.float32)


def shown(picture: NDArray[Any]) -> FakePicture:
    return FakePicture(picture.clip(0, 255).astype(np.uint8))


def same(picture: NDArray[np.float32]) -> NDArray[Any]:
    return picture


CHANGES: dict[str, Callable[[NDArray[np.float32]], NDArray[Any]]] = {
    "gain": lambda picture: picture * 1.3,
    "gamma": lambda picture: 255 * (picture.clip(0, 255) / 255) ** 0.7,
    "blur": lambda picture: cv2.GaussianBlur(picture, (0, 0), 1.5),
    "noise": lambda picture: picture + np.random.default_rng(0).normal(0, 8, picture.shape),
    "white balance": lambda picture: picture * [1.15, 1.0, 0.85],
}


@pytest.fixture(scope="module")
def pictured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bundle `brightness`, which knows what it was made for."""
    root = tmp_path_factory.mktemp("pictured")
    folder = write_picture_bundle(root, dtype="float32", height_px=96, width_px=96)
    rng = np.random.default_rng(0)
    samples = (shown(scene(rng)) for _ in range(SAMPLES))
    make_reference(folder, samples, wishes=Wishes(window=WINDOW, every_s=0), clock=SystemClock())
    return root


class Watched:
    """A model of pictures that is watched."""

    def __init__(self, root: Path, state: Path) -> None:
        self.root = root
        self.state = state
        self.alerts = FakeAlerts()
        self.clock = FakeClock()
        self.drift = Drift(state, alerts=self.alerts, clock=self.clock)

    def look(
        self, change: Callable[[NDArray[np.float32]], NDArray[Any]], *, count: int = WINDOW, seed: int = 1
    ) -> tuple[str, ...]:
        """Show it some pictures of the theatre; return the notes of the last one."""
        rng = np.random.default_rng(seed)
        notes: tuple[str, ...] = ("nothing was shown",)
        with engine_of(self.root, "brightness") as engine:
            model = engine.picture_model("brightness")
            self.drift.watch(model.stamp, engine.reference("brightness"))
            for _ in range(count):
                answer = model.look(shown(change(scene(rng))), deadline_s=30)
                notes = self.drift.see(model.stamp, "theatre 1", answer)
                self.clock.advance(1)
        return notes


@pytest.fixture
def watched(pictured: Path, tmp_path: Path) -> Watched:
    return Watched(pictured, tmp_path)


@pytest.mark.parametrize("name", CHANGES)
def test_changed_pictures_raise_the_alert_within_one_window(watched: Watched, name: str) -> None:
    assert watched.look(same) == ()
    assert watched.alerts.ever == []
    (note,) = watched.look(CHANGES[name], seed=2)
    assert "no longer like" in note
    (text,) = watched.alerts.raised.values()
    assert "pictures of theatre-1" in text
    assert "→" in text


def test_pictures_like_those_of_the_reference_never_do(watched: Watched) -> None:
    for seed in range(10, 13):
        assert watched.look(same, seed=seed) == ()
    assert watched.alerts.ever == []
    about = watched.drift.about("brightness")
    assert (about["state"], about["troubles"]) == ("steady", 0)


def test_the_alert_is_taken_back_when_a_window_is_in_order_again(watched: Watched) -> None:
    watched.look(CHANGES["gain"])
    assert list(watched.alerts.raised) == ["drift-brightness-theatre-1"]
    watched.look(CHANGES["gain"], seed=2)
    about = watched.drift.about("brightness")["sources"][0]
    assert about["last"]["since"] < about["last"]["from"]  # since the first of the windows in a row
    watched.look(same, seed=3)
    assert watched.alerts.raised == {}


def test_a_window_goes_on_after_a_restart_and_so_does_the_alert(watched: Watched) -> None:
    watched.look(CHANGES["gain"], count=WINDOW + 15)
    watched.drift.write_down()
    again = Watched(watched.root, watched.state)
    again.look(CHANGES["gain"], count=0)
    assert again.alerts.raised == watched.alerts.raised
    about = again.drift.about("brightness")
    assert (about["state"], about["sources"][0]["answers"]) == ("drifted", 15)
    assert json.loads(json.dumps(about)) == about


@pytest.mark.parametrize("content", [b"", b"{", b'{"schema": "edge.drift/1", "models": {"brightness": 3}}'])
def test_a_damaged_memory_begins_anew(watched: Watched, content: bytes) -> None:
    (watched.state / "drift.json").write_bytes(content)
    watched.look(same, count=3)
    assert watched.drift.about("brightness")["sources"][0]["answers"] == 3


def test_what_was_counted_for_another_version_is_forgotten(watched: Watched) -> None:
    watched.look(CHANGES["gain"])
    watched.drift.write_down()
    text = (watched.state / "drift.json").read_text()
    digest = load(watched.root / "brightness").digest
    (watched.state / "drift.json").write_text(text.replace(digest, "0" * 64))
    again = Watched(watched.root, watched.state)
    again.look(same, count=0)
    assert again.alerts.ever == []
    assert again.drift.about("brightness")["sources"] == []


def test_an_answer_that_cannot_be_counted_costs_nothing_but_a_count(watched: Watched) -> None:
    with engine_of(watched.root, "brightness") as engine:
        model = engine.picture_model("brightness")
        watched.drift.watch(model.stamp, engine.reference("brightness"))
        answer = model.look(FakePicture(np.zeros((1, 1, 3), np.uint8)), deadline_s=30)
        broken = type(answer)(**{**fields_of(answer), "statistics": {"mean": float("nan")}})
        assert watched.drift.see(model.stamp, "theatre 1", broken) == ()
    assert watched.drift.about("brightness")["troubles"] == 1


def fields_of(answer: Any) -> dict[str, Any]:
    return {name: getattr(answer, name) for name in type(answer).__slots__}


def test_callers_with_invented_names_do_not_fill_the_memory(watched: Watched) -> None:
    with engine_of(watched.root, "brightness") as engine:
        model = engine.picture_model("brightness")
        watched.drift.watch(model.stamp, engine.reference("brightness"))
        answer = model.look(shown(scene(np.random.default_rng(0))), deadline_s=30)
        for number in range(3 * SOURCES_MAX):
            watched.drift.see(model.stamp, f"door AE{number}", answer)
    about = watched.drift.about("brightness")
    assert about["sources"][0]["source"] == OTHERS  # the only one whose window was full: of one picture alone
    assert about["sources"][0]["answers"] == 2 * SOURCES_MAX % WINDOW
    assert len(about["sources"]) + about["more"] == SOURCES_MAX + 1


def test_names_fit_into_topics() -> None:
    assert slug_of("door CT/1 #+$ Süd") == "door-ct-1-s-d"
    assert slug_of("///") == "unnamed"
    assert len(slug_of("x" * 500)) <= 48


def test_of_neighbouring_frames_one_counts(tmp_path: Path) -> None:
    folder = write_picture_bundle(tmp_path)
    rng = np.random.default_rng(0)
    samples = [shown(scene(rng, side_px=64)) for _ in range(40)]
    make_reference(folder, samples, wishes=Wishes(window=20, every_s=10), clock=SystemClock())
    one = Watched(tmp_path, tmp_path)
    one.look(same, count=25)  # one a second
    assert one.drift.about("brightness")["sources"][0]["answers"] == 3


def test_a_bundle_without_a_reference_says_so(tmp_path: Path) -> None:
    write_picture_bundle(tmp_path)
    one = Watched(tmp_path, tmp_path)
    assert one.look(CHANGES["gain"], count=3) == ()
    assert one.drift.about("brightness")["state"] == "no reference"
    assert one.drift.about("never heard of")["state"] == "no reference"


def test_embeddings_are_judged_along_their_own_directions(tmp_path: Path) -> None:
    folder = write_task_bundle(tmp_path, "picture-embedding")
    rng = np.random.default_rng(0)
    samples = [shown(scene(rng, side_px=64)) for _ in range(60)]
    made = make_reference(folder, samples, wishes=Wishes(window=20, every_s=0), clock=SystemClock())
    assert [name for name in made.statistics if name.startswith("embedding")] == [
        "embedding 1",
        "embedding 2",
        "embedding 3",
        "embedding beside",
    ]
    alerts = FakeAlerts()
    drift = Drift(tmp_path, alerts=alerts, clock=FakeClock())
    with engine_of(tmp_path, "redness") as engine:
        model = engine.picture_model("redness")
        drift.watch(model.stamp, engine.reference("redness"))
        for _ in range(20):
            turned = np.rot90(scene(rng, side_px=64) * np.linspace(0.2, 1.4, 64)[:, None, None]).copy()
            drift.see(model.stamp, "a", model.look(shown(turned), deadline_s=30))
    assert alerts.raised
    assert drift.about("redness")["troubles"] == 0


def phantom(rng: np.random.Generator) -> Volume:
    """A ball of tissue in air, in Hounsfield units; patients differ in size and density."""
    shape = (16, 40, 40)
    place = (np.indices(shape).T - (np.array(shape) - 1) / 2) * (2.5, 2.0, 2.0)
    away = np.sqrt((place**2).sum(axis=-1)).T
    inside = away < rng.uniform(14, 18)
    voxels = np.where(inside, rng.uniform(20, 60), -1000) + rng.normal(0, 12, shape)
    spacing_mm = (2.5, 2.0, 2.0)
    return volume(voxels.round().astype(np.int16), spacing_mm=spacing_mm, unit="hounsfield", modality="CT")


def moved_by(seen: Volume, hounsfield: int) -> Volume:
    moved = (seen.voxels + np.int16(hounsfield)).astype(np.int16)
    return volume(moved, spacing_mm=seen.spacing_mm, unit="hounsfield", modality="CT")


def test_a_scanner_whose_hounsfield_units_are_off_by_50_is_noticed(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path, name="tiny")
    rng = np.random.default_rng(0)
    samples = ([phantom(rng)] for _ in range(50))
    made = make_reference(folder, samples, wishes=Wishes(window=20), clock=SystemClock())
    assert made.samples == 50
    alerts = FakeAlerts()
    drift = Drift(tmp_path, alerts=alerts, clock=FakeClock())
    with engine_of(tmp_path, "tiny") as engine:
        model = engine.model("tiny")
        drift.watch(model.stamp, engine.reference("tiny"))
        for _ in range(20):
            drift.see(model.stamp, "door CT1", model.infer(phantom(rng), deadline_s=30))
            drift.see(model.stamp, "door CT2", model.infer(moved_by(phantom(rng), 50), deadline_s=30))
    assert list(alerts.raised) == ["drift-tiny-door-ct2"]
    assert "source" in alerts.raised["drift-tiny-door-ct2"]


def test_too_few_samples_make_no_reference(tmp_path: Path) -> None:
    folder = write_picture_bundle(tmp_path)
    before = (folder / "manifest.yaml").read_bytes()
    with pytest.raises(BundleRejectedError, match="5 samples could be used, wanted at least 30"):
        make_reference(folder, [FakePicture.grey(n) for n in range(5)], clock=SystemClock())
    assert (folder / "manifest.yaml").read_bytes() == before


def test_a_reference_is_written_anew_and_keeps_what_was_said_by_hand(pictured: Path, tmp_path: Path) -> None:
    folder = write_picture_bundle(tmp_path)
    rng = np.random.default_rng(0)
    samples = [shown(scene(rng, side_px=64)) for _ in range(40)]
    make_reference(folder, samples, clock=SystemClock())
    manifest = folder / "manifest.yaml"
    manifest.write_text(manifest.read_text().replace("psi_max: 0.25", "psi_max: 0.4"))
    made = make_reference(folder, samples, wishes=Wishes(window=33), clock=SystemClock())
    assert (made.part.psi_max, made.part.window, made.part.every_s) == (0.4, 33, 30)
    assert load(folder).digest == made.digest


@pytest.mark.parametrize(
    ("array", "value", "message"),
    [
        ("covariance", -np.eye(14), "not positive definite"),
        ("mean", np.full(14, np.nan), "NaN"),
        ("mean", np.zeros(3), "wanted"),
        ("samples", np.array(10), "10 samples for"),
        ("edges", np.zeros((14, 2)), "wanted"),
        ("shares", np.full((14, 65), 1 / 65), "wanted"),
    ],
)
def test_a_reference_that_cannot_be_is_refused_with_its_bundle(
    pictured: Path, tmp_path: Path, array: str, value: NDArray[Any], message: str
) -> None:
    part = load(pictured / "brightness").manifest.drift
    assert part is not None
    with np.load(pictured / "brightness" / "drift.npz") as read:
        arrays = {name: read[name] for name in read.files}
    assert len(arrays["mean"]) == 14
    with pytest.raises(BundleRejectedError, match=message):
        reference_of(part, arrays | {array: value}, origin="drift.npz")


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("picture-classification", {"score of red", "score of pale"}),
        ("picture-detection", {"things", "score of the surest"}),
        ("picture-segmentation", {"foreground", "things"}),
        ("picture-keypoints", {"score of points"}),
        ("picture-regression", {"known", "estimate of share"}),
    ],
)
def test_what_each_task_says_about_a_picture_is_among_the_numbers(
    tmp_path: Path, task: str, said: set[str]
) -> None:
    folder = write_task_bundle(tmp_path, task)
    rng = np.random.default_rng(0)
    samples = (shown(scene(rng, side_px=64)) for _ in range(30))
    made = make_reference(folder, samples, clock=SystemClock())
    assert set(made.statistics) == PICTURED | said


PICTURED = {
    *("mean", "contrast", "low", "high", "lowest", "highest", "sharpness", "noise"),
    *("red", "blue", "height", "width"),
}


def test_spectra_are_watched_file_by_file(tmp_path: Path) -> None:
    folder = write_spectra_bundle(tmp_path)
    bands = load(folder).manifest.input
    assert isinstance(bands, SpectraInput)
    rng = np.random.default_rng(0)

    def cube(gain: float = 1.0) -> NDArray[np.float32]:
        level = gain * rng.uniform(0.35, 0.45) + rng.normal(0, 0.02, (50, 1))
        return (level + rng.normal(0, 0.004, (50, len(bands.wavelengths_nm)))).astype(np.float32)

    make_reference(folder, (cube() for _ in range(50)), wishes=Wishes(window=20), clock=SystemClock())
    alerts = FakeAlerts()
    drift = Drift(tmp_path, alerts=alerts, clock=FakeClock())
    with engine_of(tmp_path, "levels") as engine:
        model = engine.spectra_model("levels")
        drift.watch(model.stamp, engine.reference("levels"))
        for _ in range(20):
            drift.see(model.stamp, "bench", model.estimate(cube(), deadline_s=30))
            drift.see(model.stamp, "lamp", model.estimate(cube(gain=1.3), deadline_s=30))
            drift.see(model.stamp, "glare", model.estimate(cube(gain=9.0), deadline_s=30))  # none is known
    assert sorted(alerts.raised) == ["drift-levels-glare", "drift-levels-lamp"]
    assert drift.about("levels")["troubles"] == 0
