"""From a file, a choice of rings and what is known of the fleet to a roll-out that has not begun."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from edge.domain.errors import ConfigurationError
from edge.fleet.documents import BundleWanted, Name, Part, Window
from edge.fleet.operator.inventory import DeviceView
from edge.fleet.operator.rollout_content import merged, room_of, standing
from edge.fleet.operator.rollout_state import Change, Member, Rollout, Terms
from edge.fleet.words import ProbeName
from edge.kit.trees import steps_of, written

Views = Mapping[str, DeviceView]


def _path(text: str) -> str:
    steps_of(text)
    return text


PathText = Annotated[str, Field(max_length=256), AfterValidator(_path)]
Globs = Annotated[tuple[str, ...], Field(strict=False, max_length=10_000)]

_RING: Final = re.compile(
    r"(?:(?P<name>[A-Za-z][A-Za-z0-9 ._-]{0,30})=)?(?P<number>\d+(?:\.\d+)?)(?P<percent>%?)"
)


class Selection(Part):
    """Which devices are meant; of each list one entry must fit, and a list that is not given fits all."""

    sites: Globs = Field(default=(), description="Names of sites; * and ? stand for others.")
    groups: Globs = Field(default=(), description="Groups that a device is in.")
    devices: Globs = Field(default=(), description="`device` or `site/device`; * and ? stand for others.")
    except_: Globs = Field(default=(), alias="except", description="Devices that are not meant all the same.")
    first: Globs = Field(default=(), description="Devices whose turn comes first: the canary is one of them.")

    @model_validator(mode="after")
    def _nobody_is_meant_by_accident(self) -> Self:
        if not (self.sites or self.groups or self.devices):
            raise ValueError("names nobody; wanted sites, groups or devices; devices: ['*'] for all")
        return self

    def takes(self, view: DeviceView) -> bool:
        """Whether a device is meant."""
        return (
            (not self.sites or _fits(self.sites, view.site))
            and (not self.groups or any(_fits(self.groups, group) for group in view.groups))
            and (not self.devices or _fits(self.devices, view.device, view.key))
            and not _fits(self.except_, view.device, view.key)
        )


class ApplyGiven(Part):
    """When and how; what is not given is as in every document."""

    mode: Literal["safe_point", "window"] = Field(default="safe_point", description="As in a document.")
    window: Window | None = Field(default=None, description="Of the device's local time.")
    confirm_s: float = Field(default=120.0, ge=1, le=3600, description="Within which all probes must pass.")
    probe: Annotated[tuple[ProbeName, ...], Field(strict=False)] = Field(
        default=("ingest", "engine", "mqtt", "golden"), description="What must work afterwards."
    )

    @model_validator(mode="after")
    def _window_where_one_is_meant(self) -> Self:
        if self.mode == "window" and self.window is None:
            raise ValueError("mode is window and there is none; wanted window, such as 02:00-04:00")
        return self


class RolloutFile(Part):
    """What a roll-out's file holds."""

    select: Selection = Field(description="Who is meant.")
    config: dict[str, Any] = Field(default_factory=dict, description="Laid over each device's own document.")
    without: Annotated[tuple[PathText, ...], Field(strict=False, max_length=256)] = Field(
        default=(), description="Options that each device's own document is to set no longer, by their paths."
    )
    bundles: dict[Name, BundleWanted | None] = Field(
        default_factory=dict,
        max_length=64,
        description="In place of those of the same name; null takes away.",
    )
    apply: ApplyGiven = Field(default=ApplyGiven(), description="When and how.")

    @model_validator(mode="after")
    def _brings_something(self) -> Self:
        if not (self.config or self.bundles or self.without):
            raise ValueError("brings nothing; wanted config, without or bundles")
        return self

    @property
    def change(self) -> Change:
        """What it brings, in plain values."""
        bundles = {
            name: None if bundle is None else bundle.model_dump() for name, bundle in self.bundles.items()
        }
        return Change(
            config=self.config,
            bundles=bundles,
            apply=self.apply.model_dump(mode="json", exclude_none=True),
            without=self.without,
        )


def parse_file(tree: object, *, origin: str) -> RolloutFile:
    """Read what a file holds.

    Args:
        tree: Plain values.
        origin: Names the file in errors.

    Raises:
        ConfigurationError: It is none; everything that is wrong at once.
    """
    try:
        return RolloutFile.model_validate(tree)
    except ValidationError as errors:
        told = [
            ": ".join(part for part in (written(error["loc"]), error["msg"]) if part)
            for error in errors.errors(include_url=False, include_input=False)
        ]
        raise ConfigurationError(f"{origin}: {'; '.join(told)}") from errors


