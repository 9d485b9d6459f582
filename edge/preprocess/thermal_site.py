"""What a site says about its thermal camera."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.domain.errors import ConfigurationError
from edge.domain.thermal import RANGES, Scale, band_problem, what_is_wrong
from edge.preprocess.thermal_band import Backend
from edge.preprocess.thermal_uncertainty import Uncertainties


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteCalibration:
    """What a site says about a thermal camera; it goes before what the file or the camera says.

    Attributes:
        scale: What a count means; None leaves it to the file.
        emissivity: Of what is looked at; this and the next six are None where the file's value stands.
        reflected_celsius: Apparent temperature of what is mirrored.
        air_celsius: Of the air between.
        distance_m: To what is looked at.
        humidity: Relative, 0 to 1.
        window_celsius: Of an infrared window.
        window_transmission: Of that window.
        band_um: Where the camera sees; only a linear scale needs it, to correct for an emissivity below 1.
        is_checked: A linear scale was checked against a black body; without that its state is `assumed`.
        radiometry: Who reckons Planck's law.
        uncertainties: How well all that is known.
    """

    scale: Scale | None = None
    emissivity: float | None = None
    reflected_celsius: float | None = None
    air_celsius: float | None = None
    distance_m: float | None = None
    humidity: float | None = None
    window_celsius: float | None = None
    window_transmission: float | None = None
    band_um: tuple[float, float] = (7.5, 13.5)
    is_checked: bool = False
    radiometry: Backend = "own"
    uncertainties: Uncertainties = field(default_factory=Uncertainties)

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ConfigurationError: A value is out of its range.
        """
        problem = what_is_wrong(self.overrides()) or band_problem(self.band_um)
        problem = problem or (self.scale.problem() if self.scale is not None else "")
        if problem:
            raise ConfigurationError(f"calibration: {problem}")

    def overrides(self) -> dict[str, float]:
        """Return what goes before the file's surroundings."""
        given = {name: getattr(self, name) for name in RANGES}
        return {name: value for name, value in given.items() if value is not None}
