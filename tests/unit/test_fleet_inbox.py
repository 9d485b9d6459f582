"""What the broker tells the device waits in limits, and is looked at in a pace."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from edge.fleet.documents import DOCUMENT_BYTES_MAX
from edge.fleet.inbox import COMMANDS_MAX, DOCUMENTS_MAX, QUESTIONS_MAX, REFUSED_MAX, Inbox, Letter
from edge.fleet.limits import Bucket
from edge.kit.clock import SystemClock
from edge.kit.mqtt import Message
from tests.fakes.clock import FakeClock


def message(payload: bytes = b"{}", topic: str = "a") -> Message:
    return Message(topic=topic, payload=payload)


def drained(inbox: Inbox) -> list[Letter]:
    return list(iter(inbox.take, None))


@given(per_minute=st.integers(1, 600), pauses_ms=st.lists(st.integers(0, 20_000), max_size=60))
def test_a_bucket_never_lets_more_through_than_its_pace_and_its_store(
    per_minute: int, pauses_ms: list[int]
) -> None:
    clock = FakeClock()
    bucket = Bucket(per_minute=per_minute, clock=clock)
    taken = 0
    for pause_ms in pauses_ms:
        clock.advance(pause_ms / 1e3)
        taken += sum(bucket.take() for _ in range(50))
    assert taken <= per_minute * (1 + sum(pauses_ms) / 60_000) + 1


@given(per_minute=st.integers(1, 600))
def test_after_the_wait_it_names_a_bucket_lets_one_through(per_minute: int) -> None:
    clock = FakeClock()
    bucket = Bucket(per_minute=per_minute, clock=clock)
    assert sum(bucket.take() for _ in range(per_minute)) == per_minute
    wait_s = bucket.wait_s()
    assert not bucket.take()
    clock.advance(wait_s + 1e-8)
    assert bucket.take()
    assert not bucket.take()


@given(payloads=st.lists(st.integers(0, 30).map(lambda one: str(one).encode()), min_size=1, max_size=60))
def test_of_documents_the_newest_is_always_there_and_comes_last(payloads: list[bytes]) -> None:
    inbox = Inbox(FakeClock())
    for payload in payloads:
        inbox.put("document", "device", message(payload))
    taken = [letter.message.payload for letter in drained(inbox)]
    assert taken[-1] == payloads[-1]
    assert len(taken) == len(set(taken)) <= DOCUMENTS_MAX


def test_one_scope_does_not_keep_another_waiting() -> None:
    inbox = Inbox(FakeClock())
    for number in range(4):
        inbox.put("document", "device", message(str(number).encode()))
    inbox.put("document", "group/a", message(b"9"))
    assert [letter.name for letter in drained(inbox)] == ["device", "group/a", "device", "device", "device"]


def test_what_guards_safety_is_taken_first_and_questions_last() -> None:
    inbox = Inbox(FakeClock())
    inbox.put("question", "config", message())
    inbox.put("command", "selftest/1", message())
    inbox.put("document", "device", message())
    inbox.put("case", "case", message(b"closed"))
    inbox.put("case", "case", message(b"open"))
    taken = drained(inbox)
    assert [letter.kind for letter in taken] == ["case", "document", "command", "question"]
    assert taken[0].message.payload == b"open"


def test_everything_has_a_limit_and_what_finds_no_room_is_known() -> None:
    inbox = Inbox(FakeClock())
    for number in range(1000):
        inbox.put("command", f"selftest/{number}", message())
        inbox.put("question", "config", message())
    inbox.put("command", "selftest/0", message(b"newer"))
    taken = drained(inbox)
    assert [letter.kind for letter in taken].count("question") == QUESTIONS_MAX
    assert inbox.take_forgotten() == 1000 - QUESTIONS_MAX
    assert inbox.take_forgotten() == 0
    assert taken[0].message.payload == b"newer"
    assert len(taken) - QUESTIONS_MAX == 60, "a minute's worth"
    assert len(inbox._commands) == COMMANDS_MAX - 60
    assert len(inbox.take_refused()) == REFUSED_MAX
    assert inbox.take_refused() == []


def test_one_that_is_too_long_is_held_only_as_far_as_it_takes_to_say_so() -> None:
    inbox = Inbox(FakeClock())
    sent = Message(topic="a", payload=b"x" * 250_000, response_topic="b", correlation_data=b"c")
    inbox.put("question", "config", sent)
    (letter,) = drained(inbox)
    assert len(letter.message.payload) == DOCUMENT_BYTES_MAX + 1
    assert (letter.message.response_topic, letter.message.correlation_data) == ("b", b"c")


def test_what_could_not_be_remembered_is_put_back_before_what_came_since() -> None:
    inbox = Inbox(FakeClock())
    for kind, name in (("document", "device"), ("command", "selftest/1"), ("case", "case")):
        inbox.put(kind, name, message(b"1"))  # type: ignore[arg-type]  # each is one of the kinds
    first = drained(inbox)
    inbox.put("document", "device", message(b"2"))
    inbox.put("case", "case", message(b"2"))
    for letter in first:
        inbox.put_back(letter)
    again = [(letter.kind, letter.message.payload) for letter in drained(inbox)]
    assert again == [("case", b"2"), ("document", b"1"), ("document", b"2"), ("command", b"1")]


def test_whoever_waits_is_woken_by_what_comes_and_by_what_may_be_taken_at_last() -> None:
    inbox = Inbox(SystemClock())
    waiting = threading.Thread(target=inbox.wait, args=(20.0,))
    waiting.start()
    inbox.put("case", "case", message())
    waiting.join(10)
    assert not waiting.is_alive()
    clock = FakeClock()
    paced = Inbox(clock)
    for number in range(40):
        paced.put("document", f"group/{number}", message())
    assert len(drained(paced)) == 30
    paced.wait(0.0)
    clock.advance(2.1)
    paced.wait(20.0)  # returns at once: a letter may be taken
    assert len(drained(paced)) == 1
