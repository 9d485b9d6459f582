"""What a tree of single options cannot say: how they have to fit together, and to this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path as File

from edge.bundles.signature import Trust
from edge.bundles.store import folder_of, is_there, names
from edge.bundles.verify import MANIFEST, MANIFEST_BYTES_MAX, read_bounded
from edge.config.cameras import CameraSource, VideoPipeline
from edge.config.document import Document, Path, Problem, Value
from edge.config.overlay import local_of
from edge.config.partial import is_option
from edge.config.pipelines import LivePipeline, MeasuringPipeline, PipelineWithBundle
from edge.config.problems import guess
from edge.config.roles import several_roles, unfit_modalities
from edge.config.schema import Config
from edge.config.secrets import resolve, secrets_of
from edge.config.sources import DicomSource
from edge.domain.errors import BundleRejectedError, SecretError
from edge.kit.trees import steps_of

_DICOM_PORT = 11112
LOOKS_AT = {
    "video": "camera",
    "thermal": "thermal",
    "hyperspectral": "hyperspectral",
    "pixel-spectra": "hyperspectral",
    "spectrum": "spectrum",
}


def across(document: Document) -> list[Problem]:
    """Find names and ports that are given twice; works on a document that has other faults too."""
    return [
        *_doubled(document, "sources", "name"),
        *_doubled(document, "pipelines", "name"),
        *_doubled_ports(document),
        *_unknown_sources(document),
        *_locks_of_nothing(document),
    ]


def on_this_machine(config: Config, document: Document) -> list[Problem]:
    """Find what a sound configuration asks for and this machine does not have."""
    return [
        *_unknown_bundles(config, document),
        *several_roles(config, document),
        *unfit_modalities(config, document),
        *_absent_files(config, document),
        *_free_space(config, document),
        *_unwatched_sources(config, document),
    ]


def _entries(document: Document, section: str) -> Iterator[tuple[int, dict[str, Value]]]:
    tree = document.value
    entries = tree.get(section) if isinstance(tree, dict) else None
    for place, entry in enumerate(entries if isinstance(entries, list) else []):
        if isinstance(entry, dict):
            yield place, entry


def _doubled(document: Document, section: str, key: str) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for place, entry in _entries(document, section):
        seen = entry.get(key)
        if not isinstance(seen, str):
            continue
        if seen in first:
            path: Path = (section, place, key)
            what = f"is '{seen}', which {section}[{first[seen]}] has too; wanted each {key} once"
            yield Problem(path, what, document.line_of(path))
        first.setdefault(seen, place)


def _doubled_ports(document: Document) -> Iterator[Problem]:
    first: dict[Value, int] = {}
    for place, entry in _entries(document, "sources"):
        if entry.get("kind") != "dicom":
            continue
        port = entry.get("port", _DICOM_PORT)
        if isinstance(port, int) and port in first:
            path: Path = ("sources", place, "port")
            what = f"is {port}, which sources[{first[port]}] listens on too; wanted each port once"
            yield Problem(path, what, document.line_of(path))
        elif isinstance(port, int):
            first[port] = place


def _unknown_sources(document: Document) -> Iterator[Problem]:
    """Find pipelines that name a source which is not there, or is of another kind than they look at."""
    kinds = {entry.get("name"): entry.get("kind") for _, entry in _entries(document, "sources")}
    for place, entry in _entries(document, "pipelines"):
        named, wanted = entry.get("sources"), LOOKS_AT.get(str(entry.get("kind")))
        for number, name in enumerate(named if isinstance(named, list) else []):
            path: Path = ("pipelines", place, "sources", number)
            if not isinstance(name, str) or wanted is None:
                continue
            known = [str(each) for each, kind in kinds.items() if kind == wanted]
            if name not in kinds:
                what = f"is '{name}', which no source is called{guess(name, known)}"
                yield Problem(path, what, document.line_of(path))
            elif kinds[name] != wanted:
                what = f"is '{name}', a source of kind {kinds[name]}; wanted one of kind {wanted}"
                yield Problem(path, what, document.line_of(path))


def _locks_of_nothing(document: Document) -> Iterator[Problem]:
    """Find options that shall be this file's own and that there are not: a slip would leave one open."""
    said = local_of(document.value) if isinstance(document.value, dict) else {}
    for place, text in said.items():
        if not is_option(steps_of(text)):
            path: Path = ("fleet", "local", place)
            what = f"is '{text}', which is no option; wanted one such as pipelines.brain-mr.deadline_s"
            yield Problem(path, what, document.line_of(path))


