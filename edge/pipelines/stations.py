"""The stations of the path: each configured pipeline with a model that is ready, or with why it has none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

from edge.bundles.manifest import Manifest
from edge.bundles.picture_tasks import PictureManifest
from edge.bundles.pictures import PictureBundle
from edge.bundles.signature import ANYBODY, Trust
from edge.bundles.spectra_regression import SpectraRegression
from edge.bundles.volume_input import Input
from edge.bundles.volume_policy import Policy
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.domain.errors import BundleRejectedError
from edge.domain.finding import Code
from edge.domain.ports import Clock, Model, PictureModel, SpectraModel
from edge.inference.engine import Engine
from edge.inference.forms import DEVICES
from edge.inference.handle import PictureHandle, SpectraHandle, VolumeHandle

A_SERIES = Code("SCT", "363679005", "Imaging")

_Task = TypeVar("_Task", VolumeSegmentation, SpectraRegression)
_Model = TypeVar("_Model")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One pipeline for series as it was configured.

    Attributes:
        pipeline: Its name.
        bundle: Name of the bundle whose model looks.
        deadline_s: Longest time one volume, or one picture, may take.
        modalities: Of the series it is meant for.
        pictures_max: A series with more pictures than this is not looked at picture by picture.
    """

    pipeline: str
    bundle: str
    deadline_s: float
    modalities: frozenset[str] = frozenset()
    pictures_max: int = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Station:
    """One pipeline for series: a model and how its answers are read.

    Attributes:
        model: Ready to answer, or None where its bundle was refused.
        refusal: Why there is no model; "" where there is one.
        policy: Of the bundle's manifest, or None where the bundle could not be read.
        subject: What the model looks for; the code of a finding that says it could not look.
        deadline_s: Longest time one volume may take.
        given: What the model takes: its roles; None where the bundle could not be read.
    """

    model: Model | None
    refusal: str
    policy: Policy | None
    subject: Code
    deadline_s: float
    given: Input | None = None

    @contextmanager
    def held(self) -> Iterator[Station]:
        """Hold the model of this moment, and what belongs to it, for one series.

        Raises:
            InferenceError: There is no model any more.
        """
        if not isinstance(self.model, VolumeHandle):
            yield self
            return
        with self.model.held() as active:
            manifest = active.bundle.manifest
            assert isinstance(manifest, VolumeSegmentation), f"{manifest.name}: another task took its place"
            yield replace(self, model=active.model, policy=manifest.policy, given=manifest.input)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PictureStation:
    """A model of pictures and how its answers are read; without a model it says why.

    Attributes:
        model: Ready to answer, or None where its bundle was refused.
        manifest: Of its bundle, or None where it could not be read.
        refusal: Why there is no model; "" where there is one.
    """

    model: PictureModel | None
    manifest: PictureManifest | None
    refusal: str

    @contextmanager
    def held(self) -> Iterator[PictureStation]:
        """Hold the model of this moment, and what belongs to it, for one picture.

        Raises:
            InferenceError: There is no model any more.
        """
        if not isinstance(self.model, PictureHandle):
            yield self
            return
        with self.model.held() as active:
            manifest = active.bundle.manifest
            assert isinstance(manifest, PictureBundle), f"{manifest.name}: another task took its place"
            yield replace(self, model=active.model, manifest=manifest)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SpectraStation:
    """A model of spectra and how its answers are read; without a model it says why.

    Attributes:
        model: Ready to answer, or None where its bundle was refused.
        manifest: Of its bundle, or None where it could not be read.
        refusal: Why there is no model; "" where there is one.
    """

    model: SpectraModel | None
    manifest: SpectraRegression | None
    refusal: str

    @contextmanager
    def held(self) -> Iterator[SpectraStation]:
        """Hold the model of this moment, and what belongs to it, for one file.

        Raises:
            InferenceError: There is no model any more.
        """
        if not isinstance(self.model, SpectraHandle):
            yield self
            return
        with self.model.held() as active:
            manifest = active.bundle.manifest
            assert isinstance(manifest, SpectraRegression), f"{manifest.name}: another task took its place"
            yield replace(self, model=active.model, manifest=manifest)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Viewer:
    """One pipeline for series whose model looks at each picture.

    Attributes:
        station: A model, or why there is none.
        deadline_s: Longest time one picture may take.
        modalities: Of the objects it is meant for.
        pictures_max: A series with more pictures than this is not looked at.
    """

    station: PictureStation
    deadline_s: float
    modalities: frozenset[str]
    pictures_max: int


