"""`edge send` against archives that are not ours."""

from __future__ import annotations

import itertools
import signal
import struct
import subprocess
import threading
from pathlib import Path
from typing import Any

import pydicom.data
import pytest

from edge.cli.send import Gathered, gather, lots
from edge.formats.dicom import index
from edge.simulate.scu import CONTEXTS_MAX
from tests.peers.archive import Archive
from tests.peers.command import edge, start
from tests.ports import free_port
from tests.waiting import until

WHEEL = Path(pydicom.data.__file__).parent / "test_files"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"


def element(tag: int, vr: str, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), len(value)) + value


def instance(folder: Path, number: int, *, sop_class: str = "1.2.840.10008.5.1.4.1.1.7") -> Path:
    """A bare data set without preamble: nothing but its UIDs and a private element."""
    uid = f"1.2.3.{number}"
    body = element(0x00080016, "UI", sop_class.encode()) + element(0x00080018, "UI", uid.encode())
    path = folder / f"{number:04d}"
    path.write_bytes(body + element(0x00090010, "LO", b"EDGE"))
    return path


def taken_by(gathered: Gathered) -> list[tuple[str, str]]:
    return sorted({parcel.context for parcel in gathered.parcels})


def test_every_data_set_arrives_byte_for_byte_however_it_is_written() -> None:
    gathered = gather([WHEEL])
    syntaxes = {parcel.transfer_syntax_uid for parcel in gathered.parcels}
    assert {"1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2"} < syntaxes
    with Archive(taken_by(gathered), takes_private=True) as archive:
        done = edge("send", archive.address, WHEEL, "--called", "ARCHIVE")
    assert done.returncode == 0, done.stdout + done.stderr
    files = {parcel.sop_uid: set[bytes]() for parcel in gathered.parcels}
    for parcel in gathered.parcels:
        files[parcel.sop_uid].add(parcel.path.read_bytes()[parcel.data_set_offset :])
    assert set(archive.data_sets) == set(files)
    assert [uid for uid, body in archive.data_sets.items() if body not in files[uid]] == []


def test_dcmtk_keeps_the_bytes_that_were_in_the_file(tmp_path: Path) -> None:
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        archive = subprocess.Popen(
            ["storescp", "+B", "+xa", "-v", "-od", str(tmp_path), str(port)], stdout=log, stderr=log
        )
    try:
        until(lambda: edge("send", f"127.0.0.1:{port}", WHEEL / "CT_small.dcm").returncode == 0, within_s=20)
    finally:
        archive.terminate()
        archive.wait(10)
    kept = next(tmp_path.glob("CT*"))
    sent = WHEEL / "CT_small.dcm"
    kept_bytes = kept.read_bytes()[index(kept).data_set_offset :]
    assert kept_bytes == sent.read_bytes()[index(sent).data_set_offset :]


def test_more_contexts_than_one_association_holds_travel_on_several(tmp_path: Path) -> None:
    for number in range(300):
        instance(tmp_path, number, sop_class=f"1.2.840.99999.{number}")
    gathered = gather([tmp_path])
    with Archive(taken_by(gathered), takes_private=True) as archive:
        done = edge("send", archive.address, tmp_path)
    assert done.returncode == 0, done.stdout
    assert len(archive.data_sets) == 300
    assert max(archive.proposed) <= CONTEXTS_MAX


def test_lots_hold_everything_once(tmp_path: Path) -> None:
    parcels = gather([WHEEL]).parcels
    shared_out = [parcel for lot in lots(parcels) for parcel in lot]
    assert sorted(parcel.path for parcel in shared_out) == sorted(parcel.path for parcel in parcels)


