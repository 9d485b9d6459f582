"""The task `picture-classification`: what a picture as a whole shows."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic import model_validator as check_all

from edge.bundles.parts import CodeEntry, FileName, Part, Sha256, Share, Words, check_names_differ
from edge.bundles.picture_policies import ScoreFinding, check_known, check_staying
from edge.bundles.pictures import PictureBundle, PictureClass

# ── the network ────────────────────────────────────────────────────────────────────────────────────────────


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

    @property
    def graph_outputs(self) -> tuple[str, ...]:
        """Names of all outputs that are read."""
        return (self.name,)


class PictureGolden(Part):
    """Proof that the network still thinks the same: pictures, the scores they must get, how near is near."""

    file: FileName = Field(
        description="npz: `image` (n, 3 or 1, h, w) uint8 as fitted, `scores` (n, classes) float."
    )
    sha256: Sha256 = Field(description="Of that file, lower-case hex.")
    score_error_max: float = Field(
        gt=0, le=0.5, description="No score may be farther from the golden one, 0 to 0.5."
    )


# ── what may be said ───────────────────────────────────────────────────────────────────────────────────────


class PicturePolicy(Part):
    """What is looked for, and when it counts as present: one class, or several, each by itself."""

    looked_for: CodeEntry = Field(description="Code of the finding.")
    present_class: Words | None = Field(
        default=None, description="The class whose score is judged: high means PRESENT."
    )
    enter_score_min: Share | None = Field(default=None, description="ABSENT becomes PRESENT at this score.")
    stay_score_min: Share | None = Field(
        default=None, description="PRESENT becomes ABSENT below this score; at most the other."
    )
    findings: tuple[ScoreFinding, ...] = Field(
        default=(), max_length=256, description="Instead of one class: each of these is a finding."
    )
    fail_closed: bool = Field(
        description="What is not known to be PRESENT (start, trouble, NOT_ASSESSED) is dealt with as ABSENT."
    )

    @check_all(mode="after")
    def _judges_one_class_or_several(self) -> PicturePolicy:
        one = (self.present_class, self.enter_score_min, self.stay_score_min)
        if (self.findings and any(part is not None for part in one)) or (not self.findings and None in one):
            raise ValueError(
                "wanted either present_class with enter_score_min and stay_score_min, or findings"
            )
        if self.enter_score_min is not None and self.stay_score_min is not None:
            check_staying(self.stay_score_min, self.enter_score_min, what="score_min")
        return self

    @property
    def one_class(self) -> ScoreFinding | None:
        """The class that the whole picture is judged by, or None where there are several findings."""
        if self.present_class is None or self.enter_score_min is None or self.stay_score_min is None:
            return None
        return ScoreFinding(
            name=self.present_class,
            enter_score_min=self.enter_score_min,
            stay_score_min=self.stay_score_min,
        )


class PictureClassification(PictureBundle):
    """A bundle that judges whole pictures."""

    task: Literal["picture-classification"] = Field(description="What it does.")
    output: PictureOutput = Field(description="What comes out.")
    golden: PictureGolden = Field(description="Proof that it thinks as it did.")
    policy: PicturePolicy = Field(description="What may be said.")

    @check_all(mode="after")
    def _parts_agree(self) -> PictureClassification:
        names = [one.name for one in self.output.classes]
        check_names_differ(names, where="output.classes")
        judged = self.policy.present_class
        if judged is not None:
            check_known([judged], names, where="policy.present_class", of="output.classes")
        named = [one.name for one in self.policy.findings]
        check_known(named, names, where="policy.findings", of="output.classes")
        return self
