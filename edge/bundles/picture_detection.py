"""The task `picture-detection`: things in a picture, each with its box."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic import model_validator as check_all

from edge.bundles.parts import CodeEntry, FileName, Part, Sha256, Share
from edge.bundles.picture_outputs import DetectionOutput
from edge.bundles.picture_policies import THINGS_SAID, NothingFound, ScoreFinding, ThingsSaid, check_known
from edge.bundles.pictures import PictureBundle


class DetectionGolden(Part):
    """Proof that the network still finds the same: pictures, and what must be found in them."""

    file: FileName = Field(
        description="npz: `image` (n, 3 or 1, h, w) uint8 as fitted; for all things together `picture` (m,) "
        "int which of them, `boxes` (m, 4) float left, top, right, bottom in pixels of it, `classes` (m,) "
        "int, `scores` (m,) float. Things below `output.score_min` may be found or not."
    )
    sha256: Sha256 = Field(description="Of that file, lower-case hex.")
    iou_min: Share = Field(
        default=0.5, description="A thing is the golden one of its class from this overlap of the boxes on."
    )
    f1_min: Share = Field(description="Of all things of all pictures, at least.")
    box_iou_min: Share = Field(
        default=0.8, description="Mean overlap of boxes that are the same thing, at least."
    )
    score_error_max: float = Field(
        default=0.1, gt=0, le=1, description="No score of the same thing may be farther from the golden one."
    )


class DetectionPolicy(Part):
    """Which things are said, from which score on, and what nothing means."""

    looked_for: CodeEntry = Field(description="Code of the finding that speaks of the whole picture.")
    findings: tuple[ScoreFinding, ...] = Field(
        min_length=1, max_length=256, description="Classes that are said, each thing with its box."
    )
    nothing_found: NothingFound
    things_said_max: ThingsSaid = Field(default=32, description=f"{THINGS_SAID} The surest come first.")


class PictureDetection(PictureBundle):
    """A bundle that finds things in pictures."""

    task: Literal["picture-detection"] = Field(description="What it does.")
    output: DetectionOutput = Field(description="What comes out.")
    golden: DetectionGolden = Field(description="Proof that it thinks as it did.")
    policy: DetectionPolicy = Field(description="What may be said.")

    @property
    def with_the_doubtful(self) -> PictureDetection:
        """The same network, asked for things that score a little less than `score_min`, too.

        A golden check compares those: what scores 0.251 here and 0.249 there is no change of the network,
        what is not even near it there is one. Half of `score_min` is the least: below, there is only noise.
        """
        least = max(self.output.score_min - self.golden.score_error_max, self.output.score_min / 2)
        return self.model_copy(update={"output": self.output.model_copy(update={"score_min": least})})

    @check_all(mode="after")
    def _parts_agree(self) -> PictureDetection:
        names = [one.name for one in self.output.classes]
        named = [one.name for one in self.policy.findings]
        check_known(named, names, where="policy.findings", of="output.classes")
        for finding in self.policy.findings:
            if finding.stay_score_min < self.output.score_min:
                raise ValueError(
                    f"policy.findings {finding.name!r}: stay_score_min {finding.stay_score_min:g} is below "
                    f"output.score_min {self.output.score_min:g}, and nothing comes through there"
                )
        return self
