"""A roll-out before somebody's eyes: the plan, the rings as they fill, who is under way, who failed."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edge.cli.rows import printable
from edge.fleet.operator.inventory import DeviceView
from edge.fleet.operator.rollout import frozen_until_ms
from edge.fleet.operator.rollout_desk import RolloutDesk
from edge.fleet.operator.rollout_plan import Plan
from edge.fleet.operator.rollout_runner import Runner, told_in_a_line
from edge.fleet.operator.rollout_state import Back, Member, Phase, Rollout, Step

Views = Mapping[str, DeviceView]

NAMED_MAX: Final = 3
ROWS_MAX: Final = 12
BAR_CELLS: Final = 20
STYLES: Final[Mapping[Step, str]] = {
    Step.DUE: "",
    Step.SENT: "cyan",
    Step.SOAKING: "cyan",
    Step.OK: "green",
    Step.FAILED: "bold red",
    Step.MISSED: "yellow",
    Step.LEFT: "yellow",
}
HEADINGS: Final[Mapping[Step, str]] = {
    Step.DUE: "to come",
    Step.SENT: "under way",
    Step.SOAKING: "watched",
    Step.OK: "well",
    Step.FAILED: "failed",
    Step.MISSED: "missed",
    Step.LEFT: "left alone",
}
PHASES: Final[Mapping[Phase, str]] = {
    Phase.RUNNING: "cyan",
    Phase.PAUSED: "yellow",
    Phase.HELD: "bold red",
    Phase.AWAITING: "yellow",
    Phase.RETURNING: "yellow",
    Phase.DONE: "bold green",
    Phase.ABORTED: "bold yellow",
}


class Watcher:
    """Shows a roll-out while its `with` lasts: live in a terminal, elsewhere a line for each change."""

    def __init__(self, console: Console, desk: RolloutDesk) -> None:
        """Store where to show it, and who knows the devices."""
        self._console = console
        self._desk = desk
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._said = ""

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, runner: Runner) -> None:
        """Show how far it is now."""
        rollout = runner.rollout
        if self._live is not None:
            now_ms = self._desk.now_ns() // 1_000_000
            table = table_of(rollout, self._desk.devices(), now_ms=now_ms, trouble=runner.trouble)
            self._live.update(table, refresh=True)
            return
        line = "; ".join(part for part in (told_in_a_line(rollout), runner.trouble) if part)
        if line != self._said:
            self._said = line
            self._console.print(f"{rollout.id}: {printable(line)}", markup=False, soft_wrap=True)


def plan_of(plan: Plan) -> RenderableType:
    """Return who gets it when, and who does not."""
    rollout, terms = plan.rollout, plan.rollout.terms
    table = Table(box=None, pad_edge=False)
    for heading in ("ring", "devices", "who"):
        table.add_column(heading)
    for number, name in enumerate(terms.rings):
        members = [device for device, member in rollout.members.items() if member.ring == number]
        more = f" and {len(members) - NAMED_MAX} more" if len(members) > NAMED_MAX else ""
        named = ", ".join(members[:NAMED_MAX]) + more
        table.add_row(Text(printable(name)), str(len(members)), Text(printable(named)))
    lines: list[RenderableType] = [Text(f"{rollout.id}: {_conditions(rollout)}"), table]
    for why, count in Counter(plan.left_out.values()).most_common(ROWS_MAX):
        who = next(device for device, reason in plan.left_out.items() if reason == why)
        others = f" and {count - 1} more" if count > 1 else ""
        lines.append(Text(printable(f"not part of it: {who}{others}: {why}"), style="yellow"))
    return Group(*lines)


def list_of(rollouts: Sequence[Rollout]) -> RenderableType:
    """Return a row for each roll-out, the newest first."""
    if not rollouts:
        return Text("there are no roll-outs, neither here nor at the broker")
    table = Table(box=None, pad_edge=False)
    for heading in ("id", "begun", "by", "is", "devices", "well", "failed"):
        table.add_column(heading)
    for rollout in sorted(rollouts, key=lambda each: each.made_ms, reverse=True):
        counts = rollout.counts()
        table.add_row(
            rollout.id,
            _moment(rollout.made_ms),
            Text(printable(rollout.by)),
            Text(str(rollout.phase), style=PHASES[rollout.phase]),
            str(counts.total()),
            str(counts[Step.OK]),
            str(counts[Step.FAILED]),
        )
    return table


def table_of(
    rollout: Rollout, views: Views, *, now_ms: int, trouble: str = "", holder: str = ""
) -> RenderableType:
    """Return how far a roll-out is.

    Args:
        rollout: As it is.
        views: The fleet.
        now_ms: UTC.
        trouble: Why nothing goes on at the moment, or "".
        holder: Who runs it, or "".
    """
    parts: list[RenderableType] = [_headline(rollout, holder), _rings(rollout)]
    until_ms = frozen_until_ms(rollout, now_ms=now_ms)
    if until_ms is not None and not rollout.phase.is_end:
        parts.append(Text(f"frozen until {_moment(until_ms)}", style="yellow"))
    if trouble:
        parts.append(Text(printable(trouble), style="bold red"))
    parts += _rows(rollout, views)
    return Group(*parts)


def _headline(rollout: Rollout, holder: str) -> Text:
    line = Text(f"{rollout.id}  ")
    line.append(str(rollout.phase), style=PHASES[rollout.phase])
    told = [rollout.why, "a dry run" if rollout.terms.is_trial else "", f"run by {holder}" if holder else ""]
    line.append("".join(f"  {printable(part)}" for part in told if part))
    return line


def _rings(rollout: Rollout) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("ring")
    table.add_column("devices", justify="right")
    for step in Step:
        table.add_column(HEADINGS[step], justify="right")
    is_going_back = rollout.phase in (Phase.RETURNING, Phase.ABORTED)
    table.add_column("given back" if is_going_back else "", justify="right" if is_going_back else "left")
    for number, name in enumerate(rollout.terms.rings):
        counts = rollout.counts(number)
        cells = [
            Text(str(counts[step] or "·"), style=STYLES[step] if counts[step] else "dim") for step in Step
        ]
        mark = "▸ " if number == rollout.ring and not rollout.phase.is_end else "  "
        table.add_row(
            Text(mark + printable(name)),
            str(counts.total()),
            *cells,
            _back(rollout, number) if is_going_back else _bar(counts),
        )
    return table


def _back(rollout: Rollout, ring: int) -> Text:
    """Return how many of a ring have what they had before, of those that got something else."""
    owed = [each for each in rollout.members.values() if each.ring == ring and each.version]
    return Text(f"{sum(each.back is Back.DONE for each in owed)} of {len(owed)}")


def _bar(counts: Counter[Step]) -> Text:
    """Return the steps of a ring as a bar; whoever is anywhere has at least one cell."""
    bar, total = Text(), max(1, counts.total())
    for step in (Step.OK, Step.SOAKING, Step.SENT, Step.FAILED, Step.MISSED, Step.LEFT):
        cells = max(1, round(counts[step] / total * BAR_CELLS)) if counts[step] else 0
        bar.append(("█" if step is Step.OK else "▒") * cells, style=STYLES[step])
    return bar


def _rows(rollout: Rollout, views: Views) -> list[RenderableType]:
    """Return those a person wants to see by name: failures first, then who is left alone or on the way."""
    told = [(name, member) for name, member in rollout.members.items() if _rank(member) < len(_RANKS)]
    told.sort(key=lambda item: _rank(item[1]))
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, member in told[:ROWS_MAX]:
        view = views.get(name)
        presence = view.presence if view is not None else "unknown"
        code = f"{member.code}: " if member.code not in ("", "ok") and member.code not in member.why else ""
        table.add_row(
            Text(printable(name)),
            Text(_where(member), style=STYLES[member.step]),
            str(member.newest or ""),
            presence,
            Text(printable(code + member.why)),
        )
    more = [Text(f"and {len(told) - ROWS_MAX} more")] if len(told) > ROWS_MAX else []
    return [table, *more] if told else []


_RANKS: Final = (Step.FAILED, Step.LEFT, Step.MISSED, Step.SENT, Step.DUE, Step.SOAKING)


def _rank(member: Member) -> int:
    """Return a number that is the lower the more a person wants to see a device; the highest: not at all."""
    if member.back in (Back.STUCK, Back.SENT):
        return 0
    is_plain = member.step not in _RANKS or (member.step is Step.DUE and not member.why)
    return len(_RANKS) if is_plain else _RANKS.index(member.step)


def _where(member: Member) -> str:
    return (
        HEADINGS[member.step]
        if member.back is Back.NOTHING
        else f"{HEADINGS[member.step]}, return: {member.back}"
    )


def _conditions(rollout: Rollout) -> str:
    terms = rollout.terms
    stop = f"{terms.stop_share:.0%} of the open rings" if terms.stop_share else f"{terms.stop_errors}"
    told = [
        f"{len(rollout.members)} devices",
        f"forward at {terms.success_share:.1%} well for {_span(terms.soak_s)}".replace(".0%", "%"),
        f"held at {stop} failed",
        f"{_span(terms.deadline_s)} for each",
        "with approval between rings" if terms.needs_approval else "",
        f"frozen {', '.join(terms.freeze)} ({terms.zone})" if terms.freeze else "",
    ]
    if terms.is_trial:
        told = [told[0], "a dry run: each says whether it could take it, and it is taken back"]
    return ", ".join(part for part in told if part)


def _span(seconds: float) -> str:
    for unit, unit_s in (("h", 3600), ("min", 60)):
        if seconds >= unit_s and seconds % unit_s == 0:
            return f"{seconds / unit_s:g} {unit}"
    return f"{seconds:g} s"


def _moment(utc_ms: int) -> str:
    moment = datetime.datetime.fromtimestamp(utc_ms / 1000, tz=datetime.UTC).astimezone()
    return f"{moment:%Y-%m-%d %H:%M}"
