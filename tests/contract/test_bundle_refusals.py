"""Whatever is wrong with a bundle, it is refused with its reason, and the model that ran goes on running."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml

from edge.bundles.arrays import UNPACKED_BYTES_MAX
from edge.bundles.installed import Store
from edge.bundles.likeness import changed_parts
from edge.bundles.package import pack
from edge.bundles.picture_classification import PictureClassification
from edge.bundles.seal import seal
from edge.bundles.signature import (
    ANYBODY,
    SIGNATURE,
    Trust,
    TrustRoot,
    make_key,
    public_key_of,
    sign,
    trust_of,
)
from edge.bundles.store import MANIFEST, load
from edge.cli.bundle_site import Site
from edge.cli.bundle_store import install, rollback
from edge.daemon.exchange import Exchange
from edge.domain.answer import Scores
from edge.inference.engine import Engine
from edge.inference.handle import PictureHandle
from edge.ops.control import Control
from edge.pipelines.stations import picture_station
from tests.builders.bundles import npz, write_bundle
from tests.builders.picture_bundles import write_picture_bundle
from tests.contract.test_models import engine_of
from tests.fakes.alerts import FakeAlerts
from tests.fakes.picture import FakePicture

LEVEL = 40
NAME = "brightness"


@dataclass(frozen=True)
class Device:
    """A device with a daemon that runs: an engine, a store, a site that believes one key."""

    engine: Engine
    site: Site
    keys: Path
    alerts: FakeAlerts

    def package(self, folder: Path, version: str) -> Path:
        """A signed bundle with a card, as a package; its folder lies beside it."""
        bundle = write_picture_bundle(folder, edit=lambda written: written.update(version=version))
        (bundle / "CARD.md").write_text("What it was tested on.")
        with (bundle / MANIFEST).open("a") as manifest:
            manifest.write("documents:\n- file: CARD.md\n")
        signed_unseen(self, bundle)
        return pack(bundle, folder)


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    folder = tmp_path_factory.mktemp("device")
    state, store = folder / "state", folder / "state" / "bundles"
    state.mkdir()
    for name in ("clinic", "stranger"):
        make_key(folder / f"{name}.key", folder / f"{name}.pub")
    trust = trust_of([("clinic", folder / "clinic.pub")], allows_unsigned=False)
    alone = Site(
        places=(store,), store=store, trust=trust, threads=1, provider="cpu", state=None, memory=state
    )
    alerts = FakeAlerts()
    assert install(Device(engine_of(folder), alone, folder, alerts).package(folder, "1.0.0"), alone) == 0
    with engine_of(folder, NAME, roots=[store], trust=trust, state_dir=state) as engine:
        exchange = Exchange(engine, places=[store], trust=trust, alerts=alerts)
        exchange.tell_signatures([NAME])
        with Control(state, answers={"bundle": exchange.answer}):
            yield Device(engine, replace(alone, state=state), folder, alerts)


class Asking:
    """Asks a model again and again, and keeps which version answered what."""

    def __init__(self, model: PictureHandle) -> None:
        self.answers: list[tuple[str, str, float]] = []
        self._model = model
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="asking")

    def __enter__(self) -> Asking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join(30)

    def _run(self) -> None:
        is_over = False
        while not is_over:
            is_over = self._ends.wait(0.005)  # and once more after the end
            with self._model.held() as active:
                answer = active.model.look(FakePicture.grey(LEVEL), deadline_s=30)
                stamp = active.stamp
            assert isinstance(answer, Scores)
            self.answers.append((stamp.version, stamp.signed_by, round(answer.of("bright"), 2)))


def flipped(file: str) -> Callable[[Device, Path], None]:
    """One byte of a file is changed, in its middle."""

    def damage(_: Device, bundle: Path) -> None:
        content = bytearray((bundle / file).read_bytes())
        content[len(content) // 2] ^= 0x04
        (bundle / file).write_bytes(content)

    return damage


def edited(**changes: Any) -> Callable[[Device, Path], None]:
    """The manifest says something else, and is signed."""

    def damage(device: Device, bundle: Path) -> None:
        written = yaml.safe_load((bundle / MANIFEST).read_text())
        for path, value in changes.items():
            section, _, key = path.rpartition("__")
            (written[section] if section else written)[key] = value
        (bundle / MANIFEST).write_text(yaml.safe_dump(written, sort_keys=False))
        signed_unseen(device, bundle)

    return damage


def signed_unseen(device: Device, bundle: Path) -> None:
    """Hashes and signature are right; what `edge bundle sign` would look at is not."""
    seal(bundle / MANIFEST)
    sign(bundle, key_file=device.keys / "clinic.key", key="clinic")


def wrong_golden(device: Device, bundle: Path) -> None:
    with np.load(bundle / "golden.npz") as arrays:
        image, scores = arrays["image"], arrays["scores"]
    (bundle / "golden.npz").write_bytes(npz(image=image, scores=scores[:, ::-1].copy()))
    signed_unseen(device, bundle)


def golden_bomb(device: Device, bundle: Path) -> None:
    with zipfile.ZipFile(bundle / "golden.npz", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("more.npy", b"0")
    content = bytearray((bundle / "golden.npz").read_bytes())
    place = content.rindex(b"PK\x01\x02") + 24
    content[place : place + 4] = (UNPACKED_BYTES_MAX + 1).to_bytes(4, "little")
    (bundle / "golden.npz").write_bytes(content)
    signed_unseen(device, bundle)


def external(device: Device, bundle: Path) -> None:
    model = onnx.load(bundle / "model.fp32.onnx")
    tensor = next(one for one in model.graph.initializer if one.name == "slopes")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../etc/passwd")
    (bundle / "model.fp32.onnx").write_bytes(model.SerializeToString())
    signed_unseen(device, bundle)


def by(key_file: str, name: str) -> Callable[[Device, Path], None]:
    return lambda device, bundle: sign(bundle, key_file=device.keys / f"{key_file}.key", key=name)


def without(file: str) -> Callable[[Device, Path], None]:
    return lambda _, bundle: (bundle / file).unlink()


DAMAGE: dict[str, tuple[Callable[[Device, Path], object], str]] = {
    "a byte of the manifest": (flipped(MANIFEST), "manifest"),
    "a byte of the network": (flipped("model.fp32.onnx"), "model.fp32.onnx: sha256 is"),
    "a byte of the golden file": (flipped("golden.npz"), "golden.npz: sha256 is"),
    "a byte of the card": (flipped("CARD.md"), "CARD.md: sha256 is"),
    "a byte of the signature": (flipped(SIGNATURE), "signature"),
    "another key of that name": (by("stranger", "clinic"), "is not that of the key 'clinic'"),
    "an unknown key": (by("stranger", "stranger"), "by the key 'stranger', which this site does not know"),
    "no signature": (without(SIGNATURE), "is not signed"),
    "a wrong golden output": (wrong_golden, "golden check: a score is off by"),
    "no network": (without("model.fp32.onnx"), "model.fp32.onnx: No such file"),
    "no golden file": (without("golden.npz"), "golden.npz: No such file"),
    "no manifest": (lambda _, bundle: (bundle / MANIFEST).write_bytes(b""), "manifest.yaml"),
    "another shape": (
        edited(input__layout="NHWC"),
        "image uint8 (1, 3, h, w); the manifest says",
    ),
    "another input": (edited(input__name="picture"), "the manifest says picture uint8"),
    "external data": (external, "'../../../etc/passwd', which leaves the bundle's folder"),
    "a golden file that explodes": (golden_bomb, "unpacks to"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_each_damage_is_refused_with_its_reason_and_the_old_version_goes_on(
    device: Device, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    damage, reason = DAMAGE[what]
    package = device.package(tmp_path, "1.0.1")
    damage(device, tmp_path / NAME)
    pack_anything(tmp_path / NAME, package)
    check_refused(device, package, reason, capsys)


def compressed(archive: zipfile.ZipFile) -> None:
    archive.writestr("bomb", bytes(1 << 20), zipfile.ZIP_DEFLATED)


def leading_out(archive: zipfile.ZipFile) -> None:
    archive.writestr("../../evil", "x")


@pytest.mark.parametrize(
    ("add", "reason"),
    [(compressed, "'bomb': is compressed"), (leading_out, "'../../evil': leads out of the bundle's folder")],
)
def test_a_package_that_explodes_or_leads_out_is_refused_and_the_old_version_goes_on(
    device: Device,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    add: Callable[[zipfile.ZipFile], None],
    reason: str,
) -> None:
    package = device.package(tmp_path, "1.0.1")
    with zipfile.ZipFile(package, "a") as archive:
        add(archive)
    check_refused(device, package, reason, capsys)


def pack_anything(bundle: Path, package: Path) -> None:
    """A package of whatever lies there, in order or not."""
    with zipfile.ZipFile(package, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(bundle.iterdir()):
            archive.write(path, path.name)


def check_refused(device: Device, package: Path, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = Store(device.site.its_store()).versions()
    with Asking(device.engine.picture_model(NAME)) as asking:
        assert install(package, device.site) == 1
    said = capsys.readouterr().err
    assert "refused, nothing has changed" in said
    assert reason in said
    assert Store(device.site.its_store()).versions() == before
    assert set(asking.answers) == {("1.0.0", "clinic", round(LEVEL / 255, 2))}
    assert device.engine.stamp(NAME).version == "1.0.0"


def test_a_good_version_takes_over_in_the_running_daemon_and_a_rollback_gives_it_back(
    device: Device, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Asking(device.engine.picture_model(NAME)) as asking:
        assert install(device.package(tmp_path, "1.1.0"), device.site) == 0
        assert device.engine.stamp(NAME).version == "1.1.0"
        assert rollback(NAME, device.site, to=None) == 0
    assert "brightness 1.1.0: at work in the daemon" in capsys.readouterr().out
    assert device.engine.stamp(NAME).version == "1.0.0"
    assert {version for version, _, _ in asking.answers} <= {"1.0.0", "1.1.0"}
    assert {signer for _, signer, _ in asking.answers} == {"clinic"}


def test_what_the_daemon_refuses_is_taken_back_in_the_store(
    device: Device, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The person who installs believes another key than the daemon does."""
    package = device.package(tmp_path, "1.0.2")
    sign(tmp_path / NAME, key_file=device.keys / "stranger.key", key="stranger")
    pack_anything(tmp_path / NAME, package)
    trust = trust_of([("stranger", device.keys / "stranger.pub")], allows_unsigned=False)
    believing = replace(device.site, trust=trust)
    assert install(package, believing) == 1
    assert "the daemon: " in capsys.readouterr().err
    active = [one.version for one in Store(device.site.its_store()).versions() if one.state == "active"]
    assert active == ["1.0.0"]
    assert device.engine.stamp(NAME).version == "1.0.0"


