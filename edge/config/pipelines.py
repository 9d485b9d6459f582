"""What an operator may say about pipelines: what is looked at, and with what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from edge.config.cameras import VideoPipeline
from edge.config.fields import Modality, Name, PartName, Section
from edge.config.spectral import HyperspectralPipeline, PixelSpectraPipeline, SpectrumPipeline
from edge.config.thermal import ThermalPipeline


def _pattern(text: str) -> str:
    try:
        fits_nothing = re.compile(text).search("") is not None
    except re.error as trouble:
        raise ValueError(f"is no regular expression: {trouble}; wanted one such as (?i)t1.*gd") from None
    if fits_nothing:
        raise ValueError("fits what says nothing at all; wanted a pattern that has to be there")
    if _may_take_for_ever(text):
        raise ValueError("repeats a group that repeats or chooses, which may take days; wanted it simpler")
    return text


def _may_take_for_ever(pattern: str) -> bool:
    r"""Return whether a repeated group repeats or chooses itself: that is tried in all ways there are.

    The process stands still meanwhile: `(\w+ ?)+gd` takes 7 s for 26 letters, and four times that for 28.
    """
    left = re.sub(r"\\.|\[\^?\]?[^]]*\]", "x", pattern)  # escaped, or a class: one character
    while "(" in left:
        if re.search(r"\([^()]*[*+{|][^()]*\)[*+{]", left):
            return True
        shorter = re.sub(r"\(([^()]*)\)", lambda group: "x+" if set("*+{|") & set(group[1]) else "x", left)
        if shorter == left:
            break
        left = shorter
    return False


Pattern = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_pattern)]


class Select(Section):
    """Which series a pipeline is meant for; a series has to fulfil all of it."""

    modalities: tuple[Modality, ...] = Field(
        min_length=1, max_length=32, description="One of these modalities."
    )
    slices_min: int = Field(default=1, ge=1, le=100_000, description="At least this many slices.")
    spacing_max_mm: float = Field(
        default=1000.0, ge=0.01, le=1000, description="No side of a voxel longer than this many millimetres."
    )


class Role(Section):
    """Which series of a study plays a role, by what its header says; a series has to fulfil all of it."""

    role: PartName = Field(description="As the bundle's manifest calls it: T1, T1c, FLAIR …; unique.")
    modalities: tuple[Modality, ...] = Field(
        default=(),
        min_length=0,
        max_length=32,
        description="One of these; left out: any of select.modalities.",
    )
    series_description: Pattern | None = Field(
        default=None, description="Regular expression, found somewhere in SeriesDescription."
    )
    protocol_name: Pattern | None = Field(
        default=None, description="Regular expression, found somewhere in ProtocolName."
    )
    sequence_name: Pattern | None = Field(
        default=None, description="Regular expression, found somewhere in SequenceName or PulseSequenceName."
    )
    image_type: tuple[PartName, ...] = Field(
        default=(),
        min_length=0,
        max_length=16,
        description="Values that ImageType must have, such as ORIGINAL.",
    )
    contrast_bolus: bool | None = Field(
        default=None, description="Whether a contrast agent is named; left out: either way."
    )

    @model_validator(mode="after")
    def _tells_something(self) -> Self:
        rules = [key for key in Role.model_fields if key != "role"]
        if all(getattr(self, key) in (None, ()) for key in rules):
            raise ValueError(f"role {self.role} fits every series; wanted at least one of {', '.join(rules)}")
        return self

    def covers(self, other: Role) -> bool:
        """Return whether every series that plays the other role plays this one, as far as can be seen."""
        texts = ("series_description", "protocol_name", "sequence_name", "contrast_bolus")
        return (
            (not self.modalities or (bool(other.modalities) and {*other.modalities} <= {*self.modalities}))
            and {value.upper() for value in self.image_type} <= {value.upper() for value in other.image_type}
            and all(getattr(self, name) in (None, getattr(other, name)) for name in texts)
        )


class ImagingPipeline(Section):
    """What is done with series of one kind."""

    kind: Literal["imaging"] = Field(
        default="imaging", description="`imaging`: series of CT, MR …; what is meant where no kind is given."
    )
    name: Name = Field(description="Names the pipeline in findings and topics: …/finding/<name>; unique.")
    bundle: Name = Field(description="The bundle whose model looks at the series.")
    select: Select = Field(description="Which series.")
    deadline_s: float = Field(
        default=300.0,
        ge=0.1,
        le=86_400,
        description="Seconds the model may take for one volume, or one picture; then NOT_ASSESSED.",
    )
    pictures_max: int = Field(
        default=64,
        ge=1,
        le=4096,
        description="A bundle for pictures looks at each picture of a series; one with more, each frame "
        "counted, is NOT_ASSESSED.",
    )
    roles: tuple[Role, ...] = Field(
        default=(),
        min_length=0,
        max_length=16,
        description="A bundle that looks at several series of a study together: which is which.",
    )
    roles_wait_s: float = Field(
        default=600.0,
        ge=0.1,
        le=86_400,
        description="Seconds after a study's last object in which its roles must come; then NOT_ASSESSED.",
    )

    @model_validator(mode="after")
    def _roles_differ(self) -> Self:
        for trouble in _unclear(self.roles, self.select):
            raise ValueError(trouble)
        return self


def _unclear(roles: Sequence[Role], select: Select) -> Iterator[str]:
    """Say what about roles can never be, or never be told apart, whatever comes."""
    if len(roles) == 1:
        yield "roles has one; wanted two or more, or none for a bundle that takes one series"
    for place, role in enumerate(roles):
        strange = [kind for kind in role.modalities if kind not in select.modalities]
        if strange:
            yield f"role {role.role} wants {', '.join(strange)}, which select.modalities leaves out"
        for other in roles[:place]:
            if other.role == role.role:
                yield f"role {role.role} is there twice; wanted each once"
            for wide, narrow in ((role, other), (other, role)):
                if wide.covers(narrow):
                    yield (
                        f"every series of role {narrow.role} fits the rule of role {wide.role} too; wanted "
                        "rules that tell them apart, such as contrast_bolus: true and false"
                    )


MeasuringPipeline = HyperspectralPipeline | PixelSpectraPipeline | SpectrumPipeline
LivePipeline = VideoPipeline | ThermalPipeline
PipelineWithBundle = ImagingPipeline | VideoPipeline | PixelSpectraPipeline
Pipeline = Annotated[ImagingPipeline | LivePipeline | MeasuringPipeline, Field(discriminator="kind")]
