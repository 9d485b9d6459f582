"""The task `picture-classification`: what a colour picture as a whole shows."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic import model_validator as check_all

from edge.bundles.parts import About, CodeEntry, FileName, Part, Sha256, Share, Words, check_names_differ

Byte = Annotated[int, Field(ge=0, le=255)]
Side = Annotated[int, Field(ge=8, le=4096)]

# ── preprocessing: first the picture is brought to the network's size, then its numbers to the network's ───


class Letterbox(Part):
    """Scale without stretching, centre, and fill what is left over."""

    step: Literal["letterbox"]
    fill_rgb: tuple[Byte, Byte, Byte] = Field(description="Colour of the borders, 0 to 255 each.")


class Stretch(Part):
    """Scale each axis by itself, so that the picture fills the input."""

    step: Literal["stretch"]


class Scale(Part):
    """Divide."""

    step: Literal["scale"]
    divide_by: float = Field(gt=0, le=65535, description="255 makes 0 to 1 of bytes.")


class Normalize(Part):
    """Subtract a mean and divide by a standard deviation, for R, G and B each."""

    step: Literal["normalize"]
    mean: tuple[float, float, float] = Field(description="Subtracted: R, G, B.")
    std: tuple[
        Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]
    ] = Field(description="Divided by, after that: R, G, B; above 0.")


PictureStep = Annotated[Letterbox | Stretch | Scale | Normalize, Field(discriminator="step")]
FITTING = (Letterbox, Stretch)


# ── the network ────────────────────────────────────────────────────────────────────────────────────────────


class PictureInput(Part):
    """What the network is given, after preprocessing."""

    name: Words = Field(description="Name of the graph's input.")
    layout: Literal["NCHW"] = Field(description="Batch 1, three channels, rows, columns.")
    channels: Literal["RGB"] = Field(description="Order of the channels.")
    dtype: Literal["uint8", "float32"] = Field(
        description="Of the graph's input; with uint8 the graph scales, and no step does."
    )
    height_px: Side = Field(description="Rows, 8 to 4096.")
    width_px: Side = Field(description="Columns, 8 to 4096.")


class PictureClass(Part):
    """One thing a picture may show."""

    name: Words = Field(description="Short, as it appears in findings.")
    code: CodeEntry = Field(description="What it is in public terms.")


class PictureOutput(Part):
    """What comes out, and how it becomes scores."""

    name: Words = Field(description="Name of the graph's output, float32 (1, classes).")
    decoder: Literal["softmax", "sigmoid", "probabilities"] = Field(
        description="`softmax`: classes exclude each other. `sigmoid`: each by itself. `probabilities`: "
        "0 to 1 already."
    )
    classes: tuple[PictureClass, ...] = Field(
        min_length=1, max_length=4096, description="In the graph's order."
    )


class PictureGolden(Part):
    """Proof that the network still thinks the same: pictures, the scores they must get, how near is near."""

    file: FileName = Field(
        description="npz: `image` (n, 3, h, w) uint8 as fitted, `scores` (n, classes) float."
    )
    sha256: Sha256 = Field(description="Of that file, lower-case hex.")
    score_error_max: float = Field(
        gt=0, le=0.5, description="No score may be farther from the golden one, 0 to 0.5."
    )


# ── what may be said ───────────────────────────────────────────────────────────────────────────────────────


class PicturePolicy(Part):
    """What is looked for, and when it counts as present."""

    looked_for: CodeEntry = Field(description="Code of the finding.")
    present_class: Words = Field(description="The class whose score is judged: high means PRESENT.")
    enter_score_min: Share = Field(description="ABSENT becomes PRESENT at this score.")
    stay_score_min: Share = Field(description="PRESENT becomes ABSENT below this score; at most the other.")
    fail_closed: bool = Field(
        description="What is not known to be PRESENT (start, trouble, NOT_ASSESSED) is dealt with as ABSENT."
    )

    @check_all(mode="after")
    def _staying_is_easier(self) -> PicturePolicy:
        if self.stay_score_min > self.enter_score_min:
            raise ValueError(
                f"stay_score_min {self.stay_score_min:g} must not be above enter_score_min "
                f"{self.enter_score_min:g}"
            )
        return self


class PictureClassification(About):
    """A bundle that judges whole pictures."""

    task: Literal["picture-classification"] = Field(description="What it does.")
    input: PictureInput = Field(description="What the network is given.")
    preprocessing: tuple[PictureStep, ...] = Field(min_length=1, description="Steps, in this order.")
    output: PictureOutput = Field(description="What comes out.")
    golden: PictureGolden = Field(description="Proof that it thinks as it did.")
    policy: PicturePolicy = Field(description="What may be said.")

    @check_all(mode="after")
    def _parts_agree(self) -> PictureClassification:
        names = [one.name for one in self.output.classes]
        check_names_differ(names, where="output.classes")
        if self.policy.present_class not in names:
            raise ValueError(
                f"policy.present_class {self.policy.present_class!r} is not one of output.classes: "
                f"{', '.join(names)}"
            )
        if [isinstance(step, FITTING) for step in self.preprocessing] != [True] + [False] * self._numbers:
            raise ValueError("preprocessing needs one of `letterbox` and `stretch`, and it comes first")
        if self.input.dtype == "uint8" and self._numbers:
            raise ValueError("a graph that takes uint8 scales by itself: no `scale`, no `normalize`")
        return self

    @property
    def _numbers(self) -> int:
        """How many steps follow the first."""
        return len(self.preprocessing) - 1
