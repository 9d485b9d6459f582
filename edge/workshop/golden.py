"""The golden check of a bundle: inputs, what fp32 answers to them, and how near others must come."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.bundles.edits import MARK
from edge.bundles.graph import read_network
from edge.bundles.manifest import Manifest, parse
from edge.bundles.picture_regression import PictureRegression
from edge.bundles.pictures import PictureBundle, PictureInput
from edge.bundles.seal import seal
from edge.bundles.shapes import check_fits
from edge.bundles.spectra_regression import SpectraRegression
from edge.bundles.store import Bundle, load
from edge.bundles.verify import MANIFEST
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.domain.errors import BundleRejectedError, InferenceError, StorageFullError
from edge.domain.ports import Clock
from edge.inference.deadline import Deadline
from edge.inference.making import exams_of
from edge.inference.session import wiring
from edge.inference.tasks import task_of
from edge.kit.files import write_durably
from edge.workshop import drawn, questions
from edge.workshop.bench import RUN_S, opened
from edge.workshop.carried import FILE as CALIBRATION
from edge.workshop.manifest_edit import replaced, value_at, without
from edge.workshop.questions import Item, Room, Sample
from edge.workshop.telling import telling
from edge.workshop.text_parts import flow

KEPT: Final = {"volume-segmentation": 2, "spectra-regression": 64}
PICTURES_KEPT: Final = 8
DRAWN: Final = {"volume-segmentation": 6, "spectra-regression": 512}
PICTURES_DRAWN: Final = 32
SIDE_PX, SIDE_VOXELS = 320, 64
DRAWN_SIDE_PX: Final = 128
ERROR_SHARE: Final = 0.05  # of the span of golden estimates: how far another precision may be off
ANY_ERROR: Final = "1.0e+30"


@dataclass(frozen=True, slots=True)
class GoldenMade:
    """What was written.

    Attributes:
        inputs: How many there are.
        shape: Of each.
        source: What they were made of, in words.
        digest: Of the bundle.
        misfit: Why the samples of an earlier search were taken out of it, or "".
    """

    inputs: int
    shape: tuple[int, ...]
    source: str
    digest: str
    misfit: str = ""


def make_golden(folder: Path, samples: Sequence[Sample], *, clock: Clock) -> GoldenMade:
    """Write golden.npz and its bounds, and seal the bundle.

    Args:
        folder: The bundle; its manifest is filled in.
        samples: Of the kind of the task, or none: then inputs are drawn, smooth noise and blobs.
        clock: Times the runs.

    Raises:
        BundleRejectedError: The manifest is not in order, the network does not do what it says, or the
            answers prove nothing.
        StorageFullError: The bundle cannot be written.
    """
    origin = str(folder / MANIFEST)
    text = _read(folder / MANIFEST)
    manifest, has_errors = _parsed(text, origin)
    source = f"{len(samples)} samples" if samples else "drawn inputs: smooth noise and blobs"
    room = Room(side_px=SIDE_PX, side_voxels=SIDE_VOXELS)
    given = questions.items(manifest, samples or _drawn(manifest), room)
    if not given:
        raise BundleRejectedError(
            f"{folder}: there is nothing among the samples that {manifest.task} could be given"
        )
    given, answers = _telling(folder, manifest, given, clock)
    reason = questions.nothing_proven(manifest, answers)
    if reason:
        raise BundleRejectedError(
            f"{folder}: {reason}, which proves nothing; made of {source}, give others with --from"
        )
    if not has_errors:
        text = replaced(text, ("golden", "errors_max"), flow(_errors_max(manifest, answers)))
    file = io.BytesIO()
    np.savez_compressed(file, **dict(questions.arrays(manifest, given, answers)))  # type: ignore[arg-type]  # its stub takes the names for its own options
    try:
        write_durably(folder / manifest.golden.file, file.getvalue())
        write_durably(folder / MANIFEST, text.encode())
    except OSError as error:
        raise StorageFullError(f"{folder}: {error.strerror}") from error
    digest = seal(folder / MANIFEST)
    bundle = load(folder)
    task_of(bundle, clock)  # as the engine reads it
    misfit = _misfit(bundle, clock)
    if misfit:
        digest = _without_samples(folder)
    return GoldenMade(len(given), given[0].shape, source, digest, misfit)


def _misfit(bundle: Bundle, clock: Clock) -> str:
    """Return why samples that a search has put into the bundle are none for it any more, or "".

    Raises:
        BundleRejectedError: They are not ours to take away.
    """
    own = bundle.manifest.calibration
    try:
        exams_of(bundle, clock)
    except BundleRejectedError as misfit:
        if own is None or own.file != CALIBRATION:
            raise
        return str(misfit)
    return ""


def _without_samples(folder: Path) -> str:
    """Take the samples of a search out of a bundle; return its digest."""
    try:
        write_durably(folder / MANIFEST, without(_read(folder / MANIFEST), "calibration").encode())
        (folder / CALIBRATION).unlink()
    except OSError as error:
        raise StorageFullError(f"{folder}: {error.strerror}") from error
    digest = seal(folder / MANIFEST)
    load(folder)
    return digest


def finished(folder: Path) -> Manifest:
    """Read the manifest of a bundle that has no golden check yet.

    Raises:
        BundleRejectedError: It cannot be read, or something is still to be filled in.
    """
    return _parsed(_read(folder / MANIFEST), str(folder / MANIFEST))[0]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BundleRejectedError(f"{path}: cannot be read: {error}") from error


def _parsed(text: str, origin: str) -> tuple[Manifest, bool]:
    """Read a manifest; bounds of quantities may still be open, they follow from the answers.

    Returns:
        The manifest, and whether its bounds were given.
    """
    bounds = value_at(text, ("golden", "errors_max"))
    is_open = MARK in str(bounds)
    if is_open:
        quantities = value_at(text, ("output", "quantities"))
        each = quantities if isinstance(quantities, list) else []
        names = {str(one.get("name")): ANY_ERROR for one in each if isinstance(one, dict)}
        text = replaced(text, ("golden", "errors_max"), flow(names))
    return parse(text, origin=origin), not is_open


def _telling(
    folder: Path, manifest: Manifest, given: list[Item], clock: Clock
) -> tuple[list[Item], list[NDArray[Any]]]:
    """Ask the fp32 network on the CPU, and keep the inputs that tell most.

    Raises:
        BundleRejectedError: There is no fp32 network, or its answers are not what the manifest says.
    """
    variant = next((one for one in manifest.variants if one.precision == "fp32"), None)
    if variant is None:
        raise BundleRejectedError(f"{folder}: has no variant in fp32, which answers for all others")
    name = f"{manifest.name}/{variant.file}"
    try:
        network = (folder / variant.file).read_bytes()
    except OSError as error:
        raise BundleRejectedError(f"{folder / variant.file}: {error.strerror}") from error
    check_fits(read_network(network, origin=name), manifest, origin=name)
    session = opened(network, "onnxruntime", wiring=wiring(manifest), name=name)
    try:
        answers = questions.exam(manifest, given, clock).answers(session, Deadline(clock, RUN_S))
    except InferenceError as error:
        raise BundleRejectedError(str(error)) from error
    finally:
        session.close()
    return telling(manifest, given, answers, most=KEPT.get(manifest.task, PICTURES_KEPT))


def _errors_max(manifest: Manifest, answers: Sequence[NDArray[Any]]) -> dict[str, str]:
    """Bound each quantity by a share of the span of its golden answers."""
    assert isinstance(manifest, SpectraRegression | PictureRegression), "only quantities have such bounds"
    rows = answers[0] if isinstance(manifest, SpectraRegression) else np.stack(answers)
    spans = np.nanmax(rows, axis=0) - np.nanmin(rows, axis=0)
    names = [one.name for one in manifest.output.quantities]
    return {name: f"{ERROR_SHARE * float(span):.3g}" for name, span in zip(names, spans, strict=True)}


def _small(given: PictureInput) -> tuple[int, int]:
    """Return a size for drawn pictures where every one will do."""
    multiple = given.multiple_of_px
    return (max(multiple, DRAWN_SIDE_PX // multiple * multiple),) * 2


def _drawn(manifest: Manifest) -> list[Sample]:
    match manifest:
        case SpectraRegression():
            return [drawn.spectra(manifest, DRAWN[manifest.task])]
        case VolumeSegmentation():
            longest = max(manifest.input.tile)
            side = longest if manifest.input.shape_voxels else min(longest, SIDE_VOXELS)
            return list(drawn.volumes(manifest, DRAWN[manifest.task], shape=(side,) * 3))
        case PictureBundle():
            height, width = manifest.input.shape_px or _small(manifest.input)
            return list(drawn.pictures(PICTURES_DRAWN, height_px=height, width_px=width))
