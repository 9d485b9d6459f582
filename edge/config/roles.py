"""Pipelines for series whose model cannot look at what they are given: several series at once, or slices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path as File

from edge.bundles.manifest import Manifest, parse
from edge.bundles.pictures import PictureBundle
from edge.bundles.store import folder_of
from edge.bundles.verify import MANIFEST, MANIFEST_BYTES_MAX, read_bounded
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.config.document import Document, Path, Problem
from edge.config.pipelines import ImagingPipeline
from edge.config.schema import Config
from edge.domain.errors import BundleRejectedError


def several_roles(config: Config, document: Document) -> Iterator[Problem]:
    """Find pipelines whose model wants several series: the daemon never guesses which of a study is which."""
    for place, pipeline in enumerate(config.pipelines):
        if not isinstance(pipeline, ImagingPipeline):
            continue
        roles = _roles_of(pipeline.bundle, config.bundles.roots)
        if len(roles) > 1:
            path: Path = ("pipelines", place, "bundle")
            what = (
                f"is '{pipeline.bundle}', whose model wants several series, {', '.join(roles)}, and nobody "
                "tells the daemon which of a study is which; wanted a bundle for one series "
                f"(edge analyze --series {roles[0]}=DIR … --bundle {pipeline.bundle} looks at them together)"
            )
            yield Problem(path, what, document.line_of(path))


def unfit_modalities(config: Config, document: Document) -> Iterator[Problem]:
    """Find pipelines that select what their bundle's task does not look at, or by what pictures have not."""
    for place, pipeline in enumerate(config.pipelines):
        if not isinstance(pipeline, ImagingPipeline):
            continue
        manifest = _manifest_of(pipeline.bundle, config.bundles.places(config.state.folder))
        if not isinstance(manifest, PictureBundle):
            continue
        for number, modality in enumerate(pipeline.select.modalities):
            if modality not in manifest.input.pictured:
                path: Path = ("pipelines", place, "select", "modalities", number)
                what = (
                    f"is {modality}, which '{pipeline.bundle}', a bundle of {manifest.task}, does not look at"
                    f"; wanted one of {', '.join(sorted(manifest.input.pictured))} "
                    "(its manifest may name others in input.modalities)"
                )
                yield Problem(path, what, document.line_of(path))
        for key in sorted({"slices_min", "spacing_max_mm"} & pipeline.select.model_fields_set):
            path = ("pipelines", place, "select", key)
            what = (
                f"is for volumes, and '{pipeline.bundle}' is a bundle of {manifest.task}; wanted without it"
            )
            yield Problem(path, what, document.line_of(path))


def _roles_of(bundle: str, roots: Sequence[File]) -> tuple[str, ...]:
    """Return the roles that a bundle's model takes; () where it cannot be read, which others say."""
    manifest = _manifest_of(bundle, roots)
    return manifest.input.roles if isinstance(manifest, VolumeSegmentation) else ()


def _manifest_of(bundle: str, roots: Sequence[File]) -> Manifest | None:
    """Return what a bundle says of itself; None where it cannot be read, which others say."""
    folders = [folder_of(root / bundle) for root in roots]
    folder = next((one for one in folders if (one / MANIFEST).is_file()), None)
    if folder is None:
        return None
    try:
        text = read_bounded(folder, MANIFEST, bytes_max=MANIFEST_BYTES_MAX).decode()
        return parse(text, origin=str(folder))
    except (BundleRejectedError, OSError, UnicodeDecodeError):
        return None
