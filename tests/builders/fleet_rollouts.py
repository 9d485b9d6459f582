"""Roll-outs over simulated fleets, decided, written down and published as the runner does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from edge.fleet.operator.rollout import decide, unpublished
from edge.fleet.operator.rollout_content import document
from edge.fleet.operator.rollout_orders import Order, followed
from edge.fleet.operator.rollout_plan import RolloutFile, parse_file, parse_ring, plan
from edge.fleet.operator.rollout_state import Rollout, Terms
from tests.fakes.fleet_world import Box, World

BROUGHT = {"pipelines": {"brain-mr": {"deadline_s": 60}}}
RINGS = ("canary=1", "25%", "100%")


def boxes(count: int, *, rooms: int = 0) -> list[Box]:
    """Return devices of one site, all online; spread over that many rooms."""
    return [Box("anna", f"or-{n}", room=f"theatre {n % rooms}" if rooms else "") for n in range(count)]


def file(**more: Any) -> RolloutFile:
    """Return what a roll-out's file holds: everybody, and another deadline."""
    return parse_file({"select": {"devices": ["*"]}, "config": BROUGHT, **more}, origin="file")


def terms(**more: Any) -> Terms:
    """Return conditions that are over soon."""
    return Terms(**{"rings": (), "soak_s": 5.0, "deadline_s": 600.0, **more})


def begun(
    world: World, *, rings: tuple[str, ...] = RINGS, given: RolloutFile | None = None, **more: Any
) -> Rollout:
    """Return a roll-out over a world that has not begun."""
    return plan(
        "r-1",
        by="anna",
        file=given or file(),
        rings=[parse_ring(ring) for ring in rings],
        terms=terms(**more),
        views=world.devices(),
        now_ms=world.now_ms,
    ).rollout


def decided(world: World, rollout: Rollout) -> Rollout:
    """Return how far it is now."""
    return decide(rollout, world.devices(), world.groups(), now_ms=world.now_ms)


def published(world: World, rollout: Rollout) -> None:
    """Publish what is written down and not yet there."""
    names = unpublished(rollout, world.devices(), {}, now_ms=world.now_ms)
    world.repeat({name: document(rollout, name) for name in names})


def rounds(
    world: World, rollout: Rollout, *, seconds: float = 1.0, rounds_max: int = 2000
) -> Iterator[Rollout]:
    """Yield it after each round, until it is over or held."""
    for _ in range(rounds_max):
        rollout = decided(world, rollout)
        published(world, rollout)
        yield rollout
        if rollout.phase not in ("running", "returning"):
            return
        world.step(seconds)


def run(world: World, rollout: Rollout, *, seconds: float = 1.0, rounds_max: int = 2000) -> Rollout:
    """Return how far it is once it is over or held."""
    *_, last = rounds(world, rollout, seconds=seconds, rounds_max=rounds_max)
    return last


def run_while(world: World, rollout: Rollout, goes_on: Callable[[Rollout], object]) -> Rollout:
    """Return the first state for which it goes on no longer."""
    return next(state for state in rounds(world, rollout) if not goes_on(state))


def told(world: World, rollout: Rollout, order: str) -> Rollout:
    """Return it with an order followed."""
    return followed(rollout, Order(order), by="anna", now_ms=world.now_ms)


def steps(rollout: Rollout) -> Mapping[str, str]:
    """Return the step of each device."""
    return {name: str(member.step) for name, member in rollout.members.items()}
