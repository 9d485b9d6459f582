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
from edge.pipelines.series_pictures import Told
from edge.pipelines.stations import (
    PictureStation,
    SpectraStation,
    Wanted,
    opened_engine,
    picture_station,
    spectra_station,
    stations,
    viewers,
)
from edge.studies.select import Rule

DEADLINE_S = 600.0
PICTURES_MAX = 4096  # of one series


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Which kinds of input there are.

    Attributes:
        series: The modalities of DICOM and NIfTI, "" where none is named; empty where there is none of them.
        objects: The modalities of DICOM alone: models for pictures look at those, and at no volume of a file.
        pictures: Videos, and still pictures.
        spectra: Cubes.
    """

    series: frozenset[str]
    objects: frozenset[str]
    pictures: bool
    spectra: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Models:
    """Everybody who may be asked.

    Attributes:
        series: The path of series.
        pictures: Stations for videos and still pictures, by bundle.
        spectra: Stations for cubes, by bundle.
        lacks_pictures: Why there is none for videos, where there is none.
        lacks_volumes: Why there is none for volumes in files, or "".
        identity: Makes subjects, with a key of this one run.
        clock: Time.
    """

    series: Assessor
    pictures: tuple[tuple[str, PictureStation], ...]
    spectra: tuple[tuple[str, SpectraStation], ...]
    lacks_pictures: str
    lacks_volumes: str
    identity: KeyedHash
    clock: SystemClock


@contextmanager
def opened_models(
    needs: Needs,
    *,
    bundle: str | None,
    roots: Sequence[Path],
    say: Callable[[str], None],
    told: Told = lambda _pipeline, _picture, _looked: None,
) -> Iterator[Models]:
    """Make ready whoever fits the inputs.

    Args:
        needs: What is to be looked at.
        bundle: Only this one, or None for every one that fits.
        roots: Folders that hold bundles; () for those of this installation.
        say: Is told of bundles that are refused.
        told: Is shown each picture of a series that was assessed.

    Raises:
        BundleRejectedError: The one that was named is not there or not in order, or there are none at all.
    """
    every = _bundles(bundle, roots, needs, say)
    fitting = [one for one in every if _fits(one, needs, is_named=bundle is not None)]
    if bundle is None:
        fitting = _of_one_series(fitting, say)
    volumes = [one.manifest for one in fitting if isinstance(one.manifest, VolumeSegmentation)]
    pictures = [
        one.manifest.name for one in fitting if isinstance(one.manifest, PictureBundle) and needs.pictures
    ]
    spectra = [one.manifest.name for one in fitting if isinstance(one.manifest, SpectraRegression)]
    wanted = [
        *(_wanted(manifest.name, _modalities(manifest)) for manifest in volumes),
        *(_wanted(name, needs.objects if bundle else shown) for name, shown in _of_series(fitting, needs)),
    ]
    rules = [Rule(pipeline=one.pipeline, modalities=one.modalities) for one in wanted]
    there = ", ".join(f"{one.manifest.name} ({one.manifest.task})" for one in every)
    clock, identity = SystemClock(), KeyedHash(secrets.token_bytes(KEY_BYTES))
    with opened_for([one.manifest.name for one in fitting], roots) as engine:
        yield Models(
            series=Assessor(
                rules=rules,
                stations=stations(engine, wanted),
                viewers=viewers(engine, wanted),
                identity=identity,
                clock=clock,
                told=told,
            ),
            pictures=tuple((name, picture_station(engine, name)) for name in pictures),
            spectra=tuple((name, spectra_station(engine, name)) for name in spectra),
            lacks_pictures=f"no bundle for pictures, there is {there or 'none at all'}",
            lacks_volumes="" if volumes else _lacks_volumes(every),
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


def _fits(bundle: Bundle, needs: Needs, *, is_named: bool) -> bool:
    match bundle.manifest:
        case VolumeSegmentation():
            return bool(needs.series)
        case PictureBundle():
            return needs.pictures or (
                bool(needs.objects) and (is_named or bool(_modalities(bundle.manifest)))
            )
        case SpectraRegression():
            return needs.spectra


def _lacks_volumes(bundles: Sequence[Bundle]) -> str:
    """Say what each bundle is for, where none is for volumes."""
    said = [f"{one.manifest.name} is for {_meant_for(one)}" for one in bundles]
    return f"this is a volume, and {'; '.join(said) or 'there is no bundle at all'}"


def _meant_for(bundle: Bundle) -> str:
    match bundle.manifest:
        case PictureBundle() as manifest:
            named = ", ".join(sorted(manifest.input.modalities))
            shown = f"of {named}" if named else "of one picture (CR, DX, US …)"
            files = "PNG, JPEG, TIFF, BMP and WebP files, videos"
            return f"pictures ({manifest.task}): it takes {files}, and DICOM objects {shown}"
        case SpectraRegression() as manifest:
            return f"cubes and spectra ({manifest.task})"
        case manifest:
            return f"volumes ({manifest.task})"


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


def _of_series(fitting: Sequence[Bundle], needs: Needs) -> Iterator[tuple[str, frozenset[str]]]:
    """Return the bundles for pictures that look at series, and of which modalities their manifests say so."""
    for one in fitting if needs.objects else ():
        if isinstance(one.manifest, PictureBundle):
            yield one.manifest.name, _modalities(one.manifest)


def _modalities(manifest: VolumeSegmentation | PictureBundle) -> frozenset[str]:
    """Return the modalities that a manifest names."""
    if isinstance(manifest, PictureBundle):
        return frozenset(manifest.input.modalities)
    return frozenset(accepted.modality for accepted in manifest.input.accepted[0])


def _wanted(name: str, modalities: frozenset[str]) -> Wanted:
    return Wanted(name, name, DEADLINE_S, modalities=modalities, pictures_max=PICTURES_MAX)


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
    if not found and (needs.series or needs.pictures):
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
