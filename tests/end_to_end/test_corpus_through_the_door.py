"""Every object of the corpus through the door: kept byte for byte, and every series answered for."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from edge.domain.errors import FormatError
from edge.findings.identity import KeyedHash
from edge.formats.dicom import index
from tests.builders.bundles import write_bundle
from tests.end_to_end.appliance import Appliance
from tests.end_to_end.kept import data_set_of, kept_files
from tests.end_to_end.receiver import Receiver
from tests.peers.broker import Mosquitto
from tests.waiting import until

EDGE = str(Path(sys.executable).with_name("edge"))

pytestmark = pytest.mark.corpus


@pytest.mark.timeout(600)
def test_the_whole_corpus_is_kept_and_answered_for(tmp_path: Path, corpus: Path) -> None:
    send_and_compare(tmp_path, [corpus])


def send_and_compare(folder: Path, roots: list[Path]) -> None:
    """Send all objects under some folders with `edge send`, and hold what is on disk against the files."""
    write_bundle(folder / "bundles", name="tiny")
    with (
        Mosquitto(folder / "broker") as broker,
        Receiver(broker.port) as receiver,
        Appliance(folder / "box", broker_port=broker.port, bundles=folder / "bundles", bundle="tiny") as box,
    ):
        sent = subprocess.run(
            [EDGE, "send", f"127.0.0.1:{box.dicom_port}", *map(str, roots)],
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        assert "Traceback" not in sent.stderr, sent.stderr[-2000:]
        refused = "\n".join(line for line in sent.stdout.splitlines() if line.startswith("refused"))
        objects = objects_under(roots)
        kept = {uid: [data_set_of(path) for path in paths] for uid, paths in kept_files(box.state).items()}
        lost = [
            str(path)
            for uid, paths in objects.items()
            for path, data_set in paths
            if data_set not in kept.get(uid, []) and path.name not in refused
        ]
        assert lost == []
        identity = KeyedHash((box.state / "identity.key").read_bytes())
        subjects = {identity.subject(name) for name in series_under(objects, kept)}
        until(
            lambda: subjects <= {finding["subject"] for finding in receiver.findings()},
            within_s=900,
            what="a finding for every series",
        )
        assert all(finding["verdict"] for finding in receiver.findings())
        assert all(f["reason"] for f in receiver.findings() if f["verdict"] == "NOT_ASSESSED")
        assert box.is_running()
    verdicts = dict(Counter(finding["verdict"] for finding in receiver.findings()))
    files = sum(len(paths) for paths in objects.values())
    print(f"{files} objects sent; refused: {refused or 'none'}; {len(subjects)} series: {verdicts}")


def objects_under(roots: list[Path]) -> dict[str, list[tuple[Path, bytes]]]:
    """Return every file that has SOP UIDs, with the bytes of its data set, by its SOP Instance UID."""
    objects: dict[str, list[tuple[Path, bytes]]] = defaultdict(list)
    for path in sorted(path for root in roots for path in root.rglob("*") if path.is_file()):
        try:
            about = index(path)
        except FormatError:
            continue
        if about.sop_uid and about.sop_class_uid:
            objects[about.sop_uid].append((path, path.read_bytes()[about.data_set_offset :]))
    return objects


def series_under(objects: dict[str, list[tuple[Path, bytes]]], kept: dict[str, list[bytes]]) -> set[str]:
    """Name the series of everything that was kept, as the daemon does: an object without one stands alone."""
    names = set()
    for uid, paths in objects.items():
        for path, data_set in paths:
            if data_set in kept.get(uid, []):
                names.add(index(path).series_uid or f"object {uid}")
    return names
