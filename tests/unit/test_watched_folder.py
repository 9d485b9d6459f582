"""A watched folder takes whole files, once, and waits for those that are still being written."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from pydicom.data import get_testdata_file

from edge.domain.errors import ConfigurationError, StorageFullError
from edge.domain.study import Arrival, Kept
from edge.kit.stage import Stage
from edge.sources.folder import WatchedFolder
from edge.sources.folder_files import Identity, Studies
from edge.sources.folder_spectral import Measurements
from tests.builders.cubes import ramp, write_envi
from tests.fakes.clock import FakeClock

SETTLE_S = 2.0


class Taken:
    """An intake that takes what it gets, unless it is told that it has no room."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.contents: list[bytes] = []
        self.closed: list[str] = []
        self.has_room = True

    def keep(self, arrival: Arrival) -> Kept:
        if not self.has_room:
            raise StorageFullError("no room")
        self.arrivals.append(arrival)
        self.contents.append(arrival.received_path.read_bytes())
        return Kept.NEW

    def association_closed(self, association: str) -> None:
        self.closed.append(association)


class Bench:
    """A watched folder whose polls and whose time the test owns."""

    def __init__(self, folder: Path, clock: FakeClock) -> None:
        self.path = folder / "in"
        self.path.mkdir(exist_ok=True)
        self.spool = folder / "spool"
        (self.spool / "folder").mkdir(parents=True, exist_ok=True)
        self.clock = clock
        self.taken = Taken()
        self.watched = self.make(after="keep")

    def make(self, **options: object) -> WatchedFolder:
        self.stage = Stage("folder", self.clock)
        made = WatchedFolder(
            "folder",
            **{  # type: ignore[arg-type]  # options of the test
                "path": self.path,
                "spool": self.spool,
                "settle_s": SETTLE_S,
                "after": "keep",
                "contents": Studies(nifti_modality="MR"),
                "clock": self.clock,
                "stage": self.stage,
                **options,
            },
        )
        made._read_ledger()
        self.watched = made
        return made

    def settle(self, seconds: float = SETTLE_S) -> list[Arrival]:
        """Poll, let time pass, poll again; return what was taken."""
        before = len(self.taken.arrivals)
        self.watched.look(self.taken)
        self.clock.advance(seconds)
        self.watched.look(self.taken)
        return self.taken.arrivals[before:]


@pytest.fixture
def bench(tmp_path: Path, clock: FakeClock) -> Bench:
    return Bench(tmp_path, clock)


def ct(target: Path) -> bytes:
    shutil.copy(str(get_testdata_file("CT_small.dcm")), target)
    return target.read_bytes()


def nifti(target: Path) -> bytes:
    nibabel.save(nibabel.Nifti1Image(np.zeros((8, 9, 10), np.int16), np.eye(4)), target)  # type: ignore[no-untyped-call]  # nibabel's own
    return target.read_bytes()


def cannot(*_: object, number: int = errno.ENOSPC, **__: object) -> Any:
    raise OSError(number, os.strerror(number))


def test_a_file_is_taken_once_it_has_settled(bench: Bench) -> None:
    content = ct(bench.path / "a.dcm")
    bench.watched.look(bench.taken)
    assert bench.taken.arrivals == []
    [arrival] = bench.settle()
    assert bench.taken.contents == [content]
    assert (arrival.format, arrival.modality, arrival.sop_class_uid) == (
        "dicom",
        "CT",
        "1.2.840.10008.5.1.4.1.1.2",
    )
    assert bench.settle() == []
    assert list(bench.spool.glob("*/*.part*")) == []


def test_a_file_that_grows_is_waited_for(bench: Bench) -> None:
    content = ct(bench.path / "whole.dcm")
    (bench.path / "whole.dcm").unlink()
    with (bench.path / "a.dcm").open("wb") as growing:
        for at in range(0, len(content), 10_000):
            growing.write(content[at : at + 10_000])
            growing.flush()
            bench.watched.look(bench.taken)
            bench.clock.advance(SETTLE_S - 0.1)
    assert bench.taken.arrivals == []
    bench.settle()
    assert bench.taken.contents == [content]


def test_a_file_that_is_moved_in_from_a_name_under_way_is_taken_whole(bench: Bench) -> None:
    content = ct(bench.path / "a.dcm.part")
    assert bench.settle() == []
    (bench.path / "a.dcm.part").rename(bench.path / "a.dcm")
    bench.settle()
    assert bench.taken.contents == [content]


