"""The path of a study for one pipeline: its series in their roles, together, or why nobody looks at them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from edge.domain.finding import Finding, Observation, RoleSeen, SeriesSeen, Verdict
from edge.domain.ports import Clock
from edge.domain.study import ClosedBecause, Series
from edge.findings.identity import KeyedHash
from edge.findings.ids import uuid7
from edge.pipelines.result import Result, rest_of
from edge.pipelines.roles import RolesAssessor
from edge.pipelines.stations import A_SERIES
from edge.studies.role_played import RolePlayed

NOT_OURS = ": no series of the study plays a role here"  # it may be of a knee, or everything was renamed
NAMED_MAX = 8  # of the series that fit one role, in the reason as in `series.roles`
_WEAKEST_LAST = tuple(ClosedBecause)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What there is of a study for one pipeline.

    Attributes:
        played: Every series in its role, each as it was closed last.
        bystanders: Of those that play none, who stands for the study; one at least where nobody plays a role.
        revision: Of the study for this pipeline, from 1.
        waited_s: So long something more of it was waited for.
        let_go: So many series in a role were here before, and their time has passed.
    """

    played: tuple[RolePlayed, ...]
    bystanders: tuple[RolePlayed, ...] = ()
    revision: int
    waited_s: float = 0.0
    let_go: int = 0

    @classmethod
    def of(cls, everybody: Iterable[RolePlayed], *, revision: int = 1, let_go: int = 0) -> Gathered:
        """Return what there is of a study, of each series what was said of it last.

        Args:
            everybody: In the order of arrival; at least one.
            revision: Of the study for this pipeline.
            let_go: See there.
        """
        here = list(everybody)
        newest = {one.series_uid: one for one in here if one.roles}
        bystanders = tuple(one for one in here if not one.roles)
        return cls(played=tuple(newest.values()), bystanders=bystanders, revision=revision, let_go=let_go)

    @property
    def everybody(self) -> tuple[RolePlayed, ...]:
        """Who plays a role, then who does not; at least one."""
        return (*self.played, *self.bystanders)

    @property
    def pipeline(self) -> str:
        """Who looks."""
        return self.everybody[0].pipeline

    @property
    def study_uid(self) -> str:
        """StudyInstanceUID, or ""."""
        return self.everybody[0].study_uid


