"""Refuse a series whose slices are not all of one kind, naming those of the rarer ones."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence

from edge.domain.errors import SeriesRejectedError
from edge.studies.geometry import is_parallel
from edge.studies.slices import Slice

NAMED_MAX = 5
KINDS_NAMED_MAX = 2


def refuse_mixed(slices: Sequence[Slice]) -> None:
    """Let slices pass that can be stacked.

    Raises:
        SeriesRejectedError: They differ in modality, picture format, unit, spacing or orientation.
    """
    _refuse_mixed(slices, "modalities", lambda one: one.modality or "none")
    _refuse_mixed(slices, "picture formats", _format_words)
    _refuse_mixed(slices, "units", lambda one: one.scaling.unit)
    _refuse_mixed(slices, "pixel spacings", lambda one: _spacing_words(one, slices[0]))
    _refuse_mixed(slices, "orientations", _orientation_words(slices))


def named(slices: Sequence[Slice]) -> str:
    """Name some slices, the first few by label."""
    labels = list(dict.fromkeys(one.label for one in slices))
    more = f" and {len(labels) - NAMED_MAX} more" if len(labels) > NAMED_MAX else ""
    return ", ".join(labels[:NAMED_MAX]) + more


def _refuse_mixed(slices: Sequence[Slice], what: str, kind_of: Callable[[Slice], Hashable]) -> None:
    """Refuse slices of several kinds, naming those of the rarer ones."""
    kinds: dict[Hashable, list[Slice]] = defaultdict(list)
    for one in slices:
        kinds[kind_of(one)].append(one)
    if len(kinds) == 1:
        return
    (usual, most), *others = sorted(kinds.items(), key=lambda item: -len(item[1]))
    seen = "; ".join(f"{kind} in {named(members)}" for kind, members in others[:KINDS_NAMED_MAX])
    more = f"; and {len(others) - KINDS_NAMED_MAX} more" if len(others) > KINDS_NAMED_MAX else ""
    raise SeriesRejectedError(
        f"mixed {what}: {usual} in {len(most)} of {len(slices)} slices, but {seen}{more}"
    )


def _format_words(one: Slice) -> str:
    tile = "" if one.crop is None else f"tiles of {one.rows}x{one.columns} in "
    return f"{tile}{one.source.format}"


def _spacing_words(one: Slice, first: Slice) -> str:
    mine, usual = one.plane.spacing_mm, first.plane.spacing_mm
    is_same = all(math.isclose(a, b, rel_tol=1e-4) for a, b in zip(mine, usual, strict=True))
    return "{:g}x{:g} mm".format(*(usual if is_same else mine))


def _orientation_words(slices: Sequence[Slice]) -> Callable[[Slice], str]:
    """Return a function that names the orientation of a slice, with one name for all that are parallel."""
    known = [slices[0].plane]

    def words(one: Slice) -> str:
        plane = next((plane for plane in known if is_parallel(plane, one.plane)), None)
        if plane is None:
            plane = one.plane
            known.append(plane)
        return "[" + " ".join(f"{cosine:.3g}" for cosine in (*plane.row, *plane.column)) + "]"

    return words
