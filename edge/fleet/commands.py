"""Commands as retained state machines: init, executing, then successful or failed; each id once.

The requester writes `init`, signed; the device writes the rest to the same topic; the requester clears it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Self

from pydantic import ValidationError

from edge.domain.errors import DocumentRefusedError
from edge.domain.ports import Clock
from edge.fleet.bench import Bench
from edge.fleet.command_forms import (
    BY_DEVICE,
    COMMAND_SCHEMA,
    LIFE_S,
    Command,
    args_of,
    is_said_by_device,
    refusal,
)
from edge.fleet.errands import Errand, Errands
from edge.fleet.guard import read_document
from edge.fleet.report import shown
from edge.fleet.signing import KeyRing
from edge.fleet.timing import moment_ns
from edge.kit.log import Log
from edge.kit.moments import told

SKEW_S: Final = 600
TOLD_S: Final = 3600  # so long at least the broker keeps how a command ended
WAITING_MAX: Final = 64
FAILURE: Final = 0x80  # from this reason code on the broker has not taken it
TOO_LARGE: Final = 0x95
LONG: Final = ("fetch",)  # what may take hours is told when it has to end
EXPIRES: Final = "expires"
BEGAN_ANEW: Final = "the device began anew while it was at it"

Executor = Callable[[Mapping[str, Any]], Mapping[str, Any]]
Say = Callable[[str, Mapping[str, Any], bool, int], None]


class Commands:
    """Takes commands up, has them executed one after the other, and tells how they end.

    All but the execution happens in the thread that calls, which never waits for a command.
    """

    def __init__(
        self,
        *,
        errands: Errands,
        keys: KeyRing,
        device: str,
        executors: Mapping[str, Executor],
        is_frozen: bool,
        say: Say,
        wake: Callable[[], None],
        clock: Clock,
    ) -> None:
        """Store who executes what.

        Args:
            errands: The memory, open while commands are taken.
            keys: Whose signatures count.
            device: Our id.
            executors: By type; each is given its arguments, one of `LONG` also when the command expires,
                and returns a result that JSON can hold.
            is_frozen: The site takes no commands.
            say: Publishes a document as the state of `<type>/<id>`: retained or not, for so many seconds.
            wake: Is called, from the executing thread, when a command has ended.
            clock: Of the machine.
        """
        self._errands = errands
        self._keys = keys
        self._device = device
        self._executors = executors
        self._is_frozen = is_frozen
        self._say = say
        self._clock = clock
        self._log = Log("fleet")
        self._waiting: dict[str, Command] = {}
        self._under_way: Errand | None = None
        self._unsettled: dict[str, Errand] = {}
        self._is_cleared = False
        self._bench = Bench(wake)

    def __enter__(self) -> Self:
        """Say what an earlier run left unfinished, and be ready to execute.

        Raises:
            JournalError: The memory cannot be used.
        """
        self._settle_late()
        for errand in self._errands.interrupted():
            self._settle(errand, "failed", "interrupted", BEGAN_ANEW, None)
        self._bench.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._bench.close()

    # ── what comes in ─────────────────────────────────────────────────────────────────────────────────────

    def hear(self, cmd: str, payload: bytes) -> None:
        """Take in what the topic of a command holds now.

        Raises:
            DocumentRefusedError: It is not by a key we know; it was answered nevertheless.
            JournalError: What became of it cannot be looked up or remembered.
        """
        if not payload:
            self._clear(cmd)
            return
        known = self._known(cmd)
        if is_said_by_device(payload):
            return
        if known is not None:
            self._tell(known)
        if known is not None or cmd in self._waiting:
            return
        try:
            command = self._read(cmd, payload)
        except DocumentRefusedError as refused:
            self._refuse(cmd, refused)
            if refused.code == "bad_signature":
                raise
            return
        if len(self._waiting) >= WAITING_MAX or not self._errands.has_room():
            self.refuse_for_room(cmd)
            return
        self._waiting[cmd] = command

    def refuse_for_room(self, cmd: str) -> None:
        """Say that there are too many commands; of one that was taken up, what became of it.

        Raises:
            JournalError: That cannot be looked up.
        """
        known = self._known(cmd)
        if known is not None:
            self._tell(known)
            return
        self._refuse(
            cmd, DocumentRefusedError("busy", "cmd: too many at once; ask again later, by another id")
        )

    def turn(self) -> None:
        """Tell what has ended, and begin the next.

        Raises:
            JournalError: What became of it cannot be remembered.
        """
        self._settle_late()
        ended = self._bench.take()
        if ended is not None and self._under_way is not None:
            errand, self._under_way = self._under_way, None
            self._settle(errand, ended.state, ended.code, ended.message, ended.result)
        while self._under_way is None and self._waiting:
            cmd, command = next(iter(self._waiting.items()))
            self._begin(cmd, command)
            del self._waiting[cmd]  # not before it is remembered

    def say_again(self) -> None:
        """Tell what ended and was not told, or is being executed; at each connection."""
        for errand in [*self._errands.untold(), *self._unsettled.values()]:
            self._tell(errand)
        if self._under_way is not None:
            self._tell(self._under_way)

    def answered(self, cmd: str, code: int | None) -> None:
        """Take note of what the broker said to a state that was published."""
        known = self._errands.known(cmd)
        if known is None or known.state == "executing" or code is None:
            return
        if code < FAILURE:
            self._errands.told(cmd)
        elif code == TOO_LARGE and known.document.get("result") is not None:
            self._settle(known, "failed", "failed", "the broker does not take a result of that size", None)

    # ── one command ───────────────────────────────────────────────────────────────────────────────────────

    def _read(self, cmd: str, payload: bytes) -> Command:
        """Return a command that may be executed.

        Raises:
            DocumentRefusedError: It may not.
        """
        tree = read_document(payload)
        self._keys.check(tree)
        try:
            command = Command.model_validate(tree)
        except ValidationError as error:
            raise refusal(error) from error
        if (command.device, command.cmd) != (self._device, cmd):
            raise DocumentRefusedError(
                "schema",
                f"device, cmd: meant for {command.device} {command.cmd}, came to {self._device} {cmd}",
            )
        if self._is_frozen:
            raise DocumentRefusedError("local_lock", "fleet.frozen: this site takes no commands")
        self._check_time(command)
        kind = cmd.partition("/")[0]
        args = args_of(kind, command.args)
        if kind not in self._executors:
            raise DocumentRefusedError("unsupported", f"cmd: this device has nothing to {kind}")
        return command.model_copy(update={"args": args})

    def _check_time(self, command: Command) -> None:
        """Refuse what is not of its time.

        Raises:
            DocumentRefusedError: It is too old, from a time to come, or lives too long.
        """
        issued_ns, expires_ns, now_ns = (
            moment_ns(command.issued),
            moment_ns(command.expires),
            self._errands.now_ns(),
        )
        if not issued_ns < expires_ns <= issued_ns + LIFE_S * 10**9:
            raise DocumentRefusedError(
                "schema", "expires: wanted after issued, and at most 24 h", path="expires"
            )
        if expires_ns < now_ns:
            raise _expired(command, now_ns)
        if issued_ns > now_ns + SKEW_S * 10**9:
            text = f"issued: {command.issued}, and here it is {told(now_ns)}: one of the clocks is wrong"
            raise DocumentRefusedError("clock", text, path="issued")
        if issued_ns <= self._errands.begun_ns:
            text = (
                f"issued: {command.issued}; what was done before {told(self._errands.begun_ns)} is forgotten"
            )
            raise DocumentRefusedError("expired", text, path="issued")

    def _begin(self, cmd: str, command: Command) -> None:
        expires_ns = moment_ns(command.expires)
        if expires_ns < self._errands.now_ns():
            self._refuse(cmd, _expired(command, self._errands.now_ns()))
            return
        document = self._document(cmd, "executing", "ok", "", None)
        errand = Errand(cmd=cmd, state="executing", expires_ns=expires_ns, document=document)
        self._errands.take_up(errand, issued_ns=moment_ns(command.issued))
        self._tell(errand)
        self._under_way, self._is_cleared = errand, False
        kind = cmd.partition("/")[0]
        self._log.info("command", cmd=cmd)
        ends = {EXPIRES: command.expires} if kind in LONG else {}
        self._bench.begin(partial(self._executors[kind], {**command.args, **ends}))

    def _settle(
        self, errand: Errand, state: str, code: str, message: str, result: Mapping[str, Any] | None
    ) -> None:
        document = self._document(errand.cmd, state, code, message, result)
        ended = Errand(cmd=errand.cmd, state=state, expires_ns=errand.expires_ns, document=document)
        self._unsettled[errand.cmd] = ended
        try:
            self._settle_late()
        finally:  # also what is not remembered is told
            self._tell(ended, is_retained=not self._is_cleared)
            self._log.info("command ended", cmd=errand.cmd, state=state, because=message)

    def _settle_late(self) -> None:
        """Remember how commands ended, also those whose end could not be remembered before.

        Raises:
            JournalError: It cannot be now either; it is tried again.
        """
        for cmd, ended in list(self._unsettled.items()):
            self._errands.settle(ended)
            del self._unsettled[cmd]

    def _known(self, cmd: str) -> Errand | None:
        return self._unsettled.get(cmd) or self._errands.known(cmd)

    def _clear(self, cmd: str) -> None:
        """Its requester wants to know no more; what is being executed goes on."""
        if self._waiting.pop(cmd, None) is not None:
            self._log.info("command taken back", cmd=cmd)
        if self._under_way is not None and self._under_way.cmd == cmd:
            self._is_cleared = True

    def _refuse(self, cmd: str, refused: DocumentRefusedError) -> None:
        self._log.warning("command refused", cmd=cmd, code=refused.code, because=refused)
        self._say(cmd, self._document(cmd, "failed", refused.code, str(refused), None), True, TOLD_S)

    def _tell(self, errand: Errand, *, is_retained: bool = True) -> None:
        """Say what became of a command; its answer does not stay at the broker beyond its time."""
        left_s = (errand.expires_ns - self._clock.utc_ns()) // 10**9
        self._say(errand.cmd, errand.document, is_retained, max(TOLD_S, min(left_s, LIFE_S)))

    def _document(
        self, cmd: str, state: str, code: str, message: str, result: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        return {
            "schema": COMMAND_SCHEMA,
            "state": state,
            "by": BY_DEVICE,
            "device": self._device,
            "cmd": cmd,
            "code": code,
            "message": shown(message),
            "result": result,
            "at": told(self._clock.utc_ns()),
        }


def _expired(command: Command, now_ns: int) -> DocumentRefusedError:
    text = f"expires: {command.expires}, and it is {told(now_ns)}"
    return DocumentRefusedError("expired", text, path="expires")
