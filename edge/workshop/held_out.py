"""Which inputs are held out of a calibration: agreement is measured on what nothing was calibrated on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from edge.workshop.questions import Item

ONE_IN: Final = 4
HELD_OUT_MAX: Final = 16
SHARE_MIN, SHARE_MAX = 1 / 8, 1 / 2  # with whole groups it is not always a quarter
NEAR = "what was held out may be near copies of what was calibrated on"


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Inputs, in two parts.

    Attributes:
        calibrating: Ranges are taken of these.
        held_out: Answers are compared on these.
        how: What was held out, in words.
    """

    calibrating: tuple[Item, ...]
    held_out: tuple[Item, ...]
    how: str


def splits(given: Sequence[Item], groups: Sequence[str]) -> Iterator[Split]:
    """Part inputs in the ways there are, the best first.

    Frames of one video, slices of one study, pictures of one folder are alike: they all go to one side, where
    some groups are an eighth to a half of the inputs. Else every fourth input is held out.

    Args:
        given: At least `ONE_IN`.
        groups: Of each input what it was taken of; () where nobody knows.
    """
    sizes = Counter(groups)
    held = _whole(sizes) if len(sizes) < len(groups) else frozenset()
    if held:
        apart = tuple(item for item, group in zip(given, groups, strict=True) if group in held)
        yield Split(
            calibrating=tuple(item for item, group in zip(given, groups, strict=True) if group not in held),
            held_out=apart[:: -(-len(apart) // HELD_OUT_MAX)],
            how=f"{len(held)} of {len(sizes)} groups, whole: a study, a video or a folder is one",
        )
    yield Split(
        calibrating=tuple(item for place, item in enumerate(given) if place % ONE_IN),
        held_out=tuple(given[::ONE_IN][:HELD_OUT_MAX]),
        how="every fourth" + _because(sizes, len(groups), could=bool(held)),
    )


def _whole(sizes: Counter[str]) -> frozenset[str]:
    """Return the groups that are held out, looking at the large ones first; none where it is not possible."""
    held: list[str] = []
    seen = count = 0
    for group, size in sizes.most_common():  # equal ones in the order in which they came
        seen += size
        if (count + size) * ONE_IN <= seen:
            held.append(group)
            count += size
    held = held or [min(sizes, key=sizes.__getitem__)]
    share = sum(sizes[group] for group in held) / sizes.total()
    return frozenset(held) if SHARE_MIN <= share <= SHARE_MAX else frozenset()


def _because(sizes: Counter[str], given: int, *, could: bool) -> str:
    """Say why no whole groups are held out; nothing where there are none."""
    if len(sizes) == given or not sizes:
        return ""
    if could:
        return f", for whole groups would prove nothing; {NEAR}"
    if len(sizes) == 1:
        return f", for all are of one study, video or folder; {NEAR}"
    return f", for whole groups would be too many or too few of them; {NEAR}"
