"""The task `picture-embedding`: where a picture lies in the space of a network's features."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edge.bundles.parts import CodeEntry, FileName, Part, Sha256, Share
from edge.bundles.picture_outputs import VectorOutput
from edge.bundles.pictures import PictureBundle


class VectorGolden(Part):
    """Proof that the network still sees the same."""

    file: FileName = Field(
        description="npz: `image` (n, 3 or 1, h, w) uint8 as fitted, `vectors` (n, features) float."
    )
    sha256: Sha256 = Field(description="Of that file, lower-case hex.")
    cosine_min: Share = Field(description="Cosine between each vector and the golden one, at least.")


class VectorPolicy(Part):
    """A vector says where a picture lies, not what it shows: every finding of it is NOT_ASSESSED."""

    looked_for: CodeEntry = Field(description="Code of that finding.")


class PictureEmbedding(PictureBundle):
    """A bundle that turns pictures into vectors."""

    task: Literal["picture-embedding"] = Field(description="What it does.")
    output: VectorOutput = Field(description="What comes out.")
    golden: VectorGolden = Field(description="Proof that it thinks as it did.")
    policy: VectorPolicy = Field(description="What may be said.")
