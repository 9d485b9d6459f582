"""Everything that can be said about a bundle without running it, the bad with the good."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from edge.bundles.graph import Network, read_network
from edge.bundles.hashed import hashed_files
from edge.bundles.manifest import Manifest
from edge.bundles.shapes import check_fits
from edge.bundles.signature import Trust
from edge.bundles.store import read_manifest
from edge.bundles.verify import read_verified
from edge.domain.errors import BundleRejectedError

CARD: Final = "CARD.md"
NODES_TOLD: Final = 5


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at.

    Attributes:
        what: The thing.
        verdict: `good`; `bad`, which refuses the bundle; `note`, which a person should know.
        said: What was seen.
    """

    what: str
    verdict: Literal["good", "bad", "note"]
    said: str


def inspect(folder: Path, trust: Trust) -> Iterator[Line]:
    """Look at everything in a bundle's folder, and go on after what is bad.

    Args:
        folder: Where its files lie.
        trust: Whom the site believes.

    Yields:
        A line for each thing; with a manifest that is not understood there are no others.
    """
    try:
        text, manifest = read_manifest(folder)
    except BundleRejectedError as refusal:
        yield Line("manifest", "bad", str(refusal))
        return
    digest = hashlib.sha256(text).hexdigest()
    said = f"{manifest.name} {manifest.version}, {manifest.task}, {manifest.licence}, digest {digest[:12]}"
    yield Line("manifest", "good", said)
    yield _signature(folder, text, trust)
    yield from _files(folder, manifest)
    yield from _papers(folder, manifest)


def _signature(folder: Path, text: bytes, trust: Trust) -> Line:
    try:
        signer = trust.signer(folder, text)
    except BundleRejectedError as refusal:
        return Line("signature", "bad", str(refusal))
    if not signer:
        return Line("signature", "note", "by nobody whom we know; a site must allow that")
    return Line("signature", "good", f"by {signer}")


def _files(folder: Path, manifest: Manifest) -> Iterator[Line]:
    precisions = {variant.file: variant.precision for variant in manifest.variants}
    for file, sha256 in dict.fromkeys(hashed_files(manifest)):
        try:
            content = read_verified(folder, file, sha256=sha256)
        except BundleRejectedError as refusal:
            yield Line(file, "bad", str(refusal))
            continue
        yield Line(file, "good", f"{len(content)} bytes, sha256 {sha256[:12]}")
        if file in precisions:
            yield _network(content, manifest, file=file, precision=precisions[file])


def _network(content: bytes, manifest: Manifest, *, file: str, precision: str) -> Line:
    what = f"network in {precision}"
    try:
        network = read_network(content, origin=file)
        check_fits(network, manifest, origin=file)
    except BundleRejectedError as refusal:
        return Line(what, "bad", str(refusal))
    return Line(what, "good", _described(network))


def _described(network: Network) -> str:
    often = sorted(network.operators.items(), key=lambda pair: -pair[1])
    nodes = ", ".join(f"{count} {operator}" for operator, count in often[:NODES_TOLD])
    inputs, outputs = (", ".join(map(str, side)) for side in (network.inputs, network.outputs))
    return f"{inputs} → {outputs}; opset {network.opset}; {nodes}{' …' * (len(often) > NODES_TOLD)}"


def _papers(folder: Path, manifest: Manifest) -> Iterator[Line]:
    card = folder / CARD
    hashed = {file for file, _ in hashed_files(manifest)}
    if not card.is_file():
        yield Line(CARD, "note", "is not there: nobody is told what it was tested on, and what it cannot do")
    elif CARD not in hashed:
        yield Line(CARD, "note", "is there; `documents` in the manifest would vouch for it, too")
    else:
        yield Line(CARD, "good", "is there, and vouched for")
    measured = [one for one in manifest.accuracy if one.value is not None]
    if not measured:
        yield Line("accuracy", "note", "no number was measured")
    for one in measured:
        yield Line("accuracy", "good", f"{one.metric} {one.value:g} on {one.data}")
