"""The task `volume-segmentation`: which voxel of a volume is what."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints
from pydantic import model_validator as check_all

from edge.bundles.parts import About, CodeEntry, FileName, Part, Sha256, Share, Words, check_names_differ

Modality = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2,16}$")]
Face = Literal["L", "R", "A", "P", "S", "I"]
Axes = Annotated[str, AfterValidator(lambda letters: _check_axes(letters))]


def _check_axes(letters: str) -> str:
    pairs = ("LR", "AP", "SI")
    if sorted(next((n for n, pair in enumerate(pairs) if c in pair), -1) for c in letters) != [0, 1, 2]:
        raise ValueError("must be three letters, one each of L/R, A/P and S/I: where the axes run to")
    return letters


# ── preprocessing: the parameters of each step; what a step does is told in `edge.preprocess.steps` ────────


class When(Part):
    """Where a step applies; without it, everywhere."""

    modality: tuple[Modality, ...] = Field(min_length=1, description="The step is done for these only.")


class Window(Part):
    """Clip intensities to a range."""

    step: Literal["window"]
    low: float = Field(description="Lowest value kept, in the volume's unit.")
    high: float = Field(description="Highest value kept, in the volume's unit.")
    when: When | None = None

    @check_all(mode="after")
    def _low_is_below_high(self) -> Window:
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} must be below high {self.high:g}")
        return self


class Resample(Part):
    """Bring all three axes to one spacing."""

    step: Literal["resample"]
    spacing_mm: float = Field(ge=0.1, le=20, description="Edge of a voxel, in mm, 0.1 to 20.")
    when: When | None = None


class Orient(Part):
    """Reorder and flip axes to the anatomical order that is nearest."""

    step: Literal["orient"]
    axes: Axes = Field(description="Where the first, second and third array axis run to: `RAS`, `SPL` …")
    when: When | None = None


class ZScore(Part):
    """Subtract the mean and divide by the standard deviation."""

    step: Literal["zscore"]
    over: Literal["all", "foreground"] = Field(
        description="Voxels that are counted: all, or those above zero."
    )
    when: When | None = None


class Percentile(Part):
    """Scale so that a low percentile becomes 0 and a high one 1."""

    step: Literal["percentile"]
    low_percent: float = Field(ge=0, lt=50, description="Percentile of all voxels that becomes 0.")
    high_percent: float = Field(gt=50, le=100, description="Percentile of the foreground that becomes 1.")
    foreground_above: Share = Field(description="Foreground is above this share of the 99.99th percentile.")
    clip_high: float = Field(ge=1, le=10, description="Upper bound after scaling, 1 to 10; the lower is 0.")
    when: When | None = None


class N4(Part):
    """Even out slow changes of brightness (N4)."""

    step: Literal["n4"]
    shrink: int = Field(ge=1, le=8, description="Estimate on every n-th voxel, 1 to 8; 4 is 60 times faster.")
    iterations: tuple[Annotated[int, Field(ge=1, le=50)], ...] = Field(
        min_length=1, max_length=4, description="At most so many per level, 1 to 50 each."
    )
    when: When | None = None


Step = Annotated[Window | Resample | Orient | ZScore | Percentile | N4, Field(discriminator="step")]


# ── the network ────────────────────────────────────────────────────────────────────────────────────────────


class Accepted(Part):
    """One kind of volume the network was made for."""

    modality: Modality = Field(description="DICOM modality: MR, CT …")
    unit: Words = Field(description="Unit its voxels must come in: hounsfield, suv_bw, arbitrary …")


class Input(Part):
    """What the network is given, after preprocessing."""

    name: Words = Field(description="Name of the graph's input.")
    layout: Literal["NCDHW"] = Field(description="Batch 1, one channel, then the three axes of `orient`.")
    accepts: tuple[Accepted, ...] = Field(min_length=1, description="Volumes of other kinds are refused.")
    multiple_of_voxels: int = Field(ge=1, le=64, description="Each side is padded with 0 to such a multiple.")
    pass_voxels_max: int = Field(
        ge=4096, le=1_000_000_000, description="Up to so many voxels in one pass; larger volumes go in tiles."
    )
    tile_voxels: tuple[int, int, int] = Field(description="Sides of a tile.")
    overlap_voxels: int = Field(ge=0, le=256, description="Neighbouring tiles share so many voxels.")
    volume_voxels_max: int = Field(ge=4096, description="A volume with more voxels than this is refused.")

    @check_all(mode="after")
    def _tiles_fit(self) -> Input:
        for side in self.tile_voxels:
            if side <= self.overlap_voxels or side % self.multiple_of_voxels:
                raise ValueError(
                    f"tile side {side} must be a multiple of {self.multiple_of_voxels} and above the overlap"
                )
        return self


class Label(Part):
    """One structure; the first of the list is label 1, background is 0."""

    name: Words = Field(description="Short, as it appears in files and findings.")
    code: CodeEntry = Field(description="What it is in public terms.")


class FieldOfView(Part):
    """When a structure counts as cut off by the edge of the picture."""

    margin_mm: float = Field(
        ge=0,
        le=20,
        description="Voxels this near reach a face, mm; one layer at least.",
    )
    contact_min_mm2: float = Field(ge=0, le=100_000, description="Reached by at least this area, in mm².")
    continuing_labels: tuple[Words, ...] = Field(
        default=(), description="Labels that leave the picture by nature and do not count: the brainstem."
    )


class Output(Part):
    """What comes out, and how it becomes a label map."""

    name: Words = Field(description="Name of the graph's output.")
    decoder: Literal["labels", "logits"] = Field(
        description="`labels`: a uint8 map, argmax is in the graph. `logits`: one float channel per class."
    )
    largest_component_only: bool = Field(description="Keep the largest connected piece of the union.")
    fill_holes: bool = Field(description="Give enclosed background the nearest label.")
    field_of_view: FieldOfView = Field(description="When a structure counts as cut.")
    labels: tuple[Label, ...] = Field(min_length=1, max_length=254, description="The first is label 1.")


class Golden(Part):
    """Proof that the network still thinks the same: an input, the labels it must give, how near is near."""

    file: FileName = Field(description="npz: `image` (n, 1, d, h, w) float, `labels` (n, d, h, w) uint8.")
    sha256: Sha256 = Field(description="Of that file, lower-case hex.")
    union_dice_min: Share = Field(description="Dice of everything that is not background, at least.")
    label_dice_min: Share = Field(description="Mean Dice over the labels present, at least.")


# ── what may be said: read by `edge.findings.policy` ───────────────────────────────────────────────────────


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


class Policy(Part):
    """What is looked for, when it counts as found, and what is measured."""

    looked_for: CodeEntry = Field(description="Code of the finding.")
    gates: Gates = Field(description="Missed: NOT_ASSESSED, with the numbers.")
    cutting_faces: tuple[Face, ...] = Field(
        description="Reaching one of these faces of the field of view (L R A P S I) forbids any volume."
    )
    measurements: tuple[Reported, ...] = Field(min_length=1, description="Volumes, where nothing is cut.")
    notes: tuple[ModalityNote, ...] = Field(default=(), description="Said with each finding of a modality.")


class VolumeSegmentation(About):
    """A bundle that segments volumes."""

    task: Literal["volume-segmentation"] = Field(
        default="volume-segmentation", description="What it does; may be left out."
    )
    input: Input = Field(description="What the network is given.")
    preprocessing: tuple[Step, ...] = Field(min_length=1, description="Steps, in this order.")
    output: Output = Field(description="What comes out.")
    golden: Golden = Field(description="Proof that it thinks as it did.")
    policy: Policy = Field(description="What may be said.")

    @check_all(mode="after")
    def _names_agree(self) -> VolumeSegmentation:
        known = [label.name for label in self.output.labels]
        accepted = {kind.modality for kind in self.input.accepts}
        speaking = [reported.labels for reported in self.policy.measurements]
        check_names_differ(known, where="output.labels")
        for name in {*self.output.field_of_view.continuing_labels, *(n for names in speaking for n in names)}:
            if name not in known:
                raise ValueError(f"label {name!r} is not one of output.labels: {', '.join(known)}")
        for modality in {m for reported in self.policy.measurements for m in reported.modalities}:
            if modality not in accepted:
                raise ValueError(f"modality {modality!r} is not one of input.accepts: {', '.join(accepted)}")
        if sum(step.step == "orient" for step in self.preprocessing) != 1:
            raise ValueError("preprocessing needs exactly one `orient`: the network has an anatomical order")
        return self
