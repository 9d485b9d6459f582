"""When a picture's answer means PRESENT, and what nothing means: what the policies of picture tasks share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field
from pydantic import model_validator as check_all

from edge.bundles.parts import Part, Share, Words, check_names_differ

NothingFound = Annotated[
    Literal["ABSENT", "NOT_ASSESSED"],
    Field(
        description="What it means that nothing was found; NOT_ASSESSED where the network may well miss it."
    ),
]
ThingsSaid = Annotated[int, Field(ge=0, le=1000)]
THINGS_SAID = "So many things are findings of their own, each with its box; the count speaks of all."


class ScoreFinding(Part):
    """A class that is a finding of its own, judged by its score."""

    name: Words = Field(description="One of the output's classes; the finding has its code.")
    enter_score_min: Share = Field(description="ABSENT becomes PRESENT at this score.")
    stay_score_min: Share = Field(description="PRESENT becomes ABSENT below this score; at most the other.")

    @check_all(mode="after")
    def _staying_is_easier(self) -> ScoreFinding:
        check_staying(self.stay_score_min, self.enter_score_min, what="score_min")
        return self


class AreaFinding(Part):
    """A label that is a finding of its own, judged by how much of the picture has it."""

    name: Words = Field(description="One of the output's labels; the finding has its code.")
    enter_area_min: Share = Field(
        description="ABSENT becomes PRESENT at this share of the picture's area, 0 to 1; 0: at one pixel."
    )
    stay_area_min: Share = Field(description="PRESENT becomes ABSENT below this share; at most the other.")

    @check_all(mode="after")
    def _staying_is_easier(self) -> AreaFinding:
        check_staying(self.stay_area_min, self.enter_area_min, what="area_min")
        return self


def check_staying(stay: float, enter: float, *, what: str) -> None:
    """Refuse a threshold that makes it harder to stay than to become.

    Raises:
        ValueError: It does.
    """
    if stay > enter:
        raise ValueError(f"stay_{what} {stay:g} must not be above enter_{what} {enter:g}")


def check_known(named: Sequence[str], there: Sequence[str], *, where: str, of: str) -> None:
    """Refuse findings about what the network does not know, or two about one thing.

    Raises:
        ValueError: A name is not there, or is there twice.
    """
    check_names_differ(list(named), where=where)
    strange = [name for name in named if name not in there]
    if strange:
        raise ValueError(f"{where} {strange[0]!r} is not one of {of}: {', '.join(there)}")
