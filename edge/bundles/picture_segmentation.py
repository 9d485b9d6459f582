"""The task `picture-segmentation`: which pixel of a picture is what, and which belong together."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic import model_validator as check_all

from edge.bundles.parts import CodeEntry, FileName, Part, Sha256, Share
from edge.bundles.picture_outputs import MaskOutput
from edge.bundles.picture_policies import THINGS_SAID, AreaFinding, NothingFound, ThingsSaid, check_known
from edge.bundles.pictures import PictureBundle


class MaskGolden(Part):
    """Proof that the network still marks the same: pictures, and their labels."""

    file: FileName = Field(
        description="npz: `image` (n, 3 or 1, h, w) uint8 as fitted, `labels` (n, h, w) uint8; `things` "
        "(n, h, w) int32 with things_f1_min."
    )
    sha256: Sha256 = Field(description="Of that file, lower-case hex.")
    union_dice_min: Share = Field(description="Dice of everything that is not background, at least.")
    label_dice_min: Share = Field(description="Mean Dice over the labels present, at least.")
    things_f1_min: Share = Field(
        default=0.0, description="F1 of things that overlap by half or more, at least; 0: not compared."
    )


class MaskPolicy(Part):
    """Which labels are said, from which area on, and what nothing means."""

    looked_for: CodeEntry = Field(description="Code of what the network looks for as a whole.")
    findings: tuple[AreaFinding, ...] = Field(
        min_length=1, max_length=255, description="Labels that are said, each by itself."
    )
    nothing_found: NothingFound
    things_said_max: ThingsSaid = Field(default=32, description=f"{THINGS_SAID} The largest come first.")


class PictureSegmentation(PictureBundle):
    """A bundle that marks pixels of pictures."""

    task: Literal["picture-segmentation"] = Field(description="What it does.")
    output: MaskOutput = Field(description="What comes out.")
    golden: MaskGolden = Field(description="Proof that it thinks as it did.")
    policy: MaskPolicy = Field(description="What may be said.")

    @check_all(mode="after")
    def _parts_agree(self) -> PictureSegmentation:
        names = [one.name for one in self.output.labels]
        named = [one.name for one in self.policy.findings]
        check_known(named, names, where="policy.findings", of="output.labels")
        return self
