"""What becomes of a document that was published: told as it comes, as long as somebody waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from rich.console import Console
from rich.text import Text

from edge.cli.rows import printable
from edge.fleet.operator.condition import condition
from edge.fleet.operator.inventory import document_number
from edge.fleet.operator.mqtt_desk import MqttDesk
from edge.fleet.operator.rollout_report import Fate, State
from edge.fleet.operator.writing import Standing, Writing

DONE: Final = 0
NOTHING: Final = 1
NOT_YET: Final = 3
CONFLICT: Final = 4
TICK_S: Final = 0.5
MANY: Final = 8  # devices of a group: so many are told one by one

_STYLES: Final[Mapping[State, str]] = {
    State.COMMITTED: "green",
    State.ROLLED_BACK: "bold red",
    State.REJECTED: "bold red",
    State.SUPERSEDED: "yellow",
    State.PASSED: "yellow",
}
_ENDS: Final = frozenset(_STYLES)
_WORDS: Final[Mapping[State, str]] = {State.NOTHING: "not taken up yet", State.ROLLED_BACK: "rolled back"}


def follow(console: Console, desk: MqttDesk, writing: Writing, standing: Standing, *, wait_s: float) -> int:
    """Tell what becomes of a document until every device that is there is done with it.

    Args:
        console: Where it is told.
        desk: At the broker.
        writing: Has published it.
        standing: As `publish` said.
        wait_s: Longest wait.

    Returns:
        DONE, NOTHING, NOT_YET or CONFLICT.
    """
    if standing is Standing.SECOND:
        return CONFLICT
    follower = _Follower(console, desk, writing)
    until_ns = desk.now_ns() + round(wait_s * 1e9)
    try:
        while True:
            standing = follower.tell_standing(writing.look())
            fates = writing.fates()
            follower.tell(fates)
            is_theirs = standing in (Standing.FOLLOWED, Standing.SECOND)
            if is_theirs or follower.is_over(fates) or desk.now_ns() >= until_ns:
                break
            desk.wait(TICK_S)
    except KeyboardInterrupt:
        console.print("it goes on without you")
    return follower.conclude(writing.fates(), standing)


class _Follower:
    """Tells each thing once."""

    def __init__(self, console: Console, desk: MqttDesk, writing: Writing) -> None:
        self._console = console
        self._desk = desk
        self._writing = writing
        self._told: dict[str, str] = {}
        self._standing = Standing.HELD

    def tell_standing(self, standing: Standing) -> Standing:
        """Say that somebody else has written."""
        if standing is not self._standing:
            self._standing = standing
            rival = self._writing.rival
            who = rival.told if rival is not None else "somebody"
            said = {
                Standing.HELD: "the broker holds your document again",
                Standing.OVERWRITTEN: f"{who} was published over yours, which was first",
                Standing.FOLLOWED: f"{who} was made from yours, and takes its place",
                Standing.CLEARED: "somebody has taken the document away from the broker",
            }
            if standing in said:
                self._console.print(Text(printable(said[standing]), style="yellow"))
        return standing

    def tell(self, fates: Mapping[str, Fate]) -> None:
        """Say what is new about each device; of many, how many there are, and who needs a person."""
        is_many = len(fates) > MANY
        if is_many:
            self._tell_once("", self._counted(fates), "dim")
        for name, fate in fates.items():
            if is_many and (fate.state not in _ENDS or fate.state is State.COMMITTED or _is_validated(fate)):
                continue
            self._tell_once(name, self._line(name, fate), _STYLES.get(fate.state, ""))

    def is_over(self, fates: Mapping[str, Fate]) -> bool:
        """Whether every device that is there is done with it."""
        devices = self._desk.devices()
        return all(fate.state in _ENDS or devices[name].presence != "online" for name, fate in fates.items())

    def conclude(self, fates: Mapping[str, Fate], standing: Standing) -> int:
        """Write down what became of it, and say it in one word."""
        note = self._line(*next(iter(fates.items()))) if len(fates) == 1 else self._counted(fates)
        committed = {State.COMMITTED} if fates else set()
        self._writing.conclude(note, is_committed={fate.state for fate in fates.values()} == committed)
        if len(fates) != 1:
            self._tell_once("", note, "dim")
        if standing is Standing.SECOND or any(fate.code == "conflict" for fate in fates.values()):
            return CONFLICT
        counts = Counter(fate.state for fate in fates.values())
        good = counts[State.COMMITTED] + sum(_is_validated(fate) for fate in fates.values())
        if good and good == len(fates):
            return DONE
        bad = [fate for fate in fates.values() if fate.state in _ENDS and fate.state is not State.COMMITTED]
        if any(not _is_validated(fate) for fate in bad) or standing is Standing.FOLLOWED:
            return NOTHING
        return NOT_YET

    def _counted(self, fates: Mapping[str, Fate]) -> str:
        counts = Counter(fate.state for fate in fates.values())
        words = (f"{count} {_WORDS.get(state, state)}" for state, count in sorted(counts.items()))
        return ", ".join(words) or "nobody is there to take it"

    def _tell_once(self, name: str, text: str, style: str) -> None:
        if self._told.get(name) != text:
            self._told[name] = text
            self._console.print(Text(printable(text), style=style), soft_wrap=True)

    def _line(self, name: str, fate: Fate) -> str:
        view = self._desk.devices()[name]
        if _is_validated(fate):
            return printable(f"{name}: could be applied; {fate.message}")
        if fate.state is State.NOTHING and view.presence != "online":
            presence = condition(view, now_ns=self._desk.now_ns()).presence.text
            number = document_number(self._writing.document, "version")
            return printable(f"{name}: {presence}; it takes version {number} up when it comes back")
        if fate.state is State.NOTHING:
            return printable(f"{name}: has not taken it up yet")
        return printable(f"{name}: {fate.told}")


def _is_validated(fate: Fate) -> bool:
    return fate.state is State.REJECTED and fate.code == "ok"
