"""What the broker told the device and its thread has not looked at yet: bounded, paced, never waiting to put.

Of documents and cases only the newest count, so an older one makes room. A command that finds no room is
answered, since its requester waits; a question that finds none makes the oldest go.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Literal

from edge.domain.ports import Clock
from edge.fleet.documents import DOCUMENT_BYTES_MAX
from edge.fleet.limits import Bucket
from edge.kit.mqtt import Message

Kind = Literal["case", "document", "command", "question"]

DOCUMENTS_MAX = 8  # of one scope that differ; more come only from somebody who writes faster than we look
COMMANDS_MAX = 64
QUESTIONS_MAX = 32
REFUSED_MAX = 256

DOCUMENTS_A_MINUTE = 30
COMMANDS_A_MINUTE = 60
QUESTIONS_A_MINUTE = 120
CASES_A_MINUTE = 120


@dataclass(frozen=True, slots=True)
class Letter:
    """One thing the broker told us.

    Attributes:
        kind: What it is about.
        name: The scope of a document, `<type>/<id>` of a command, the method of a question.
        message: As it came; a payload that is too long for a document is cut one byte behind the limit.
        came_ns: Monotonic time at which it came.
    """

    kind: Kind
    name: str
    message: Message
    came_ns: int


class Inbox:
    """Letters by kind; any thread may put, one thread takes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._is_awake = False
        self._case: Letter | None = None
        self._documents: dict[str, deque[Letter]] = {}
        self._commands: dict[str, Letter] = {}
        self._questions: deque[Letter] = deque(maxlen=QUESTIONS_MAX)
        self._refused: deque[str] = deque(maxlen=REFUSED_MAX)
        self._forgotten = 0
        self._buckets: dict[Kind, Bucket] = {
            "case": Bucket(per_minute=CASES_A_MINUTE, clock=clock),
            "document": Bucket(per_minute=DOCUMENTS_A_MINUTE, clock=clock),
            "command": Bucket(per_minute=COMMANDS_A_MINUTE, clock=clock),
            "question": Bucket(per_minute=QUESTIONS_A_MINUTE, clock=clock),
        }

    # ── putting; from any thread, never waiting ───────────────────────────────────────────────────────────

    def put(self, kind: Kind, name: str, message: Message) -> None:
        """Take a letter in; what makes room for it depends on its kind."""
        letter = Letter(kind, name, _cut(message), self._clock.monotonic_ns())
        with self._changed:
            if kind == "case":
                self._case = letter
            elif kind == "document":
                self._put_document(letter)
            elif kind == "command":
                self._put_command(letter)
            else:
                self._forgotten += len(self._questions) == QUESTIONS_MAX
                self._questions.append(letter)
            self._wake()

    def wake(self) -> None:
        """Let whoever waits look around."""
        with self._changed:
            self._wake()

    def _wake(self) -> None:
        self._is_awake = True
        self._changed.notify()

    def _put_document(self, letter: Letter) -> None:
        """Keep it as the newest of its scope; the same bytes are kept once."""
        held = self._documents.get(letter.name, deque())
        others = [one for one in held if one.message.payload != letter.message.payload]
        self._documents[letter.name] = deque([*others, letter], maxlen=DOCUMENTS_MAX)

    def _put_command(self, letter: Letter) -> None:
        if letter.name in self._commands or len(self._commands) < COMMANDS_MAX:
            self._commands[letter.name] = letter
        else:
            self._refused.append(letter.name)

    # ── taking; from one thread ───────────────────────────────────────────────────────────────────────────

    def take(self) -> Letter | None:
        """Return the next letter that may be looked at now, what guards safety first; None for none."""
        with self._changed:
            for kind, bucket in self._buckets.items():
                if self._has(kind) and bucket.take():
                    return self._pop(kind)
        return None

    def put_back(self, letter: Letter) -> None:
        """Hold a letter that was taken, as the oldest of its kind, unless something newer came instead."""
        with self._changed:
            if letter.kind == "document":
                held = self._documents.setdefault(letter.name, deque(maxlen=DOCUMENTS_MAX))
                if len(held) < DOCUMENTS_MAX:
                    held.appendleft(letter)
            elif letter.kind == "command":
                self._commands = {letter.name: letter, **self._commands}
            elif letter.kind == "case":
                self._case = self._case or letter

    def take_refused(self) -> list[str]:
        """Return the commands that found no room."""
        with self._changed:
            refused = list(self._refused)
            self._refused.clear()
            return refused

    def take_forgotten(self) -> int:
        """Return how many questions made room for newer ones since this was last asked."""
        with self._changed:
            forgotten, self._forgotten = self._forgotten, 0
            return forgotten

    def wait(self, timeout_s: float) -> None:
        """Return when something was put, when a letter that waits may be taken, or after `timeout_s`."""
        with self._changed:
            pauses = [bucket.wait_s() for kind, bucket in self._buckets.items() if self._has(kind)]
            self._changed.wait_for(lambda: self._is_awake, max(0.0, min([timeout_s, *pauses])))
            self._is_awake = False

    def _has(self, kind: Kind) -> bool:
        if kind == "case":
            return self._case is not None
        if kind == "document":
            return bool(self._documents)
        return bool(self._commands if kind == "command" else self._questions)

    def _pop(self, kind: Kind) -> Letter:
        if kind == "case":
            letter, self._case = self._case, None
            assert letter is not None, "there is one"
            return letter
        if kind == "command":
            return self._commands.pop(next(iter(self._commands)))
        if kind == "question":
            return self._questions.popleft()
        scope, held = next(iter(self._documents.items()))
        letter = held.popleft()
        del self._documents[scope]
        if held:
            self._documents[scope] = held  # behind the other scopes
        return letter


def _cut(message: Message) -> Message:
    """Keep what is needed to say that it is too long."""
    if len(message.payload) <= DOCUMENT_BYTES_MAX + 1:
        return message
    return Message(
        topic=message.topic,
        payload=message.payload[: DOCUMENT_BYTES_MAX + 1],
        qos=message.qos,
        retain=message.retain,
        content_type=message.content_type,
        expiry_s=message.expiry_s,
        user_properties=message.user_properties,
        response_topic=message.response_topic,
        correlation_data=message.correlation_data,
    )
