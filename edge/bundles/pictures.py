"""What all picture tasks share: what their networks are given, and the steps from a picture to that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints
from pydantic import model_validator as check_all

from edge.bundles.parts import About, CodeEntry, Part, Words

Byte = Annotated[int, Field(ge=0, le=255)]
Side = Annotated[int, Field(ge=8, le=4096)]
Word = Annotated[int, Field(ge=0, le=65535)]
Positive = Annotated[float, Field(gt=0)]
Modality = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{2,16}$")]
# DICOM modalities of single pictures (PS3.3, C.7.3.1.1.1); those of slices a manifest has to name.
# fmt: off
SINGLE: Final = (
    "BI", "CR", "DG", "DMS", "DX", "ES", "GM", "HC", "IO", "IVUS", "LS", "MG", "OP", "OT", "PX", "RF", "RG",
    "SC", "SM", "TG", "US", "XA", "XC",
)
# fmt: on
PerChannel = tuple[float] | tuple[float, float, float]
PerChannelPositive = tuple[Positive] | tuple[Positive, Positive, Positive]

# ── preprocessing: first the picture is brought to the network's size, then its numbers to the network's ───


class Letterbox(Part):
    """Scale without stretching, and fill what is left over; where the size is free, scale down only."""

    step: Literal["letterbox"]
    fill_rgb: tuple[Byte, Byte, Byte] = Field(description="Colour of the borders, 0 to 255 each.")
    align: Literal["centre", "corner"] = Field(
        default="centre", description="`corner`: at the top left, all borders right and below."
    )


class Stretch(Part):
    """Scale each axis by itself, so that the picture fills the input."""

    step: Literal["stretch"]


class Crop(Part):
    """Scale without stretching until the shorter side fits, and take what the input covers in the middle."""

    step: Literal["crop"]
    shorter_px: Side = Field(description="Length of the picture's shorter side; at least the input's sides.")


class Keep(Part):
    """Scale nothing; with a free size only."""

    step: Literal["keep"]
    fill_rgb: tuple[Byte, Byte, Byte] = Field(description="Colour of the borders, 0 to 255 each.")


class Scale(Part):
    """Divide."""

    step: Literal["scale"]
    divide_by: float = Field(gt=0, le=65535, description="255 makes 0 to 1 of bytes.")


class Offset(Part):
    """Add."""

    step: Literal["offset"]
    add: PerChannel = Field(description="Added: one number, or one for each channel in the input's order.")


class Normalize(Part):
    """Subtract a mean and divide by a standard deviation."""

    step: Literal["normalize"]
    mean: PerChannel = Field(description="Subtracted: one number, or one for each channel.")
    std: PerChannelPositive = Field(description="Divided by, after that; above 0.")


PictureStep = Annotated[
    Letterbox | Stretch | Crop | Keep | Scale | Offset | Normalize, Field(discriminator="step")
]
FITTING = (Letterbox, Stretch, Crop, Keep)


# ── the network ────────────────────────────────────────────────────────────────────────────────────────────


class PictureInput(Part):
    """What the network is given, after preprocessing."""

    name: Words = Field(description="Name of the graph's input.")
    layout: Literal["NCHW", "NHWC"] = Field(description="Batch 1; channels before rows and columns, or last.")
    channels: Literal["RGB", "BGR", "GREY"] = Field(description="Order of the channels; GREY is one.")
    dtype: Literal["uint8", "float32", "float16"] = Field(
        description="Of the graph's input; with uint8 the graph scales, and no step does."
    )
    height_px: Side | None = Field(
        default=None, description="Rows, 8 to 4096; left out with the columns: the size is free."
    )
    width_px: Side | None = Field(default=None, description="Columns, 8 to 4096.")
    multiple_of_px: Annotated[int, Field(ge=1, le=512)] = Field(
        default=1, description="With a free size: rows and columns are such a multiple."
    )
    side_max_px: Side | None = Field(
        default=None, description="With a free size: the longer side is at most so many, borders included."
    )

    modalities: tuple[Modality, ...] = Field(
        default=(),
        max_length=64,
        description="DICOM modalities whose pictures it is for; left out: all of single pictures (CR, DX, "
        "US, XC …), none of slices (CT, MR …).",
    )
    range_16_bits: tuple[Word, Word] | None = Field(
        default=None,
        description="Of stills of 16 bits (PNG, TIFF): the lowest and highest number, as the file holds "
        "them, shown as 0 and 255; left out: what each file declares, else the bits it uses.",
    )

    @property
    def pictured(self) -> frozenset[str]:
        """The DICOM modalities whose pictures the network may be shown."""
        return frozenset(self.modalities or SINGLE)

    @check_all(mode="after")
    def _has_one_size(self) -> PictureInput:
        if (self.height_px is None) != (self.width_px is None):
            raise ValueError("height_px and width_px come together, or both are left out: the size is free")
        if self.is_free and self.side_max_px is None:
            raise ValueError("a free size needs side_max_px")
        if self.side_max_px is not None and self.side_max_px % self.multiple_of_px:
            raise ValueError(
                f"side_max_px {self.side_max_px} is no multiple of multiple_of_px {self.multiple_of_px}"
            )
        if not self.is_free and (self.side_max_px is not None or self.multiple_of_px != 1):
            raise ValueError("multiple_of_px and side_max_px are for a free size, and this one is fixed")
        return self

    @check_all(mode="after")
    def _range_rises(self) -> PictureInput:
        if self.range_16_bits is not None and self.range_16_bits[0] >= self.range_16_bits[1]:
            raise ValueError(
                f"range_16_bits {list(self.range_16_bits)}: wanted the lowest number, then the highest"
            )
        return self

    @property
    def is_free(self) -> bool:
        """Whether each picture may have its own size."""
        return self.height_px is None

    @property
    def shape_px(self) -> tuple[int, int] | None:
        """(height, width), or None where it is free."""
        if self.height_px is None or self.width_px is None:
            return None
        return self.height_px, self.width_px

    @property
    def depth(self) -> int:
        """How many channels it has."""
        return 1 if self.channels == "GREY" else 3


class PictureBundle(About):
    """What every bundle for pictures says."""

    input: PictureInput = Field(description="What the network is given.")
    preprocessing: tuple[PictureStep, ...] = Field(min_length=1, description="Steps, in this order.")

    @check_all(mode="after")
    def _steps_fit_the_input(self) -> PictureBundle:
        fitting, *numbers = self.preprocessing
        if not isinstance(fitting, FITTING) or any(isinstance(step, FITTING) for step in numbers):
            raise ValueError(
                "preprocessing needs one of `letterbox`, `stretch`, `crop` and `keep`, and it comes first"
            )
        if self.input.dtype == "uint8" and numbers:
            raise ValueError(
                "a graph that takes uint8 scales by itself: no `scale`, no `offset`, no `normalize`"
            )
        _check_size(fitting, self.input)
        _check_channels(numbers, self.input)
        return self


def _check_size(fitting: Letterbox | Stretch | Crop | Keep, given: PictureInput) -> None:
    if isinstance(fitting, Keep) and not given.is_free:
        raise ValueError("`keep` scales nothing: it needs a free size")
    if isinstance(fitting, Crop):
        if given.shape_px is None:
            raise ValueError("`crop` needs a fixed size")
        if fitting.shorter_px < max(given.shape_px):
            raise ValueError(
                f"`crop`: shorter_px {fitting.shorter_px} does not cover {given.shape_px[1]} x "
                f"{given.shape_px[0]} px"
            )


def _check_channels(steps: Sequence[object], given: PictureInput) -> None:
    for step in steps:
        rows: list[PerChannel] = []
        rows += [step.add] if isinstance(step, Offset) else []
        rows += [step.mean, step.std] if isinstance(step, Normalize) else []
        for row in rows:
            if len(row) not in (1, given.depth):
                raise ValueError(
                    f"{len(row)} numbers for {given.depth} channel, wanted one or one for each channel"
                )


class PictureClass(Part):
    """One thing a picture may show."""

    name: Words = Field(description="Short, as it appears in findings.")
    code: CodeEntry = Field(description="What it is in public terms.")
