"""What may be said about a segmentation; read by `edge.findings.policy`."""

from __future__ import annotations

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


class Components(Part):
    """Each connected piece is a thing of its own, and a finding: a lesion, a nodule, a vertebra."""

    code: CodeEntry = Field(description="Of one piece.")
    labels: tuple[Words, ...] = Field(
        min_length=1, description="Labels that make up a piece, taken together."
    )
    components_max: int = Field(
        ge=1, le=200, description="So many pieces, the largest first, are told one by one; the rest summed."
    )


class Sensitivity(Part):
    """How much of what is there the network marks."""

    value: Share = Field(description="Share found, 0 to 1.")
    data: Words = Field(description="What it was measured on, and what was counted.")


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
    measurements: tuple[Reported, ...] = Field(min_length=1, description="Volumes, where nothing is cut.")
    components: Components | None = Field(
        default=None, description="One more finding for each connected piece; none: for the whole only."
    )
    notes: tuple[ModalityNote, ...] = Field(default=(), description="Said with each finding of a modality.")

    @check_all(mode="after")
    def _absence_is_measured(self) -> Policy:
        if self.nothing_marked == "ABSENT" and self.sensitivity is None:
            raise ValueError("nothing_marked: ABSENT wants `sensitivity`: the share that is found, measured")
        return self
