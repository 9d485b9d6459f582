"""A bundle as one file: the same bytes each time, and nothing in it that leads elsewhere or grows."""

from __future__ import annotations

import contextlib
import io
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bundles.package import FILES_MAX, pack, unpack
from edge.bundles.store import load
from edge.domain.errors import BundleRejectedError
from tests.builders.bundles import write_bundle

Adding = Callable[[zipfile.ZipFile], object]


def packaged(folder: Path, add: Adding = lambda archive: None) -> Path:
    """A package that is right, to which something is added."""
    folder.mkdir(parents=True, exist_ok=True)
    package = pack(write_bundle(folder), folder)
    with zipfile.ZipFile(package, "a") as archive:
        add(archive)
    return package


def of_kind(name: str, kind: int, content: str = "x") -> Adding:
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3
    entry.external_attr = (kind | 0o644) << 16
    return lambda archive: archive.writestr(entry, content)


def twice(archive: zipfile.ZipFile) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("manifest.yaml", "another")


def many(archive: zipfile.ZipFile) -> None:
    for number in range(FILES_MAX):
        archive.writestr(f"f{number}", "")


def over_each_other(package: Path) -> None:
    """Let every entry of the directory speak of the largest file: it holds more than it has."""
    content = package.read_bytes()
    sizes = {entry.file_size for entry in zipfile.ZipFile(io.BytesIO(content)).infolist()}
    largest = max(sizes).to_bytes(4, "little")
    place, changed = 0, bytearray(content)
    while (place := content.find(b"PK\x01\x02", place)) >= 0:
        changed[place + 20 : place + 28] = largest * 2
        place += 4
    package.write_bytes(changed)


def test_a_package_unpacks_to_the_bundle_it_was_made_of(tmp_path: Path) -> None:
    package = packaged(tmp_path)
    assert package.name == "tiny-1.0.0.edgebundle"
    (tmp_path / "out" / "tiny").mkdir(parents=True)
    unpack(package, tmp_path / "out" / "tiny")
    assert load(tmp_path / "out" / "tiny").digest == load(tmp_path / "tiny").digest


def test_the_same_bundle_makes_the_same_bytes(tmp_path: Path) -> None:
    one, other = packaged(tmp_path / "a"), packaged(tmp_path / "b")
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("name", ["folder", "link"])
def test_what_is_no_plain_file_is_not_packed(tmp_path: Path, name: str) -> None:
    bundle = write_bundle(tmp_path)
    {"folder": Path.mkdir, "link": lambda path: path.symlink_to("/etc/passwd")}[name](bundle / name)
    with pytest.raises(BundleRejectedError, match=f"{name}: is no plain file"):
        pack(bundle, tmp_path)


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (lambda archive: archive.writestr("../evil", "x"), r"'../evil': leads out of the bundle's folder"),
        (lambda archive: archive.writestr("/etc/evil", "x"), r"'/etc/evil': leads out"),
        (lambda archive: archive.writestr("a/b", "x"), r"'a/b': leads out"),
        (lambda archive: archive.writestr("a\\b", "x"), r"leads out"),
        (lambda archive: archive.writestr(".hidden", "x"), r"'.hidden': leads out"),
        (lambda archive: archive.writestr("x" * 200, "x"), "wanted a name of at most 128"),
        (lambda archive: archive.writestr("a\x1b[2J", "x"), "printable"),
        (lambda archive: archive.writestr("MANIFEST.yaml", "x"), r"'MANIFEST.yaml': is there twice"),
        (twice, r"'manifest.yaml': is there twice"),
        (of_kind("link", stat.S_IFLNK, "/etc/passwd"), r"'link': is a link, a device or a folder"),
        (of_kind("device", stat.S_IFCHR), r"'device': is a link, a device or a folder"),
        (of_kind("pipe", stat.S_IFIFO), r"'pipe': is a link, a device or a folder"),
        (
            lambda archive: archive.writestr("bomb", bytes(1 << 20), zipfile.ZIP_DEFLATED),
            r"'bomb': is compressed, \d{4} bytes that stand for 1048576; wanted it stored",
        ),
        (many, r"holds 259 files, at most 256"),
    ],
)
def test_a_package_with_something_wrong_in_it_is_refused_before_a_byte_is_written(
    tmp_path: Path, add: Adding, message: str
) -> None:
    package = packaged(tmp_path, add)
    (tmp_path / "out").mkdir()
    with pytest.raises(BundleRejectedError, match=message):
        unpack(package, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (over_each_other, "says it holds .* bytes, at most .* are allowed in a file of its size"),
        (
            lambda package: package.write_bytes(package.read_bytes()[:-30]),
            "before its first file: cut off",
        ),
        (lambda package: package.write_bytes(b"nothing"), "is no package"),
        (Path.unlink, "No such file"),
    ],
)
def test_a_package_that_is_damaged_is_refused(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    package = packaged(tmp_path)
    damage(package)
    (tmp_path / "out").mkdir()
    with pytest.raises(BundleRejectedError, match=message):
        unpack(package, tmp_path / "out")


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return packaged(tmp_path_factory.mktemp("right")).read_bytes()


@settings(max_examples=100, deadline=None)
@given(place=st.integers(min_value=0), flip=st.integers(1, 255))
def test_a_changed_byte_is_refused_or_changes_no_file(
    right: bytes, tmp_path_factory: pytest.TempPathFactory, place: int, flip: int
) -> None:
    folder = tmp_path_factory.mktemp("changed")
    changed = bytearray(right)
    changed[place % len(right)] ^= flip
    (folder / "package").write_bytes(changed)
    (folder / "out").mkdir()
    with contextlib.suppress(BundleRejectedError):
        unpack(folder / "package", folder / "out")
        with zipfile.ZipFile(io.BytesIO(right)) as archive:
            wanted = {archive.read(name) for name in archive.namelist()}
        assert {path.read_bytes() for path in (folder / "out").iterdir()} <= wanted
