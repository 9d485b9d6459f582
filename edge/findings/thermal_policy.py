"""What is asked of a thermogram: regions, pairs of them, limits, and how good the picture has to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from edge.domain.errors import ConfigurationError
from edge.domain.finding import Code

SURFACE_TEMPERATURE = Code("99EDGE", "surface-temperature", "Surface temperature")
SKIN_TEMPERATURE = Code("SCT", "364537001", "Temperature of skin")

Statistic = Literal["maximum", "mean", "p5", "p50", "p95"]
Corner = tuple[float, float]


def _area(outline: tuple[Corner, ...]) -> float:
    """Return the area of a polygon, by its corners (Gauss)."""
    following = (*outline[1:], outline[0])
    return abs(sum(x * b - a * y for (x, y), (a, b) in zip(outline, following, strict=True))) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A named part of the picture.

    Attributes:
        name: Unique among the regions of a policy.
        corners: (x, y) in fractions of width and height from the upper left corner, 0 to 1: two opposite ones
            of a rectangle, or three or more of a polygon in their order.
    """

    name: str
    corners: tuple[Corner, ...]

    def __post_init__(self) -> None:
        """Refuse what encloses nothing.

        Raises:
            ConfigurationError: It has too few corners, one outside the picture, or no area.
        """
        if len(self.corners) < 2 or not all(0 <= at <= 1 for corner in self.corners for at in corner):
            raise ConfigurationError(
                f"region {self.name}: corners {self.corners}, wanted two or more, each within 0 to 1"
            )
        if _area(self.outline) <= 0:
            raise ConfigurationError(f"region {self.name}: corners {self.corners} enclose nothing")

    @property
    def outline(self) -> tuple[Corner, ...]:
        """Its corners as a polygon."""
        if len(self.corners) > 2:
            return self.corners
        (left, top), (right, bottom) = self.corners
        return (left, top), (right, top), (right, bottom), (left, bottom)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two regions that should be equally warm; their difference is left minus right.

    Attributes:
        left: Name of one; the patient's left, where that is meant.
        right: Name of the other.
    """

    left: str
    right: str

    @property
    def name(self) -> str:
        """How findings call it."""
        return f"{self.left} minus {self.right}"


WHOLE = Region(name="whole picture", corners=((0.0, 0.0), (1.0, 1.0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ThermalPolicy:
    """What a thermal pipeline says.

    Attributes:
        looked_for: What the temperatures are of: the code of the findings that carry them.
        regions: What is measured, at least one.
        pairs: Which of them are compared.
        judged_by: Which number of a region decides about limits, the hottest region and asymmetry.
        limit_enter_celsius: A region this warm is above the limit; None: there is no limit.
        limit_stay_celsius: It stays so down to this; at most `limit_enter_celsius`.
        asymmetry_enter_k: A pair that differs by this is asymmetric; None: no verdict, the difference only.
        asymmetry_stay_k: It stays so down to this; at most `asymmetry_enter_k`.
        spot_enter_celsius: A spot has at least one pixel this warm; None: no spots are looked for.
        spot_stay_celsius: It reaches as far as pixels are this warm; at most `spot_enter_celsius`.
        spot_area_min_px: Smaller spots are not counted, 1 or more.
        spots_max: Not more spots than this are told of, the hottest ones.
        spots_in: Names of the regions in which spots are looked for; () for the whole picture.
        saturated_fraction_max: Of a region without a number, 0 to 1; with more it is not assessed.
        assumed_is_enough: Whether a calibration that nobody checked will do.
        unevenness_k: Standard uncertainty of a temperature as far as another place in the same picture does
            not share it: unevenness and noise of the camera.
    """

    looked_for: Code = SURFACE_TEMPERATURE
    regions: tuple[Region, ...] = (WHOLE,)
    pairs: tuple[Pair, ...] = ()
    judged_by: Statistic = "p95"
    limit_enter_celsius: float | None = None
    limit_stay_celsius: float | None = None
    asymmetry_enter_k: float | None = None
    asymmetry_stay_k: float | None = None
    spot_enter_celsius: float | None = None
    spot_stay_celsius: float | None = None
    spot_area_min_px: int = 4
    spots_max: int = 16
    spots_in: tuple[str, ...] = ()
    saturated_fraction_max: float = 0.05
    assumed_is_enough: bool = True
    unevenness_k: float = 0.3

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            ConfigurationError: A region is named twice or missing, or a limit ends above where it begins.
        """
        names = [region.name for region in self.regions]
        if not names or len(names) != len(set(names)):
            raise ConfigurationError(f"regions {names}, wanted at least one, each with a name of its own")
        asked = [name for pair in self.pairs for name in (pair.left, pair.right)] + list(self.spots_in)
        strangers = sorted(set(asked) - set(names))
        if strangers:
            raise ConfigurationError(f"no region is called {', '.join(strangers)}; there are {names}")
        for name, (enter, stay) in self.limits().items():
            if stay is not None and (enter is None or stay > enter):
                raise ConfigurationError(
                    f"{name}: stays down to {stay}, wanted at most {enter}, where it begins"
                )

    def limits(self) -> Mapping[str, tuple[float | None, float | None]]:
        """Return where each limit begins and ends."""
        return {
            "limit": (self.limit_enter_celsius, self.limit_stay_celsius),
            "asymmetry": (self.asymmetry_enter_k, self.asymmetry_stay_k),
            "spot": (self.spot_enter_celsius, self.spot_stay_celsius),
        }

    def region(self, name: str) -> Region:
        """Return the region of this name."""
        return next(region for region in self.regions if region.name == name)
