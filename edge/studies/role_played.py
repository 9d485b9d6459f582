"""A series in its role, written down: it waits in the queue `together` for the others of its study."""

from __future__ import annotations

import json
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
        roles: It plays; more than one where the pipeline's rules overlap.
        series_uid: What it was assembled under.
        study_uid: StudyInstanceUID, or "".
        modality: As its objects say.
        number: SeriesNumber, or None.
        revision: Of the series.
        instances: How many it had.
        closed_because: The evidence.
        received_at_ns: When its last object came in (UTC).
        refusal: Why nobody can look at it as it is, or "".
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
    """Return what the journal keeps; its key begins with the series, which holds that back from retention."""
    body = {**asdict(played), "closed_because": played.closed_because.value}
    return Entry(
        QUEUE,
        key=f"{played.series_uid}\n{played.pipeline}",
        digest=str(played.revision),
        group=played.group,
        body=json.dumps(body, separators=(",", ":")).encode(),
    )


def played_of(item: Item) -> RolePlayed:
    """Decode what `entry_of` wrote."""
    values: dict[str, Any] = json.loads(item.body)
    values["roles"] = tuple(values["roles"])
    return RolePlayed(**{**values, "closed_because": ClosedBecause(values["closed_because"])})
