"""The plug is pulled on the door while objects arrive: what was answered with Success is there afterwards."""

from __future__ import annotations

import hashlib
import os
import random
import threading
from functools import partial
from pathlib import Path

import pytest

from edge.domain.errors import JournalError
from edge.kit.clock import SystemClock
from edge.kit.journal import Journal
from edge.studies.intake import EVERY_STATE, QUEUE, JournaledIntake, instance_of
from tests.builders.door import door_process, open_door
from tests.builders.raw_scu import RawScu, data_set
from tests.waiting import until

INSTANCES = 200


def content_of(sop_uid: str) -> bytes:
    """A data set of some 50 KB that no other instance has."""
    return data_set(sop_uid, pixels=hashlib.sha256(sop_uid.encode()).digest() * 1600)


def send_until_it_dies(port: int, sop_uids: list[str], confirmed: list[str]) -> None:
    """Send over one association; note what was answered with Success."""
    try:
        with RawScu(port) as scu:
            scu.associate()
            for sop_uid in sop_uids:
                assert scu.store(sop_uid, content_of(sop_uid)) == 0x0000
                confirmed.append(sop_uid)
    except (ConnectionError, TimeoutError):
        return  # the door was killed


def has_enough(confirmed: list[str], moments: random.Random | None) -> bool:
    """Say when to kill: at a random moment, or once everything is confirmed."""
    return len(confirmed) == INSTANCES or (moments is not None and moments.random() < 0.1)


def kill_while_receiving(folder: Path, *, kills: int, seed: int) -> None:
    """Send `INSTANCES` again and again until all are confirmed, killing the door at random moments."""
    moments = random.Random(seed)
    wanted = [f"2.25.{seed}.{number}" for number in range(INSTANCES)]
    confirmed: list[str] = []
    for life in range(kills + 1):
        with door_process(folder) as (child, port):
            rest = [sop_uid for sop_uid in wanted if sop_uid not in confirmed]
            senders = [
                threading.Thread(target=send_until_it_dies, args=(port, rest[part::4], confirmed))
                for part in range(4)
            ]
            for sender in senders:
                sender.start()
            until(partial(has_enough, confirmed, moments if life < kills else None), within_s=60)
            child.kill()
            for sender in senders:
                sender.join()
    assert sorted(set(confirmed)) == sorted(wanted)
    assert_everything_is_there(folder, confirmed)


def assert_everything_is_there(folder: Path, confirmed: list[str]) -> None:
    """After a recovery: a row and a whole file for each confirmed instance, and no file without a row."""
    with open_door(folder) as door:
        instances = {instance.sop_uid: instance for instance in door.instances()}
        assert len(instances) == len(door.instances())
    assert set(confirmed) <= set(instances)
    for sop_uid, instance in instances.items():
        assert instance.path.read_bytes().endswith(content_of(sop_uid))
    assert set(folder.glob("intake/*/*")) == {each.path for each in instances.values()}
    assert list(folder.glob("spool/*/*")) == []


def test_nothing_confirmed_is_missing_after_kills(tmp_path: Path) -> None:
    kill_while_receiving(tmp_path, kills=2, seed=1)


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(20))
def test_nothing_confirmed_is_missing_after_many_kills(tmp_path: Path, seed: int) -> None:
    kill_while_receiving(tmp_path, kills=3, seed=100 + seed)


def test_files_that_nobody_was_told_of_are_removed_at_the_start(tmp_path: Path) -> None:
    with open_door(tmp_path) as door, RawScu(door.port) as scu:
        scu.associate()
        scu.store("2.25.1", content_of("2.25.1"))
        [instance] = door.instances()
    (instance.path.parent / "landed.dcm").write_bytes(b"landed, but the row was never committed")
    (tmp_path / "spool" / "door" / "half.part").write_bytes(b"half an object")
    with open_door(tmp_path) as door:
        assert door.instances() == [instance]
    assert list(tmp_path.glob("intake/*/*")) == [instance.path]
    assert list(tmp_path.glob("spool/*/*")) == []


def test_a_torn_file_gives_way_when_the_object_comes_again(tmp_path: Path) -> None:
    """A power cut may leave a row whose file is not whole; the sender was not answered and sends again."""
    with open_door(tmp_path) as door, RawScu(door.port) as scu:
        scu.associate()
        scu.store("2.25.1", content_of("2.25.1"))
        [instance] = door.instances()
    os.truncate(instance.path, 1000)
    with open_door(tmp_path) as door, RawScu(door.port) as scu:
        assert not instance.path.exists()
        scu.associate()
        assert scu.store("2.25.1", content_of("2.25.1")) == 0x0000
        [again] = door.instances()
        assert door.kept == [again]
    assert again.path.read_bytes().endswith(content_of("2.25.1"))


def test_a_moved_state_folder_loses_no_file(tmp_path: Path) -> None:
    with open_door(tmp_path / "here") as door, RawScu(door.port) as scu:
        scu.associate()
        scu.store("2.25.1", content_of("2.25.1"))
    (tmp_path / "here").rename(tmp_path / "there")
    with open_door(tmp_path / "there") as door:
        assert len(door.instances()) == 1
    assert len(list((tmp_path / "there").glob("intake/*/*"))) == 1


def test_a_second_daemon_on_the_same_journal_is_told_so(tmp_path: Path) -> None:
    with door_process(tmp_path) as (child, _):
        wanted = f"in use by process {child.pid}"
        with pytest.raises(JournalError, match=wanted), Journal(tmp_path / "journal.db", SystemClock()):
            pass


def test_what_was_interrupted_three_times_is_known_at_the_next_start(tmp_path: Path) -> None:
    with open_door(tmp_path) as door, RawScu(door.port) as scu:
        scu.associate()
        scu.store("2.25.1", content_of("2.25.1"))
    for attempt in (1, 2, 3):
        with Journal(tmp_path / "journal.db", SystemClock()) as journal:
            for lease in journal.interrupted(QUEUE):
                journal.retry(lease, after_s=0.0, reason="interrupted")
            begun = journal.lease_group(QUEUE, "2.25.7")
            assert begun is not None
            assert begun.attempt == attempt
    with Journal(tmp_path / "journal.db", SystemClock()) as journal:
        [lease] = journal.interrupted(QUEUE)
        assert lease.attempt == 3
        journal.set_aside(lease, reason="the process ended 3 times")
        [item] = journal.items(QUEUE, states=("set_aside",))
        assert instance_of(item).path.exists()


def test_recovery_of_an_empty_intake_removes_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.db", SystemClock()) as journal:
        intake = JournaledIntake(
            journal,
            folder=tmp_path / "intake",
            reserve_bytes=0,
            clock=SystemClock(),
            on_kept=lambda _: None,
            on_closed=lambda _: None,
        )
        assert intake.recover() == 0
        assert journal.items(QUEUE, states=EVERY_STATE) == []
