"""The task `picture-keypoints`: points of the one thing that a whole picture shows."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic import model_validator as check_all

from edge.bundles.parts import CodeEntry, FileName, Part, Sha256
from edge.bundles.picture_outputs import KeypointsOutput
from edge.bundles.picture_policies import NothingFound, check_staying
from edge.bundles.pictures import PictureBundle


class PointsGolden(Part):
    """Proof that the network still places its points where it did."""

    file: FileName = Field(
        description="npz: `image` (n, 3 or 1, h, w) uint8 as fitted, `points` (n, points, 2) float x and y "
        "in pixels of it, `scores` (n, points) float."
    )
    sha256: Sha256 = Field(description="Of that file, lower-case hex.")
    point_error_max_px: float = Field(
        gt=0, le=4096, description="No point that is there may be farther from the golden one."
    )
    score_error_max: float = Field(
        default=0.1, gt=0, le=1, description="No score may be farther from the golden one."
    )


class PointsPolicy(Part):
    """When the points are said."""

    looked_for: CodeEntry = Field(description="Code of the finding: what the points belong to.")
    enter_points_min: int = Field(ge=1, le=1024, description="PRESENT from so many points that are there on.")
    stay_points_min: int = Field(
        ge=1, le=1024, description="Not PRESENT any more with fewer; at most the other."
    )
    nothing_found: NothingFound

    @check_all(mode="after")
    def _staying_is_easier(self) -> PointsPolicy:
        check_staying(self.stay_points_min, self.enter_points_min, what="points_min")
        return self


class PictureKeypoints(PictureBundle):
    """A bundle that places points in pictures."""

    task: Literal["picture-keypoints"] = Field(description="What it does.")
    output: KeypointsOutput = Field(description="What comes out.")
    golden: PointsGolden = Field(description="Proof that it thinks as it did.")
    policy: PointsPolicy = Field(description="What may be said.")

    @check_all(mode="after")
    def _parts_agree(self) -> PictureKeypoints:
        count = len(self.output.points)
        if self.policy.enter_points_min > count:
            wanted = self.policy.enter_points_min
            raise ValueError(f"policy.enter_points_min {wanted} is more than the {count} points there are")
        return self
