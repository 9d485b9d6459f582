"""What may be said about a segmentation; read by `edge.findings.policy`."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from pydantic import Field
from pydantic import model_validator as check_all

from edge.bundles.parts import CodeEntry, Part, Share, Words
from edge.bundles.volume_steps import Modality

Face = Literal["L", "R", "A", "P", "S", "I"]


class Gates(Part):
    """What a segmentation must pass before anything is said about it; else NOT_ASSESSED."""

    largest_fraction_min: Share = Field(
        description="Largest connected component over all foreground, at least; scattered is not an organ."
    )
    whole_field_mm: tuple[float, float, float] = Field(
        description="A field of view this large (left-right, front-back, up-down, mm) holds the whole organ."
    )
    whole_min_ml: float = Field(ge=0, description="In such a field, less than this is not the organ, mL.")
    part_min_ml: float = Field(ge=0, description="In a smaller field, less than this is not assessed, mL.")
    max_ml: float = Field(gt=0, description="More than this is not the organ, mL.")
    cut_field_is_part: bool = Field(
        default=False,
        description="A field that cuts the organ (`cutting_faces`) counts as a smaller one, however large.",
    )


class Reported(Part):
    """One volume that is measured."""

    name: Words = Field(description="Short name of the measurement.")
    code: CodeEntry = Field(description="Of what the volume is measured.")
    labels: tuple[Words, ...] = Field(min_length=1, description="Labels that are summed up.")
    modalities: tuple[Modality, ...] = Field(min_length=1, description="Measured for these only.")


class ModalityNote(Part):
    """What a reader must know about findings from one modality."""

    modality: Modality = Field(description="DICOM modality.")
    note: Words = Field(description="One sentence.")


class Sensitivity(Part):
    """How much of what is there the network marks."""

    value: Share = Field(description="Share found, 0 to 1.")
    data: Words = Field(description="What it was measured on, and what was counted.")


class SizeClass(Part):
    """One class of size."""

    code: CodeEntry = Field(description="Of the class.")
    from_mm: float = Field(ge=0, description="From this diameter on, up to the next class, mm.")


class SizeClasses(Part):
    """Into which class of size a piece falls, where the series is fine enough to tell."""

    code: CodeEntry = Field(description="Of the question; NOT_ASSESSED carries it.")
    diameter: Literal["ball", "long_axis"] = Field(
        description="Of the ball that has its volume, or its long axis within a slice."
    )
    spacing_max_mm: float = Field(
        gt=0, description="With slices or pixels farther apart than this, no class is told, mm."
    )
    classes: tuple[SizeClass, ...] = Field(min_length=1, description="Rising, the first from 0 mm on.")

    @check_all(mode="after")
    def _classes_rise_from_nothing(self) -> SizeClasses:
        limits = [one.from_mm for one in self.classes]
        if limits[0] != 0 or any(b <= a for a, b in pairwise(limits)):
            seen = ", ".join(f"{limit:g}" for limit in limits)
            raise ValueError(f"classes: `from_mm` must rise from 0, seen {seen}")
        return self


class Components(Part):
    """Each connected piece is a thing of its own, and a finding: a lesion, a nodule, a vertebra."""

    code: CodeEntry = Field(description="Of one piece.")
    labels: tuple[Words, ...] = Field(
        min_length=1, description="Labels that make up a piece, taken together."
    )
    components_max: int = Field(
        ge=1, le=200, description="So many pieces, the largest first, are told one by one; the rest summed."
    )
    nothing_marked: Literal["NOT_ASSESSED", "ABSENT"] = Field(
        default="NOT_ASSESSED",
        description="What it means that there is no piece beside other labels; ABSENT wants `sensitivity`.",
    )
    sensitivity: Sensitivity | None = Field(
        default=None, description="How many pieces the network finds; said with each ABSENT."
    )
    sizes: SizeClasses | None = Field(
        default=None,
        description="One more finding for each piece: its class of size; none: its numbers only.",
    )

    @check_all(mode="after")
    def _absence_is_measured(self) -> Components:
        if self.nothing_marked == "ABSENT" and self.sensitivity is None:
            raise ValueError("nothing_marked: ABSENT wants `sensitivity`: the share that is found, measured")
        return self


class Policy(Part):
    """What is looked for, when it counts as found, and what is measured."""

    looked_for: CodeEntry = Field(description="Code of the finding.")
    gates: Gates | None = Field(
        default=None, description="Missed: NOT_ASSESSED, with the numbers. None: whatever is marked counts."
    )
    nothing_marked: Literal["NOT_ASSESSED", "ABSENT"] = Field(
        default="NOT_ASSESSED",
        description="What that means; ABSENT wants `sensitivity`.",
    )
    sensitivity: Sensitivity | None = Field(
        default=None, description="How much the network finds; said with each ABSENT."
    )
    cutting_faces: tuple[Face, ...] = Field(
        description="Reaching one of these faces of the field of view (L R A P S I) forbids any volume."
    )
    measurements: tuple[Reported, ...] = Field(
        description="Volumes, where nothing is cut; `[]`: none is told, since none is known to be right."
    )
    components: Components | None = Field(
        default=None, description="One more finding for each connected piece; none: for the whole only."
    )
    notes: tuple[ModalityNote, ...] = Field(default=(), description="Said with each finding of a modality.")

    @check_all(mode="after")
    def _absence_is_measured(self) -> Policy:
        if self.nothing_marked == "ABSENT" and self.sensitivity is None:
            raise ValueError("nothing_marked: ABSENT wants `sensitivity`: the share that is found, measured")
        return self

    @check_all(mode="after")
    def _some_face_cuts(self) -> Policy:
        if self.gates is not None and self.gates.cut_field_is_part and not self.cutting_faces:
            raise ValueError("gates: `cut_field_is_part` wants `cutting_faces`: without any, nothing is cut")
        return self
