"""Who is shown every answer, to say whether the pictures are still like those a model was made for."""

from __future__ import annotations

from collections.abc import Callable

from edge.domain.answer import PictureAnswer
from edge.domain.finding import ModelStamp
from edge.domain.image import Segmentation
from edge.domain.study import Instance

Watch = Callable[[ModelStamp, str, PictureAnswer | Segmentation], tuple[str, ...]]
"""Given who answered, what the pictures come from, and the answer; returns notes for the findings."""


def nobody_watches(_stamp: ModelStamp, _where: str, _answer: PictureAnswer | Segmentation) -> tuple[str, ...]:
    """Have nothing to say."""
    return ()


def scanner_of(instance: Instance) -> str:
    """Name what a file comes from: at a DICOM door each caller is one, elsewhere the source is."""
    is_called = instance.format == "dicom" and instance.calling_ae not in ("", instance.source)
    return f"{instance.source} {instance.calling_ae}" if is_called else instance.source
