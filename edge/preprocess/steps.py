"""The table of steps: a name in a manifest, a pure function here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from edge.bundles.volume_segmentation import Step
from edge.domain.image import Volume
from edge.preprocess.intensity import percentile, window, zscore
from edge.preprocess.n4 import n4
from edge.preprocess.orient import orient
from edge.preprocess.resample import resample

STEPS: Final[Mapping[str, Callable[..., Volume]]] = {
    "window": window,
    "resample": resample,
    "orient": orient,
    "zscore": zscore,
    "percentile": percentile,
    "n4": n4,
}


def prepare(volume: Volume, steps: Sequence[Step]) -> Volume:
    """Do the steps of a manifest, in order, those that are meant for the volume's modality.

    Raises:
        PictureRejectedError: A step cannot honestly work on this volume.
    """
    for step in steps:
        if step.when is None or volume.modality in step.when.modality:
            volume = STEPS[step.step](volume, **step.model_dump(exclude={"step", "when"}))
    return volume