@contextmanager
def opened_engine(
    bundles: Sequence[str],
    *,
    roots: Sequence[Path],
    trust: Trust = ANYBODY,
    threads: int,
    live_callers: int = 1,
    live_burst_max: int = 8,
    provider: Literal["auto", "cpu", "cuda", "tensorrt", "gpu", "npu"],
    measures: Literal["first", "behind"] = "first",
    memory_mb: float = 0,
    keep_warm_s: float = 0,
    state_folder: Path,
    clock: Clock,
) -> Iterator[Engine]:
    """Make every model ready for as long as the `with` lasts.

    Args:
        bundles: Their names, in any order, doubles allowed.
        roots: Folders that hold bundles, searched in this order.
        trust: Whose signatures on them are believed, and whether unsigned ones are used.
        threads: For one network of volumes on the CPU; 0: as many as there are cores.
        live_callers: So many may ask one live model at once.
        live_burst_max: On a GPU: so many live runs in a row while a volume waits.
        provider: `auto` lets the admission measure what is there.
        measures: What is not remembered is measured `first`, or `behind` models that answer meanwhile.
        memory_mb: What open networks of volumes may hold together, 0 for no limit.
        keep_warm_s: A model that nobody asked for so long is run once, 0 for never.
        state_folder: Where the admission remembers what it measured.
        clock: Time.
    """
    engine = Engine(
        sorted(set(bundles)),
        roots=roots,
        trust=trust,
        threads=threads or len(os.sched_getaffinity(0)),
        live_callers=live_callers,
        live_burst_max=live_burst_max,
        providers=DEVICES if provider == "auto" else (provider,),
        measures=measures,
        memory_mb=memory_mb,
        keep_warm_s=keep_warm_s,
        state_dir=state_folder,
        clock=clock,
    )
    with engine:
        yield engine


def stations(engine: Engine, wanted: Sequence[Wanted]) -> Mapping[str, Station]:
    """Return a station for each pipeline for series whose model looks at volumes, by its name."""
    return {one.pipeline: _station(engine, one) for one in wanted if not _is_of_pictures(engine, one.bundle)}


def viewers(engine: Engine, wanted: Sequence[Wanted]) -> Mapping[str, Viewer]:
    """Return a viewer for each pipeline for series whose model looks at pictures, by its name."""
    return {
        one.pipeline: Viewer(
            station=picture_station(engine, one.bundle),
            deadline_s=one.deadline_s,
            modalities=one.modalities,
            pictures_max=one.pictures_max,
        )
        for one in wanted
        if _is_of_pictures(engine, one.bundle)
    }


def _is_of_pictures(engine: Engine, bundle: str) -> bool:
    """Whether a bundle is for pictures; one that cannot be read counts as one for volumes, and says why."""
    try:
        return isinstance(engine.bundle(bundle).manifest, PictureBundle)
    except BundleRejectedError:
        return False


def picture_station(engine: Engine, bundle: str) -> PictureStation:
    """Return the station of a bundle for pictures, whatever its task."""
    manifest: PictureManifest | None = None
    try:
        found = engine.bundle(bundle).manifest
        manifest = found if isinstance(found, PictureBundle) else None
        model = engine.picture_model(bundle)
    except BundleRejectedError as error:
        return PictureStation(model=None, manifest=manifest, refusal=str(error))
    return PictureStation(model=model, manifest=manifest, refusal="")


def spectra_station(engine: Engine, bundle: str) -> SpectraStation:
    """Return the station of a bundle that reads spectra."""
    model, manifest, refusal = _made_ready(engine, bundle, SpectraRegression, engine.spectra_model)
    return SpectraStation(model=model, manifest=manifest, refusal=refusal)


def _station(engine: Engine, one: Wanted) -> Station:
    model, manifest, refusal = _made_ready(engine, one.bundle, VolumeSegmentation, engine.model)
    return Station(
        model=model,
        refusal=refusal,
        policy=manifest.policy if manifest else None,
        subject=manifest.policy.looked_for.code() if manifest else A_SERIES,
        deadline_s=one.deadline_s,
        given=manifest.input if manifest else None,
    )


def _made_ready(
    engine: Engine, bundle: str, task: type[_Task], model: Callable[[str], _Model]
) -> tuple[_Model | None, _Task | None, str]:
    """Return model and manifest of a bundle as far as it can be used, and why no further."""
    manifest: Manifest | None = None
    try:
        manifest = engine.bundle(bundle).manifest
        ready = model(bundle)
    except BundleRejectedError as error:
        return None, manifest if isinstance(manifest, task) else None, str(error)
    assert isinstance(manifest, task), f"{bundle}: the engine gives a model of another task"
    return ready, manifest, ""
