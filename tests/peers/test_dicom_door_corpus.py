"""Every object of the corpus with `storescu -R`, one file a call: we store what storescp stores."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edge.domain.errors import FormatError
from edge.formats.dicom import DicomIndex, index
from tests.builders.door import AE_TITLE, NO_DELAY, open_door, storescp
from tests.peers.test_dicom_door import stored_data_set

SHORT = ("wado-transfer-syntaxes", "dcm_qa_enh", "dcmqi", "orthanc-db")
PROPOSE = {  # how storescu is told to propose the syntax a file is in
    "1.2.840.10008.1.2": ["-xi"],
    "1.2.840.10008.1.2.1": ["-xe"],
    "1.2.840.10008.1.2.1.99": ["-xd"],
    "1.2.840.10008.1.2.2": ["-xb"],
    "1.2.840.10008.1.2.4.50": ["-xy"],
    "1.2.840.10008.1.2.4.51": ["-xx"],
    "1.2.840.10008.1.2.4.70": ["-xs"],
    "1.2.840.10008.1.2.4.80": ["-xt"],
    "1.2.840.10008.1.2.4.81": ["-xu"],
    "1.2.840.10008.1.2.4.90": ["-xv"],
    "1.2.840.10008.1.2.4.91": ["-xw"],
    "1.2.840.10008.1.2.5": ["-xr"],
}

pytestmark = pytest.mark.corpus


def test_a_part_of_the_corpus_is_stored_as_storescp_stores_it(tmp_path: Path, corpus: Path) -> None:
    compare(tmp_path, [corpus / name for name in SHORT])


@pytest.mark.proof
@pytest.mark.timeout(900)
def test_the_whole_corpus_is_stored_as_storescp_stores_it(tmp_path: Path, corpus: Path) -> None:
    compare(tmp_path, [corpus])


def compare(folder: Path, roots: list[Path]) -> None:
    """Send each object to both receivers; whatever storescp took, we have with the same bytes."""
    found = objects(roots)
    taken, missing = 0, []
    with open_door(folder / "ours") as door, storescp(folder / "peer", "+B", "+xa") as peer:
        for path, about in found:
            send(path, about, door.port)
            send(path, about, peer)
            theirs = [stored_data_set(each) for each in (folder / "peer").iterdir()]
            ours = [stored_data_set(each.path) for each in door.instances() if each.sop_uid == about.sop_uid]
            taken += len(theirs)
            missing += [path for data_set in theirs if data_set not in ours]
            for each in (folder / "peer").iterdir():
                each.unlink()
        assert door.door.stage.health().balances
    print(f"{len(found)} objects, {taken} taken by storescp, {len(missing)} of these not the same with us")
    assert taken > len(found) // 2
    assert missing == []


def objects(roots: list[Path]) -> list[tuple[Path, DicomIndex]]:
    """Files with SOP UIDs."""
    found = []
    for path in sorted(path for root in roots for path in root.rglob("*") if path.is_file()):
        try:
            about = index(path)
        except FormatError:
            continue
        found += [(path, about)] * bool(about.sop_uid and about.sop_class_uid)
    return found


def send(path: Path, about: DicomIndex, port: int) -> None:
    """Send one file; storescu itself refuses some, and says so to itself."""
    how = PROPOSE.get(about.transfer_syntax_uid, [])
    subprocess.run(
        ["/usr/bin/storescu", "-R", *how, "-aec", AE_TITLE, "127.0.0.1", str(port), str(path)],
        env=NO_DELAY,
        capture_output=True,
        timeout=60,
        check=False,
    )
