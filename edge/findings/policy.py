"""What may be said about a segmentation: gates first, then only the numbers that the picture supports.

A finding is PRESENT or NOT_ASSESSED: that a network marks nothing is no proof that nothing is there, and a
gate that fails says that we could not look, not that we looked. Only a bundle that states, measured, how much
of what is there it finds may call a series in which it marks nothing ABSENT; each such finding says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge.bundles.volume_policy import Gates, Policy, Reported
from edge.domain.finding import Code, Measurement, Observation, Verdict
from edge.domain.image import Segmentation
from edge.findings.pieces import VOLUME, tell_nothing, tell_pieces

EDGES = {"S": "upper", "I": "lower", "L": "left", "R": "right", "A": "front", "P": "back"}


def judge(segmentation: Segmentation, policy: Policy) -> tuple[Observation, ...]:
    """Read a model's answer.

    Args:
        segmentation: The answer, on the grid of its volume.
        policy: Of the bundle that gave it.

    Returns:
        One observation of the whole. NOT_ASSESSED with the gate that was missed; ABSENT, where nothing is
        marked and the bundle may say so; or PRESENT, with a volume in mL for each measurement meant for this
        modality; or PRESENT without any volume where the bundle claims none, and where the field of view cuts
        what was looked for, since all of them would be lower bounds only. After a PRESENT, one more for each
        connected piece that the policy wants told, and one for its class of size, or one that says that
        there is no piece.
    """
    code = policy.looked_for.code()
    ml = _ml_per_label(segmentation)
    total_ml = float(ml[1:].sum())
    if total_ml == 0 and not segmentation.pieces.largest:
        return (tell_nothing(code, policy.nothing_marked, policy.sensitivity),)
    cut = [EDGES[face] for face in policy.cutting_faces if face in segmentation.touched_faces]
    doubt = _doubt(code.meaning, segmentation, policy.gates, total_ml=total_ml, is_cut=bool(cut))
    if doubt:
        return (Observation(code=code, verdict=Verdict.NOT_ASSESSED, reason=doubt),)
    whole = _whole(segmentation, policy, ml, cut)
    if policy.components is None:
        return (whole,)
    spacing_mm = max(segmentation.volume.spacing_mm)
    return (whole, *tell_pieces(segmentation.pieces, policy.components, spacing_mm=spacing_mm))


def told_apart(segmentation: Segmentation, policy: Policy) -> Segmentation:
    """Take back the borders that this modality does not show.

    Args:
        segmentation: The answer of a model.
        policy: Of the bundle that gave it.

    Returns:
        The same answer, where every label that may not be measured by itself in this modality is part of one
        label named after what was looked for.
    """
    modality = segmentation.volume.modality
    alone = [one for one in policy.measurements if len(one.labels) == 1]
    barred = {one.labels[0] for one in alone if modality not in one.modalities}
    barred -= {one.labels[0] for one in alone if modality in one.modalities}
    if not barred:
        return segmentation
    kept = [name for name in segmentation.names if name not in barred]
    names = (f"{policy.looked_for.meaning.lower()}, undivided", *kept)
    table = [0, *(1 if name in barred else names.index(name, 1) + 1 for name in segmentation.names)]
    return replace(segmentation, labels=np.array(table, np.uint8)[segmentation.labels], names=names)


def _whole(
    segmentation: Segmentation, policy: Policy, ml: NDArray[np.float64], cut: Sequence[str]
) -> Observation:
    """Say what all of it measures, as far as the field of view, whose edges may cut it, holds it."""
    code, modality = policy.looked_for.code(), segmentation.volume.modality
    limits = [note.note for note in policy.notes if note.modality == modality]
    if cut:
        edges = f"{' and '.join(cut)} edge{'s' * (len(cut) > 1)}"
        limits.insert(
            0, f"{code.meaning} reaches the {edges} of the field of view: total volume not assessed"
        )
    elif not policy.measurements:
        limits.insert(0, "total volume not assessed: this bundle is not known to measure it")
    is_lost = not ml[1:].any()
    if is_lost:
        limits.append("smaller than the voxels of the series: volume told of each piece only")
    meant = [] if cut or is_lost else [one for one in policy.measurements if modality in one.modalities]
    return Observation(
        code=code,
        verdict=Verdict.PRESENT,
        measurements=tuple(_measure(one, segmentation.names, ml, code) for one in meant),
        reason="; ".join(limits),
    )


def _doubt(
    what: str, segmentation: Segmentation, gates: Gates | None, *, total_ml: float, is_cut: bool
) -> str:
    """Return why this cannot be what was looked for, or ""."""
    if gates is None:
        return ""
    fraction = segmentation.largest_ml / segmentation.raw_ml
    if fraction < gates.largest_fraction_min:
        return (
            f"not recognised as {what}: the largest connected piece is {fraction:.0%} of what was marked, "
            f"wanted at least {gates.largest_fraction_min:.0%}"
        )
    is_whole = not (is_cut and gates.cut_field_is_part) and all(
        seen >= wanted for seen, wanted in zip(segmentation.extent_mm, gates.whole_field_mm, strict=True)
    )
    field = " × ".join(f"{extent:.0f}" for extent in segmentation.extent_mm)
    least_ml = gates.whole_min_ml if is_whole else gates.part_min_ml
    if not least_ml <= total_ml <= gates.max_ml:
        return (
            f"not recognised as {what}: {total_ml:.0f} mL in a field of view of {field} mm, "
            f"wanted {least_ml:g} to {gates.max_ml:g} mL"
        )
    return ""


def _measure(reported: Reported, names: tuple[str, ...], ml: NDArray[np.float64], own: Code) -> Measurement:
    labels = [number for number, name in enumerate(names, start=1) if name in reported.labels]
    of = reported.code.code()
    return Measurement(VOLUME, float(ml[labels].sum()), "mL", of=None if of == own else of)


def _ml_per_label(segmentation: Segmentation) -> NDArray[np.float64]:
    """Return the volume of each label in mL; index 0 is background."""
    voxels = np.bincount(segmentation.labels.ravel(), minlength=len(segmentation.names) + 1)
    return np.asarray(voxels * segmentation.voxel_ml, dtype=np.float64)