def test_folders_below_are_watched_and_hidden_files_are_not(bench: Bench) -> None:
    (bench.path / "patient" / "series").mkdir(parents=True)
    ct(bench.path / "patient" / "series" / "IM0001")  # no suffix: recognised by its content
    ct(bench.path / ".hidden.dcm")
    assert len(bench.settle()) == 1


def test_a_truncated_file_waits_and_is_then_taken_as_it_is(bench: Bench) -> None:
    content = ct(bench.path / "a.dcm")
    (bench.path / "a.dcm").write_bytes(content[:20_000])
    assert bench.settle(20.0) == []
    assert bench.stage.health().taken == 0
    [arrival] = bench.settle(15.0)
    assert arrival.size_bytes == 20_000


def test_a_truncated_file_that_is_finished_in_time_is_taken_once(bench: Bench) -> None:
    content = ct(bench.path / "a.dcm")
    (bench.path / "a.dcm").write_bytes(content[:20_000])
    assert bench.settle(20.0) == []
    (bench.path / "a.dcm").write_bytes(content)
    assert len(bench.settle()) == 1
    assert bench.taken.contents == [content]


@pytest.mark.parametrize("name", ["head.nii", "head.nii.gz"])
def test_a_nifti_file_is_a_series_of_its_own(bench: Bench, name: str) -> None:
    content = nifti(bench.path / name)
    [arrival] = bench.settle()
    number = int(hashlib.sha256(content).hexdigest()[:32], 16)
    assert arrival.sop_uid == f"2.25.{number}"
    assert (arrival.format, arrival.modality, arrival.series_uid) == ("nifti", "MR", "")
    assert arrival.announced_instances == 1
    assert arrival.received_path.name.endswith(".nii.gz" if name.endswith(".gz") else ".nii")


@pytest.mark.parametrize("name", ["head.nii", "head.nii.gz"])
def test_a_truncated_nifti_file_waits(bench: Bench, name: str) -> None:
    content = nifti(bench.path / name)
    (bench.path / name).write_bytes(content[: len(content) // 2])
    assert bench.settle(20.0) == []
    assert len(bench.settle(15.0)) == 1


def test_a_nifti_file_of_another_byte_order_is_measured_rightly(bench: Bench) -> None:
    image = nibabel.Nifti1Image(np.zeros((8, 9, 10), ">i2"), np.eye(4), nibabel.Nifti1Header(endianness=">"))  # type: ignore[no-untyped-call]  # nibabel's own
    nibabel.save(image, bench.path / "big.nii")
    assert len(bench.settle()) == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.txt", b"nothing for us"),
        ("empty.dcm", b""),
        ("page.dcm", b"<html>" * 100),
        ("short", b"x"),
    ],
)
def test_a_file_that_is_nothing_for_us_is_set_aside_in_place_once(
    bench: Bench, name: str, content: bytes
) -> None:
    (bench.path / name).write_bytes(content)
    for _ in range(3):
        assert bench.settle(40.0) == []
    assert (bench.path / name).exists()
    assert bench.stage.health().set_aside == 1
    assert bench.stage.health().balances


def test_one_bad_file_does_not_keep_the_others_waiting(bench: Bench) -> None:
    (bench.path / "a.txt").write_bytes(b"bad")
    ct(bench.path / "b.dcm")
    os.mkfifo(bench.path / "c.dcm")
    assert len(bench.settle()) == 1


def test_files_are_removed_or_kept_as_the_operator_says(bench: Bench) -> None:
    ct(bench.path / "a.dcm")
    bench.settle()
    assert (bench.path / "a.dcm").exists()
    bench.make(after="remove")
    ct(bench.path / "b.dcm")
    assert len(bench.settle()) == 1
    assert [path.name for path in bench.path.iterdir()] == ["a.dcm"]


def test_a_restart_finds_nothing_new_in_what_was_taken(bench: Bench) -> None:
    ct(bench.path / "a.dcm")
    assert len(bench.settle()) == 1
    bench.make()
    assert bench.settle() == []


def test_a_file_that_changed_after_it_was_taken_is_taken_again(bench: Bench) -> None:
    content = ct(bench.path / "a.dcm")
    bench.settle()
    (bench.path / "a.dcm").write_bytes(content + b"\0" * 10)
    assert len(bench.settle()) == 1


