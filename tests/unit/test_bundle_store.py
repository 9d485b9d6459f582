"""The store: a crash at any moment leaves a whole version in use, and a way back."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.bundles.history import history_of
from edge.bundles.inspection import inspect
from edge.bundles.installed import KEPT, UNFINISHED, Store
from edge.bundles.package import pack
from edge.bundles.signature import ANYBODY, SIGNATURE, Trust, make_key, sign, trust_of
from edge.bundles.store import find, load, names
from edge.domain.errors import BundleRejectedError, StorageFullError
from tests.builders.bundles import golden, write_bundle

ROOT = Path(__file__).parents[2]


def package(folder: Path, version: str = "1.0.0") -> Path:
    """A package of the bundle `tiny` in some version."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "tiny", ignore_errors=True)
    return pack(write_bundle(folder, edit=lambda written: written.update(version=version)), folder)


def install(store: Path, file: Path, trust: Trust = ANYBODY) -> Path:
    with Store(store).opened() as changing, changing.unpacked(file, trust) as bundle:
        folder = changing.add(bundle)
        changing.activate(folder)
        return folder


def roll_back(store: Path, to: str | None = None) -> Path:
    with Store(store).opened() as changing:
        return changing.roll_back("tiny", to=to)


def states(store: Path) -> dict[str, str]:
    return {one.version: one.state for one in Store(store).versions()}


def test_what_is_installed_is_found_by_name_and_the_one_before_is_kept(tmp_path: Path) -> None:
    store = tmp_path / "store"
    install(store, package(tmp_path, "1.0.0"))
    install(store, package(tmp_path, "1.1.0"))
    found = find("tiny", [tmp_path / "none", store])
    assert (found.manifest.version, found.path.parent) == ("1.1.0", store / "tiny")
    assert states(store) == {"1.1.0": "active", "1.0.0": "previous"}
    assert names([store]) == ["tiny"]


def test_a_rollback_brings_back_the_one_before_and_then_there_is_none(tmp_path: Path) -> None:
    store = tmp_path / "store"
    install(store, package(tmp_path, "1.0.0"))
    install(store, package(tmp_path, "1.1.0"))
    roll_back(store)
    assert find("tiny", [store]).manifest.version == "1.0.0"
    with pytest.raises(BundleRejectedError, match=r"there is no version before 1.0.0-.*; installed are"):
        roll_back(store)
    roll_back(store, to="1.1.0")
    assert states(store) == {"1.1.0": "active", "1.0.0": "previous"}
    with pytest.raises(BundleRejectedError, match=r"'7\.0\.0' names 0 versions"):
        roll_back(store, to="7.0.0")


def test_only_so_many_versions_stay(tmp_path: Path) -> None:
    for number in range(KEPT + 2):
        install(tmp_path / "store", package(tmp_path, f"1.{number}.0"))
    assert set(states(tmp_path / "store")) == {f"1.{number}.0" for number in range(2, KEPT + 2)}


def test_a_refused_package_changes_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    store = tmp_path / "store"
    install(store, package(tmp_path))
    before = sorted(path for path in store.rglob("*"))
    with pytest.raises(BundleRejectedError, match=r"tiny-1.1.0.edgebundle: is not signed; wanted"):
        install(store, package(tmp_path, "1.1.0"), Trust())
    assert sorted(path for path in store.rglob("*")) == before


def test_the_same_version_may_be_installed_again_with_a_signature(tmp_path: Path) -> None:
    store = tmp_path / "store"
    install(store, package(tmp_path))
    make_key(tmp_path / "clinic.key", tmp_path / "clinic.pub")
    trust = trust_of([("clinic", tmp_path / "clinic.pub")], allows_unsigned=False)
    sign(tmp_path / "tiny", key_file=tmp_path / "clinic.key", key="clinic")
    install(store, pack(tmp_path / "tiny", tmp_path), trust)
    assert find("tiny", [store], trust).signed_by == "clinic"
    assert (find("tiny", [store]).path / SIGNATURE).is_file()


def test_a_damaged_version_is_replaced_when_it_is_installed_again(tmp_path: Path) -> None:
    store, file = tmp_path / "store", package(tmp_path)
    (install(store, file) / "golden.npz").write_bytes(b"damaged")
    with pytest.raises(BundleRejectedError, match=r"golden\.npz: sha256 is"):
        find("tiny", [store])
    install(store, file)
    assert find("tiny", [store]).manifest.version == "1.0.0"


def test_two_installs_at_once_do_not_meet(tmp_path: Path) -> None:
    with (
        Store(tmp_path).opened(),
        pytest.raises(BundleRejectedError, match="another install or rollback is under way"),
        Store(tmp_path).opened(),
    ):
        pass


