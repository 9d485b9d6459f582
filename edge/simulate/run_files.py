"""A hyperspectral camera and a Raman spectrometer in the foreground, until Ctrl-C or for a given time."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from edge.domain.errors import ConfigurationError
from edge.simulate.foreground import wait
from edge.simulate.pace import Pace
from edge.simulate.spectral import CubeKind, TissueScene, write_cube, write_raman


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
