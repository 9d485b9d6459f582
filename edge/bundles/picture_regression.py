"""The task `picture-regression`: quantities that a picture as a whole shows."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic import model_validator as check_all

from edge.bundles.parts import CodeEntry, FileName, Part, Sha256, Words
from edge.bundles.picture_outputs import LinearOutput
from edge.bundles.pictures import PictureBundle


class QuantityGolden(Part):
    """Proof that the network still reads the same."""

    file: FileName = Field(
        description="npz: `image` (n, 3 or 1, h, w) uint8 as fitted, `estimates` (n, quantities) float, in "
        "their units, NaN where the number is out of its range."
    )
    sha256: Sha256 = Field(description="Of that file, lower-case hex.")
    errors_max: dict[Words, Annotated[float, Field(gt=0)]] = Field(
        description="For each quantity, in its unit: no estimate may be farther from the golden one."
    )


class QuantityPolicy(Part):
    """What is measured."""

    looked_for: CodeEntry = Field(description="Code of what the network looks for as a whole.")


class PictureRegression(PictureBundle):
    """A bundle that reads quantities out of pictures."""

    task: Literal["picture-regression"] = Field(description="What it does.")
    output: LinearOutput = Field(description="What comes out.")
    golden: QuantityGolden = Field(description="Proof that it thinks as it did.")
    policy: QuantityPolicy = Field(description="What may be said.")

    @check_all(mode="after")
    def _parts_agree(self) -> PictureRegression:
        names = {one.name for one in self.output.quantities}
        if set(self.golden.errors_max) != names:
            seen = ", ".join(sorted(self.golden.errors_max)) or "nothing"
            raise ValueError(f"golden.errors_max speaks of {seen}, wanted {', '.join(sorted(names))}")
        return self
