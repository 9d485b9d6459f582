"""Pipelines for series whose bundle does not fit what they are given: several series at once, or slices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path as File

from edge.bundles.manifest import Manifest, parse
from edge.bundles.pictures import PictureBundle
from edge.bundles.store import folder_of
from edge.bundles.verify import MANIFEST, MANIFEST_BYTES_MAX, read_bounded
from edge.bundles.volume_input import Channel
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.config.document import Document, Path, Problem
from edge.config.pipelines import ImagingPipeline
from edge.config.schema import Config
from edge.domain.errors import BundleRejectedError


def several_roles(config: Config, document: Document) -> Iterator[Problem]:
    """Find pipelines whose roles are not their bundle's: nobody guesses which series of a study is which."""
    places = config.bundles.places(config.state.folder)
    for place, pipeline in enumerate(config.pipelines):
        if not isinstance(pipeline, ImagingPipeline):
            continue
        manifest = _manifest_of(pipeline.bundle, places)
        if manifest is None:
            continue
        given = manifest.input if isinstance(manifest, VolumeSegmentation) else None
        for key, what in _unlike(pipeline, given.channels if given and len(given.channels) > 1 else ()):
            path: Path = ("pipelines", place, key)
            yield Problem(path, what, document.line_of(path))


def _unlike(pipeline: ImagingPipeline, channels: Sequence[Channel]) -> Iterator[tuple[str, str]]:
    """Say where the roles of a pipeline are not those of its bundle, each with the option that says so."""
    wanted, given = [one.role for one in channels], [one.role for one in pipeline.roles]
    if wanted and not given:
        yield (
            "bundle",
            f"is '{pipeline.bundle}', whose model looks at several series together, {', '.join(wanted)}, and "
            "nobody says which of a study is which; wanted roles, with a rule for each "
            f"(edge analyze --series {wanted[0]}=DIR … --bundle {pipeline.bundle} looks without)",
        )
    elif given and not wanted:
        yield "roles", f"are {', '.join(given)}, and '{pipeline.bundle}' takes one series; wanted none"
    elif set(given) != set(wanted):
        named = f"are {', '.join(given)}, and '{pipeline.bundle}' takes {', '.join(wanted)}"
        yield "roles", f"{named}; wanted exactly these"
    else:
        yield from _unfit_roles(pipeline, channels)


def _unfit_roles(pipeline: ImagingPipeline, channels: Sequence[Channel]) -> Iterator[tuple[str, str]]:
    accepted = {one.role: {kind.modality for kind in one.accepts} for one in channels}
    for role in pipeline.roles:
        wanted = role.modalities or pipeline.select.modalities
        if not accepted[role.role] & set(wanted):
            takes = " or ".join(sorted(accepted[role.role]))
            yield (
                "roles",
                f"let {role.role} be {' or '.join(wanted)}, and '{pipeline.bundle}' takes {takes} for it",
            )


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
