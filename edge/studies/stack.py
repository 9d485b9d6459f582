"""Sort the slices of a series into scans and volumes, or say which of them do not fit together and why."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edge.domain.errors import SeriesRejectedError
from edge.studies.geometry import Stack, blocks_mm, even_spacing_mm, stacked, tilt_degrees
from edge.studies.mixed import NAMED_MAX, named, refuse_mixed
from edge.studies.slices import Moments, Slice

SAME_PLACE_MM = 0.05  # the thinnest slices of any scanner are 0.2 mm apart
MAY_END_EARLY = ("temporal_position", "b_value")  # a scan that was stopped leaves its last volume unfinished

Volumes = tuple[tuple[Slice, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Group:
    """The slices of one scan.

    Attributes:
        name: What tells it from the other scans of its series, or "".
        volumes: One tuple of slices for each time point, each in the order of `stack`.
        stack: Where the slices of every volume lie.
        slice_spacing_mm: Of the grid to be made.
        is_regular: The slices are that grid already.
        times_ms: Of each volume after the first, where the headers tell it.
        notes: What a reader must know.
    """

    name: str
    volumes: Volumes
    stack: Stack
    slice_spacing_mm: float
    is_regular: bool
    times_ms: tuple[float, ...]
    notes: tuple[str, ...]


def groups_of(slices: Sequence[Slice]) -> list[Group]:
    """Sort all slices of a series into scans.

    Raises:
        SeriesRejectedError: They are no scans: mixed, doubled, missing or strewn about.
    """
    refuse_mixed(slices)
    places = _places(slices)
    if len(set(places)) < 2:
        raise SeriesRejectedError(f"{named(slices)}: one slice is no volume, wanted at least 2")
    return [_group(name, members, places_of) for name, members, places_of in _scans(slices, places)]


def _places(slices: Sequence[Slice]) -> list[int]:
    """Number the places of slices along their normal; slices at one place get one number."""
    stack = stacked([one.plane for one in slices])
    numbers = np.concatenate([[0], np.cumsum(stack.gaps_mm > SAME_PLACE_MM)])
    places = np.empty(len(slices), dtype=int)
    places[stack.order] = numbers
    return [int(place) for place in places]


def _scans(slices: Sequence[Slice], places: Sequence[int]) -> list[tuple[str, list[Slice], list[int]]]:
    """Divide by contrast as finely as leaves every scan with all places; magnitudes come first."""
    keys: list[Callable[[Slice], tuple[str, float | None]]] = [
        lambda one: (one.kind, one.echo_ms),
        lambda one: (_component(one), one.echo_ms),
        lambda one: (_component(one), None),
        lambda _: ("", None),
    ]
    for key in keys:
        members: dict[tuple[str, float | None], list[int]] = defaultdict(list)
        for index, one in enumerate(slices):
            members[key(one)].append(index)
        if len({frozenset(places[index] for index in chosen) for chosen in members.values()}) == 1:
            break
    ordered = sorted(
        members.items(),
        key=lambda item: (_is_part(item[0][0]), min(slices[index].number for index in item[1])),
    )
    names = _scan_names([contrast for contrast, _ in ordered])
    return [
        (name, [slices[index] for index in chosen], [places[index] for index in chosen])
        for name, (_, chosen) in zip(names, ordered, strict=True)
    ]


def _component(one: Slice) -> str:
    """Return which part of the complex signal a picture shows, in the spellings of all makers."""
    words = one.kind.upper().split("/")
    for part in ("PHASE", "REAL", "IMAGINARY"):
        if part in words or part[0] in words or any(word.startswith(f"{part[0]}_") for word in words):
            return part.lower()
    return ""


def _is_part(kind: str) -> bool:
    """Whether a kind of picture is something else than what a reader calls the picture."""
    words = set(kind.upper().split("/"))
    return bool(words & {"PHASE", "P", "REAL", "R", "IMAGINARY", "I", "FIELD_MAP", "PHASE MAP"})


def _scan_names(contrasts: Sequence[tuple[str, float | None]]) -> list[str]:
    kinds = list(dict.fromkeys(kind for kind, _ in contrasts))
    echoes = list(dict.fromkeys(echo for _, echo in contrasts))
    names = []
    for kind, echo in contrasts:
        words = [f"e{echoes.index(echo) + 1}"] if len(echoes) > 1 else []
        if len(kinds) > 1:
            words += [word.lower() for word in dict.fromkeys(kind.split("/")) if word not in ("", "NONE")]
        names.append(" ".join(words))
    return names


def _group(name: str, slices: Sequence[Slice], places: Sequence[int]) -> Group:
    volumes, notes = _volumes(slices, places)
    stack = stacked([one.plane for one in volumes[0]])
    first = tuple(volumes[0][index] for index in stack.order)
    volumes = (first, *volumes[1:])
    spacing = even_spacing_mm(stack.distances_mm)
    tilt = tilt_degrees(stack)
    if tilt is None:
        raise SeriesRejectedError(f"slices do not lie behind each other: {named(_strays(first, stack))}")
    is_even = spacing is not None
    if spacing is None:
        spacing = _block_spacing_mm(first, stack)
        notes += (f"slices {_range(stack)} mm apart resampled to {spacing:.2f} mm",)
    if tilt:
        notes += (f"gantry tilt of {tilt:.1f}° corrected",)
    return Group(
        name=name,
        volumes=volumes,
        stack=stack,
        slice_spacing_mm=spacing,
        is_regular=is_even and not tilt,
        times_ms=_times_ms(volumes),
        notes=notes,
    )


def _volumes(slices: Sequence[Slice], places: Sequence[int]) -> tuple[Volumes, tuple[str, ...]]:
    """Divide the slices of one scan into volumes with one slice at each place, in order of acquisition."""
    counts = Counter(places)
    if max(counts.values()) == 1:
        return (_in_place(slices, places),), ()
    for field in (*Moments._fields, "number"):
        parts = _told_apart(field, slices)
        rest = parts.pop() if field in MAY_END_EARLY and len(parts[-1]) < len(counts) else []
        if parts and all(_is_whole(part, places, counts) for part in parts):
            return _sorted_parts(parts, slices, places), _left_out(rest, slices, len(counts))
    if len(set(counts.values())) == 1 and len({one.number for one in slices}) == len(slices):
        by_number = sorted(range(len(slices)), key=lambda n: slices[n].number)
        times = len(slices) // len(counts)
        in_volumes = [by_number[n : n + len(counts)] for n in range(0, len(slices), len(counts))]
        in_places = [by_number[n::times] for n in range(times)]
        for parts in (in_volumes, in_places):
            if all(_is_whole(part, places, counts) for part in parts):
                return _sorted_parts(parts, slices, places), ()
    raise _doubled(slices, places, counts)


def _told_apart(field: str, slices: Sequence[Slice]) -> list[list[int]]:
    """Divide slices by one attribute, lowest first; only a b-value may be absent, it is 0 then."""
    values = [one.number if field == "number" else getattr(one.moments, field) for one in slices]
    if field == "b_value" and set(values) != {None}:
        values = [value or 0.0 for value in values]
    if None in values:
        return [[]]
    return [[n for n, seen in enumerate(values) if seen == value] for value in sorted(set(values))]


def _is_whole(part: Sequence[int], places: Sequence[int], counts: Counter[int]) -> bool:
    return len(part) == len(counts) and len({places[n] for n in part}) == len(counts)


def _sorted_parts(parts: Sequence[Sequence[int]], slices: Sequence[Slice], places: Sequence[int]) -> Volumes:
    return tuple(_in_place([slices[n] for n in part], [places[n] for n in part]) for part in parts)


def _in_place(slices: Sequence[Slice], places: Sequence[int]) -> tuple[Slice, ...]:
    return tuple(one for _, one in sorted(zip(places, slices, strict=True), key=lambda pair: pair[0]))


def _left_out(rest: Sequence[int], slices: Sequence[Slice], wanted: int) -> tuple[str, ...]:
    if not rest:
        return ()
    seen = f"{len(rest)} of {wanted} slices, from {slices[rest[0]].label} on"
    return (f"an unfinished last volume was left out: {seen}",)


def _doubled(slices: Sequence[Slice], places: Sequence[int], counts: Counter[int]) -> SeriesRejectedError:
    usual = Counter(counts.values()).most_common(1)[0][0]
    odd = {place for place, count in counts.items() if count != usual} or set(counts)
    members = [one for one, place in zip(slices, places, strict=True) if place in odd]
    return SeriesRejectedError(
        f"{len(slices)} slices at {len(counts)} places, wanted one at each or as many at each, told apart by "
        f"their headers; look at {named(members)}"
    )


def _block_spacing_mm(slices: Sequence[Slice], stack: Stack) -> float:
    """Return the finest spacing of a protocol with several; refuse where slices are missing instead."""
    gaps = stack.gaps_mm
    blocks = blocks_mm(gaps)
    if blocks is not None:
        ratios = [gap / (slices[first].thickness_mm or float("nan")) for first, _, gap in blocks]
        if max(ratios) <= min(ratios) * 1.2:
            return min(gap for _, _, gap in blocks)
    usual = float(np.median(gaps))
    odd = int(np.abs(gaps - usual).argmax())
    missing = f", {round(gaps[odd] / usual) - 1} missing" if gaps[odd] > 1.5 * usual else ""
    raise SeriesRejectedError(
        f"{len(slices)} slices at uneven distances: {gaps[odd]:.2f} mm from {slices[odd].label} to "
        f"{slices[odd + 1].label}, elsewhere {usual:.2f} mm{missing}"
    )


def _strays(slices: Sequence[Slice], stack: Stack) -> list[Slice]:
    """Return the slices that stand farthest off the line of the others."""
    off = np.abs(stack.shifts_mm - np.median(stack.shifts_mm, axis=0)).max(axis=1)
    return [slices[index] for index in np.argsort(-off)[:NAMED_MAX]]


def _range(stack: Stack) -> str:
    return f"{stack.gaps_mm.min():.2f} to {stack.gaps_mm.max():.2f}"


def _times_ms(volumes: Volumes) -> tuple[float, ...]:
    """Return when each volume began, counted from the first, where that is told and makes sense."""
    for field in ("acquired_ms", "trigger_ms", "content_ms"):
        starts = []
        for volume in volumes:
            known = [getattr(one.moments, field) for one in volume]
            if None not in known:
                starts.append(min(known))
        if len(starts) == len(volumes) > 1 and all(a < b for a, b in itertools.pairwise(starts)):
            return tuple(start - starts[0] for start in starts)
    return ()
