"""What each tissue looks like in one synthetic scan: mean and spread of intensity per fine label."""

from dataclasses import dataclass

import labels
import torch
from chance import Chance
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Preset:
    """Typical brightness of a contrast, 0 to 1."""

    fluid: float
    grey: float
    white: float
    deep: float
    bone: float
    muscle: float
    soft: float
    fat: float


PRESETS = {
    "t1": Preset(0.12, 0.45, 0.75, 0.52, 0.05, 0.40, 0.50, 0.95),
    "t2": Preset(1.00, 0.60, 0.40, 0.52, 0.05, 0.20, 0.40, 0.75),
    "flair": Preset(0.12, 0.65, 0.50, 0.60, 0.05, 0.30, 0.40, 0.85),
    "pd": Preset(0.80, 0.85, 0.68, 0.78, 0.06, 0.55, 0.60, 0.80),
    "ct": Preset(0.43, 0.53, 0.50, 0.53, 1.00, 0.56, 0.53, 0.20),
    "epi": Preset(0.95, 0.62, 0.48, 0.55, 0.03, 0.15, 0.20, 0.08),
    "b0": Preset(1.00, 0.48, 0.38, 0.42, 0.02, 0.08, 0.10, 0.05),
    "dwi": Preset(0.12, 0.62, 0.55, 0.55, 0.03, 0.06, 0.08, 0.04),
    "t1gd": Preset(0.15, 0.50, 0.68, 0.52, 0.05, 0.50, 0.80, 0.95),
    "mra": Preset(0.12, 0.35, 0.42, 0.38, 0.05, 0.30, 0.40, 0.60),
}
PRESET_SHARES = {
    "t1": 1.0,
    "t2": 1.0,
    "flair": 1.2,
    "pd": 1.0,
    "ct": 1.6,
    "epi": 1.8,
    "b0": 2.4,
    "dwi": 1.0,
    "t1gd": 0.8,
    "mra": 0.5,
}
ECHO_PLANAR = ("epi", "b0", "dwi")
RANDOM = "random"


def draw_contrast(chance: Chance) -> str:
    """Half the scans look like a known contrast, half like nothing on earth."""
    if chance.happens(0.5):
        return RANDOM
    return chance.pick(list(PRESET_SHARES), list(PRESET_SHARES.values()))


def draw_intensities(contrast: str, chance: Chance) -> tuple[Tensor, Tensor]:
    """Mean and spread for each fine label, two vectors of `LABEL_COUNT`."""
    tissue, jitter = _draw_tissue(contrast, chance)
    mean = [0.0] * labels.LABEL_COUNT

    def near(value: float) -> float:
        return max(0.0, value + chance.normal(jitter))

    for label in range(labels.WHITE_MATTER, labels.OUTER_CSF + 1):
        mean[label] = near(_brain_mean(label, tissue, chance))
    mean[labels.OTHER_INSIDE] = near(tissue.fluid) if chance.happens(0.4) else chance.uniform()
    if chance.happens(0.2) and contrast != "ct":
        mean[labels.OUTER_CSF] = chance.uniform()
    around = (tissue.bone, tissue.muscle, tissue.soft, tissue.fat)
    for cluster, value in enumerate(around):
        mean[labels.OUTSIDE_FIRST + cluster] = near(value)
    mean[labels.BONE] = near(tissue.bone)
    mean[labels.DIPLOE] = (
        tissue.bone * chance.uniform(0.7, 1.0)
        if contrast == "ct"
        else chance.pick([tissue.bone, tissue.fat, chance.uniform()])
    )
    mean[labels.SOFT] = near(chance.pick([tissue.fat, tissue.muscle]))
    for odd in (labels.ODD_A, labels.ODD_B, labels.ODD_C, labels.OUTSIDE_CSF):
        mean[odd] = chance.uniform()
    spread_all = chance.uniform(0, 0.09) if chance.happens(0.8) else chance.uniform(0, 0.2)
    spread_all *= 0.4 if contrast == "ct" else 1.0
    spread = [spread_all * chance.uniform(0.3, 1.3) for _ in mean]
    _draw_air(mean, spread, contrast, chance)
    if chance.happens(0.85):
        mean[labels.OUTSIDE_CSF], spread[labels.OUTSIDE_CSF] = (
            mean[labels.OUTER_CSF],
            spread[labels.OUTER_CSF],
        )
    return torch.tensor(mean, device=chance.device), torch.tensor(spread, device=chance.device)


def _draw_tissue(contrast: str, chance: Chance) -> tuple[Preset, float]:
    """Brightness of the tissues, and how far structures of one tissue differ from each other."""
    if contrast in PRESETS:
        typical = PRESETS[contrast]
        shift = 0.012 if contrast == "ct" else 0.07
        values = {name: getattr(typical, name) + chance.normal(shift) for name in Preset.__slots__}
        return Preset(**values), 0.008 if contrast == "ct" else 0.04
    grey = chance.uniform()
    around = [chance.uniform() * chance.uniform(0.3, 1.0) for _ in range(4)]
    if chance.happens(0.4):
        around[0] = chance.uniform(0, 0.1)
    deep = grey + chance.normal(0.08) if chance.happens(0.6) else chance.uniform()
    return Preset(chance.uniform(), grey, chance.uniform(), deep, *around), chance.uniform(0, 0.08)


def _brain_mean(label: int, tissue: Preset, chance: Chance) -> float:
    between = (tissue.white + tissue.deep) / 2
    if label in (labels.WHITE_MATTER, labels.CEREBELLUM_WHITE, labels.BRAINSTEM, labels.VENTRAL_DIENCEPHALON):
        return tissue.white
    if label in (labels.CORTEX, labels.CEREBELLUM_GREY, labels.HIPPOCAMPUS, labels.AMYGDALA):
        return tissue.grey
    if label in (*labels.VENTRICLE_LABELS, labels.OUTER_CSF):
        return tissue.fluid
    if label == labels.PALLIDUM:
        return between if chance.happens(0.5) else tissue.white
    if label == labels.THALAMUS:
        return tissue.deep if chance.happens(0.5) else between
    return tissue.deep


def _draw_air(mean: list[float], spread: list[float], contrast: str, chance: Chance) -> None:
    """Air is mostly black, sometimes noisy, and now and then anything."""
    mean[labels.AIR] = 0.0
    if contrast in ("ct", "epi", "b0", "dwi") or chance.happens(0.85):
        mean[0], spread[0] = 0.0, 0.0 if chance.happens(0.6) else chance.uniform(0, 0.03)
    else:
        mean[0] = chance.uniform(0, 0.25) if chance.happens(0.7) else chance.uniform()
        spread[0] = chance.uniform(0, 0.1)


def draw_curve(intensity: Tensor, chance: Chance) -> Tensor:
    """A real image (0 to 1) through a random piecewise linear curve: rising, falling or neither."""
    knots = chance.pick([4, 6, 9])
    curve = chance.flat(knots)
    kind = chance.uniform()
    if kind < 0.75:
        curve = torch.cumsum(curve + 0.08, 0)
        curve = (curve - curve[0]) / (curve[-1] - curve[0])
    if 0.55 <= kind < 0.75:
        curve = 1 - curve
        curve[0] = 0  # air stays black
    if kind >= 0.75:
        curve[0] *= 0.2
    position = intensity * (knots - 1)
    lower = position.long().clamp(0, knots - 2)
    share = position - lower
    return curve[lower] * (1 - share) + curve[lower + 1] * share
