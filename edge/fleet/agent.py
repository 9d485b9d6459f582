"""The conversation with the fleet: documents, commands and questions in, what became of them out.

The session's callbacks put into an inbox and never wait; one thread, `fleet`, does all the rest, and is the
only one that touches the state machine. Nothing of the path waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from edge.domain.errors import DocumentRefusedError, JournalError
from edge.domain.ports import Alerts, Clock
from edge.fleet.boot import Boot
from edge.fleet.case import TOPIC as CASE
from edge.fleet.case import Case
from edge.fleet.command_forms import is_said_by_device
from edge.fleet.commands import Commands, Executor
from edge.fleet.errands import Errands
from edge.fleet.inbox import Inbox, Letter
from edge.fleet.ledger import Transition
from edge.fleet.progress import Progress
from edge.fleet.questions import Answering, Questions
from edge.fleet.report import AtWork, event_of, reported
from edge.fleet.reporter import Reporter
from edge.fleet.signing import KeyRing
from edge.fleet.voice import Voice
from edge.fleet.words import DEVICE_SCOPE, group_scope
from edge.kit.log import Log
from edge.kit.mqtt import Message, MqttSession
from edge.kit.stage import contain

LOOK_S: Final = 10.0  # at least so often it looks whether there is something to report
TROUBLE_S: Final = 5.0
TRANSITIONS_MAX: Final = 200
LETTERS_MAX: Final = 16  # at one turn, so that a version that is tried is not left waiting

TROUBLE: Final = "fleet-agent"
SUBSCRIPTION: Final = "fleet-subscription"


class Machinery(Protocol):
    """The state machine, as its agent sees it."""

    def offer(self, scope: str, payload: bytes) -> None:
        """Take in what the broker keeps for a scope; nothing where it keeps nothing any more."""

    def step(self) -> float:
        """Do at most one thing; returns after how many seconds it wants to be asked again."""

    def recover(self, boot: Boot | None = None) -> None:
        """Take up what an earlier process left; once."""

    def snapshot(self) -> Progress:
        """Return how far everything is."""

    def history(self, count_max: int) -> Sequence[Transition]:
        """Return the last transitions, oldest first.

        Raises:
            JournalError: They cannot be read.
        """


MakeMachine = Callable[[Callable[[Transition], None]], Machinery]


class Agent:
    """Speaks with the fleet while its thread runs."""

    def __init__(
        self,
        session: MqttSession,
        *,
        prefix: str,
        root_prefix: str,
        groups: Sequence[str],
        machine: MakeMachine,
        keys: KeyRing,
        case: Case,
        at_work: Callable[[], AtWork],
        executors: Mapping[str, Executor],
        answers: Mapping[str, Answering],
        folder: Path,
        alerts: Alerts,
        clock: Clock,
        boot: Boot | None = None,
        is_frozen: bool = False,
        beat: Callable[[], None] = lambda: None,
        heed: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        """Store what there is to speak about, and subscribe with a session that is not open yet.

        Args:
            session: What it speaks through.
            prefix: Begins every topic of the device: `edge/v1/<site>/<device>`.
            root_prefix: Begins those of its groups: `edge/v1/<site>`.
            groups: Whose layers it takes.
            machine: Makes the state machine, given whom to tell of each transition; in the agent's thread.
            keys: Whose signatures on commands count.
            case: Whether one is running; the agent tells it what the broker says.
            at_work: Returns at once what the device sees of itself, for the report.
            executors: By type of command; each is called in a thread of its own and may take its time.
            answers: By method of a question; each returns at once.
            folder: Where commands are remembered.
            alerts: Where it is raised what a person must act on.
            clock: Of the machine.
            boot: What this process began with; None: as the memory of the state machine says.
            is_frozen: The site takes no commands.
            beat: Is called at each turn.
            heed: Is told, before each report, how far everything is; returns at once.
        """
        self._session = session
        self._prefix = prefix
        self._device = prefix.rpartition("/")[2]
        self._make_machine = machine
        self._boot = boot
        self._case = case
        self._at_work = at_work
        self._alerts = alerts
        self._clock = clock
        self._beat = beat
        self._heed = heed
        self._log = Log("fleet")
        self._inbox = Inbox(clock)
        self._errands = Errands(folder, clock)
        self._voice = Voice(session, prefix=prefix, alerts=alerts, wake=self._inbox.wake, clock=clock)
        self._reporter = Reporter(
            session, topic=f"{prefix}/config/reported", alerts=alerts, wake=self._inbox.wake, clock=clock
        )
        self._questions = Questions(
            prefix=prefix,
            answers={"transitions": self._transitions, **answers},
            post=session.post,
            clock=clock,
        )
        self._commands = Commands(
            errands=self._errands,
            keys=keys,
            device=self._device,
            executors=executors,
            is_frozen=is_frozen,
            say=self._voice.say_command,
            wake=self._inbox.wake,
            clock=clock,
        )
        self._machine: Machinery | None = None
        self._is_new_line = True
        self._refused = ""
        self._trouble = ""
        self._stopping = threading.Event()
        self._filters = self._subscribe(session, root_prefix, groups)

    def _subscribe(self, session: MqttSession, root_prefix: str, groups: Sequence[str]) -> frozenset[str]:
        """Have the session put what it hears into the inbox; returns the filters."""
        put, prefix = self._inbox.put, self._prefix
        heard: dict[str, Callable[[Message], None]] = {
            f"{prefix}/{CASE}": partial(put, "case", CASE),
            f"{prefix}/config/desired": partial(put, "document", DEVICE_SCOPE),
            f"{prefix}/cmd/+/+": self._put_command,
            f"{prefix}/rpc/+": lambda message: put("question", _below(message, f"{prefix}/rpc/"), message),
        }
        for group in groups:
            topic = f"{root_prefix}/group/{group}/config/desired"
            heard[topic] = partial(put, "document", group_scope(group))
        for topic_filter, handler in heard.items():
            session.subscribe(topic_filter, handler, no_local=True)
        session.on_subscribed(self._tell_refused)
        session.on_connect(self._on_connect)
        return frozenset(heard)

    # ── from other threads, never waiting ─────────────────────────────────────────────────────────────────

    def wake(self) -> None:
        """Have the agent look around: something may have changed that it reports, or waits for."""
        self._inbox.wake()

    def line(self) -> str:
        """Return why nothing of the fleet is heard now, "" where it is."""
        return self._refused if self._session.connected else "no connection to the broker"

    def trouble(self) -> str:
        """Return what goes wrong here now, "" where nothing does."""
        return self._trouble

    def stop(self) -> None:
        """Let the thread end."""
        self._stopping.set()
        self._inbox.wake()

    def _put_command(self, message: Message) -> None:
        """Put a command into the inbox; what we said of it ourselves takes no room there."""
        if not is_said_by_device(message.payload):
            self._inbox.put("command", _below(message, f"{self._prefix}/cmd/"), message)

    def _on_connect(self) -> None:
        self._is_new_line = True
        self._inbox.wake()

    def _tell_refused(self, refused: Mapping[str, str]) -> None:
        ours = [f"{name}: {why}" for name, why in refused.items() if name in self._filters]
        text = f"the broker does not let us hear {'; '.join(ours)}: see its access list" if ours else ""
        self._refused = text
        if text:
            self._alerts.raise_alert(SUBSCRIPTION, text)
        else:
            self._alerts.clear_alert(SUBSCRIPTION)

    # ── the thread of its own ─────────────────────────────────────────────────────────────────────────────

    def run(self) -> None:
        """Speak with the fleet until `stop`; the body of the thread."""
        with ExitStack() as rooms:
            while not self._stopping.is_set() and not self._is_open(rooms):
                self._beat()
                self._stopping.wait(TROUBLE_S)
            while not self._stopping.is_set():
                self._beat()
                self._inbox.wait(self._turn())
            if self._machine is not None:
                self._contained(self._say_last)

    def _say_last(self) -> None:
        self._reporter.say_again()
        self._speak()

    def _is_open(self, rooms: ExitStack) -> bool:
        """Open what it remembers, and take up what an earlier process left."""
        with ExitStack() as opening:
            if self._contained(partial(self._open, opening)):
                return False
            rooms.push(opening.pop_all())
        return True

    def _open(self, rooms: ExitStack) -> None:
        self._case.recall()
        rooms.enter_context(self._errands)
        machine = self._make_machine(self._voice.told)
        machine.recover(self._boot)
        rooms.enter_context(self._commands)
        self._machine = machine

    def _turn(self) -> float:
        """Do what there is to do; returns for how long there may be nothing."""
        pauses: list[float] = []
        steps = (self._greet, self._hear_all, self._machine_of_now().step, self._execute, self._speak)
        troubles = [self._contained(partial(_into, pauses, step)) for step in steps]
        if any(troubles):
            return TROUBLE_S
        self._trouble = ""
        self._alerts.clear_alert(TROUBLE)
        return min(pauses)

    def _hear_all(self) -> float:
        """Take in what came, as far as its pace allows."""
        for cmd in self._inbox.take_refused():
            self._commands.refuse_for_room(cmd)
        forgotten = self._inbox.take_forgotten()
        if forgotten:
            self._log.warning("questions not answered", count=forgotten, because="more came than we answer")
        for _ in range(LETTERS_MAX):
            letter = self._inbox.take()
            if letter is None:
                return LOOK_S
            self._hear(letter)
        return 0.0

    def _contained(self, step: Callable[[], None]) -> str:
        """Do something whose trouble must not end the thread; it is an alert until nothing goes wrong."""
        why = contain(step)
        if why:
            self._trouble = f"the fleet's agent: {why}"
            self._alerts.raise_alert(TROUBLE, self._trouble)
        return why

    def _hear(self, letter: Letter) -> None:
        """Take in one letter; one that cannot be remembered now is taken in later."""
        try:
            self._hear_now(letter)
        except JournalError:
            self._inbox.put_back(letter)
            raise

    def _hear_now(self, letter: Letter) -> None:
        message = letter.message
        if letter.kind == "case":
            self._case.hear(message.payload)
        elif letter.kind == "document":
            self._machine_of_now().offer(letter.name, message.payload)
        elif letter.kind == "question":
            self._questions.hear(letter.name, message, came_ns=letter.came_ns)
        else:
            try:
                self._commands.hear(letter.name, message.payload)
            except DocumentRefusedError as refused:
                self._voice.tell_signature(f"cmd/{letter.name}: {refused}")

    def _execute(self) -> float:
        """Let the commands go on."""
        while (answer := self._voice.take_answer()) is not None:
            self._commands.answered(*answer)
        self._commands.turn()
        return LOOK_S

    def _machine_of_now(self) -> Machinery:
        assert self._machine is not None, "opened before"
        return self._machine

    # ── what is said ──────────────────────────────────────────────────────────────────────────────────────

    def _greet(self) -> float:
        """Say again, on a line that is new, what its broker may have lost."""
        if self._is_new_line and self._session.connected:
            self._is_new_line = False
            self._reporter.say_again()
            self._commands.say_again()
        return LOOK_S

    def _speak(self) -> float:
        """Say what is new; returns when to look again because something was too early."""
        self._voice.say_events()
        early_s = self._reporter.early_s()
        if early_s > 0:
            return early_s
        progress = self._machine_of_now().snapshot()
        self._voice.tell_troubles(progress)
        self._heed(progress)
        document = reported(
            progress,
            self._at_work(),
            device=self._device,
            case=self._case.under_way(),
            utc_ns=self._clock.utc_ns(),
        )
        self._reporter.say(document)
        return LOOK_S

    def _transitions(self) -> Mapping[str, Any]:
        history = self._machine_of_now().history(TRANSITIONS_MAX)
        return {"transitions": [event_of(one, device=self._device) for one in history]}


def _below(message: Message, prefix: str) -> str:
    return message.topic.removeprefix(prefix)


def _into(results: list[float], step: Callable[[], float]) -> None:
    results.append(step())
