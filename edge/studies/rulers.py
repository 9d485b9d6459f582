"""How large a pixel of a picture is in millimetres, as its object says, and how far that may be believed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydicom.dataset import Dataset

from edge.domain.errors import FormatError
from edge.formats.dicom_dataset import TROUBLES, items_of, number_of, numbers_of
from edge.studies.functional_groups import Groups

Spacing = tuple[float, float]
Box = tuple[float, float, float, float]

AT_THE_DETECTOR = "millimetres are those at the detector, not corrected for magnification"
UNCERTAIN = "millimetres are those of the header, which does not say whether it corrects for magnification"
OF_THE_FILM = "millimetres are those of the film that was scanned"
_PROJECTIONS = frozenset(("CR", "DX", "MG", "IO", "PX", "RG", "XA", "RF"))
_CENTIMETRES = 3  # PhysicalUnitsXDirection, PS3.3 C.8.5.5.1.15
_IN_THE_PLANE = 1  # RegionSpatialFormat: 2D
_SQUARE_WITHIN = 0.01
_ASPECT_MAX = 8.0
_SPACING_MM = (1e-5, 100.0)  # a slide under the microscope, and beyond any picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruler:
    """What pixels measure.

    Attributes:
        spacing_mm: Distance between rows, and between columns.
        within_px: Where it holds: left, top, right, bottom; None: in the whole picture.
    """

    spacing_mm: Spacing
    within_px: Box | None = None

    def holds(self, box_px: Box) -> bool:
        """Whether it measures all of a box: left, top, width, height."""
        if self.within_px is None:
            return True
        left, top, right, bottom = self.within_px
        return (
            box_px[0] >= left
            and box_px[1] >= top
            and box_px[0] + box_px[2] <= right
            and box_px[1] + box_px[3] <= bottom
        )


class Measured(NamedTuple):
    """What is known of a picture's pixels.

    Attributes:
        rulers: Those that hold, none over the same pixels as another.
        aspect: Height of a pixel over its width.
        notes: What a reader of millimetres must know.
    """

    rulers: tuple[Ruler, ...]
    aspect: float
    notes: tuple[str, ...]


def rulers_of(header: Dataset, groups: Groups) -> Measured:
    """Read how large the pixels of a frame are.

    Raises:
        FormatError: What the header says cannot be.
    """
    try:
        rulers, notes = _rulers(header, groups)
        aspect = _aspect(header, rulers)
    except (IndexError, *TROUBLES) as trouble:  # whose own words may quote a patient
        raise FormatError(f"its pixel spacing cannot be read: {type(trouble).__name__}") from trouble
    return Measured(rulers, aspect, notes)


def _rulers(header: Dataset, groups: Groups) -> tuple[tuple[Ruler, ...], tuple[str, ...]]:
    measures = _spacing(groups.item("PixelMeasuresSequence").get("PixelSpacing"))
    regions = tuple(_regions(items_of(header, "SequenceOfUltrasoundRegions")))
    of_object = _spacing(header.get("PixelSpacing"))
    of_detector = _spacing(header.get("ImagerPixelSpacing"))
    of_film = _spacing(header.get("NominalScannedPixelSpacing"))
    is_projection = str(header.get("Modality", "")) in _PROJECTIONS
    if measures:
        return (Ruler(spacing_mm=measures),), ()
    if regions:
        return regions, ("millimetres are those of the ultrasound regions",)
    if of_object:
        return (Ruler(spacing_mm=of_object),), _belief(header, of_object, of_detector, is_projection)
    if of_detector:
        return (Ruler(spacing_mm=of_detector),), (AT_THE_DETECTOR,)
    return ((Ruler(spacing_mm=of_film),), (OF_THE_FILM,)) if of_film else ((), ())


def _belief(
    header: Dataset, of_object: Spacing, of_detector: Spacing | None, is_projection: bool
) -> tuple[str, ...]:
    """Say how far PixelSpacing of a projection may be believed (PS3.3, 10.7.1.3)."""
    if not is_projection:
        return ()
    kind = str(header.get("PixelSpacingCalibrationType") or "")
    if kind in ("GEOMETRY", "FIDUCIAL"):
        return (f"millimetres were corrected for magnification ({kind.lower()})",)
    if of_detector and all(
        math.isclose(a, b, rel_tol=1e-3) for a, b in zip(of_object, of_detector, strict=True)
    ):
        return (AT_THE_DETECTOR,)
    return (UNCERTAIN,)


def _regions(items: Sequence[Dataset]) -> list[Ruler]:
    rulers = []
    for item in items:
        units = item.get("PhysicalUnitsXDirection"), item.get("PhysicalUnitsYDirection")
        deltas = number_of(item.get("PhysicalDeltaY")), number_of(item.get("PhysicalDeltaX"))
        corners = [
            number_of(item.get(f"RegionLocation{name}")) for name in ("MinX0", "MinY0", "MaxX1", "MaxY1")
        ]
        is_plane = item.get("RegionSpatialFormat") == _IN_THE_PLANE and units == (_CENTIMETRES,) * 2
        spacing = _spacing([10 * abs(one) for one in deltas if one is not None])
        left, top, right, bottom = (-1.0 if one is None else one for one in corners)
        if is_plane and spacing and 0 <= left < right and 0 <= top < bottom:
            rulers.append(Ruler(spacing_mm=spacing, within_px=(left, top, right + 1, bottom + 1)))
    return [one for one in rulers if not any(_overlap(one, other) for other in rulers if other is not one)]


def _overlap(one: Ruler, other: Ruler) -> bool:
    """Whether two regions measure the same pixels differently: then neither is believed."""
    if one.spacing_mm == other.spacing_mm or one.within_px is None or other.within_px is None:
        return False
    a, b = one.within_px, other.within_px
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _spacing(values: Any) -> Spacing | None:
    """Return two distances, None where there are not two or they cannot be."""
    numbers = numbers_of(values)
    if len(numbers) != 2 or not all(_SPACING_MM[0] <= one <= _SPACING_MM[1] for one in numbers):
        return None
    return numbers[0], numbers[1]


def _aspect(header: Dataset, rulers: Sequence[Ruler]) -> float:
    """Return height over width of a pixel; 1 where nobody says it, or it is nearly 1."""
    ratio = numbers_of(header.get("PixelAspectRatio"))
    if len(rulers) == 1:
        ratio = rulers[0].spacing_mm
    if len(ratio) != 2 or min(ratio) <= 0:
        return 1.0
    aspect = ratio[0] / ratio[1]
    is_likely = 1 / _ASPECT_MAX <= aspect <= _ASPECT_MAX
    return aspect if is_likely and abs(math.log(aspect)) > _SQUARE_WITHIN else 1.0
