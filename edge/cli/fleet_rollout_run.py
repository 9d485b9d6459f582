"""`edge fleet rollout`: begin one, look at one, take one up again, tell one what to do."""

from __future__ import annotations

import datetime
import os
import re
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.prompt import Confirm

from edge.cli.fleet_desk import Place, opened, written_down
from edge.cli.fleet_rollout_table import Watcher, list_of, plan_of, table_of
from edge.cli.fleet_text import from_yaml, problems_of
from edge.cli.rows import printable
from edge.domain.errors import ConfigurationError, DeliveryError, DocumentRefusedError
from edge.fleet.operator import freeze
from edge.fleet.operator.rollout_desk import RolloutDesk, SignedDesk, believed
from edge.fleet.operator.rollout_forget import forget as forgotten
from edge.fleet.operator.rollout_orders import Order, answered, why_not
from edge.fleet.operator.rollout_plan import RolloutFile, parse_file, parse_ring, plan
from edge.fleet.operator.rollout_runner import Runner, further, give_order, holder_of, is_alive
from edge.fleet.operator.rollout_state import Phase, Rollout, Step, Terms
from edge.fleet.operator.rollout_store import RolloutStore, known_ids, rollout_of
from edge.kit.trees import steps_of

ALL, NOT_ALL, GOES_ON, CONFLICT = 0, 1, 3, 4
FILE_BYTES_MAX: Final = 1 << 20
_NO_OPTION: Final = re.compile(r": (unknown key|is a mapping)\b")  # what lies on the path is none
HEARD_S: Final = 15.0
TRIAL_S: Final = 600.0  # nobody waits longer for the answers to a dry run


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the operator typed.

    Attributes:
        file: YAML: who is meant, and what they get.
        rings: As typed.
        success_share: 0 to 1.
        soak_s: A device must be well for so long.
        stop_errors: So many failures hold it.
        stop_share: So large a share of them does, or None.
        deadline_s: For each device.
        at_once_max: Under way at any moment.
        freeze: Windows.
        zone: Of them, or None for this machine's.
        needs_approval: Between rings.
        is_trial: Devices only say whether they could.
        is_only_planned: Nothing is published.
        is_certain: Nobody is asked.
    """

    file: Path
    rings: tuple[str, ...]
    success_share: float
    soak_s: float
    stop_errors: int
    stop_share: float | None
    deadline_s: float
    at_once_max: int
    freeze: tuple[str, ...]
    zone: str | None
    needs_approval: bool
    is_trial: bool
    is_only_planned: bool
    is_certain: bool


def begin(where: Place, asked: Asked) -> int:
    """Plan a roll-out, show the plan, and run it.

    Returns:
        0 all have it; 1 it is held, aborted, or somebody does not have it; 3 it goes on without us; 4 there
        is somebody else who runs it.

    Raises:
        ConfigurationError: The file, a ring or a window cannot be used.
        EdgeError: The broker, the key or a file of ours cannot be used.
    """
    console = Console(highlight=False)
    file = _read(asked.file)
    terms = _terms(asked)
    rings = [parse_ring(text) for text in asked.rings]
    with _desk(where) as (desk, store):
        now_ms = desk.now_ns() // 1_000_000
        made = plan(
            _fresh_id(now_ms),
            by=where.operator,
            file=file,
            rings=rings,
            terms=terms,
            views=desk.devices(),
            now_ms=now_ms,
        )
        console.print(plan_of(made))
        if asked.is_only_planned:
            return ALL
        if not _is_wanted(asked):
            console.print("nothing was begun")
            return NOT_ALL
        return _run(console, desk, Runner(desk, store, made.rollout, holder=_holder(where)))


def show(where: Place, rollout_id: str | None) -> int:
    """Show one roll-out, or list all that this machine or the broker knows.

    Returns:
        0 all have it, or there is none; 1 somebody does not; 3 it is not over.

    Raises:
        FormatError: There is none of that id, or it is not whole.
        EdgeError: The broker or the settings cannot be used.
    """
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    with opened(where) as desk, RolloutStore(where.state) as store:
        local, held = store.pieces(), believed(desk.rollouts(), where.keys())
        if rollout_id is None:
            console.print(list_of([rollout_of(each, local, held) for each in known_ids(local, held)]))
            return ALL
        rollout = rollout_of(rollout_id, local, held)
        holder = holder_of(held, rollout_id)
        console.print(table_of(rollout, desk.devices(), now_ms=desk.now_ns() // 1_000_000, holder=holder))
        if ahead := further(rollout, desk.devices()):
            console.print(printable(ahead), style="yellow", markup=False)
        return _code(rollout)


def tell(where: Place, rollout_id: str, verb: str) -> int:
    """Tell a roll-out what to do: whoever runs it, or, where nobody does, take it up here.

    Returns:
        As `begin`; for pause and approve 0 where it was heard, 3 where that is not known.

    Raises:
        ConfigurationError: It makes no sense now.
        FormatError: There is none of that id, or it is not whole.
        EdgeError: The broker, the key or a file of ours cannot be used.
    """
    console = Console(highlight=False)
    order = Order(verb)
    with _desk(where) as (desk, store):
        rollout = rollout_of(rollout_id, store.pieces(), desk.rollouts())
        is_plain = order is Order.RESUME and rollout.phase in (Phase.RUNNING, Phase.RETURNING, Phase.AWAITING)
        if not is_plain and (why := why_not(rollout, order)):
            raise ConfigurationError(f"{rollout_id}: {why}")
        holder = holder_of(desk.rollouts(), rollout_id)
        if holder:
            console.print(f"{holder} had it last; is it still there?", markup=False)
            if is_alive(desk, rollout_id):
                return _tell_holder(console, desk, rollout, order, by=where.operator, is_plain=is_plain)
            desk.publish_rollout(f"{rollout_id}.h", None)
        runner = Runner(desk, store, rollout, holder=_holder(where))
        if not is_plain:
            runner.order(order, by=where.operator)
        if order in (Order.RESUME, Order.ABORT):
            return _run(console, desk, runner)
        runner.take()
        runner.release()
        console.print(
            f"{rollout_id}: {runner.rollout.why}; nobody runs it: edge fleet rollout resume {rollout_id}"
        )
        return ALL


def forget(where: Place, rollout_id: str) -> int:
    """Take a roll-out that is over away from the broker.

    Returns:
        0 it is gone from there; 4 somebody runs it.

    Raises:
        ConfigurationError: It is not over, or the broker keeps nothing of it.
        FormatError: There is none of that id.
        EdgeError: The broker, the key or a file of ours cannot be used.
    """
    console = Console(highlight=False)
    with _desk(where) as (desk, store):
        holder = holder_of(desk.rollouts(), rollout_id)
        if holder and is_alive(desk, rollout_id):
            console.print(f"{rollout_id}: {holder} runs it; nothing is forgotten", markup=False)
            return CONFLICT
        count = forgotten(desk, store, rollout_id, by=where.operator)
        console.print(
            f"{rollout_id}: {count} pieces are gone from the broker; {store.path} and the history have it",
            markup=False,
        )
    return ALL


def _tell_holder(
    console: Console, desk: RolloutDesk, rollout: Rollout, order: Order, *, by: str, is_plain: bool
) -> int:
    """Leave an order for whoever runs it, and wait until it was heard."""
    holder = holder_of(desk.rollouts(), rollout.id)
    if is_plain:
        console.print(f"{rollout.id}: {holder} runs it: edge fleet rollout show {rollout.id}", markup=False)
        return CONFLICT
    number = give_order(desk, rollout, order, by=by)
    until_ns = desk.now_ns() + round(HEARD_S * 1e9)
    while desk.now_ns() < until_ns:
        heard = desk.rollouts().get(rollout.id, {})
        if heard.get("order", 0) >= number:
            told = printable(answered(rollout, order, heard))
            console.print(f"{rollout.id}: {holder} has heard it; {told}", markup=False)
            return ALL
        desk.wait(0.5)
    console.print(f"{rollout.id}: {holder} has not answered within {HEARD_S:g} s; the order waits for it")
    return GOES_ON


def _run(console: Console, desk: RolloutDesk, runner: Runner) -> int:
    """Run a roll-out before somebody's eyes."""
    rollout_id = runner.rollout.id
    try:
        runner.take()
        with Watcher(console, desk) as watcher:
            rollout = runner.run(watcher.show)
    except DocumentRefusedError as refused:
        console.print(str(refused), style="bold red", markup=False)
        return CONFLICT
    except KeyboardInterrupt:
        console.print(
            f"it stays where it is; what is under way goes on: edge fleet rollout resume {rollout_id}"
        )
        return GOES_ON
    finally:
        _let_go(console, runner)
    if not console.is_terminal:
        console.print(table_of(rollout, desk.devices(), now_ms=desk.now_ns() // 1_000_000))
    if rollout.phase is Phase.HELD:
        console.print(f"edge fleet rollout resume {rollout_id} goes on, abort {rollout_id} takes it back")
    return _code(rollout)


def _let_go(console: Console, runner: Runner) -> None:
    """Say that nobody runs it any more, where the broker can be told."""
    try:
        runner.release()
    except DeliveryError as trouble:
        console.print(f"the broker still thinks that we run it: {trouble}", markup=False)


def _code(rollout: Rollout) -> int:
    counts = rollout.counts()
    if rollout.phase is Phase.DONE:
        return ALL if counts[Step.OK] == counts.total() else NOT_ALL
    return NOT_ALL if rollout.phase in (Phase.HELD, Phase.ABORTED) else GOES_ON


@contextmanager
def _desk(where: Place) -> Iterator[tuple[SignedDesk, RolloutStore]]:
    """Open everything that running a roll-out needs."""
    signer, keys = where.signing()
    with ExitStack() as rooms:
        desk = rooms.enter_context(opened(where))
        history = rooms.enter_context(written_down(where, signer))
        store = rooms.enter_context(RolloutStore(where.state))
        yield SignedDesk(desk, signer=signer, keys=keys, history=history), store


def _read(path: Path) -> RolloutFile:
    try:
        with path.open("rb") as opened_file:
            text = opened_file.read(FILE_BYTES_MAX).decode()
    except OSError as trouble:
        raise ConfigurationError(f"{path}: {trouble.strerror}; wanted the YAML of a roll-out") from trouble
    except UnicodeDecodeError as trouble:
        raise ConfigurationError(f"{path}: is no text; wanted YAML") from trouble
    file = parse_file(from_yaml(text, name=str(path)), origin=str(path))
    if problems := [*problems_of({"config": file.config}), *_unknown(file.without)]:
        raise ConfigurationError(f"{path}: " + "; ".join(problems))
    return file


def _unknown(paths: Sequence[str]) -> Iterator[str]:
    """Yield those that name no option: a slip of the pen would take nothing away, and nobody would notice."""
    for path in paths:
        tree: Any = None
        for step in reversed(steps_of(path)):
            tree = {step: tree}
        yield from (
            problem.replace("config.", "without: ", 1)
            for problem in problems_of({"config": tree})
            if _NO_OPTION.search(problem)
        )


def _terms(asked: Asked) -> Terms:
    for window in asked.freeze:
        freeze.check(window)
    zone = asked.zone or freeze.zone_here()
    freeze.zone_of(zone)
    given: Mapping[str, Any] = {
        name: getattr(asked, name) for name in Terms.__slots__ if hasattr(asked, name)
    }
    deadline_s = min(asked.deadline_s, TRIAL_S) if asked.is_trial else asked.deadline_s
    return Terms(**{**given, "rings": ("all",), "zone": zone, "deadline_s": deadline_s})


def _is_wanted(asked: Asked) -> bool:
    if asked.is_certain or not sys.stdin.isatty():
        return True
    what = "have them asked" if asked.is_trial else "begin"
    return Confirm.ask(f"{what}?", default=True)


def _fresh_id(now_ms: int) -> str:
    day = datetime.datetime.fromtimestamp(now_ms / 1000, tz=datetime.UTC)
    return f"r-{day:%Y%m%d}-{secrets.token_hex(3)}"


def _holder(where: Place) -> str:
    return f"{where.operator} ({os.getpid()}-{secrets.token_hex(2)})"
