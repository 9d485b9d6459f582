"""Which roles a series plays in the pipelines that look at several series of a study together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from edge.domain.study import Series
from edge.kit.stage import contain
from edge.pipelines.result import rest_of
from edge.studies.role_played import RolePlayed
from edge.studies.role_rules import RolesWanted, header_of, roles_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Casting:
    """What a series is to the pipelines that look at several together.

    Attributes:
        played: One for each pipeline that it plays a role of.
        bystanding: One for each pipeline that wants its modality, and that it plays no role of.
        misfit: Why it plays none of any pipeline, where one wants its modality; else "".
    """

    played: tuple[RolePlayed, ...] = ()
    bystanding: tuple[RolePlayed, ...] = ()
    misfit: str = ""


Cast: TypeAlias = Callable[[Series], Casting]


def no_roles(_: Series) -> Casting:
    """Say that no pipeline looks at several series together."""
    return Casting()


class Director:
    """Says which roles a series plays; never raises expected trouble.

    Args:
        wanted: Of every pipeline that looks at several series together.
    """

    def __init__(self, wanted: Sequence[RolesWanted]) -> None:
        self._wanted = tuple(wanted)

    def __call__(self, series: Series) -> Casting:
        """Say what a series is to them, by what its header says."""
        shown = frozenset(series.modality.split("+"))
        wanting = [one for one in self._wanted if one.select.modalities & shown]
        if not wanting or any(instance.format != "dicom" for instance in series.instances):
            return _unread(series, wanting, "files other than DICOM say nothing of it")
        found: list[Casting] = []
        trouble = contain(lambda: found.append(self._by_header(series, wanting)))
        return found[0] if found else _unread(series, wanting, trouble)

    def _by_header(self, series: Series, wanting: Sequence[RolesWanted]) -> Casting:
        """Say what a series is by what its header says.

        Raises:
            FormatError: No header can be read.
        """
        header = header_of(series)
        cast = [
            replace(
                _bystander(series, one),
                roles=roles_of(series, header, one),
                number=header.number,
                refusal=rest_of(series),
            )
            for one in wanting
        ]
        played = tuple(one for one in cast if one.roles)
        return Casting(
            played=played,
            bystanding=tuple(replace(one, refusal="") for one in cast if not one.roles),
            misfit="" if played else _misfit(series, wanting, ""),
        )


def _unread(series: Series, wanting: Sequence[RolesWanted], why: str) -> Casting:
    """Return that nobody can say which roles a series plays, and why."""
    bystanding = tuple(replace(_bystander(series, one), refusal=why) for one in wanting)
    return Casting(bystanding=bystanding, misfit=_misfit(series, wanting, why))


def _bystander(series: Series, wanted: RolesWanted) -> RolePlayed:
    return RolePlayed(
        pipeline=wanted.pipeline,
        roles=(),
        series_uid=series.series_uid,
        study_uid=series.study_uid,
        modality=series.modality,
        number=None,
        revision=series.revision,
        instances=len(series.instances),
        closed_because=series.closed_because,
        received_at_ns=max(instance.received_at_ns for instance in series.instances),
    )


def _misfit(series: Series, wanting: Sequence[RolesWanted], why: str) -> str:
    if not wanting:
        return ""
    names = " or ".join(one.pipeline for one in wanting)
    said = f"modality {series.modality}: the series plays no role of {names}, and no other pipeline takes it"
    return f"{said}: {why}" if why else said
