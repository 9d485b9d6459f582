"""Pipelines whose model wants several series of a study at once, which the daemon cannot give it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path as File

from edge.bundles.manifest import parse
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


def _roles_of(bundle: str, roots: Sequence[File]) -> tuple[str, ...]:
    """Return the roles that a bundle's model takes; () where it cannot be read, which others say."""
    folders = [folder_of(root / bundle) for root in roots]
    folder = next((one for one in folders if (one / MANIFEST).is_file()), None)
    if folder is None:
        return ()
    try:
        text = read_bounded(folder, MANIFEST, bytes_max=MANIFEST_BYTES_MAX).decode()
        manifest = parse(text, origin=str(folder))
    except (BundleRejectedError, OSError, UnicodeDecodeError):
        return ()
    return manifest.input.roles if isinstance(manifest, VolumeSegmentation) else ()