def test_without_room_files_stay_and_are_taken_later(bench: Bench) -> None:
    bench.make(after="remove")
    ct(bench.path / "a.dcm")
    bench.taken.has_room = False
    assert bench.settle() == []
    assert (bench.path / "a.dcm").exists()
    bench.taken.has_room = True
    assert len(bench.settle()) == 1
    assert not (bench.path / "a.dcm").exists()
    assert bench.stage.health().balances


def test_what_comes_together_is_one_association_that_closes_when_it_is_quiet(bench: Bench) -> None:
    ct(bench.path / "a.dcm")
    nifti(bench.path / "b.nii")
    arrivals = bench.settle()
    assert len({arrival.association for arrival in arrivals}) == 1
    assert bench.taken.closed == [arrivals[0].association]
    ct(bench.path / "c.dcm")
    [later] = bench.settle()
    assert later.association != arrivals[0].association


def test_the_digest_is_that_of_the_data_set_so_a_file_and_a_c_store_are_the_same_object(bench: Bench) -> None:
    content = ct(bench.path / "a.dcm")
    [arrival] = bench.settle()
    behind_meta = 144 + int.from_bytes(content[140:144], "little")
    assert arrival.sha256 == hashlib.sha256(content[behind_meta:]).hexdigest()


def test_a_damaged_gzip_stream_waits_and_is_then_taken_as_it_is(bench: Bench) -> None:
    content = bytearray(gzip.compress(nifti(bench.path / "a.nii")))
    (bench.path / "a.nii").unlink()
    content[20:30] = bytes(10)
    (bench.path / "a.nii.gz").write_bytes(content)
    assert bench.settle(20.0) == []
    assert len(bench.settle(15.0)) == 1


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path, bench: Bench) -> None:
    (tmp_path / "file").write_bytes(b"")
    watched = bench.make(path=tmp_path / "file")
    with pytest.raises(ConfigurationError, match="wanted a folder to watch"), watched.serve(bench.taken):
        pass


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_a_file_that_cannot_be_copied_now_is_taken_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    ct(bench.path / "a.dcm")
    with monkeypatch.context() as broken:
        broken.setattr(Studies, "copy_in", partial(cannot, number=number))
        for _ in range(3):
            assert bench.settle(40.0) == []
    bench.make()  # a restart has not forgotten it either
    assert len(bench.settle()) == 1
    assert bench.stage.health().balances


