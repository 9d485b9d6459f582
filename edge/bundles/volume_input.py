"""What a network of volumes is given: its channels and their roles, its layout, and how it is cut."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, Tag
from pydantic import model_validator as check_all

from edge.bundles.parts import Part, Words, check_names_differ
from edge.bundles.volume_steps import BY_FORM, Modality, Voxels

Overlap = Annotated[int, Field(ge=0, le=2048)]
Multiple = Annotated[int, Field(ge=1, le=64)]
Sides = tuple[int, int, int]
ONLY_ROLE = "image"


class Accepted(Part):
    """One kind of volume the network was made for."""

    modality: Modality = Field(description="DICOM modality: MR, CT …")
    unit: Words = Field(description="Unit its voxels must come in: hounsfield, suv_bw, arbitrary …")


class Channel(Part):
    """One channel of the network: one series."""

    role: Words = Field(description="What the series shows: T1, T1c, T2, FLAIR …")
    accepts: tuple[Accepted, ...] = Field(min_length=1, description="Volumes of other kinds are refused.")


class Input(Part):
    """What the network is given, after preprocessing."""

    name: Words = Field(description="Name of the graph's input.")
    layout: Literal["NCDHW", "NDHWC", "NCHW", "NHWC"] = Field(
        description="Batch 1, channels, then the axes of `orient`; with `slices` those of a slice."
    )
    dtype: Literal["float32", "float16"] = Field(default="float32", description="Of the graph's input.")
    slices: Literal["axial", "coronal", "sagittal"] | None = Field(
        default=None, description="NCHW and NHWC: the network sees one slice at a time, of this kind."
    )
    accepts: tuple[Accepted, ...] = Field(
        default=(), description="One channel: volumes of other kinds are refused."
    )
    channels: tuple[Channel, ...] = Field(
        default=(), max_length=16, description="Several: instead of `accepts`, in the graph's order."
    )
    shape_voxels: tuple[Voxels, ...] | None = Field(
        default=None, description="Sides of a graph with a fixed shape, which are those of its tiles."
    )
    multiple_of_voxels: Annotated[
        Annotated[Multiple, Tag("number")] | Annotated[tuple[Multiple, ...], Tag("list")], BY_FORM
    ] = Field(
        default=1, description="Each side is padded with 0 to such a multiple; one number, or one each."
    )
    pass_voxels_max: int | None = Field(
        default=None,
        ge=4096,
        le=1_000_000_000,
        description="Free shape: up to so many voxels in one pass; larger volumes go in tiles.",
    )
    tile_voxels: tuple[Voxels, ...] | None = Field(default=None, description="Free shape: sides of a tile.")
    overlap_voxels: Annotated[
        Annotated[Overlap, Tag("number")] | Annotated[tuple[Overlap, ...], Tag("list")], BY_FORM
    ] = Field(description="Neighbouring tiles share so many voxels; one number, or one each.")
    volume_voxels_max: int = Field(ge=4096, description="A volume with more voxels than this is refused.")

    @property
    def roles(self) -> tuple[str, ...]:
        """The role of each channel, in the graph's order."""
        return tuple(channel.role for channel in self.channels) or (ONLY_ROLE,)

    @property
    def accepted(self) -> tuple[tuple[Accepted, ...], ...]:
        """What each channel takes."""
        return tuple(channel.accepts for channel in self.channels) or (self.accepts,)

    @property
    def is_channel_last(self) -> bool:
        """Whether the channels come after the axes."""
        return self.layout in ("NDHWC", "NHWC")

    @property
    def tile(self) -> Sides:
        """Sides of a tile in the order of the layout; a slice is one voxel thick."""
        tile = self.shape_voxels or self.tile_voxels
        assert tile is not None, "checked when it was read"
        return _three(tile, thin=1)

    @property
    def overlap(self) -> Sides:
        """What neighbouring tiles share, in the order of the layout."""
        return _three(self._each(self.overlap_voxels), thin=0)

    @property
    def multiple(self) -> Sides:
        """What the sides are padded to multiples of, in the order of the layout."""
        return _three(self._each(self.multiple_of_voxels), thin=1)

    @check_all(mode="after")
    def _channels_are_told(self) -> Input:
        if bool(self.accepts) == bool(self.channels):
            raise ValueError("wants either `accepts`, or `channels` with a role each")
        check_names_differ([channel.role for channel in self.channels], where="input.channels")
        return self

    @check_all(mode="after")
    def _tiles_fit(self) -> Input:
        if (self.layout in ("NCHW", "NHWC")) != (self.slices is not None):
            raise ValueError("`slices` goes with the layouts NCHW and NHWC, and they with it")
        free = (self.pass_voxels_max is not None, self.tile_voxels is not None)
        if free != (self.shape_voxels is None,) * 2:
            raise ValueError("wants either `shape_voxels`, or `pass_voxels_max` and `tile_voxels`")
        wanted = 2 if self.slices else 3
        for name in ("shape_voxels", "tile_voxels", "overlap_voxels", "multiple_of_voxels"):
            given = getattr(self, name)
            if isinstance(given, tuple) and len(given) != wanted:
                raise ValueError(f"{name} has {len(given)} sides, the layout {self.layout} has {wanted}")
        for side, overlap, multiple in zip(self.tile, self.overlap, self.multiple, strict=True):
            if side <= overlap or side % multiple:
                raise ValueError(f"tile side {side} must be a multiple of {multiple} and above the overlap")
        return self

    def _each(self, given: int | tuple[int, ...]) -> tuple[int, ...]:
        return given if isinstance(given, tuple) else (given,) * (2 if self.slices else 3)


def _three(sides: tuple[int, ...], *, thin: int) -> Sides:
    *first, rows, columns = sides
    return (first[0] if first else thin, rows, columns)