class StudyRoles:
    """The path for series that are looked at together, in the daemon; never raises expected trouble."""

    def __init__(
        self,
        *,
        assessors: Mapping[str, RolesAssessor],
        roles: Mapping[str, Sequence[str]],
        identity: KeyedHash,
        clock: Clock,
    ) -> None:
        """Store what the path needs.

        Args:
            assessors: By name of the pipeline.
            roles: By name of the pipeline, all of them, in the order of the configuration.
            identity: Makes subjects.
            clock: Time.
        """
        self._assessors = assessors
        self._roles = roles
        self._identity = identity
        self._clock = clock

    def assess(self, gathered: Gathered, series_of: Callable[[RolePlayed], Series]) -> Result:
        """Look at what there is of a study.

        Args:
            gathered: What there is.
            series_of: Returns the series, with what is here of its objects.

        Returns:
            Findings about the study: they name every series that played a role.
        """
        if gathered.pipeline not in self._assessors:
            reason = f"pipeline {gathered.pipeline} is not configured any more to look at several series"
            return self.give_up(gathered, reason)
        reason = "; ".join(self._unready(gathered))
        if reason:  # nothing a person could mend at the box: the study, or the rules, are as they are
            return replace(self.give_up(gathered, reason), refusal="")
        series = {played.roles[0]: series_of(played) for played in gathered.played}
        gone = [
            f"role {role}: {rest}"
            for role, rest in zip(series, _rests(gathered, series), strict=True)
            if rest
        ]
        if gone:
            return self.give_up(gathered, "; ".join(gone))
        result = self._assessors[gathered.pipeline].assess(series)
        return replace(result, findings=tuple(self._of_study(one, gathered) for one in result.findings))

    def give_up(self, gathered: Gathered, reason: str) -> Result:
        """Say that nobody could look at a study, and that a person should see why."""
        assessor = self._assessors.get(gathered.pipeline)
        observation = Observation(
            code=assessor.subject if assessor else A_SERIES, verdict=Verdict.NOT_ASSESSED, reason=reason
        )
        finding = Finding(
            finding_id=uuid7(self._clock),
            pipeline=gathered.pipeline,
            subject=self._subject(gathered),
            study=self._identity.study(gathered.study_uid),
            revision=gathered.revision,
            observation=observation,
            seen=self._seen(gathered),
            model=None,
            observed_at_ns=self._clock.utc_ns(),
        )
        return Result(findings=(finding,), refusal=reason)

    def name(self, gathered: Gathered) -> str:
        """Name what is spoken of in the log: the keyed hash of the study; of a series that names none."""
        study = self._identity.study(gathered.study_uid)
        return study or self._identity.subject(gathered.everybody[0].series_uid)

    def _subject(self, gathered: Gathered) -> str:
        return self._identity.together(gathered.everybody[0].group)

    def _of_study(self, finding: Finding, gathered: Gathered) -> Finding:
        """Return a finding about the first role's series as one about what was looked at together."""
        return replace(
            finding,
            subject=self._subject(gathered),
            study=self._identity.study(gathered.study_uid),
            revision=gathered.revision,
            seen=self._seen(gathered),
        )

    def _seen(self, gathered: Gathered) -> SeriesSeen:
        seen = gathered.played or gathered.bystanders
        pairs = self._in_order(gathered)
        named = _first_of_each(pairs)
        return SeriesSeen(
            modality="+".join(sorted({kind for one in seen for kind in one.modality.split("+") if kind})),
            instances=sum(one.instances for one in gathered.played),
            closed_because=max((one.closed_because for one in seen), key=_WEAKEST_LAST.index).value,
            roles=tuple(
                RoleSeen(
                    role=role,
                    subject=self._identity.subject(one.series_uid),
                    number=one.number,
                    revision=one.revision,
                    instances=one.instances,
                )
                for role, one in named
            ),
            roles_more=len(pairs) - len(named),
        )

    def _in_order(self, gathered: Gathered) -> list[tuple[str, RolePlayed]]:
        """Return who plays what in the order of the configuration; what it does not know comes last."""
        known = list(self._roles.get(gathered.pipeline, ()))
        pairs = [(role, one) for one in gathered.played for role in one.roles]
        return sorted(pairs, key=lambda pair: known.index(pair[0]) if pair[0] in known else len(known))

    def _unready(self, gathered: Gathered) -> Iterator[str]:
        """Say everything that keeps a model from looking at what there is."""
        if not gathered.study_uid:
            yield f"{_called(gathered.everybody[0])} names no study, so nobody knows what belongs to it"
            yield from _untold(gathered)
            return
        pairs = self._in_order(gathered)
        for one in gathered.played:
            if len(one.roles) > 1:
                yield f"{_called(one)} fits the rules of {' and '.join(one.roles)}; wanted those of one"
            if one.refusal:
                yield f"{_called(one)}, {' and '.join(one.roles)}: {one.refusal}"
        single = [(role, one) for role, one in pairs if len(one.roles) == 1]
        for role in dict.fromkeys(role for role, _ in single):
            players = [_called(one) for other, one in single if other == role]
            if len(players) > 1:
                yield f"role {role} is ambiguous: {' and '.join(_some(players))} fit it; wanted one"
        yield from self._missing(gathered, {role for role, _ in pairs})
        if gathered.let_go:  # a rest must not pass for all there was
            is_one = gathered.let_go == 1
            gone = "1 is gone, its" if is_one else f"{gathered.let_go} are gone, their"
            yield f"of its series in roles {gone} time has passed; wanted {'it' if is_one else 'them'} again"

    def _missing(self, gathered: Gathered, there: set[str]) -> Iterator[str]:
        missing = [role for role in self._roles[gathered.pipeline] if role not in there]
        if not missing:
            return
        named = f"role {missing[0]}" if len(missing) == 1 else f"roles {' and '.join(missing)}"
        untold = tuple(_untold(gathered))
        is_of_others = not (there or untold or gathered.let_go)
        yield f"{named} did not come within {gathered.waited_s:g} s{NOT_OURS if is_of_others else ''}"
        yield from untold


def _untold(gathered: Gathered) -> Iterator[str]:
    """Say why of some series nobody could tell whether they play a role that is missing."""
    why = list(dict.fromkeys(one.refusal for one in gathered.bystanders if one.refusal))
    if why:
        yield f"nobody could tell the role of a series: {' and '.join(_some(why))}"


def _first_of_each(pairs: Sequence[tuple[str, RolePlayed]]) -> list[tuple[str, RolePlayed]]:
    """Return who plays what, of each role the first."""
    players: defaultdict[str, list[RolePlayed]] = defaultdict(list)
    for role, one in pairs:
        players[role].append(one)
    return [(role, one) for role, ones in players.items() for one in ones[:NAMED_MAX]]


def _some(names: Sequence[str]) -> list[str]:
    """Return the first of many, and how many more there are."""
    more = len(names) - NAMED_MAX
    return [*names[:NAMED_MAX], *([f"{more} more"] if more > 0 else [])]


def _called(played: RolePlayed) -> str:
    """Name a series to a reader who has the study before him: by its number, never by its UID."""
    return "a series without a number" if played.number is None else f"series {played.number}"


def _rests(gathered: Gathered, series: Mapping[str, Series]) -> Iterator[str]:
    """Say of each series whether objects it had are gone."""
    for one in gathered.played:
        here = series[one.roles[0]]
        yield rest_of(replace(here, let_go=max(0, one.instances - len(here.instances))))