def test_a_version_that_says_other_things_waits_for_the_next_start(
    device: Device, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = device.package(tmp_path, "3.0.0")
    edited(policy__looked_for={"system": "99EDGE", "value": "other", "meaning": "Other"})(
        device, tmp_path / NAME
    )
    pack_anything(tmp_path / NAME, package)
    assert install(package, device.site) == 0
    said = capsys.readouterr().out
    assert "from the next start of the daemon; now: brightness: its policy.looked_for differ" in said
    assert device.engine.stamp(NAME).version == "1.0.0"
    assert rollback(NAME, device.site, to="1.0.0") == 0
    assert device.alerts.ever == []


def test_thresholds_take_over_in_the_running_daemon_with_their_model(device: Device, tmp_path: Path) -> None:
    package = device.package(tmp_path, "3.1.0")
    edited(policy__stay_score_min=0.3)(device, tmp_path / NAME)
    pack_anything(tmp_path / NAME, package)
    station = picture_station(device.engine, NAME)
    assert install(package, device.site) == 0
    with station.held() as held:
        assert held.model is not None
        assert isinstance(held.manifest, PictureClassification)
        assert held.manifest.policy.one_class is not None
        assert (held.model.stamp.version, held.manifest.policy.one_class.stay_score_min) == ("3.1.0", 0.3)
    assert rollback(NAME, device.site, to="1.0.0") == 0


def test_a_signature_that_comes_later_is_told_by_the_running_daemon(tmp_path: Path) -> None:
    bundle = write_picture_bundle(tmp_path)
    public = make_key(tmp_path / "clinic.key", tmp_path / "clinic.pub")
    trust = Trust((TrustRoot("clinic", public_key_of(public)),), allows_unsigned=True)
    alerts = FakeAlerts()
    with engine_of(tmp_path, NAME, trust=trust) as engine:
        exchange = Exchange(engine, places=[tmp_path], trust=trust, alerts=alerts)
        exchange.tell_signatures([NAME])
        assert exchange.answer({"name": NAME})["state"] == "at work"
        assert alerts.raised
        sign(bundle, key_file=tmp_path / "clinic.key", key="clinic")
        assert exchange.answer({"name": NAME})["state"] == "under way"
        assert engine.settle(timeout_s=60)
        assert exchange.answer({"name": NAME})["state"] == "at work"
        assert engine.stamp(NAME).signed_by == "clinic"
        assert engine.state(NAME).previous is None
    assert alerts.raised == {}


def changed(old: Path, new: Path, *, guards_pixels: bool = False) -> tuple[str, ...]:
    return changed_parts(load(old).manifest, load(new).manifest, guards_pixels=guards_pixels)


def test_what_differs_decides_whether_a_version_takes_over_at_once(tmp_path: Path) -> None:
    def renamed(written: dict[str, Any]) -> None:
        written["output"]["classes"][0]["name"] = "gloomy"

    def easier(written: dict[str, Any]) -> None:
        written["policy"]["enter_score_min"] = 0.5

    def open_ended(written: dict[str, Any]) -> None:
        written["policy"]["fail_closed"] = False

    old = write_picture_bundle(tmp_path / "old")
    assert changed(old, write_picture_bundle(tmp_path / "softmax", decoder="softmax")) == ()
    assert changed(old, write_picture_bundle(tmp_path / "dtype", dtype="float32", height_px=64)) == ()
    assert changed(old, write_picture_bundle(tmp_path / "renamed", edit=renamed)) == ("output",)
    assert changed(old, write_picture_bundle(tmp_path / "open", edit=open_ended)) == ("policy",)
    thresholds = write_picture_bundle(tmp_path / "easier", edit=easier)
    assert changed(old, thresholds) == ()
    assert changed(old, thresholds, guards_pixels=True) == ("policy",)
    assert changed(old, write_bundle(tmp_path / "volumes", name=NAME)) == ("task",)


def test_a_bundle_for_volumes_may_change_all_but_what_it_looks_for(tmp_path: Path) -> None:
    def other(written: dict[str, Any]) -> None:
        written["policy"]["looked_for"]["value"] = "other"

    def stricter(written: dict[str, Any]) -> None:
        written["golden"]["union_dice_min"] = 0.98
        written["input"]["volume_voxels_max"] = 1_000_000

    old = write_bundle(tmp_path / "old")
    assert changed(old, write_bundle(tmp_path / "stricter", edit=stricter)) == ()
    assert changed(old, write_bundle(tmp_path / "other", edit=other)) == ("policy.looked_for",)


def test_an_unsigned_bundle_at_work_is_warned_of_and_told_in_its_stamp(tmp_path: Path) -> None:
    write_picture_bundle(tmp_path)
    alerts = FakeAlerts()
    with engine_of(tmp_path, NAME) as engine:
        Exchange(engine, places=[tmp_path], trust=ANYBODY, alerts=alerts).tell_signatures([NAME])
        assert engine.stamp(NAME).signed_by == ""
    said = alerts.raised[f"unsigned-bundle-{NAME}"]
    assert (
        said
        == "brightness 1.0.0 is at work, and no key of bundles.trust has signed it; this site allows that"
    )


def test_where_unsigned_bundles_are_not_allowed_the_engine_refuses_them(tmp_path: Path) -> None:
    write_picture_bundle(tmp_path)
    with engine_of(tmp_path, NAME, trust=Trust()) as engine:
        assert "is not signed; wanted a signature by nobody" in engine.refusals[NAME]
