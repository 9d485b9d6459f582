"""Which bundles `edge analyze` asks about which kind of input, and the engine that runs them."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import edge
from edge.bundles.pictures import PictureBundle
from edge.bundles.spectra_regression import SpectraRegression
from edge.bundles.store import Bundle, find
from edge.bundles.store import names as names_in
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.domain.errors import BundleRejectedError
from edge.findings.identity import KEY_BYTES, KeyedHash
from edge.inference.engine import Engine
from edge.kit.clock import SystemClock
from edge.pipelines.imaging import Assessor
from edge.pipelines.stations import (
    PictureStation,
    SpectraStation,
    Wanted,
    opened_engine,
    picture_station,
    spectra_station,
    stations,
)
from edge.studies.select import Rule

DEADLINE_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Which kinds of input there are.

    Attributes:
        volumes: DICOM or NIfTI.
        pictures: Videos, and still pictures.
        spectra: Cubes.
    """

    volumes: bool
    pictures: bool
    spectra: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Models:
    """Everybody who may be asked.

    Attributes:
        volumes: The path of series.
        pictures: Stations for videos and still pictures, by bundle.
        spectra: Stations for cubes, by bundle.
        lacks_pictures: Why there is none for videos, where there is none.
        identity: Makes subjects, with a key of this one run.
        clock: Time.
    """

    volumes: Assessor
    pictures: tuple[tuple[str, PictureStation], ...]
    spectra: tuple[tuple[str, SpectraStation], ...]
    lacks_pictures: str
    identity: KeyedHash
    clock: SystemClock


@contextmanager
def opened_models(
    needs: Needs, *, bundle: str | None, roots: Sequence[Path], say: Callable[[str], None]
) -> Iterator[Models]:
    """Make ready whoever fits the inputs.

    Args:
        needs: What is to be looked at.
        bundle: Only this one, or None for every one that fits.
        roots: Folders that hold bundles; () for those of this installation.
        say: Is told of bundles that are refused.

    Raises:
        BundleRejectedError: The one that was named is not there or not in order, or there are none at all.
    """
    every = _bundles(bundle, roots, needs, say)
    fitting = [one for one in every if _fits(one, needs)]
    if bundle is None:
        fitting = _of_one_series(fitting, say)
    volumes = [one.manifest for one in fitting if isinstance(one.manifest, VolumeSegmentation)]
    pictures = [one.manifest.name for one in fitting if isinstance(one.manifest, PictureBundle)]
    spectra = [one.manifest.name for one in fitting if isinstance(one.manifest, SpectraRegression)]
    rules = [
        Rule(
            pipeline=manifest.name,
            modalities=frozenset(accepted.modality for accepted in manifest.input.accepted[0]),
        )
        for manifest in volumes
    ]
    wanted = [Wanted(manifest.name, manifest.name, DEADLINE_S) for manifest in volumes]
    there = ", ".join(f"{one.manifest.name} ({one.manifest.task})" for one in every)
    clock, identity = SystemClock(), KeyedHash(secrets.token_bytes(KEY_BYTES))
    with opened_for([one.manifest.name for one in fitting], roots) as engine:
        yield Models(
            volumes=Assessor(rules=rules, stations=stations(engine, wanted), identity=identity, clock=clock),
            pictures=tuple((name, picture_station(engine, name)) for name in pictures),
            spectra=tuple((name, spectra_station(engine, name)) for name in spectra),
            lacks_pictures=f"no bundle for pictures, there is {there or 'none at all'}",
            identity=identity,
            clock=clock,
        )


@contextmanager
def opened_for(names: Sequence[str], roots: Sequence[Path]) -> Iterator[Engine]:
    """Make bundles ready on this machine, as long as the `with` lasts.

    Args:
        names: Of the bundles.
        roots: Folders that hold them; () for those of this installation.
    """
    roots = roots or roots_here()
    with opened_engine(
        names, roots=roots, threads=0, provider="auto", state_folder=memory_folder(), clock=SystemClock()
    ) as engine:
        yield engine


def _fits(bundle: Bundle, needs: Needs) -> bool:
    match bundle.manifest:
        case VolumeSegmentation():
            return needs.volumes
        case PictureBundle():
            return needs.pictures
        case SpectraRegression():
            return needs.spectra


def _of_one_series(bundles: Sequence[Bundle], say: Callable[[str], None]) -> list[Bundle]:
    """Leave out, and tell, the bundles whose model wants several series: nobody says which is which."""
    kept = []
    for bundle in bundles:
        manifest = bundle.manifest
        if isinstance(manifest, VolumeSegmentation) and len(manifest.input.roles) > 1:
            roles = manifest.input.roles
            say(
                f"not used: {manifest.name} takes several series, {', '.join(roles)}; "
                f"--series {roles[0]}=DIR … --bundle {manifest.name} names them"
            )
        else:
            kept.append(bundle)
    return kept


def _bundles(
    name: str | None, roots: Sequence[Path], needs: Needs, say: Callable[[str], None]
) -> list[Bundle]:
    """Return the bundle of a name, or all there are; what is refused is told, and is none.

    Raises:
        BundleRejectedError: There is none and one is needed, or the one that was named is not in order.
    """
    roots = roots or roots_here()
    if name is not None:
        return [find(name, roots)]
    found = []
    for one in names_in(roots):
        try:
            found.append(find(one, roots))
        except BundleRejectedError as trouble:
            say(f"not used: {trouble}")
    if not found and (needs.volumes or needs.pictures):
        raise BundleRejectedError(
            f"no bundle in {', '.join(map(str, roots))}; --bundles FOLDER names another place"
        )
    return found


def roots_here() -> tuple[Path, ...]:
    """Return where the bundles of this installation lie."""
    beside = Path(edge.__file__).parents[1] / "models"
    return (beside if beside.is_dir() else Path("/usr/share/edge/models"),)


def memory_folder() -> Path:
    """Return where the engine remembers what it measured on this machine; a passing folder if need be."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "edge")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="edge-"))
    return folder if os.access(folder, os.W_OK) else Path(tempfile.mkdtemp(prefix="edge-"))
