"""`edge fleet rollout`: what may be typed; the work loads when it is asked for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

import typer

from edge.cli.fleet_options import FleetFile, StateFolder

VERBS: Final = ("show", "resume", "pause", "approve", "abort", "forget")
RINGS: Final = ("canary=1", "5%", "25%", "100%")
_UNITS_S: Final = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}


def span_s(text: str) -> float:
    """Read `0`, `30s`, `10m`, `24h` or `2d`."""
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)(s|m|min|h|d)?", str(text))
    if found is None or (found[2] is None and float(found[1]) != 0):
        raise typer.BadParameter(f"{text}: wanted a time such as 30s, 10m, 24h or 2d")
    return float(found[1]) * _UNITS_S[found[2] or "s"]


def share(text: str) -> float:
    """Read `98%` as 0.98."""
    found = re.fullmatch(r"(\d{1,3}(?:\.\d{1,3})?)%", str(text))
    if found is None or not 0 < float(found[1]) <= 100:
        raise typer.BadParameter(f"{text}: wanted a share such as 98%")
    return float(found[1]) / 100


def stop_at(text: str) -> tuple[int, float | None]:
    """Read `2` as a number of failures, or `5%` as a share of the devices of the open rings."""
    if str(text).endswith("%"):
        return 1, share(text)
    if not re.fullmatch(r"[1-9]\d{0,5}", str(text)):
        raise typer.BadParameter(f"{text}: wanted a number of failures such as 2, or a share such as 5%")
    return int(text), None


def rollout(
    what: Annotated[
        str,
        typer.Argument(metavar="FILE|VERB", help=f"YAML; or {', '.join(VERBS)}.", show_default=False),
    ],
    rollout_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Behind a verb: which one.", show_default=False)
    ] = None,
    ring: Annotated[
        list[str] | None,
        typer.Option(
            help="canary=1, 5%, rest=100%: how far it reaches with each; repeatable.",
            show_default=" ".join(RINGS),
        ),
    ] = None,
    success: Annotated[
        str, typer.Option(help="Share of a ring that must be well before the next one begins.")
    ] = "98%",
    soak: Annotated[str, typer.Option(help="How long a device must be well after it committed.")] = "10m",
    stop_errors: Annotated[
        str, typer.Option(help="So many failures, or such a share of the open rings, hold it.")
    ] = "2",
    deadline: Annotated[
        str, typer.Option(help="How long a device may take; who is away has not failed before.")
    ] = "24h",
    at_once: Annotated[int, typer.Option(min=1, max=100_000, help="Devices under way at any moment.")] = 1000,
    freeze: Annotated[
        list[str] | None,
        typer.Option(
            help="Nothing changes: 07:00-18:00, 'Fri 15:00-Mon 06:00', 2026-12-20..2027-01-06; repeatable."
        ),
    ] = None,
    zone: Annotated[
        str | None, typer.Option(help="Of these windows, such as Europe/Zurich; else this machine's.")
    ] = None,
    approve: Annotated[
        bool, typer.Option("--approve", help="Wait between rings until somebody approves.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only have devices say whether they could take it.")
    ] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Only show who would get it when.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Never ask.")] = False,
    fleet: FleetFile = None,
    state: StateFolder = None,
) -> None:
    """Bring a change to many devices, ring after ring; or look after a roll-out that is under way.

    edge fleet rollout FILE --ring canary=1 --ring 5% --ring 100% --success 98% --soak 10m

    edge fleet rollout show | resume ID | pause ID | approve ID | abort ID | forget ID

    Exit 0: all have it. 1: it is held or aborted, or somebody does not have it. 3: it is not over, and nobody
    runs it here. 4: somebody else runs it.
    """
    from edge.cli import fleet_rollout_run as command
    from edge.cli.fleet_desk import place

    where = place(fleet, state)
    if what == "show":
        raise typer.Exit(command.show(where, rollout_id))
    if what in VERBS:
        if rollout_id is None:
            raise typer.BadParameter(f"{what} which one? `edge fleet rollout show` lists them")
        if what == "forget":
            raise typer.Exit(command.forget(where, rollout_id))
        raise typer.Exit(command.tell(where, rollout_id, what))
    if rollout_id is not None:
        raise typer.BadParameter(
            f"{what}: is none of {', '.join(VERBS)}; behind a file nothing else is wanted"
        )
    stop_errors_count, stop_share = stop_at(stop_errors)
    asked = command.Asked(
        file=Path(what),
        rings=tuple(ring or RINGS),
        success_share=share(success),
        soak_s=span_s(soak),
        stop_errors=stop_errors_count,
        stop_share=stop_share,
        deadline_s=span_s(deadline),
        at_once_max=at_once,
        freeze=tuple(freeze or ()),
        zone=zone,
        needs_approval=approve,
        is_trial=dry_run,
        is_only_planned=plan,
        is_certain=yes,
    )
    raise typer.Exit(command.begin(where, asked))
