"""A series in its role, written down: it waits in the queue `together` for the others of its study.

A series that a pipeline's `select` takes and that plays none of its roles is a bystander. One of a study is
written down, too, so that the study is spoken of where nobody else comes; it holds no files back.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from edge.domain.study import ClosedBecause
from edge.kit.journal import Entry, Item

QUEUE = "together"


@dataclass(frozen=True, slots=True, kw_only=True)
class RolePlayed:
    """One series, as it was closed, in a role of one pipeline.

    Attributes:
        pipeline: Looks at it, together with others.
        roles: It plays; more than one where the pipeline's rules overlap; () of a bystander.
        series_uid: What it was assembled under.
        study_uid: StudyInstanceUID, or "".
        modality: As its objects say.
        number: SeriesNumber, or None.
        revision: Of the series.
        instances: How many it had.
        closed_because: The evidence.
        received_at_ns: When its last object came in (UTC).
        refusal: Why nobody can look at it as it is, of a bystander why nobody can tell its role; or "".
    """

    pipeline: str
    roles: tuple[str, ...]
    series_uid: str
    study_uid: str
    modality: str
    number: int | None
    revision: int
    instances: int
    closed_because: ClosedBecause
    received_at_ns: int
    refusal: str = ""

    @property
    def group(self) -> str:
        """What is looked at together: a study for a pipeline; a series that names no study is by itself."""
        return f"{self.pipeline} {self.study_uid or f'series {self.series_uid}'}"


def entry_of(played: RolePlayed) -> Entry:
    """Return what the journal keeps; its key begins with the series, which holds that back from retention.

    That of a bystander does not, and is the same for all of a study.
    """
    body = {**asdict(played), "closed_because": played.closed_because.value}
    return Entry(
        QUEUE,
        key=f"{played.series_uid}\n{played.pipeline}" if played.roles else bystander_key(played.group),
        digest=str(played.revision) if played.roles else played.refusal,
        group=played.group,
        body=json.dumps(body, separators=(",", ":")).encode(),
    )


def is_ambiguous(played: Iterable[RolePlayed]) -> bool:
    """Whether a role is played by two series, or a series plays two roles; each as it was closed last."""
    newest = {one.series_uid: one for one in played if one.roles}.values()
    players = Counter(role for one in newest for role in one.roles)
    return any(count > 1 for count in players.values()) or any(len(one.roles) > 1 for one in newest)


def bystander_key(group: str) -> str:
    """Return the key of every bystander of a group; nobody misses one that has gone."""
    return f"bystander of {group}"


def played_of(item: Item) -> RolePlayed:
    """Decode what `entry_of` wrote."""
    values: dict[str, Any] = json.loads(item.body)
    values["roles"] = tuple(values["roles"])
    return RolePlayed(**{**values, "closed_because": ClosedBecause(values["closed_because"])})
