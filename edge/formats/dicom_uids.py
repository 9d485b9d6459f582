"""Words for the UIDs of the standard."""

from __future__ import annotations

from pydicom.config import IGNORE
from pydicom.uid import UID

_MULTI_FRAME = frozenset(
    (
        "1.2.840.10008.5.1.4.1.1.2.1",  # Enhanced CT
        "1.2.840.10008.5.1.4.1.1.2.2",  # Legacy Converted Enhanced CT
        "1.2.840.10008.5.1.4.1.1.4.1",  # Enhanced MR
        "1.2.840.10008.5.1.4.1.1.4.4",  # Legacy Converted Enhanced MR
        "1.2.840.10008.5.1.4.1.1.130",  # Enhanced PET
        "1.2.840.10008.5.1.4.1.1.128.1",  # Legacy Converted Enhanced PET
    )
)

_MADE_FROM_PICTURES = frozenset(
    (
        "1.2.840.10008.5.1.4.1.1.30",  # Parametric Map
        "1.2.840.10008.5.1.4.1.1.66.4",  # Segmentation
        "1.2.840.10008.5.1.4.1.1.66.7",  # Label Map Segmentation
        "1.2.840.10008.5.1.4.1.1.481.2",  # RT Dose
    )
)


def name_of(uid: str) -> str:
    """Return the name of a SOP class or transfer syntax, or the UID itself where the standard has none."""
    return UID(uid, validation_mode=IGNORE).name if uid else "an object without a SOP class"


def is_made_from_pictures(sop_class_uid: str) -> bool:
    """Whether objects of this class hold results in the shape of a picture."""
    return sop_class_uid in _MADE_FROM_PICTURES


def is_enhanced(sop_class_uid: str) -> bool:
    """Whether objects of this class describe each frame in functional groups."""
    return sop_class_uid in _MULTI_FRAME
