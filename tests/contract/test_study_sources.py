"""What every source of studies promises: the door, the watched folder, and the fake that other tests use."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from edge.domain.errors import JournalError, StorageFullError
from edge.domain.ports import StudySource
from edge.domain.study import Arrival, Kept
from edge.kit.clock import SystemClock
from edge.kit.stage import Stage
from edge.sources.dicom import Caller, DicomDoor
from edge.sources.dicom_object import Command, part10_head
from edge.sources.folder import WatchedFolder
from edge.sources.folder_files import Studies
from tests.builders.arrivals import arrival
from tests.builders.raw_scu import CT_STORAGE, EXPLICIT, RawScu, data_set
from tests.fakes.study_source import FakeStudySource
from tests.waiting import until


class ListeningIntake:
    """Notes what a source does; may be told to have no room."""

    def __init__(self) -> None:
        self.kept: list[tuple[Arrival, bytes]] = []
        self.closed: list[str] = []
        self.trouble: Exception | None = None
        self.may_answer = threading.Event()
        self.may_answer.set()

    def keep(self, arrival: Arrival) -> Kept:
        assert self.may_answer.wait(10)
        if self.trouble is not None:
            raise self.trouble
        self.kept.append((arrival, arrival.received_path.read_bytes()))
        arrival.received_path.unlink()
        return Kept.NEW

    def association_closed(self, association: str) -> None:
        self.closed.append(association)

    def sop_uids(self) -> list[str]:
        return sorted(arrival.sop_uid for arrival, _ in self.kept)


class Sender(Protocol):
    """Whoever is on the far side of a source."""

    source: StudySource

    def send(self, sop_uid: str) -> bool:
        """Hand an object over and return whether the source says that it has it."""

    def finish(self) -> None:
        """Say that nothing more comes."""


class ToDoor:
    def __init__(self, folder: Path) -> None:
        clock = SystemClock()
        self.source = self.door = DicomDoor(
            "door",
            host="127.0.0.1",
            port=0,
            ae_title="EDGE",
            allowed=[Caller()],
            associations_max=4,
            spool=folder,
            reserve_bytes=0,
            clock=clock,
            stage=Stage("door", clock),
        )
        self._rooms = ExitStack()
        self._scu: RawScu | None = None

    def send(self, sop_uid: str) -> bool:
        if self._scu is None:
            self._scu = self._rooms.enter_context(RawScu(self.door.port))
            assert self._scu.associate() == 2
        return self._scu.store(sop_uid, data_set(sop_uid)) == 0x0000

    def finish(self) -> None:
        self._rooms.close()
        self._scu = None


class ToFolder:
    """The source says that it has a file by removing it."""

    def __init__(self, folder: Path) -> None:
        clock = SystemClock()
        self._path = folder / "watched"
        self.source = WatchedFolder(
            "folder",
            path=self._path,
            spool=folder / "spool",
            settle_s=0.05,
            after="remove",
            contents=Studies(nifti_modality=""),
            clock=clock,
            stage=Stage("folder", clock),
        )

    def send(self, sop_uid: str) -> bool:
        command = Command(1, 1, has_data_set=True, sop_class_uid=CT_STORAGE, sop_uid=sop_uid)
        head = part10_head(command, transfer_syntax_uid=EXPLICIT, calling_ae="TEST")
        path = self._path / f"{sop_uid}.dcm"
        path.write_bytes(head + data_set(sop_uid))
        deadline = threading.Event()
        for _ in range(50):
            if not path.exists():
                return True
            deadline.wait(0.02)
        return False

    def finish(self) -> None:
        """A folder that is quiet is finished."""


class ToFake:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.source = self._fake = FakeStudySource()

    def send(self, sop_uid: str) -> bool:
        return self._fake.send(arrival(self._folder, sop_uid, content=sop_uid.encode()))

    def finish(self) -> None:
        self._fake.finish()


@pytest.fixture(params=[ToDoor, ToFolder, ToFake])
def sender(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sender]:
    made: Sender = request.param(tmp_path)
    yield made
    made.finish()


@pytest.fixture
def intake() -> ListeningIntake:
    return ListeningIntake()


def test_what_is_sent_is_kept_with_its_file_closed_and_whole(sender: Sender, intake: ListeningIntake) -> None:
    with sender.source.serve(intake):
        assert sender.send("2.25.1")
        [(kept, content)] = intake.kept
    assert kept.sop_uid == "2.25.1"
    assert kept.size_bytes == len(content)
    assert len(kept.sha256) == 64


def test_nobody_is_told_before_the_intake_has_answered(sender: Sender, intake: ListeningIntake) -> None:
    intake.may_answer.clear()
    told: list[bool] = []
    with sender.source.serve(intake):
        sending = threading.Thread(target=lambda: told.append(sender.send("2.25.1")))
        sending.start()
        threading.Event().wait(0.05)
        assert told == []
        intake.may_answer.set()
        sending.join()
    assert told == [True]


@pytest.mark.parametrize("trouble", [StorageFullError("no room"), JournalError("no journal")])
def test_what_the_intake_does_not_take_is_not_confirmed_and_may_come_again(
    sender: Sender, intake: ListeningIntake, trouble: Exception
) -> None:
    with sender.source.serve(intake):
        intake.trouble = trouble
        assert not sender.send("2.25.1")
        intake.trouble = None
        assert sender.send("2.25.2")
    assert "2.25.2" in intake.sop_uids()


def test_objects_that_come_together_share_an_association_that_is_closed_once(
    sender: Sender, intake: ListeningIntake
) -> None:
    with sender.source.serve(intake):
        assert all(sender.send(f"2.25.{number}") for number in range(3))
        sender.finish()
        associations = {kept.association for kept, _ in intake.kept}
        until(lambda: associations <= set(intake.closed), within_s=5)
    assert len(intake.closed) == len(set(intake.closed))


def test_a_source_can_be_served_again_after_it_was_closed(sender: Sender, intake: ListeningIntake) -> None:
    with sender.source.serve(intake):
        assert sender.send("2.25.1")
        sender.finish()
    with sender.source.serve(intake):
        pass
    assert intake.sop_uids() == ["2.25.1"]
