"""What is asked of a cube: what is unlike the rest, which materials and indices, and how good it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from edge.domain.errors import ConfigurationError
from edge.findings.thermal_policy import WHOLE, Region

Unit = Literal["reflectance", "radiance", "counts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnomalyRules:
    """How pixels unlike the rest are found (RX).

    Attributes:
        quantile: Of the chi-square distribution, 0.9 to 0.9999999: normally distributed pixels stay below
            with this probability. Real tissue is not normally distributed: this is no false alarm rate.
        components: Look at so many minimum noise fraction components, 2 to 100; None: at the bands.
        trim_share: Of the pixels, 0 to 0.5: the most unlike ones do not count as background.
        shrink: Whether to steady the covariance where pixels are few.
        area_min_px: Smaller places are not counted, 1 or more.
        places_max: Not more places than this are told of, the largest ones.
    """

    quantile: float = 0.9999
    components: int | None = None
    trim_share: float = 0.05
    shrink: bool = False
    area_min_px: int = 6
    places_max: int = 8

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ConfigurationError: A number lies outside its range.
        """
        if not (0.9 <= self.quantile < 1 and 0 <= self.trim_share <= 0.5):
            raise ConfigurationError(
                f"anomaly: quantile {self.quantile} and trim share {self.trim_share}, "
                "wanted 0.9 to 1 and 0 to 0.5"
            )
        if self.area_min_px < 1 or self.places_max < 1 or (self.components or 2) < 2:
            raise ConfigurationError("anomaly: area_min_px, places_max, components: wanted 1, 1, 2 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """A spectrum that is looked for.

    Attributes:
        name: Unique among the materials of a policy.
        wavelengths_nm: Increasing.
        values: One for each, in the unit the policy needs.
    """

    name: str
    wavelengths_nm: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse what is no spectrum.

        Raises:
            ConfigurationError: Lengths differ, the axis does not increase, or nothing is above zero.
        """
        pairs = zip(self.wavelengths_nm, self.wavelengths_nm[1:], strict=False)
        if len(self.wavelengths_nm) < 3 or not all(low < high for low, high in pairs):
            raise ConfigurationError(f"material {self.name}: wanted three or more increasing wavelengths")
        if len(self.values) != len(self.wavelengths_nm) or not any(value > 0 for value in self.values):
            raise ConfigurationError(
                f"material {self.name}: {len(self.values)} values for {len(self.wavelengths_nm)} wavelengths"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class MaterialRules:
    """How materials are told apart (SAM).

    Attributes:
        materials: One or more.
        angle_max_rad: A pixel farther than this from all of them is none of them, 0.01 to 1.5.
        share_min: Of the assessed pixels of a region, 0 to 1: with less a material is absent.
        coverage_min: Of a material's range of wavelengths, 0 to 1: what a cube must cover of it.
    """

    materials: tuple[Material, ...]
    angle_max_rad: float = 0.1
    share_min: float = 0.001
    coverage_min: float = 0.8

    def __post_init__(self) -> None:
        """Refuse what cannot be told apart.

        Raises:
            ConfigurationError: There is no material, or two have one name.
        """
        names = [material.name for material in self.materials]
        if not names or len(names) != len(set(names)):
            raise ConfigurationError(f"materials {names}, wanted at least one, each with a name of its own")


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """A number out of two wavelengths.

    Attributes:
        name: Unique among the indices of a policy.
        kind: `normalised-difference` (a − b) / (a + b), or `ratio` a / b.
        first_nm: Where a is.
        second_nm: Where b is.
        width_nm: Bands within half of this are averaged, 1 to 100.
    """

    name: str
    kind: Literal["normalised-difference", "ratio"]
    first_nm: float
    second_nm: float
    width_nm: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CubePolicy:
    """What a hyperspectral pipeline says.

    Attributes:
        needs: The unit without which nothing is said.
        regions: Where materials and indices are measured, at least one.
        anomaly: None: not looked for.
        materials: None: not looked for.
        indices: Which are measured.
        whole_share_min: Of a region's pixels, 0 to 1: with fewer whole ones it is not assessed.
    """

    needs: Unit = "reflectance"
    regions: tuple[Region, ...] = (WHOLE,)
    anomaly: AnomalyRules | None = field(default_factory=AnomalyRules)
    materials: MaterialRules | None = None
    indices: tuple[Index, ...] = ()
    whole_share_min: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            ConfigurationError: Two regions or indices have one name, or there is no region.
        """
        for what, names in (
            ("regions", [region.name for region in self.regions]),
            ("indices", [index.name for index in self.indices]),
        ):
            if len(names) != len(set(names)) or (what == "regions" and not names):
                raise ConfigurationError(f"{what} {names}, wanted each with a name of its own")