@dataclass(frozen=True, slots=True)
class Ring:
    """How far a roll-out reaches with one ring; all that come before are counted.

    Attributes:
        name: For people.
        count: Devices, or None where it is a share.
        share: Of all, 0 to 1.
    """

    name: str
    count: int | None
    share: float

    def reach(self, total: int) -> int:
        """Return how many devices it and those before it hold, of so many."""
        wanted = max(1, math.ceil(self.share * total - 1e-9)) if self.count is None else self.count
        return min(total, wanted)


def parse_ring(text: str) -> Ring:
    """Read `canary=1`, `5%` or `all=100%`.

    Raises:
        ConfigurationError: It is none.
    """
    found = _RING.fullmatch(text)
    number = float(found["number"]) if found else 0.0
    is_sound = number > 0 and (number <= 100 if found and found["percent"] else number.is_integer())
    if found is None or not is_sound:
        raise ConfigurationError(f"ring {text!r}: wanted canary=1, 5% or rest=100%")
    name = found["name"] or text
    if found["percent"]:
        return Ring(name, None, number / 100)
    return Ring(name, int(number), 0.0)


EVERYBODY: Final = Ring("all", None, 1.0)


@dataclass(frozen=True, slots=True)
class Plan:
    """A roll-out that has not begun, and who is not part of it.

    Attributes:
        rollout: Nothing was sent yet.
        left_out: Devices that are meant and not part of it, with the reason.
    """

    rollout: Rollout
    left_out: Mapping[str, str]


def plan(
    rollout_id: str,
    *,
    by: str,
    file: RolloutFile,
    rings: Sequence[Ring],
    terms: Terms,
    views: Views,
    now_ms: int,
) -> Plan:
    """Choose who takes part, and when each one's turn comes.

    Whom the file names `first` comes first; then who is there comes before who is away, so that the canary is
    somebody who can answer; beyond that the order is drawn from the id, so that it is not always the same who
    go first.

    Args:
        rollout_id: Names it.
        by: Who begins it.
        file: What it brings, and to whom.
        rings: The first one first; each counts those before it. A trial has none: it asks everybody at once.
        terms: Under which conditions; its rings are replaced by those that hold anybody.
        views: The fleet.
        now_ms: UTC.

    Raises:
        ConfigurationError: Nobody can take part.
    """
    change = file.change
    meant = [name for name, view in views.items() if file.select.takes(view)]
    left_out = {name: why for name in meant if (why := _why_not(views[name], change))}
    takers = [name for name in meant if name not in left_out]
    takers.sort(key=lambda name: _turn(rollout_id, views[name], file.select.first))
    names, places = _places([EVERYBODY] if terms.is_trial else rings, len(takers))
    left_out |= dict.fromkeys(takers[len(places) :], "lies beyond the last ring")
    if not places:
        told = "; ".join(f"{name} {why}" for name, why in list(left_out.items())[:3])
        counted = f"of {len(views)} devices {len(meant)} are meant, and none can take part"
        raise ConfigurationError(f"{rollout_id}: {counted}{': ' + told if told else ''}")
    rollout = Rollout(
        id=rollout_id,
        by=by,
        made_ms=now_ms,
        change=change,
        terms=dataclasses.replace(terms, rings=names),
        members={
            name: Member(ring=ring, room=room_of(views[name]))
            for name, ring in zip(takers, places, strict=False)
        },
        opened_ms=now_ms,
    )
    return Plan(rollout, left_out)


def _why_not(view: DeviceView, change: Change) -> str:
    """Return why a device cannot take part, or need not; "" where it takes part."""
    known = standing(view)
    if known.content is None:
        return known.why
    if not known.is_busy and merged(known.content, change) == known.content:
        return "has it already"
    return ""


def _turn(rollout_id: str, view: DeviceView, first: Sequence[str]) -> tuple[bool, bool, bytes]:
    is_first = _fits(first, view.device, view.key)
    chance = hashlib.sha256(f"{rollout_id} {view.key}".encode()).digest()
    return not is_first, view.presence != "online", chance


def _places(rings: Sequence[Ring], total: int) -> tuple[tuple[str, ...], list[int]]:
    """Return the rings that hold anybody, and for each device in its order in which of them it is."""
    names: list[str] = []
    places: list[int] = []
    for ring in rings:
        more = ring.reach(total) - len(places)
        if more > 0:
            places += [len(names)] * more
            names.append(ring.name)
    return tuple(names), places


def _fits(patterns: Sequence[str], *names: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)
