"""Runs a roll-out at a desk: decides, writes down, publishes, and begins again where it was.

The order makes it safe to pull the plug: what is decided is first in the file of this machine, then at the
broker for any other, and only then do devices get their documents. So a crash leaves a document that is
written down and not there; it is published, the very same, when somebody resumes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from edge.domain.errors import DeliveryError, DocumentRefusedError
from edge.fleet.operator.inventory import DeviceView, document_number
from edge.fleet.operator.rollout import Try, decide, unpublished
from edge.fleet.operator.rollout_content import document, rollout_of
from edge.fleet.operator.rollout_desk import RolloutDesk
from edge.fleet.operator.rollout_orders import Order, followed, why_not
from edge.fleet.operator.rollout_state import Phase, Rollout, Step
from edge.fleet.operator.rollout_store import RolloutStore, pieces_of

Document = Mapping[str, Any]

HOLDER_SCHEMA: Final = "edge.rollout-holder/1"
ORDER_SCHEMA: Final = "edge.rollout-order/1"
BEAT_MS: Final = 5_000
ALIVE_S: Final = 12.0  # who holds a roll-out says so at least once within that
TURN_S: Final = 0.5
BATCH_MAX: Final = 250  # documents in one turn: some seconds, within which nobody hears that we live


class Runner:
    """Runs one roll-out; one thread.

    Attributes:
        rollout: How far it is.
        trouble: Why nothing goes on at the moment, "" while it does.
    """

    def __init__(self, desk: RolloutDesk, file: RolloutStore, rollout: Rollout, *, holder: str) -> None:
        """Store what to run.

        Args:
            desk: At the broker.
            file: Of this machine.
            rollout: As it was planned or found.
            holder: Names this process among all that may run it.
        """
        self.rollout = rollout
        self.trouble = ""
        self._desk = desk
        self._file = file
        self._holder = holder
        self._filed: Rollout | None = None
        self._told: Rollout | None = None
        self._tried_ms: dict[Try, int] = {}
        self._beat_ms = 0

    def take(self) -> None:
        """Write down that it is ours, and all of it, here and at the broker.

        Raises:
            DeliveryError: The broker did not take it.
            DocumentRefusedError: Somebody else took it in the same moment, or went further with it.
            JournalError: The file did.
        """
        if ahead := further(self.rollout, self._desk.devices()):
            raise DocumentRefusedError("conflict", f"{self.rollout.id}: {ahead}")
        self._say_that_we_live()
        self._write_down()
        self._check_holder()

    def release(self) -> None:
        """Let somebody else take it at once."""
        if self._beat_ms and holder_of(self._desk.rollouts(), self.rollout.id) == self._holder:
            self._desk.publish_rollout(f"{self.rollout.id}.h", None)

    def turn(self) -> None:
        """Go as far as one can go now; waits for nobody but the broker's answer.

        Raises:
            DocumentRefusedError: conflict: somebody else runs it by now.
            JournalError: It could not be written down; nothing was published.
        """
        self.trouble = ""
        try:
            self._check_holder()
            self._say_that_we_live()
            self._desk.settle()
            self._hear_orders()
            self.rollout = decide(
                self.rollout, self._desk.devices(), self._desk.groups(), now_ms=self._now_ms()
            )
            self._write_down()
            self._publish()
        except DeliveryError as trouble:
            self.trouble = str(trouble)

    def run(
        self, show: Callable[[Runner], None], *, is_stopped: Callable[[], bool] = lambda: False
    ) -> Rollout:
        """Run until it is over, or held and nothing is under way any more.

        Args:
            show: Called after each turn.
            is_stopped: Asked after each turn; True ends it where it is.

        Raises:
            DocumentRefusedError: conflict: somebody else runs it by now.
            JournalError: It could not be written down.
        """
        self.turn()
        show(self)
        while not self._is_over() and not is_stopped():
            self._desk.wait(TURN_S)
            self.turn()
            show(self)
        return self.rollout

    def order(self, order: Order, *, by: str) -> None:
        """Follow an order of whoever runs it here.

        Raises:
            ConfigurationError: It makes no sense now.
        """
        self.rollout = followed(self.rollout, order, by=by, now_ms=self._now_ms())

    # ── a turn ────────────────────────────────────────────────────────────────────────────────────────────

    def _check_holder(self) -> None:
        holder = holder_of(self._desk.rollouts(), self.rollout.id)
        if holder not in ("", self._holder):
            raise DocumentRefusedError("conflict", f"{self.rollout.id}: is run by {holder} now")

    def _say_that_we_live(self) -> None:
        now_ms = self._now_ms()
        if now_ms - self._beat_ms < BEAT_MS:
            return
        name = f"{self.rollout.id}.h"
        piece = {"schema": HOLDER_SCHEMA, "name": name, "revision": now_ms, "holder": self._holder}
        self._desk.publish_rollout(name, piece)
        self._beat_ms = now_ms

    def _hear_orders(self) -> None:
        piece = self._desk.rollouts().get(f"{self.rollout.id}.o", {})
        number, order = piece.get("revision", 0), piece.get("order")
        if not isinstance(number, int) or number <= self.rollout.order or order not in tuple(Order):
            return
        heard = replace(self.rollout, order=number, revision=self.rollout.revision + 1)
        if not why_not(heard, Order(order)):
            heard = followed(heard, Order(order), by=str(piece.get("by", "somebody")), now_ms=self._now_ms())
        self.rollout = heard

    def _write_down(self) -> None:
        before, now = self._filed, self.rollout
        if before is not now:
            self._file.write(pieces_of(now, before))
            self._filed = now
        if now.id not in self._desk.rollouts():  # the broker has lost what it kept
            self._told = None
        if self._told is not now:
            for name, piece in pieces_of(now, self._told).items():
                self._desk.publish_rollout(name, piece)
            self._told = now
        if before is None or (before.phase, before.ring) != (now.phase, now.ring):
            self._desk.note(now.id, told_in_a_line(now))

    def _publish(self) -> None:
        now_ms = self._now_ms()
        names = unpublished(self.rollout, self._desk.devices(), self._tried_ms, now_ms=now_ms)[:BATCH_MAX]
        self._desk.repeat({name: document(self.rollout, name) for name in names})
        self._tried_ms |= {(name, self.rollout.members[name].newest): now_ms for name in names}

    def _is_over(self) -> bool:
        if self.rollout.phase.is_end:
            missing = unpublished(self.rollout, self._desk.devices(), {}, now_ms=self._now_ms())
            return not self.trouble and not missing
        counts = self.rollout.counts()
        return self.rollout.phase is Phase.HELD and not (counts[Step.SENT] or counts[Step.SOAKING])

    def _now_ms(self) -> int:
        return self._desk.now_ns() // 1_000_000


def further(rollout: Rollout, views: Mapping[str, DeviceView]) -> str:
    """Return why what is known of a roll-out is not all of it, "" where it may be.

    What is at the broker is always as new as what devices were written. Where it was taken away from there,
    a machine that had run it before has what it knew then, and would begin, or give back, too little.
    """
    ahead = [
        name
        for name, member in rollout.members.items()
        if name in views
        and rollout_of(views[name].desired) == rollout.id
        and document_number(views[name].desired, "version") > member.newest
    ]
    if not ahead:
        return ""
    many = f" and {len(ahead) - 1} more" if len(ahead) > 1 else ""
    return (
        f"{ahead[0]}{many} got its document from another machine, which went further and then had the broker "
        "forget it; only what that machine has is the whole of it"
    )


def holder_of(pieces: Mapping[str, Document], rollout_id: str) -> str:
    """Return who runs a roll-out, or ran it and did not say goodbye; "" for nobody."""
    return str(pieces.get(f"{rollout_id}.h", {}).get("holder", ""))


def is_alive(desk: RolloutDesk, rollout_id: str) -> bool:
    """Whether somebody runs a roll-out now: waits until they say so once more, or should have done so."""
    first = desk.rollouts().get(f"{rollout_id}.h")
    until_ns = desk.now_ns() + round(ALIVE_S * 1e9)
    while first is not None and desk.now_ns() < until_ns:
        desk.wait(TURN_S)
        now = desk.rollouts().get(f"{rollout_id}.h")
        if now != first:
            return now is not None
    return False


def give_order(desk: RolloutDesk, rollout: Rollout, order: Order, *, by: str) -> int:
    """Leave an order at the broker for whoever runs a roll-out.

    Returns:
        Its number: it was heard once `Rollout.order` is that.

    Raises:
        DeliveryError: The broker did not take it.
    """
    name = f"{rollout.id}.o"
    last = desk.rollouts().get(name, {}).get("revision", 0)
    number = max(int(last), rollout.order) + 1
    piece = {"schema": ORDER_SCHEMA, "name": name, "revision": number, "order": str(order), "by": by}
    desk.publish_rollout(name, piece)
    return number


def told_in_a_line(rollout: Rollout) -> str:
    """Return how far a roll-out is, for the history."""
    counts = ", ".join(f"{count} {step}" for step, count in sorted(rollout.counts().items()))
    ring = rollout.terms.rings[rollout.ring]
    return f"{rollout.phase}{': ' + rollout.why if rollout.why else ''}; ring {ring} is open; {counts}"
