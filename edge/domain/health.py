"""How a stage says that it is well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class StageHealth:
    """The books of one stage; they balance, and a test asserts it.

    Attributes:
        name: `door`, `imaging`, `outbox` …
        taken: Items that came in since start.
        out: Items that left as they should.
        set_aside: Items put where one can look at them, with a reason.
        dropped: Items given up, by reason; never for studies and findings.
        held: Items inside now.
        oldest_ms: Age of the oldest item held, 0 when empty.
        last_move_ns: Monotonic time of the last item that moved.
        note: What a person must know, or "".
    """

    name: str
    taken: int
    out: int
    set_aside: int
    held: int
    oldest_ms: float
    last_move_ns: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    note: str = ""

    @property
    def balances(self) -> bool:
        """What came in has left, was set aside, was dropped, or is still here."""
        return self.taken == self.out + self.set_aside + sum(self.dropped.values()) + self.held
