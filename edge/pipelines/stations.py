"""The stations of the path: each configured pipeline with a model that is ready, or with why it has none."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge.bundles.volume_segmentation import Policy, VolumeSegmentation
from edge.domain.errors import BundleRejectedError
from edge.domain.finding import Code
from edge.domain.ports import Clock, Model
from edge.inference.engine import Engine

A_SERIES = Code("SCT", "363679005", "Imaging")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One pipeline as it was configured.

    Attributes:
        pipeline: Its name.
        bundle: Name of the bundle whose model looks.
        deadline_s: Longest time one volume may take.
    """

    pipeline: str
    bundle: str
    deadline_s: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Station:
    """One pipeline: a model and how its answers are read.

    Attributes:
        model: Ready to answer, or None where its bundle was refused.
        refusal: Why there is no model; "" where there is one.
        policy: Of the bundle's manifest, or None where the bundle could not be read.
        subject: What the model looks for; the code of a finding that says it could not look.
        deadline_s: Longest time one volume may take.
    """

    model: Model | None
    refusal: str
    policy: Policy | None
    subject: Code
    deadline_s: float


@contextmanager
def stations(
    wanted: Sequence[Wanted],
    *,
    roots: Sequence[Path],
    threads: int,
    provider: Literal["auto", "cpu", "cuda"],
    state_folder: Path,
    clock: Clock,
) -> Iterator[Mapping[str, Station]]:
    """Make every model ready for as long as the `with` lasts.

    Args:
        wanted: The pipelines.
        roots: Folders that hold bundles, searched in this order.
        threads: For one network on the CPU; 0: as many as there are cores.
        provider: `auto` lets the admission measure what is there.
        state_folder: Where the admission remembers what it measured.
        clock: Time.

    Yields:
        A station for each pipeline, by its name; one whose bundle was refused has a reason and no model.
    """
    engine = Engine(
        sorted({one.bundle for one in wanted}),
        roots=roots,
        threads=threads or len(os.sched_getaffinity(0)),
        providers=("cpu", "cuda") if provider == "auto" else (provider,),
        state_dir=state_folder,
        clock=clock,
    )
    with engine:
        yield {one.pipeline: _station(engine, one) for one in wanted}


def _station(engine: Engine, one: Wanted) -> Station:
    model: Model | None = None
    policy: Policy | None = None
    refusal = ""
    try:
        manifest = engine.bundle(one.bundle).manifest
        policy = manifest.policy if isinstance(manifest, VolumeSegmentation) else None
        model = engine.model(one.bundle)
    except BundleRejectedError as error:
        refusal = str(error)
    return Station(
        model=model,
        refusal=refusal,
        policy=policy,
        subject=policy.looked_for.code() if policy else A_SERIES,
        deadline_s=one.deadline_s,
    )
