"""From a manifest to how its task runs: which lane, which golden check, which model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

from edge.bundles.pictures import PictureBundle
from edge.bundles.spectra_regression import SpectraRegression
from edge.bundles.store import Bundle
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.domain.finding import ModelStamp
from edge.domain.ports import Clock
from edge.inference.drift_reference import Reference, read_reference
from edge.inference.golden import Exam
from edge.inference.lanes import Lane
from edge.inference.picture_exams import read_picture_exam
from edge.inference.pictures import PictureReader
from edge.inference.session import Session
from edge.inference.spectra import SpectraEstimator, read_spectra_exam
from edge.inference.volumes import VolumeSegmenter, read_volume_exam

AnyVolumeModel = VolumeSegmenter
AnyPictureModel = PictureReader
AnySpectraModel = SpectraEstimator
AnyModel = AnyVolumeModel | AnyPictureModel | AnySpectraModel


@dataclass(frozen=True, slots=True)
class Task:
    """How one bundle runs.

    Attributes:
        lane: `imaging`: one session, its threads give way. `live`: a session for each caller.
        exam: Its golden check.
        build: Makes the model out of warm sessions, which are the model's from then on, and its stamp.
        reference: For drift; None where the bundle has none.
    """

    lane: Lane
    exam: Exam
    build: Callable[[Sequence[Session], ModelStamp], AnyModel]
    reference: Reference | None


def task_of(bundle: Bundle, clock: Clock) -> Task:
    """Return how a bundle runs; a new task is a branch here, one in `wiring`, and its own module.

    Args:
        bundle: Whose files are in order.
        clock: Measures, and times deadlines.

    Raises:
        BundleRejectedError: Its golden input or its reference is not what the format says, or proves nothing.
    """
    reference = read_reference(bundle)
    match bundle.manifest:
        case VolumeSegmentation() as volumes:
            return Task(
                "imaging",
                read_volume_exam(bundle, volumes),
                lambda sessions, stamp: VolumeSegmenter(
                    volumes, session=sessions[0], stamp=stamp, clock=clock
                ),
                reference,
            )
        case PictureBundle() as pictures:
            return Task(
                "live",
                read_picture_exam(bundle, pictures),
                lambda sessions, stamp: PictureReader(pictures, sessions=sessions, stamp=stamp, clock=clock),
                reference,
            )
        case SpectraRegression() as spectra:
            return Task(
                "live",
                read_spectra_exam(bundle, spectra, clock),
                lambda sessions, stamp: SpectraEstimator(
                    spectra, sessions=sessions, stamp=stamp, clock=clock
                ),
                reference,
            )
        case _:
            assert_never(bundle.manifest)