def test_four_associations_send_at_once(tmp_path: Path) -> None:
    for number in range(8):
        instance(tmp_path, number)
    together = threading.Barrier(4, timeout=20)

    def answer(event: Any) -> int:
        together.wait()
        return 0

    with Archive(taken_by(gather([tmp_path])), answer=answer) as archive:
        done = edge("send", archive.address, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_busy_archive_is_waited_for(tmp_path: Path) -> None:
    for number in range(4):
        instance(tmp_path, number)
    with Archive(taken_by(gather([tmp_path])), associations_max=1) as archive:
        done = edge("send", archive.address, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(archive.data_sets) == 4


def test_what_is_refused_is_counted_and_named(tmp_path: Path) -> None:
    for number in range(5):
        instance(tmp_path, number)

    def answer(event: Any) -> int:
        return 0xA700 if str(event.request.AffectedSOPInstanceUID).endswith(".3") else 0

    with Archive(taken_by(gather([tmp_path])), answer=answer) as archive:
        done = edge("send", archive.address, tmp_path)
    assert done.returncode == 1
    assert "refused with 0xA700" in done.stdout
    assert str(tmp_path / "0003") in done.stdout
    assert len(archive.data_sets) == 4


def test_an_object_that_the_archive_does_not_know_is_a_failure_of_its_own(tmp_path: Path) -> None:
    known, unknown = instance(tmp_path, 1), instance(tmp_path, 2, sop_class="1.2.840.99999.1")
    with Archive(taken_by(gather([known]))) as archive:
        done = edge("send", archive.address, tmp_path)
    assert done.returncode == 1
    assert "the peer takes no 1.2.840.99999.1" in done.stdout
    assert str(unknown) in done.stdout
    assert list(archive.data_sets) == ["1.2.3.1"]


def test_an_association_that_breaks_is_made_again(tmp_path: Path) -> None:
    for number in range(6):
        instance(tmp_path, number)
    breaks = itertools.chain([True], itertools.repeat(False))

    def answer(event: Any) -> int:
        return break_off(event) if next(breaks) else 0

    with Archive(taken_by(gather([tmp_path])), answer=answer) as archive:
        done = edge("send", archive.address, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(archive.data_sets) == 6


def test_ctrl_c_ends_it_though_the_archive_does_not_answer(tmp_path: Path) -> None:
    for number in range(8):
        instance(tmp_path, number)
    asked, ended = threading.Event(), threading.Event()

    def answer(event: Any) -> int:
        asked.set()
        ended.wait(30)
        return 0

    with Archive(taken_by(gather([tmp_path])), answer=answer) as archive:
        sender = start("send", archive.address, tmp_path)
        assert asked.wait(20)
        sender.send_signal(signal.SIGINT)
        _, said = sender.communicate(timeout=20)
        ended.set()
    assert sender.returncode == 130
    assert "Traceback" not in said


def break_off(event: Any) -> int:
    event.assoc.abort()
    return 0xC000


@pytest.mark.parametrize("address", ["127.0.0.1:1", "no-such-host.invalid:104"])
def test_an_archive_that_is_not_there_is_one_clear_line(tmp_path: Path, address: str) -> None:
    for number in range(3):
        instance(tmp_path, number)
    done = edge("send", address, tmp_path)
    assert done.returncode == 1
    assert done.stdout.count(f"failed: {address}: ") == 1
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.1:", ":104", "host:0", "host:70000", "host:x"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    done = edge("send", address, WHEEL)
    assert done.returncode == 2
    assert "wanted HOST:PORT" in done.stderr


def test_what_cannot_be_read_is_named_and_the_rest_is_sent(tmp_path: Path) -> None:
    good = instance(tmp_path, 1)
    (tmp_path / "noise").write_bytes(b"no picture at all" * 10)
    (tmp_path / "empty").mkdir()
    with Archive(taken_by(gather([good]))) as archive:
        words = [good, tmp_path / "noise", tmp_path / "empty", tmp_path / "absent"]
        done = edge("send", archive.address, *words)
    assert done.returncode == 2
    for name in ("noise", "empty", "absent"):
        assert f"unreadable: {tmp_path / name}: " in done.stderr
    assert len(archive.data_sets) == 1


def test_other_files_in_a_folder_are_skipped_and_counted(tmp_path: Path) -> None:
    good = instance(tmp_path, 1)
    (tmp_path / "README.txt").write_text("about these pictures")
    with Archive(taken_by(gather([good]))) as archive:
        done = edge("send", archive.address, tmp_path)
    assert done.returncode == 0
    assert "no DICOM object, skipped" in done.stdout
