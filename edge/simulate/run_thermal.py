"""A thermal camera in the foreground, until Ctrl-C or for a given time."""

from __future__ import annotations

from pathlib import Path

from edge.domain.errors import ConfigurationError
from edge.domain.thermal import LinearScale, PlanckScale
from edge.simulate.foreground import wait
from edge.simulate.thermal import CENTIKELVIN, FileKind, ThermalCamera, WarmScene


def run_thermal(
    folder: Path,
    *,
    fps: float = 9.0,
    height_px: int = 240,
    width_px: int = 320,
    scale: LinearScale | PlanckScale = CENTIKELVIN,
    emissivity: float = 1.0,
    kind: FileKind = "tiff",
    files_kept: int = 50,
    for_s: float | None = None,
) -> int:
    """Write pictures of a thermal camera into a folder; returns 0.

    Raises:
        ConfigurationError: The temperatures do not fit into the scale.
        OSError: The folder cannot be written to.
    """
    scene = WarmScene(height_px=height_px, width_px=width_px)
    camera = ThermalCamera(
        folder, scene=scene, fps=fps, scale=scale, emissivity=emissivity, kind=kind, files_kept=files_kept
    )
    with camera:
        wait(lambda: f"{camera.pace.done} pictures in {folder}", camera.pace, for_s=for_s)
    return 0


def parse_planck(text: str) -> PlanckScale:
    """Read `R1,B,F,O,R2`.

    Raises:
        ConfigurationError: It is something else.
    """
    try:
        r1, b_kelvin, f, o, r2 = (float(word) for word in text.split(","))
    except ValueError as trouble:
        raise ConfigurationError(f"{text}: wanted five numbers R1,B,F,O,R2") from trouble
    scale = PlanckScale(r1=r1, b_kelvin=b_kelvin, f=f, o=o, r2=r2)
    if scale.problem():
        raise ConfigurationError(scale.problem())
    return scale
