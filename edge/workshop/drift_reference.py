"""The reference for drift: what the numbers of a bundle are like on samples of what it was made for."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.bundles.manifest import Manifest
from edge.bundles.parts import Drift
from edge.bundles.pictures import PictureBundle
from edge.bundles.seal import seal
from edge.bundles.spectra_regression import SpectraRegression
from edge.bundles.store import Bundle, load
from edge.bundles.verify import MANIFEST
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.domain.answer import Embedding
from edge.domain.errors import BundleRejectedError, InferenceError, PictureRejectedError, StorageFullError
from edge.domain.finding import ModelStamp
from edge.domain.ports import Clock
from edge.inference.drift_measures import Array, shrunk_covariance
from edge.inference.drift_reference import SPARE, embedding_numbers, read_reference
from edge.inference.drift_statistics import resolutions
from edge.inference.pictures import PictureReader
from edge.inference.session import Session, wiring
from edge.inference.spectra import SpectraEstimator
from edge.inference.volumes import VolumeSegmenter
from edge.kit.files import write_durably
from edge.workshop.bench import RUN_S, opened
from edge.workshop.manifest_edit import replaced, value_at
from edge.workshop.questions import Sample

FILE: Final = "drift.npz"
SAMPLES_MIN: Final = 30
BINS, BINS_OF_FEW = 10, 5
MANY: Final = 100  # samples and answers that ten bins want
DIRECTIONS_MAX: Final = 8
SAMPLES_A_DIRECTION: Final = 20
WINDOW_USUAL: Final = {"volume-segmentation": 50, "spectra-regression": 50}
WINDOW_OF_PICTURES: Final = 200
EVERY_S_OF_PICTURES: Final = 30.0  # 200 such answers are 100 minutes at least: more than one scene

Numbers = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ReferenceMade:
    """What was written.

    Attributes:
        samples: From how many.
        statistics: Names of the numbers.
        left_out: Names that not every sample had.
        refused: A line for each sample the model did not look at.
        part: What the manifest says now.
        digest: Of the bundle.
    """

    samples: int
    statistics: tuple[str, ...]
    left_out: tuple[str, ...]
    refused: tuple[str, ...]
    part: Drift
    digest: str


@dataclass(frozen=True, slots=True)
class Wishes:
    """What somebody wants otherwise than usual; None: as the manifest says already, else the usual.

    Attributes:
        window: Answers judged together.
        every_s: Of each source one answer in so many seconds counts.
    """

    window: int | None = None
    every_s: float | None = None


def make_reference(
    folder: Path,
    samples: Iterable[Sample],
    *,
    wishes: Wishes = Wishes(),  # frozen
    clock: Clock,
    told: Callable[[int], None] = lambda _done: None,
) -> ReferenceMade:
    """Run a bundle over samples as the product does, write drift.npz, and seal the bundle.

    Args:
        folder: The bundle; its files are in order.
        samples: Of what it was made for, from as many patients and scanners as can be had; read one by one.
        wishes: What is wanted otherwise than usual.
        clock: Times the runs.
        told: Is told how many are done.

    Raises:
        BundleRejectedError: The bundle is not in order, or there are too few samples.
        StorageFullError: The bundle cannot be written.
    """
    bundle = load(folder)
    rows, vectors, refused = _asked(bundle, samples, clock, told)
    if len(rows) < SAMPLES_MIN:
        because = f"; {refused[0]}" if refused else ""
        raise BundleRejectedError(
            f"{folder}: {len(rows)} samples could be used, wanted at least {SAMPLES_MIN}{because}"
        )
    centre, directions = _directions(vectors)
    if vectors:
        rows = [
            dict(row) | embedding_numbers(vector, centre=centre, directions=directions)
            for row, vector in zip(rows, vectors, strict=True)
        ]
    names = tuple(name for name in rows[0] if all(name in row for row in rows))
    if len(rows) < len(names) + SPARE:
        raise BundleRejectedError(
            f"{folder}: {len(rows)} samples for {len(names)} numbers, wanted {len(names) + SPARE} at least"
        )
    part = _part(bundle.manifest, names, wishes)
    arrays = reference_arrays(rows, names, window=part.window) | {"centre": centre, "directions": directions}
    digest = _write(folder, part, arrays)
    left_out = tuple(sorted({name for row in rows for name in row} - set(names)))
    return ReferenceMade(len(rows), names, left_out, tuple(refused), part, digest)


def reference_arrays(
    rows: Sequence[Numbers], names: Sequence[str], *, window: int
) -> dict[str, NDArray[Any]]:
    """Sum up what samples were like.

    Args:
        rows: Of each sample its numbers.
        names: Which of them, in this order.
        window: Answers that will be judged together.

    Returns:
        `edges`, `shares`, `mean`, `covariance`, `samples`, and an empty `centre` and `directions`.
    """
    values = np.array([[row[name] for name in names] for row in rows], np.float64)
    resolution = resolutions(rows, names)
    bins = BINS if min(len(rows), window) >= MANY else BINS_OF_FEW
    found = [
        edges_of(column, resolution=one, bins=bins) for column, one in zip(values.T, resolution, strict=True)
    ]
    width = max(map(len, found))
    edges = np.full((len(names), width), np.inf)
    for row, one in zip(edges, found, strict=True):
        row[: len(one)] = one
    places = (values[:, :, None] >= edges).sum(axis=2)
    shares = np.stack([np.bincount(column, minlength=width + 1) for column in places.T]) / len(rows)
    return {
        "edges": edges,
        "shares": shares,
        "mean": values.mean(axis=0),
        "covariance": shrunk_covariance(values, resolution=resolution),
        "samples": np.array(len(rows)),
        "centre": np.zeros(0),
        "directions": np.zeros((0, 0)),
    }


def edges_of(values: Array, *, resolution: float, bins: int) -> Array:
    """Return edges between bins that hold about as many samples each, rising.

    What has few different values gets an edge between each two, and one beyond either end.

    Args:
        values: (samples,).
        resolution: Edges are never nearer to each other.
        bins: So many at most, for what has many different values.
    """
    different = np.unique(values)
    if len(different) <= bins or values.std() < resolution:
        middles = (different[1:] + different[:-1]) / 2
        wanted = np.array([different[0] - resolution, *middles, different[-1] + resolution])
        if values.std() < resolution:
            wanted = wanted[[0, -1]]
    else:
        wanted = np.quantile(values, np.arange(1, bins) / bins)
    kept = [float(wanted[0])]
    for edge in wanted[1:]:
        if edge - kept[-1] >= resolution:
            kept.append(float(edge))
    return np.array(kept)


def _asked(
    bundle: Bundle, samples: Iterable[Sample], clock: Clock, told: Callable[[int], None]
) -> tuple[list[Numbers], list[NDArray[np.float32]], list[str]]:
    """Ask the fp32 network, as the engine would; return numbers, embeddings, and why some were refused."""
    ask = _asking(bundle, clock)
    rows: list[Numbers] = []
    vectors: list[NDArray[np.float32]] = []
    refused: list[str] = []
    try:
        for done, sample in enumerate(samples, start=1):
            try:
                numbers, vector = ask.answer(sample)
            except (PictureRejectedError, InferenceError) as trouble:
                refused.append(str(trouble))
            else:
                rows.append(numbers)
                vectors += [] if vector is None else [vector]
            told(done)
    finally:
        ask.model.close()
    return rows, vectors, refused


@dataclass(frozen=True, slots=True)
class _Asking:
    manifest: Manifest
    model: PictureReader | VolumeSegmenter | SpectraEstimator

    def answer(self, sample: Sample) -> tuple[Numbers, NDArray[np.float32] | None]:
        vector = None
        match self.model:
            case VolumeSegmenter() as volumes:
                assert isinstance(sample, Sequence), "samples are of the bundle's task"
                roles = self.manifest.input.roles if isinstance(self.manifest, VolumeSegmentation) else ()
                others = dict(zip(roles[1:], sample[1:], strict=True))
                numbers = volumes.infer(sample[0], deadline_s=RUN_S, others=others).statistics
            case SpectraEstimator() as spectra:
                assert isinstance(sample, np.ndarray), "samples are of the bundle's task"
                numbers = spectra.estimate(sample, deadline_s=RUN_S).statistics
            case PictureReader() as pictures:
                assert not isinstance(sample, np.ndarray | Sequence), "samples are of the bundle's task"
                answer = pictures.look(sample, deadline_s=RUN_S)
                numbers, vector = answer.statistics, answer.vector if isinstance(answer, Embedding) else None
        if not numbers or not all(np.isfinite(list(numbers.values()))):
            raise InferenceError("a sample of which not all numbers can be had")
        return numbers, vector


def _asking(bundle: Bundle, clock: Clock) -> _Asking:
    """Open the fp32 network.

    Raises:
        BundleRejectedError: There is none, or it cannot be opened.
    """
    variant = next((one for one in bundle.manifest.variants if one.precision == "fp32"), None)
    if variant is None:
        raise BundleRejectedError(f"{bundle.path}: has no variant in fp32, which answers for all others")
    named = f"{bundle.manifest.name}/{variant.file}"
    session: Session = opened(
        bundle.network(variant), "onnxruntime", wiring=wiring(bundle.manifest), name=named
    )
    watched = Drift(file=FILE, sha256="0" * 64, statistics=("all",), window=20)
    manifest = bundle.manifest.model_copy(update={"drift": watched})
    stamp = ModelStamp(
        model_id=manifest.name,
        version=manifest.version,
        sha256=bundle.digest,
        precision="fp32",
        runtime="onnxruntime",
        provider="cpu",
    )
    match manifest:
        case PictureBundle():
            return _Asking(manifest, PictureReader(manifest, sessions=[session], stamp=stamp, clock=clock))
        case VolumeSegmentation():
            return _Asking(manifest, VolumeSegmenter(manifest, session=session, stamp=stamp, clock=clock))
        case SpectraRegression():
            return _Asking(manifest, SpectraEstimator(manifest, sessions=[session], stamp=stamp, clock=clock))


def _directions(vectors: Sequence[NDArray[np.float32]]) -> tuple[Array, Array]:
    """Return the middle of embeddings, and the directions in which they differ most."""
    if not vectors:
        return np.zeros(0), np.zeros((0, 0))
    stacked = np.stack(vectors).astype(np.float64)
    centre = stacked.mean(axis=0)
    count = max(1, min(DIRECTIONS_MAX, len(stacked) // SAMPLES_A_DIRECTION, stacked.shape[1]))
    _, _, components = np.linalg.svd(stacked - centre, full_matrices=False)
    return centre, np.ascontiguousarray(components[:count].T)


def _part(manifest: Manifest, names: tuple[str, ...], wishes: Wishes) -> Drift:
    is_picture = isinstance(manifest, PictureBundle)
    usual: dict[str, Any] = {
        "window": WINDOW_USUAL.get(manifest.task, WINDOW_OF_PICTURES),
        "every_s": EVERY_S_OF_PICTURES if is_picture else 0.0,
    }
    before = manifest.drift.model_dump(exclude={"file", "sha256", "statistics"}) if manifest.drift else {}
    asked = {"window": wishes.window, "every_s": wishes.every_s}
    wanted = {name: value for name, value in asked.items() if value is not None}
    return Drift(file=FILE, sha256="0" * 64, statistics=names, **(usual | before | wanted))


def _write(folder: Path, part: Drift, arrays: Mapping[str, NDArray[Any]]) -> str:
    """Write the file and what the manifest says of it; return the bundle's digest."""
    said = part.model_dump(exclude={"sha256"})
    written = "{" + ",\n  ".join(f"{name}: {json.dumps(value)}" for name, value in said.items()) + "}"
    file = io.BytesIO()
    np.savez_compressed(file, **dict(arrays))  # type: ignore[arg-type]  # its stub takes the names for its own options
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
        if value_at(text, ("drift",)) is None:
            text = f"{text.rstrip()}\n\ndrift: {written}\n"
        else:
            text = replaced(text, ("drift",), written)
        write_durably(folder / part.file, file.getvalue())
        write_durably(folder / MANIFEST, text.encode())
    except OSError as error:
        raise StorageFullError(f"{folder}: {error.strerror}") from error
    digest = seal(folder / MANIFEST)
    read_reference(load(folder))  # as the engine reads it
    return digest
