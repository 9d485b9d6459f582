"""The task `volume-segmentation`: which voxel of a volume is what."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic import model_validator as check_all

from edge.bundles.parts import About, FileName, Part, Sha256, Share
from edge.bundles.volume_input import Input
from edge.bundles.volume_output import Output
from edge.bundles.volume_policy import Policy
from edge.bundles.volume_steps import PLANES, Orient, Step, check_steps


class Golden(Part):
    """Proof that the network still thinks the same: an input, the labels it must give, how near is near."""

    file: FileName = Field(
        description="npz: `image` (n, channels, d, h, w) float, `labels` (n, d, h, w) uint8."
    )
    sha256: Sha256 = Field(description="Of that file, lower-case hex.")
    union_dice_min: Share = Field(description="Dice of everything that is not background, at least.")
    label_dice_min: Share = Field(description="Mean Dice over the labels present, at least.")


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

    @property
    def slice_axis(self) -> int:
        """Which axis of `orient` comes first in the layout: that of the slices, or simply the first."""
        if self.input.slices is None:
            return 0
        (axes,) = (step.axes for step in self.preprocessing if isinstance(step, Orient))
        return next(n for n, letter in enumerate(axes) if letter in PLANES[self.input.slices])

    @check_all(mode="after")
    def _names_agree(self) -> VolumeSegmentation:
        known, policy = self.output.names, self.policy
        speaking = [*(one.labels for one in policy.measurements), self.output.field_of_view.continuing_labels]
        speaking += [policy.components.labels] if policy.components else []
        for name in {name for names in speaking for name in names}:
            if name not in known:
                raise ValueError(f"label {name!r} is not one of output.labels: {', '.join(known)}")
        accepted = {kind.modality for kind in self.input.accepted[0]}
        for modality in {m for reported in policy.measurements for m in reported.modalities}:
            if modality not in accepted:
                raise ValueError(f"modality {modality!r} is not one of input.accepts: {', '.join(accepted)}")
        check_steps(self.preprocessing, roles=self.input.roles)
        return self
