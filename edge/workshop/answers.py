"""What only a person knows about a network: asked for, or left to be filled in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

Numbers = Literal["none", "0-1", "imagenet", "half"]

NUMBERS: Final[dict[Numbers, str]] = {
    "none": "bytes as they are, 0 to 255",
    "0-1": "divided by 255",
    "imagenet": "divided by 255, then mean and standard deviation of ImageNet",
    "half": "divided by 255, then mean 0.5 and standard deviation 0.5: -1 to 1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Everything that may be answered; None and () are written as places to fill in.

    Attributes:
        licence: SPDX identifier of the weights.
        intended_use: Sentences that go with the findings.
        looked_for: What is looked for, for the reader of a finding.
        classes: Names, in the graph's order; without background.
        channels: Order of the colours.
        numbers: What the network was trained on: how bytes become its numbers.
        threshold: From which score on something is there.
        modality: Of volumes: MR, CT …
        spacing_mm: Of volumes: edge of a voxel.
    """

    licence: str | None = None
    intended_use: str | None = None
    looked_for: str | None = None
    classes: tuple[str, ...] = field(default=())
    channels: Literal["RGB", "BGR"] | None = None
    numbers: Numbers | None = None
    threshold: float | None = None
    modality: str | None = None
    spacing_mm: float | None = None
