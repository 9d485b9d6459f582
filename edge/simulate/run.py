"""Thermal camera, scanner and spectral devices in the foreground, until Ctrl-C or for a given time."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from edge.domain.errors import ConfigurationError
from edge.domain.thermal import LinearScale, PlanckScale
from edge.simulate.foreground import wait
from edge.simulate.head import head
from edge.simulate.pace import Pace
from edge.simulate.patients import studies_of
from edge.simulate.scanner import Scanner
from edge.simulate.scu import Peer
from edge.simulate.series import write_series
from edge.simulate.spectral import CubeKind, TissueScene, write_cube, write_raman
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


def run_scanner(
    peer: Peer,
    files: Sequence[Path],
    *,
    every_s: float,
    studies_max: int | None = None,
    are_new: bool = True,
    for_s: float | None = None,
) -> int:
    """Send studies by C-STORE.

    Args:
        peer: Where to.
        files: DICOM objects of any number of studies; none for a head that is made up.
        every_s: From one study to the next.
        studies_max: After how many it ends; None for no end.
        are_new: Every study gets new UIDs and a patient of its own.
        for_s: How long; None until Ctrl-C or `studies_max`.

    Returns:
        0 where everything was stored, else 1.

    Raises:
        FormatError: A file is no DICOM object.
    """
    with tempfile.TemporaryDirectory(prefix="edge-head-") as folder:
        chosen = studies_of(files) if files else [_made_up_head(Path(folder))]
        scanner = Scanner(peer, chosen, every_s=every_s, studies_max=studies_max, are_new=are_new)
        tally = scanner.tally

        def progress() -> str:
            trouble = f"; last trouble: {scanner.last_reason}" if scanner.last_reason else ""
            return (
                f"{tally.studies} studies to {peer}: {tally.stored} instances stored, "
                f"{tally.refused} refused, {tally.failed} failed{trouble}"
            )

        with scanner:
            wait(progress, scanner.pace, for_s=for_s)
    return 0 if tally.stored == tally.instances else 1


def run_files(
    folder: Path,
    *,
    cube_every_s: float | None,
    spectrum_every_s: float | None,
    kind: CubeKind = "envi",
    for_s: float | None = None,
) -> int:
    """Write cubes and Raman spectra into `folder`/cubes and `folder`/spectra; returns 0.

    Args:
        folder: Made if it is missing.
        cube_every_s: From one cube to the next; None for no cubes.
        spectrum_every_s: From one spectrum to the next; None for no spectra.
        kind: Of the files of cubes.
        for_s: How long; None until Ctrl-C.

    Raises:
        ConfigurationError: Nothing is asked for.
        OSError: The folder cannot be written to.
    """
    tissue, rng = TissueScene(), np.random.default_rng()
    began = time.strftime("%Y%m%d-%H%M%S")  # a second run does not write over the first

    def cube(number: int) -> None:
        write_cube(folder / "cubes", f"tissue-{began}-{number:05d}", tissue.cube(), kind=kind)

    def spectrum(number: int) -> None:
        write_raman(folder / "spectra", f"raman-{began}-{number:05d}", rng=rng)

    paces = []
    if cube_every_s is not None:
        paces.append(Pace(cube, period_s=cube_every_s, name="cubes"))
    if spectrum_every_s is not None:
        paces.append(Pace(spectrum, period_s=spectrum_every_s, name="spectra"))
    if not paces:
        raise ConfigurationError("neither cubes nor spectra are asked for")
    with ExitStack() as running:
        for pace in paces:
            running.enter_context(pace)
        wait(lambda: f"{sum(pace.done for pace in paces)} files in {folder}", *paces, for_s=for_s)
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


def _made_up_head(folder: Path) -> list[Path]:
    return write_series(head(), folder, patient="SIM^HEAD", description="T1, simulated")
