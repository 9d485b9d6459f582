"""Pipelines that look at several series of a study together: what the operator wrote, turned into parts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from edge.config.pipelines import ImagingPipeline, Role
from edge.config.schema import Config
from edge.daemon.parts import rule_of
from edge.domain.ports import Clock
from edge.domain.study import Series
from edge.findings.identity import KeyedHash
from edge.inference.engine import Engine
from edge.pipelines.exchangeable import Exchangeable
from edge.pipelines.result import Result
from edge.pipelines.roles import RolesAssessor
from edge.pipelines.stations import A_SERIES, Station, Wanted, stations
from edge.pipelines.study_roles import Gathered, StudyRoles
from edge.pipelines.watching import Watch
from edge.studies.gather import Awaited
from edge.studies.role_played import RolePlayed
from edge.studies.role_rules import KEYWORDS, RoleRule, RolesWanted


class ExchangeableRoles:
    """Looks at studies with what is configured at that moment, which is never exchanged under one.

    Args:
        series: Holds back exchanges, for studies as for series.
        roles: Looks at studies until another is put.
    """

    def __init__(self, series: Exchangeable, roles: StudyRoles) -> None:
        self._series = series
        self._roles = roles

    def assess(self, gathered: Gathered, series_of: Callable[[RolePlayed], Series]) -> Result:
        """Look at one study."""
        with self._series.looking():
            return self._roles.assess(gathered, series_of)

    def give_up(self, gathered: Gathered, reason: str) -> Result:
        """Say that nobody could look at a study."""
        return self._roles.give_up(gathered, reason)

    def name(self, gathered: Gathered) -> str:
        """Name a study in the log."""
        return self._roles.name(gathered)

    def put(self, roles: StudyRoles) -> None:
        """Look at studies with this from now on; inside of `Exchangeable.between_series`."""
        self._roles = roles


def roles_wanted_of(config: Config) -> Sequence[RolesWanted]:
    """Return which series play which roles."""
    return [
        RolesWanted(select=rule_of(one), roles=tuple(map(_rule, one.roles)), wait_s=one.roles_wait_s)
        for one in _with_roles(config)
    ]


def awaited_of(config: Config) -> Mapping[str, Awaited]:
    """Return what each pipeline waits for, by its name."""
    return {
        one.name: Awaited(frozenset(role.role for role in one.roles), one.roles_wait_s)
        for one in _with_roles(config)
    }


def study_roles_of(
    config: Config, engine: Engine, *, identity: KeyedHash, clock: Clock, watch: Watch
) -> StudyRoles:
    """Return who looks at several series together."""
    pipelines = _with_roles(config)
    return StudyRoles(
        assessors={one.name: _assessor(one, engine, identity, clock, watch) for one in pipelines},
        roles={one.name: [role.role for role in one.roles] for one in pipelines},
        identity=identity,
        clock=clock,
    )


def _with_roles(config: Config) -> list[ImagingPipeline]:
    return [one for one in config.pipelines if isinstance(one, ImagingPipeline) and one.roles]


def _rule(role: Role) -> RoleRule:
    texts = {name: getattr(role, name) for name in KEYWORDS}
    return RoleRule(
        role=role.role,
        modalities=frozenset(role.modalities),
        texts={name: re.compile(text) for name, text in texts.items() if text is not None},
        image_type=frozenset(value.upper() for value in role.image_type),
        contrast_bolus=role.contrast_bolus,
    )


def _assessor(
    one: ImagingPipeline, engine: Engine, identity: KeyedHash, clock: Clock, watch: Watch
) -> RolesAssessor:
    wanted = Wanted(one.name, one.bundle, one.deadline_s)
    not_for_volumes = f"{one.bundle} looks at pictures, one by one, and at no series together"
    nobody = Station(
        model=None, refusal=not_for_volumes, policy=None, subject=A_SERIES, deadline_s=one.deadline_s
    )
    return RolesAssessor(
        rule=rule_of(one),
        station=stations(engine, [wanted]).get(one.name, nobody),
        identity=identity,
        clock=clock,
        watch=watch,
    )
