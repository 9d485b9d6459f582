"""What a start begins with: the trial once, then what was proven, then what was proven before, then the YAML.

Called before the configuration is read. Whatever it decides is written down before it is used, so that a
configuration which takes the process with it is tried no second time.
"""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.domain.errors import JournalError
from edge.domain.ports import Clock
from edge.fleet.ledger import RUNGS, Attempt, Ledger, Refusal, Rung, Transition
from edge.fleet.memory import FILE, DamagedError, Memory, SqliteMemory, mirrored_floors
from edge.fleet.ports import Wanted
from edge.fleet.words import State
from edge.kit.files import sync_folder
from edge.kit.log import Log

STARTS_MAX: Final = 3  # in a row with the same configuration, none of which came up
DAMAGED_MAX: Final = 3
_TAILS: Final = ("", "-journal")  # the file itself first: SQLite throws away a journal without one
_NAMES: Final = {
    "committed": "what was proven last",
    "previous": "what was proven before it",
    "yaml": "the YAML alone",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """What to begin with.

    Attributes:
        wanted: To lay over the YAML; None: the YAML alone.
        is_trial: It was never proven; where it cannot be used, `failed` says what to take instead.
        why: Why it is not what was proven last; "" where it is. For an alert.
        rung: Which rung of the ladder it is; of a trial, the one it is tried instead of.
    """

    wanted: Wanted | None = None
    is_trial: bool = False
    why: str = ""
    rung: Rung = "committed"


def choose(folder: Path, *, clock: Clock) -> Boot:
    """Say what this start begins with, and count it; once for each start.

    Args:
        folder: Of the state of the fleet, as for `SqliteMemory`.
        clock: Of the machine.
    """
    try:
        if not (folder / FILE).exists() and not mirrored_floors(folder).floors:
            return Boot()
        damage = _set_aside_if_damaged(folder, clock)
        with SqliteMemory(folder) as memory:
            if memory.was_lost:
                damage = damage or f"{memory.path}: is lost; begun with the YAML alone"
            boot = choose_from(memory, clock=clock)
    except (JournalError, OSError) as trouble:
        return _alone(f"the memory of the fleet cannot be used: {trouble}")
    return dataclasses.replace(boot, why=damage) if damage else boot


def failed(folder: Path, why: str, *, after: Boot, clock: Clock) -> Boot:
    """Say what to take instead of what `choose`, or this, said last.

    Args:
        folder: As for `choose`.
        why: What is wrong with it: it cannot be loaded, or the appliance does not open with it.
        after: What was said; also where nothing can be written down, each rung is tried once.
        clock: Of the machine.

    Returns:
        The next best; where the YAML alone was tried, that again: then it is the YAML that must be mended.
    """
    try:
        with SqliteMemory(folder) as memory:
            return failed_from(memory, why, after=after, clock=clock)
    except JournalError as trouble:
        return _alone(f"{why}; the memory of the fleet cannot be used: {trouble}")


def choose_from(memory: Memory, *, clock: Clock) -> Boot:
    """Do what `choose` does, in a memory that is open."""
    ledger = memory.read()
    trial = ledger.trial
    if trial is not None and trial.finds == 0 and trial.back is None:
        counted = ledger.swapped(trial, dataclasses.replace(trial, finds=1))
        return _kept(memory, counted, Boot(wanted=trial.wanted, is_trial=True, rung=ledger.at_work))
    rung = RUNGS[min(ledger.starts // STARTS_MAX, len(RUNGS) - 1)]
    why = "" if rung == "committed" else f"the last {ledger.starts} starts did not come up"
    entries: tuple[Transition, ...] = ()
    if trial is not None:
        back = trial.back or Refusal("timeout", "the process ended twice while this version was tried")
        ledger, entries = gone_back(ledger, trial, back, clock)
        why = f"{trial.scope} version {trial.version} went back: {back.message}"
    return _begun_with(memory, dataclasses.replace(ledger, starts=ledger.starts + 1), rung, why, entries)


def failed_from(memory: Memory, why: str, *, after: Boot, clock: Clock) -> Boot:
    """Do what `failed` does, in a memory that is open."""
    ledger = memory.read()
    trial = ledger.trial
    if after.is_trial and trial is not None:
        ledger, entries = gone_back(ledger, trial, trial.back or Refusal("probe", why), clock)
        return _begun_with(memory, ledger, "committed", why, entries)
    rung = RUNGS[min(RUNGS.index(after.rung) + 1, len(RUNGS) - 1)]
    return _begun_with(memory, ledger, rung, why, ())


def gone_back(
    ledger: Ledger, trial: Attempt, back: Refusal, clock: Clock
) -> tuple[Ledger, tuple[Transition, ...]]:
    """Return the ledger without a trial, and what is to be told of it."""
    entry = Transition(
        scope=trial.scope,
        version=trial.version,
        state=State.ROLLED_BACK,
        code=back.code,
        message=back.message,
        path=back.path,
        at_utc_ns=clock.utc_ns(),
        rollout=trial.rollout,
    )
    without = ledger.ended(trial).noted(entry)
    return dataclasses.replace(without, untold=(*without.untold, entry)), (entry,)


def _begun_with(
    memory: Memory, ledger: Ledger, rung: Rung, why: str, entries: tuple[Transition, ...]
) -> Boot:
    ledger = dataclasses.replace(ledger, at_work=rung)
    standing = ledger.standing()
    told = f"{why}; begun with {_NAMES[rung] if standing else _NAMES['yaml']}" if why else ""
    boot = Boot(wanted=standing.wanted if standing else None, why=told, rung=rung)
    return _kept(memory, ledger, boot, entries)


def _alone(why: str) -> Boot:
    return Boot(why=f"{why}; begun with {_NAMES['yaml']}", rung="yaml")


def _kept(memory: Memory, ledger: Ledger, boot: Boot, entries: tuple[Transition, ...] = ()) -> Boot:
    """Write down what is decided; a trial that cannot be counted is not begun."""
    try:
        memory.write(ledger, entries)
    except JournalError as trouble:
        if not boot.is_trial:
            Log("fleet").error("start not counted", because=trouble)
            return boot
        standing = ledger.standing_of("committed")
        why = f"a trial could not be counted: {trouble}; begun with what was proven last"
        return Boot(wanted=standing.wanted if standing else None, why=why)
    return boot


def _set_aside_if_damaged(folder: Path, clock: Clock) -> str:
    """Put a memory that cannot be believed where a person can look at it; the floors lie beside it.

    Returns:
        What happened, "" where it is in order, or out of reach for another reason.
    """
    try:
        with SqliteMemory(folder):
            return ""
    except DamagedError as damage:
        told = str(damage)
    except JournalError:
        return ""
    aside = folder / f"{FILE}.damaged-{clock.utc_ns() // 1_000_000}"
    try:
        for tail in _TAILS:
            with contextlib.suppress(FileNotFoundError):
                folder.joinpath(FILE + tail).replace(f"{aside}{tail}")
        sync_folder(folder)
        for old in _set_aside_before(folder):
            old.unlink(missing_ok=True)
    except OSError as trouble:
        return f"{told}; it cannot be set aside: {trouble}"
    return f"{told}; set aside as {aside.name}; begun with the YAML alone"


def _set_aside_before(folder: Path) -> list[Path]:
    """Return what was set aside before the last few times."""
    mains = sorted(path for path in folder.glob(f"{FILE}.damaged-*") if path.name[-1].isdigit())
    return [Path(f"{path}{tail}") for path in mains[:-DAMAGED_MAX] for tail in _TAILS]