def _unknown_bundles(config: Config, document: Document) -> Iterator[Problem]:
    roots = [root for root in config.bundles.roots if root.is_dir()]
    for place, root in enumerate(config.bundles.roots):
        if root not in roots:
            yield _absent_folder(("bundles", "roots", place), root, document)
    places = config.bundles.places(config.state.folder)
    known = names(places)
    for place, pipeline in enumerate(config.pipelines):
        if not isinstance(pipeline, PipelineWithBundle):
            continue
        path: Path = ("pipelines", place, "bundle")
        if roots and pipeline.bundle not in known:
            what = f"is '{pipeline.bundle}', which no root holds{guess(pipeline.bundle, known)}"
            yield Problem(path, f"{what}; there are: {', '.join(known) or 'none'}", document.line_of(path))
        if pipeline.bundle in known:
            refusal = _distrust(pipeline.bundle, places, config.bundles.believed())
            if refusal:
                yield Problem(path, f"is not used: {refusal}", document.line_of(path), is_warning=True)


def _distrust(bundle: str, places: Sequence[File], trust: Trust) -> str:
    """Return why the signature of a bundle does not do, or ""; its other files are not looked at."""
    folder = next(folder_of(place / bundle) for place in places if is_there(place / bundle))
    try:
        trust.signer(folder, read_bounded(folder, MANIFEST, bytes_max=MANIFEST_BYTES_MAX))
    except BundleRejectedError as refusal:
        return str(refusal)
    return ""


def _unwatched_sources(config: Config, document: Document) -> Iterator[Problem]:
    """Find sources at which nothing looks, and gates that nobody guards: both are silent for ever."""
    looking = [one for one in config.pipelines if isinstance(one, LivePipeline | MeasuringPipeline)]
    for place, source in enumerate(config.sources):
        if source.kind not in LOOKS_AT.values():
            continue
        path: Path = ("sources", place)
        at_it = [one for one in looking if source.name in one.sources]
        if not at_it:
            what = f"no pipeline looks at '{source.name}': nothing is ever said about it"
            yield Problem(path, what, document.line_of(path), is_warning=True)
        is_gated = isinstance(source, CameraSource) and source.snapshots == "gated"
        if is_gated and not any(isinstance(one, VideoPipeline) and one.gate for one in at_it):
            what = "snapshots is gated, and no pipeline with a gate looks at it: no picture ever leaves"
            yield Problem(path, what, document.line_of(path), is_warning=True)


def _absent_files(config: Config, document: Document) -> Iterator[Problem]:
    for path, reference in secrets_of(config):
        try:
            resolve(reference)
        except SecretError as trouble:
            yield Problem(path, str(trouble), document.line_of(path), is_warning=True)
    tls = config.mqtt.tls
    named = [("ca_file", tls.ca_file), ("certificate_file", tls.certificate_file)] if tls else []
    wanted: list[tuple[Path, File]] = [(("mqtt", "tls", key), file) for key, file in named if file]
    for place, source in enumerate(config.sources):
        if isinstance(source, DicomSource) and source.tls:
            wanted.append((("sources", place, "tls", "certificate_file"), source.tls.certificate_file))
            if source.tls.ca_file:
                wanted.append((("sources", place, "tls", "ca_file"), source.tls.ca_file))
    mirror = config.fleet.mirror_folder if config.fleet else None
    if mirror is not None and not mirror.is_dir():
        yield _absent_folder(("fleet", "mirror"), mirror, document)
    for path, file in wanted:
        if not file.is_file():
            yield Problem(
                path, f"there is no file {file} on this machine", document.line_of(path), is_warning=True
            )


def _absent_folder(path: Path, folder: File, document: Document) -> Problem:
    what = f"there is no folder {folder} on this machine"
    return Problem(path, what, document.line_of(path), is_warning=True)


def _free_space(config: Config, document: Document) -> Iterator[Problem]:
    soft_mb, reserve_mb = config.retention.soft_free_mb, config.state.reserve_mb
    if soft_mb < reserve_mb:
        path: Path = ("retention", "soft_free_mb")
        what = f"is {soft_mb}, below state.reserve_mb, which is {reserve_mb}; wanted at least that"
        yield Problem(path, what, document.line_of(path))
