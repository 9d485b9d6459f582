"""What every bundle says, whatever its task, and the pieces that the tasks share."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic import model_validator as check_all

from edge.domain.finding import Code


def _is_plain(name: str) -> str:
    if PurePosixPath(name).name != name or name.startswith(".") or "\\" in name:
        raise ValueError("must be the name of a file in the bundle's own folder")
    return name


Words = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
NAME: Final = "[a-z0-9][a-z0-9-]{0,63}"  # of a bundle, and of its folder
Name = Annotated[str, StringConstraints(pattern=rf"^{NAME}$")]
FileName = Annotated[Words, AfterValidator(_is_plain)]
Version = Annotated[str, StringConstraints(pattern=r"^\d+\.\d+\.\d+$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Field(ge=0, le=1)]


class Part(BaseModel):
    """A piece of the manifest: unknown keys are refused, nothing is coerced, nothing changes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class CodeEntry(Part):
    """A concept of a public coding system."""

    system: Literal["SCT", "DCM", "UCUM", "99EDGE"] = Field(description="Coding system.")
    value: Words = Field(description="Code in that system, quoted.")
    meaning: Words = Field(description="Words for a reader.")

    def code(self) -> Code:
        """Return it as the domain's own type."""
        return Code(self.system, self.value, self.meaning)


class Variant(Part):
    """The network in one precision."""

    precision: Literal["fp32", "fp16", "bf16", "int8"] = Field(description="Of weights and arithmetic.")
    file: FileName = Field(description="ONNX file in the bundle's folder.")
    sha256: Sha256 = Field(description="Of that file, lower-case hex.")
    devices: tuple[Literal["cpu", "gpu"], ...] = Field(min_length=1, description="Where it may run.")


class Accuracy(Part):
    """One measured number."""

    data: Words = Field(description="What it was measured on.")
    metric: Words = Field(description="What was measured, with its unit.")
    value: float | None = Field(
        default=None, description="The number; left out, it was not measured, and every finding says so."
    )


class TrainingData(Part):
    """One thing the network has learned from."""

    name: Words = Field(description="What.")
    licence: Words = Field(description="SPDX identifier where there is one.")


class Provenance(Part):
    """How these bytes came to be."""

    script: FileName = Field(description="Makes the networks again.")
    trained_on: tuple[TrainingData, ...] = Field(min_length=1, description="All of it.")


class Calibration(Part):
    """Further samples, for which all forms of the network are compared on a device before one is used."""

    file: FileName = Field(description="npz in the form of the golden one: inputs, and what fp32 answered.")
    sha256: Sha256 = Field(description="Of that file, lower-case hex.")


class Drift(Part):
    """What the bundle was made for, as numbers: a device says when what it sees is no longer like that."""

    file: FileName = Field(description="npz that `edge bundle reference` writes: shares, means, covariance.")
    sha256: Sha256 = Field(description="Of that file, lower-case hex.")
    statistics: tuple[Words, ...] = Field(
        min_length=1, max_length=64, description="Names of the numbers, in the order of the file."
    )
    window: int = Field(ge=20, le=100_000, description="So many answers of one source are judged together.")
    every_s: float = Field(
        default=0.0,
        ge=0,
        le=86_400,
        description="Of each source one answer in so many seconds counts, for neighbouring frames are alike.",
    )
    psi_max: float = Field(
        default=0.25, gt=0, le=10, description="Population stability index up to which nothing has moved."
    )
    distance_max: float = Field(
        default=0.5,
        gt=0,
        le=100,
        description="So far a window's mean may be off: Mahalanobis, in standard deviations of one answer.",
    )
    false_alarms: float = Field(
        default=0.001,
        ge=1e-6,
        le=0.05,
        description="Share of windows that chance may call drifted; both limits rise where they must.",
    )

    @check_all(mode="after")
    def _names_are_told_apart(self) -> Drift:
        check_names_differ(list(self.statistics), where="drift.statistics")
        return self


class Document(Part):
    """A file for people that the manifest vouches for, too: a card, a script."""

    file: FileName = Field(description="File in the bundle's folder.")
    sha256: Sha256 = Field(description="Of that file, lower-case hex.")


class About(Part):
    """What every bundle says."""

    format: Literal["edge.bundle/1"] = Field(description="This format.")
    name: Name = Field(description="That of the folder: small letters, digits, hyphens.")
    version: Version = Field(description="Three numbers.")
    licence: Words = Field(description="SPDX identifier of the weights.")
    intended_use: Words = Field(description="Sentences that go with the findings.")
    variants: tuple[Variant, ...] = Field(min_length=1, description="The network in its precisions.")
    calibration: Calibration | None = Field(
        default=None, description="Further samples for the admission test; may be left out."
    )
    drift: Drift | None = Field(
        default=None, description="What it was made for, so that changes are noticed; may be left out."
    )
    accuracy: tuple[Accuracy, ...] = Field(min_length=1, description="Measured numbers.")
    provenance: Provenance = Field(description="How it came to be.")
    documents: tuple[Document, ...] = Field(
        default=(), max_length=64, description="Further files that must stay as they are: CARD.md."
    )


def check_names_differ(names: list[str], *, where: str) -> None:
    """Refuse two things of one name.

    Raises:
        ValueError: Two of them are alike.
    """
    if len(set(names)) < len(names):
        raise ValueError(f"{where}: names must differ, seen {', '.join(names)}")
