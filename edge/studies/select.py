"""Which series concern which pipeline: rules on what series and scans say of themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge.domain.errors import NotSelectedError
from edge.domain.image import Scan
from edge.domain.study import Series


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a pipeline wants to see; all of it must hold.

    Attributes:
        pipeline: Name of the pipeline.
        modalities: One of these.
        slices_min: At least this many slices along the shortest side of the stack.
        spacing_max_mm: No side of a voxel may be longer.
    """

    pipeline: str
    modalities: frozenset[str]
    slices_min: int = 1
    spacing_max_mm: float = float("inf")


def preselect(series: Series, rules: Sequence[Rule]) -> tuple[str, ...]:
    """Return the pipelines that may want a series, before any of its pixels are decoded.

    Raises:
        NotSelectedError: None does.
    """
    shown = frozenset(series.modality.split("+"))
    chosen = tuple(rule.pipeline for rule in rules if shown & rule.modalities)
    if not chosen:
        named = f"modality {series.modality}" if series.modality else "no modality is named"
        raise NotSelectedError(f"{named}: no pipeline is configured for it{_configured(rules)}")
    return chosen


def select(series: Series, scans: Sequence[Scan], rules: Sequence[Rule]) -> tuple[tuple[str, Scan], ...]:
    """Return for each pipeline the first scan of a series that fits its rule.

    Args:
        series: Where the scans come from.
        scans: As `build` returns them: the pictures themselves before phases and maps.
        rules: Of all pipelines.

    Raises:
        NotSelectedError: No scan fits any rule; the message says what each one lacks.
    """
    chosen: dict[str, Scan] = {}
    misfits: list[str] = []
    for rule in rules:
        for scan in scans:
            misfit = _misfit(scan, rule)
            if not misfit:
                chosen.setdefault(rule.pipeline, scan)
            else:
                misfits.append(f"{rule.pipeline}: {misfit}")
    if not chosen:
        seen = "; ".join(dict.fromkeys(misfits)) or "no pipeline is configured"
        scan_count = "1 scan" if len(scans) == 1 else f"{len(scans)} scans"
        raise NotSelectedError(f"{scan_count} of a series of {len(series.instances)} instances: {seen}")
    return tuple(chosen.items())


def _misfit(scan: Scan, rule: Rule) -> str:
    """Say what a scan lacks for a rule, "" where it fits."""
    volume = scan.volumes[0]
    slices, widest = volume.voxels.shape[0], max(volume.spacing_mm)
    if volume.modality not in rule.modalities:
        return f"modality {volume.modality or 'unknown'}, wanted {' or '.join(sorted(rule.modalities))}"
    if slices < rule.slices_min:
        return f"{slices} slices, wanted at least {rule.slices_min}"
    if widest > rule.spacing_max_mm:
        return f"voxels of {widest:.2f} mm, wanted at most {rule.spacing_max_mm:g} mm"
    return ""


def _configured(rules: Sequence[Rule]) -> str:
    wanted = sorted({modality for rule in rules for modality in rule.modalities})
    return f" (configured: {', '.join(wanted)})" if wanted else ""
