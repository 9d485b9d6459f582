"""The table of steps: a name in a manifest, a pure function here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from edge.bundles.volume_steps import Step
from edge.domain.image import Volume
from edge.preprocess.crop import crop_foreground
from edge.preprocess.intensity import percentile, scale_percentiles, scale_range, window, zscore
from edge.preprocess.n4 import n4
from edge.preprocess.orient import orient
from edge.preprocess.resample import fit, resample

STEPS: Final[Mapping[str, Callable[..., Volume]]] = {
    "window": window,
    "resample": resample,
    "orient": orient,
    "fit": fit,
    "scale_range": scale_range,
    "scale_percentiles": scale_percentiles,
    "zscore": zscore,
    "percentile": percentile,
    "n4": n4,
}
TOGETHER: Final[Mapping[str, Callable[..., tuple[Volume, ...]]]] = {"crop_foreground": crop_foreground}
"""Steps that look at all channels at once."""


def prepare(volume: Volume, steps: Sequence[Step]) -> Volume:
    """Do the steps of a manifest with one channel; see `prepare_channels`.

    Raises:
        PictureRejectedError: A step cannot honestly work on this volume.
    """
    (prepared,) = prepare_channels([volume], steps, roles=[""])
    return prepared


def prepare_channels(
    channels: Sequence[Volume], steps: Sequence[Step], *, roles: Sequence[str]
) -> tuple[Volume, ...]:
    """Do the steps of a manifest, in order, each for the modalities and roles it is meant for.

    Args:
        channels: On one grid.
        steps: Of the manifest.
        roles: Of the channels.

    Returns:
        The channels, on one grid again.

    Raises:
        PictureRejectedError: A step cannot honestly work on these volumes.
    """
    made = tuple(channels)
    for step in steps:
        meant = [
            step.when is None or step.when.holds(modality=one.modality, role=role)
            for one, role in zip(made, roles, strict=True)
        ]
        parameters = step.model_dump(exclude={"step", "when"})
        if step.step in TOGETHER:
            made = TOGETHER[step.step](made, **parameters) if all(meant) else made
        else:
            made = tuple(
                STEPS[step.step](one, **parameters) if is_meant else one
                for one, is_meant in zip(made, meant, strict=True)
            )
    return made
