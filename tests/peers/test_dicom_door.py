"""The door with real peers: dcmtk's echoscu and storescu, pynetdicom, and a sender made of bytes."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pynetdicom import AE

from edge.sources.dicom import Caller
from edge.sources.dicom_visit import BUFFER_BYTES
from tests.builders.door import AE_TITLE, OpenDoor, open_door, storescp
from tests.builders.raw_scu import CT_STORAGE, EXPLICIT, IMPLICIT, VERIFICATION, RawScu, data_set
from tests.waiting import until

BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
MPEG4 = "1.2.840.10008.1.2.4.102"
PRIVATE_SYNTAX, PRIVATE_CLASS = "1.2.826.0.1.3680043.2.682.1.40", "1.3.12.2.1107.5.9.1"


@pytest.fixture
def door(tmp_path: Path) -> Iterator[OpenDoor]:
    with open_door(tmp_path) as door:
        yield door


def stored_data_set(path: Path) -> bytes:
    """What lies behind the preamble and the meta information."""
    content = path.read_bytes()
    assert content[128:132] == b"DICM"
    return content[144 + int.from_bytes(content[140:144], "little") :]


def dcmtk(
    program: str, port: int, *arguments: str, called: str = AE_TITLE
) -> subprocess.CompletedProcess[str]:
    command = [
        f"/usr/bin/{program}",
        "-aec",
        called,
        *arguments[:-1],
        "127.0.0.1",
        str(port),
        *arguments[-1:],
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_echoscu_is_answered(door: OpenDoor) -> None:
    told = subprocess.run(
        ["/usr/bin/echoscu", "-v", "-aec", AE_TITLE, "127.0.0.1", str(door.port)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "Received Echo Response (Success)" in told.stdout + told.stderr


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("CT_small.dcm", "-xe"),
        ("MR_small.dcm", "-xi"),
        ("JPEG2000.dcm", "-xw"),
        ("MR_small_bigendian.dcm", "-xb"),
    ],
)
def test_what_storescu_sends_is_stored_as_storescp_stores_it(
    door: OpenDoor, tmp_path: Path, name: str, option: str
) -> None:
    path = str(get_testdata_file(name))
    with storescp(tmp_path / "peer", "+B", "+xa") as peer:
        told = [dcmtk("storescu", port, "-R", option, path) for port in (door.port, peer)]
    assert [each.returncode for each in told] == [0, 0], told
    [instance] = door.instances()
    [beside] = (tmp_path / "peer").iterdir()
    assert stored_data_set(instance.path) == stored_data_set(beside)
    ours, theirs, sent = (pydicom.dcmread(each) for each in (instance.path, beside, path))
    assert ours.file_meta.TransferSyntaxUID == theirs.file_meta.TransferSyntaxUID
    assert ours.file_meta.MediaStorageSOPClassUID == theirs.file_meta.MediaStorageSOPClassUID
    assert ours.file_meta.SourceApplicationEntityTitle == "STORESCU"
    assert (instance.sop_uid, instance.series_uid) == (sent.SOPInstanceUID, sent.SeriesInstanceUID)
    assert instance.sha256 == hashlib.sha256(stored_data_set(instance.path)).hexdigest()


def test_pynetdicom_stores_and_releases_and_the_association_is_closed(door: OpenDoor) -> None:
    sent = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    entity = AE("SCANNER")
    entity.add_requested_context(sent.SOPClassUID, sent.file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", door.port, ae_title=AE_TITLE)
    assert association.is_established
    assert association.send_c_store(sent).Status == 0x0000
    assert len(door.kept) == 1
    association.release()
    until(lambda: door.closed == [door.kept[0].association], within_s=5)
    assert door.kept[0].calling_ae == "SCANNER"


@pytest.mark.parametrize(
    ("sop_class", "transfer_syntax"),
    [
        (CT_STORAGE, IMPLICIT),
        (CT_STORAGE, EXPLICIT),
        (CT_STORAGE, BIG_ENDIAN),
        (CT_STORAGE, DEFLATED),
        (CT_STORAGE, MPEG4),
        (CT_STORAGE, PRIVATE_SYNTAX),
        (PRIVATE_CLASS, PRIVATE_SYNTAX),
        ("1.2.840.10008.5.1.4.1.1.6", IMPLICIT),  # retired
        ("1.2.840.10008.5.1.4.39.1", EXPLICIT),  # a palette: of no patient
        ("1.2.840.10008.5.1.4.38.1", IMPLICIT),  # a hanging protocol
        ("1.2.840.10008.1.3.10", EXPLICIT),  # a DICOMDIR
        ("1.2.840.10008.5.1.4.1.1.999.1", EXPLICIT),  # not yet invented
    ],
)
def test_any_class_and_syntax_is_taken_verbatim(door: OpenDoor, sop_class: str, transfer_syntax: str) -> None:
    content = bytes(range(256)) * 41  # a data set nobody can read
    with RawScu(door.port, contexts=[(sop_class, transfer_syntax)]) as scu:
        assert scu.associate() == 2
        assert scu.store("2.25.1", content, sop_class=sop_class) == 0x0000
        assert scu.release() == 6
    [instance] = door.instances()
    assert stored_data_set(instance.path) == content
    assert (instance.sop_class_uid, instance.transfer_syntax_uid) == (sop_class, transfer_syntax)
    meta = pydicom.filereader.read_file_meta_info(instance.path)
    assert meta.MediaStorageSOPClassUID == sop_class
    assert meta.TransferSyntaxUID == transfer_syntax


def test_success_is_said_only_after_the_row_is_there(door: OpenDoor) -> None:
    with RawScu(door.port) as scu:
        scu.associate()
        for number in range(5):
            assert scu.store(f"2.25.1{number}", data_set(f"2.25.1{number}")) == 0x0000
            assert len(door.instances()) == number + 1
    assert list(door.folder.glob("spool/*/*")) == []


def test_the_same_object_again_is_a_success_without_a_second_file(door: OpenDoor) -> None:
    with RawScu(door.port) as scu:
        scu.associate()
        assert [scu.store("2.25.1", data_set("2.25.1")) for _ in range(3)] == [0, 0, 0]
    assert len(door.instances()) == 1
    assert len(list(door.folder.glob("intake/*/*"))) == 1


def test_the_same_uid_with_other_bytes_is_kept_beside(door: OpenDoor) -> None:
    contents = [data_set("2.25.1", pixels=pixels) for pixels in (b"first!", b"second")]
    with RawScu(door.port) as scu:
        scu.associate()
        assert [scu.store("2.25.1", content) for content in contents] == [0, 0]
    instances = door.instances()
    assert [instance.is_beside for instance in instances] == [False, True]
    assert [stored_data_set(instance.path) for instance in instances] == contents


def test_four_associations_that_race_with_one_object_store_it_once(door: OpenDoor) -> None:
    statuses: list[int] = []
    content = data_set("2.25.1", pixels=bytes(100_000))
    start = threading.Barrier(4)

    def send() -> None:
        with RawScu(door.port) as scu:
            scu.associate()
            start.wait()
            statuses.extend(scu.store("2.25.1", content) for _ in range(5))

    senders = [threading.Thread(target=send) for _ in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert statuses == [0] * 20
    assert len(door.instances()) == len(door.kept) == len(list(door.folder.glob("intake/*/*"))) == 1


def test_a_broken_header_behind_a_good_command_is_kept(door: OpenDoor) -> None:
    with RawScu(door.port) as scu:
        scu.associate()
        assert scu.store("2.25.1", b"\xff" * 1000) == 0x0000
        assert scu.store("2.25.2", b"") == 0x0000
    assert [(instance.series_uid, instance.sop_uid) for instance in door.instances()] == [
        ("", "2.25.1"),
        ("", "2.25.2"),
    ]


def test_a_data_set_of_another_object_is_refused_and_the_association_goes_on(door: OpenDoor) -> None:
    with RawScu(door.port) as scu:
        scu.associate()
        assert scu.store("2.25.1", data_set("2.25.2")) == 0xA900
        assert b"SOP Instance UID of command and data set differ" in scu.reply
        assert scu.store("2.25.3", data_set("2.25.3")) == 0x0000
    assert [instance.sop_uid for instance in door.instances()] == ["2.25.3"]
    assert list(door.folder.glob("spool/*/*")) == []


@pytest.mark.parametrize("sop_uid", ["", "2.25.1"])
def test_a_command_without_uid_or_data_set_gets_a_status(door: OpenDoor, sop_uid: str) -> None:
    with RawScu(door.port) as scu:
        scu.associate()
        scu.command(sop_uid, has_data_set=False)
        assert scu.status() == 0xC001
        assert scu.store("2.25.3", data_set("2.25.3")) == 0x0000


def test_a_caller_that_is_not_on_the_list_is_rejected_for_good(tmp_path: Path) -> None:
    allowed = [Caller(ae_title="CT1", network="127.0.0.0/8"), Caller(ae_title="CT2", network="10.0.0.0/8")]
    with open_door(tmp_path, allowed=allowed) as door:
        for calling, wanted in (("CT1", 2), ("CT2", 3), ("OTHER", 3)):
            with RawScu(door.port, calling=calling) as scu:
                assert scu.associate() == wanted
        assert scu.reply == b"\0\1\1\3"  # permanent, service user, calling AE title not recognised


def test_another_called_title_is_let_in_unless_only_our_own_is_wanted(tmp_path: Path, door: OpenDoor) -> None:
    with RawScu(door.port, called="SOMEBODY") as scu:
        assert scu.associate() == 2
    with open_door(tmp_path / "strict", only_own_title=True) as strict:
        with RawScu(strict.port, called="SOMEBODY") as scu:
            assert scu.associate() == 3
        assert scu.reply == b"\0\1\1\7"


def test_one_association_too_many_is_told_to_come_again(tmp_path: Path) -> None:
    with open_door(tmp_path, associations_max=2) as door, ExitStack() as stack:
        first, second, third = (stack.enter_context(RawScu(door.port)) for _ in range(3))
        assert [first.associate(), second.associate(), third.associate()] == [2, 2, 3]
        assert third.reply == b"\0\2\3\2"  # transient, presentation, local limit exceeded
        assert first.release() == 6
        until(lambda: RawScu(door.port).is_accepted(), within_s=5)


def test_a_flood_of_silent_connections_keeps_no_sender_out(tmp_path: Path) -> None:
    with open_door(tmp_path, associations_max=1) as door, ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(RawScu(door.port))
        assert RawScu(door.port).is_accepted()


def test_below_the_reserve_new_associations_are_rejected_and_open_ones_get_a700(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_door(tmp_path, reserve_bytes=1) as door, RawScu(door.port) as scu:
        assert scu.associate() == 2
        assert scu.store("2.25.1", data_set("2.25.1")) == 0x0000
        monkeypatch.setattr("edge.sources.dicom.free_bytes", lambda _: 0)
        assert scu.store("2.25.2", data_set("2.25.2")) == 0xA700
        with RawScu(door.port) as late:
            assert late.associate() == 3
            assert late.reply == b"\0\2\3\2"
        monkeypatch.undo()
        assert scu.store("2.25.2", data_set("2.25.2")) == 0x0000
        assert door.door.stage.health().balances


def test_a_hundred_and_twenty_eight_contexts_are_accepted(door: OpenDoor) -> None:
    contexts = [(f"1.2.840.10008.5.1.4.1.1.{number}", EXPLICIT) for number in range(128)]
    with RawScu(door.port, contexts=contexts) as scu:
        assert scu.associate() == 2
        status = scu.store("2.25.1", data_set("2.25.1"), sop_class=contexts[127][0], context_id=255)
        assert status == 0x0000


@pytest.mark.parametrize("calling", ["A", "with space", "ÄÖÜ", "BACK\\SLASH", "\x1btitle"])
def test_odd_titles_are_answered_and_the_door_lives_on(door: OpenDoor, calling: str) -> None:
    with RawScu(door.port, calling=calling) as scu:
        scu.associate_or_hang_up()
    with RawScu(door.port) as scu:
        assert scu.associate() == 2


def test_pdus_larger_than_announced_and_tiny_ones_are_read(door: OpenDoor) -> None:
    with RawScu(door.port, pdu_bytes=64) as scu:
        scu.associate()
        huge = data_set("2.25.1", pixels=bytes(3_000_000))
        scu.command("2.25.1")
        scu.send_pdv(huge, control=2)
        answer = b""
        while b"\x00\x00\x00\x09" not in answer:  # the status, wherever 64-byte PDUs cut the answer
            answer += scu.receive_pdu()[1]
        tiny = data_set("2.25.2")
        scu.command("2.25.2")
        for at in range(len(tiny)):
            scu.send_pdv(tiny[at : at + 1], control=0)
        scu.send_pdv(b"", control=2)
        until(lambda: len(door.instances()) == 2, within_s=5)
    assert stored_data_set(door.instances()[0].path) == huge
    assert stored_data_set(door.instances()[1].path) == tiny


@pytest.mark.parametrize("pdv_bytes", [5_000, 16_372, 131_060])
@pytest.mark.parametrize("buffers", [1, 2])
def test_a_file_that_ends_about_where_the_buffer_does_is_kept_verbatim(
    door: OpenDoor, buffers: int, pdv_bytes: int
) -> None:
    noise = random.Random(1).randbytes(buffers * BUFFER_BYTES)
    with RawScu(door.port) as scu:
        scu.associate()
        scu.store("2.25.0", data_set("2.25.0", pixels=b""))
        beside_pixels = door.instances()[0].size_bytes
        sent = {}
        for number, too_long in enumerate(range(-6, 8, 2), 1):
            sop_uid = f"2.25.{number}"
            content = data_set(sop_uid, pixels=noise[: len(noise) - beside_pixels + too_long])
            pieces = (content[at : at + pdv_bytes] for at in range(0, len(content), pdv_bytes))
            assert scu.store(sop_uid, pieces) == 0x0000
            sent[sop_uid] = content
    instances = door.instances()[1:]
    assert [each.size_bytes - len(noise) for each in instances] == list(range(-6, 8, 2))
    for instance in instances:
        assert stored_data_set(instance.path) == sent[instance.sop_uid]
        assert instance.sha256 == hashlib.sha256(sent[instance.sop_uid]).hexdigest()
        assert instance.size_bytes == instance.path.stat().st_size


def test_an_echo_between_two_objects_is_answered(door: OpenDoor) -> None:
    with RawScu(door.port, contexts=[(CT_STORAGE, EXPLICIT), (VERIFICATION, IMPLICIT)]) as scu:
        scu.associate()
        assert scu.store("2.25.1", data_set("2.25.1")) == 0x0000
        echo = b"\0\0\2\0\x12\0\0\0" + VERIFICATION.encode() + b"\0"
        echo += b"\0\0\0\1\2\0\0\0\x30\0" + b"\0\0\x10\1\2\0\0\0\5\0" + b"\0\0\0\10\2\0\0\0\1\1"
        scu.send_pdv(echo, control=3, context_id=3)
        assert scu.status() == 0x0000
        assert scu.store("2.25.2", data_set("2.25.2")) == 0x0000


def test_closing_the_door_ends_idle_associations_quickly(tmp_path: Path) -> None:
    with open_door(tmp_path) as door:
        scu = RawScu(door.port).__enter__()
        scu.associate()
        scu.store("2.25.1", data_set("2.25.1"))
    assert door.closed == [door.kept[0].association]
    scu.socket.close()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ECONNABORTED])
def test_a_connection_that_cannot_be_accepted_does_not_end_the_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    accept = socket.socket.accept
    troubles = iter([OSError(number, os.strerror(number))])

    def fail_once(listener: socket.socket) -> tuple[socket.socket, object]:
        for trouble in troubles:
            raise trouble
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", fail_once)
    with open_door(tmp_path) as door, RawScu(door.port) as scu:
        assert scu.associate() == 2


def test_a_door_that_can_accept_no_more_ends_its_thread_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    died: list[str] = []

    def fail(_: socket.socket) -> None:
        raise OSError(errno.EINVAL, "broken")

    monkeypatch.setattr(threading, "excepthook", lambda death: died.append(str(death.exc_value)))
    monkeypatch.setattr(socket.socket, "accept", fail)
    with open_door(tmp_path):
        until(lambda: died, within_s=5)
    assert "broken" in died[0]
