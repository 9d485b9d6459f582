"""Several series of one study that one model looks at: whether they show one patient in one place."""

from __future__ import annotations

from collections.abc import Mapping

from edge.domain.errors import SeriesRejectedError
from edge.domain.study import Series
from edge.formats.dicom_scan import scan_file

PATIENT = 0x00100020
POSITION = 0x00185100
FRAME = 0x00200052
ALIKE = {
    FRAME: "frame of reference: their coordinates do not belong together",
    POSITION: "patient position",
    PATIENT: "patient",
}


def refuse_apart(series: Mapping[str, Series]) -> None:
    """Refuse series that cannot be laid over each other by what they say of their place.

    A value that a series does not give is not compared; NIfTI files give none.

    Args:
        series: By role.

    Raises:
        SeriesRejectedError: Two of them have another frame of reference, patient position or patient; the
            message names their roles and no value.
        FormatError: A file cannot be read.
    """
    said = {role: _said(one) for role, one in series.items()}
    for tag, what in ALIKE.items():
        given = {role: values[tag] for role, values in said.items() if values[tag]}
        first, *rest = given or [""]
        for role in rest:
            if given[role] != given[first]:
                raise SeriesRejectedError(f"series of roles {first} and {role} have another {what}")


def _said(series: Series) -> Mapping[int, str]:
    """Return what the first instance of a series says of its place, "" where it says nothing."""
    first = series.instances[0]
    if first.format != "dicom":
        return dict.fromkeys(ALIKE, "")
    elements = scan_file(first.path, frozenset(ALIKE), last=max(ALIKE))
    return {tag: elements.text(tag).strip() for tag in ALIKE}