def test_a_file_that_cannot_be_copied_holds_up_no_series(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_in = Studies.copy_in

    def copy(self: Studies, path: Path, target: Path, identity: Identity) -> tuple[int, str]:
        act: Callable[..., tuple[int, str]] = {"b.dcm": cannot}.get(path.name, partial(copy_in, self))
        return act(path, target, identity)

    monkeypatch.setattr(Studies, "copy_in", copy)
    ct(bench.path / "a.dcm")
    ct(bench.path / "b.dcm")
    [arrival] = bench.settle()
    assert bench.taken.closed == [arrival.association]


def test_a_file_that_was_replaced_while_it_was_kept_is_not_removed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.make(after="remove")
    ct(bench.path / "a.dcm")
    nifti(bench.path / ".next.nii")
    keep = bench.taken.keep

    def keep_slowly(arrival: Arrival) -> Kept:
        (bench.path / ".next.nii").replace(bench.path / "a.dcm")
        monkeypatch.setattr(bench.taken, "keep", keep)
        return keep(arrival)

    monkeypatch.setattr(bench.taken, "keep", keep_slowly)
    assert len(bench.settle()) == 1
    assert (bench.path / "a.dcm").exists()


def test_a_file_that_cannot_be_removed_is_taken_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    unlink = Path.unlink

    def remove(path: Path, **options: bool) -> None:
        {"a.dcm": cannot}.get(path.name, unlink)(path, **options)

    bench.make(after="remove")
    ct(bench.path / "a.dcm")
    monkeypatch.setattr(Path, "unlink", remove)
    assert len(bench.settle()) == 1
    assert bench.settle(40.0) == []
    assert bench.stage.health().out == 1


def test_a_ledger_that_cannot_be_written_stops_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    ct(bench.path / "a.dcm")
    with monkeypatch.context() as broken:
        broken.setattr("edge.sources.folder.write_durably", cannot)
        assert len(bench.settle()) == 1
    ct(bench.path / "b.dcm")
    assert len(bench.settle()) == 1
    bench.make()
    assert bench.settle() == []


def test_a_folder_that_is_gone_is_said_and_nothing_is_taken_twice_when_it_is_back(bench: Bench) -> None:
    ct(bench.path / "a.dcm")
    assert len(bench.settle()) == 1
    assert bench.stage.health().note == ""
    away = bench.path.rename(bench.path.with_name("away"))
    assert bench.settle() == []
    assert "cannot be read" in bench.stage.health().note
    away.rename(bench.path)
    assert bench.settle() == []
    assert bench.stage.health().note == ""


def test_a_cube_comes_as_one_with_its_binary_and_waits_for_it(bench: Bench) -> None:
    bench.make(contents=Measurements(kind="cube"), after="remove")
    write_envi(bench.path, "late", ramp())
    (bench.path / "late.raw").rename(bench.path / ".late.raw")
    assert bench.settle() == []
    (bench.path / ".late.raw").rename(bench.path / "late.raw")
    [arrival] = bench.settle()
    assert (arrival.format, arrival.modality, arrival.announced_instances) == ("cube", "HSI", 1)
    assert list(bench.path.iterdir()) == []
    assert bench.stage.health().balances


def test_a_binary_that_is_still_growing_is_waited_for(bench: Bench) -> None:
    bench.make(contents=Measurements(kind="cube"))
    write_envi(bench.path, "slow", ramp())
    whole = (bench.path / "slow.raw").read_bytes()
    for share in range(1, 10):  # longer than a file that does not change would be waited for
        (bench.path / "slow.raw").write_bytes(whole[: len(whole) * share // 10])
        assert bench.settle(10.0) == []
    (bench.path / "slow.raw").write_bytes(whole)
    assert len(bench.settle()) == 1


def test_a_binary_that_comes_long_after_its_header_is_not_lost(bench: Bench) -> None:
    bench.make(contents=Measurements(kind="cube"))
    write_envi(bench.path, "late", ramp())
    (bench.path / "late.raw").rename(bench.path / ".late.raw")
    bench.settle()
    [header_alone] = bench.settle(40.0)
    (bench.path / ".late.raw").rename(bench.path / "late.raw")
    assert bench.settle() == []
    [whole] = bench.settle()
    assert whole.sop_uid != header_alone.sop_uid
    assert whole.size_bytes > header_alone.size_bytes
    assert bench.settle(40.0) == []


def test_a_binary_that_was_written_anew_below_the_same_header_is_another_cube(bench: Bench) -> None:
    bench.make(contents=Measurements(kind="cube"))
    write_envi(bench.path, "again", ramp())
    [first] = bench.settle()
    binary = bench.path / "again.raw"
    changed_ns = binary.stat().st_mtime_ns + 1_000_000
    binary.write_bytes(bytes(reversed(binary.read_bytes())))
    os.utime(binary, ns=(changed_ns, changed_ns))
    assert bench.settle() == []
    [second] = bench.settle()
    assert second.sop_uid != first.sop_uid
    assert bench.settle(40.0) == []
    bench.make(contents=Measurements(kind="cube"))
    assert bench.settle(40.0) == []


def test_a_binary_that_was_replaced_while_its_cube_was_kept_is_not_removed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.make(contents=Measurements(kind="cube"), after="remove")
    write_envi(bench.path, "fast", ramp())
    binary, keep = bench.path / "fast.raw", bench.taken.keep

    def keep_slowly(arrival: Arrival) -> Kept:
        kept = keep(arrival)
        newer = bench.path / ".newer"
        newer.write_bytes(bytes(reversed(binary.read_bytes())))
        newer.replace(binary)
        return kept

    monkeypatch.setattr(bench.taken, "keep", keep_slowly)
    [first] = bench.settle()
    monkeypatch.undo()
    assert binary.exists()
    assert bench.settle() == []
    [second] = bench.settle()
    assert second.sop_uid != first.sop_uid
    assert list(bench.path.iterdir()) == []


def test_a_spectrum_is_taken_and_a_note_beside_it_is_not(bench: Bench) -> None:
    bench.make(contents=Measurements(kind="spectrum"))
    points = "\n".join(f"{x}\t{x * x % 97}" for x in range(100, 400))
    (bench.path / "bone.txt").write_text(points)
    (bench.path / "note.docx").write_text("remember the milk")
    [arrival] = bench.settle()
    assert (arrival.format, arrival.modality) == ("spectrum", "SPECTRUM")
    assert bench.stage.health().set_aside == 1