def test_calibration_samples_are_checked_like_every_file_the_manifest_names(tmp_path: Path) -> None:
    samples = {"file": "calibration.npz", "sha256": hashlib.sha256(golden()).hexdigest()}
    bundle = write_bundle(tmp_path, edit=lambda written: written.update(calibration=samples))
    (bundle / "calibration.npz").write_bytes(golden())
    assert load(bundle).manifest.calibration is not None
    (bundle / "calibration.npz").write_bytes(golden()[:-1])
    with pytest.raises(BundleRejectedError, match=r"calibration\.npz: sha256 is"):
        load(bundle)
    assert [one.verdict for one in inspect(bundle, ANYBODY) if one.what == "calibration.npz"] == ["bad"]


def test_what_else_lies_in_the_folder_of_a_store_is_left_alone(tmp_path: Path) -> None:
    store = tmp_path / "store"
    (store / "lost+found").mkdir(parents=True)
    (store / "README.md").write_text("what lies here")
    (store / "notes").write_text("a file where a bundle might be")
    install(store, package(tmp_path))
    Store(store).tidy()
    assert states(store) == {"1.0.0": "active"}
    assert {path.name for path in store.glob("[!.]*")} == {"lost+found", "README.md", "notes", "tiny"}


def test_an_active_version_that_is_gone_is_an_error_not_a_reason_to_look_elsewhere(tmp_path: Path) -> None:
    shutil.rmtree(install(tmp_path / "store", package(tmp_path)))
    with pytest.raises(BundleRejectedError, match=r"1.0.0-.*/manifest.yaml: No such file"):
        find("tiny", [tmp_path / "store", tmp_path])


def test_what_a_crash_left_is_cleared_away_at_the_next_start(tmp_path: Path) -> None:
    store = tmp_path / "store"
    install(store, package(tmp_path))
    (store / f"{UNFINISHED}abc" / "unpacked").mkdir(parents=True)
    (store / "tiny" / ".active-next").symlink_to("nothing")
    with Store(store).opened():  # an install is under way: nothing is touched
        (store / f"{UNFINISHED}def").mkdir()
        Store(store).tidy()
        assert (store / f"{UNFINISHED}def").is_dir()
    Store(store).tidy()
    assert sorted(path.name for path in store.iterdir()) == [".lock", "tiny"]
    assert sorted(path.name for path in (store / "tiny").iterdir())[1:] == ["active", "history.json"]
    Store(tmp_path / "none").tidy()
    assert not (tmp_path / "none").exists()


PULLED = """
import os, sys
from pathlib import Path
from tests.unit import test_bundle_store as test
left = int(sys.argv[1])

def hook(event, what):
    global left
    if event in {"os.rename", "os.symlink", "os.mkdir", "os.remove", "os.rmdir", "open", "os.chmod"}:
        if str(what[0]).startswith(sys.argv[2]) and (event != "open" or what[2] & 3):
            left -= 1
            if left < 0:
                os._exit(77)

sys.addaudithook(hook)
{"install": lambda: test.install(Path(sys.argv[2]), Path(sys.argv[3])),
 "roll back": lambda: test.roll_back(Path(sys.argv[2]))}[sys.argv[4]]()
os._exit(0)
"""


def pulled(store: Path, file: Path, what: str, *, after: int) -> int:
    """Do something in a process of its own that dies before its step number `after`; return how it ended."""
    arguments = [sys.executable, "-c", PULLED, str(after), str(store), str(file), what]
    return subprocess.run(
        arguments, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    ).returncode


@pytest.mark.proof
@pytest.mark.parametrize("what", ["install", "roll back"])
def test_a_crash_at_any_step_leaves_a_whole_version_in_use_and_a_store_that_works(
    tmp_path: Path, what: str
) -> None:
    made = tmp_path / "made"
    install(made, package(tmp_path, "1.0.0"))
    install(made, package(tmp_path, "1.1.0"))
    file = package(tmp_path, "1.2.0")
    ended, after = 77, 0
    while ended == 77:
        store = tmp_path / f"store{after}"
        shutil.copytree(made, store, symlinks=True)
        ended = pulled(store, file, what, after=after)
        check_after_the_crash(store, file)
        after += 1
    assert ended == 0
    assert after > 6


def check_after_the_crash(store: Path, file: Path) -> None:
    version = find("tiny", [store]).manifest.version
    assert version in {"1.0.0", "1.1.0", "1.2.0"}
    with Store(store).opened():
        assert list(store.glob(f"{UNFINISHED}*")) == []
        assert history_of(store / "tiny")[-1].startswith(version)
    assert find("tiny", [store]).manifest.version == version
    install(store, file)
    assert find("tiny", [store]).manifest.version == "1.2.0"


def fails_at(step: str) -> Callable[..., None]:
    """A system call that fails as on a full disk."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", step)

    return fail


@pytest.mark.parametrize("step", ["symlink_to", "replace", "mkdir"])
def test_a_full_disk_leaves_the_old_version_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    store, file = tmp_path / "store", package(tmp_path, "2.0.0")
    install(store, package(tmp_path, "1.0.0"))
    with monkeypatch.context() as full:
        full.setattr(Path, step, fails_at(step))
        with pytest.raises(StorageFullError, match="cannot be written: No space left"):
            install(store, file)
    assert find("tiny", [store]).manifest.version == "1.0.0"
