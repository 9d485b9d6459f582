"""C-STORE: our door, which syncs before it answers, beside dcmtk's storescp, which does not."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

from tests.bench.rows import Row
from tests.builders.door import AE_TITLE, NO_DELAY, door_process, storescp

INSTANCES = 200
ROUNDS = 5
CACHE = Path(".cache")
MEMORY = Path("/dev/shm")  # on purpose


def run(*, instances: int = INSTANCES, rounds: int = ROUNDS) -> list[Row]:
    """Send CT slices over 1 and over 4 associations, the receivers taking turns.

    Returns:
        Objects per second of us and of storescp, as it comes and tuned: medians of the rounds, and the
        median of the rounds' ratios. On disk our figure includes the sync of file, folder and journal before
        each answer, and storescp's none; in memory (tmpfs) a sync costs nothing, so what is left is the
        software.
    """
    CACHE.mkdir(exist_ok=True)
    rows = []
    for medium, place in (("disk, ours durable", CACHE), ("memory", MEMORY)):
        with ExitStack() as stack:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=place)))
            slices = _write_slices(root / "slices", instances)
            ports = {
                "ours": stack.enter_context(door_process(root / "ours"))[1],
                "storescp": stack.enter_context(storescp(root / "plain")),
                "storescp --fork --max-pdu 131072": stack.enter_context(
                    storescp(root / "tuned", "--fork", "--max-pdu", "131072")
                ),
            }
            for associations in (1, 4):
                rows += _compare(slices, ports, medium, associations, rounds)
    return rows


def _compare(
    slices: list[Path], ports: dict[str, int], medium: str, associations: int, rounds: int
) -> list[Row]:
    rates: dict[str, list[float]] = {name: [] for name in ports}
    for _ in range(rounds):
        for name, port in ports.items():
            rates[name].append(len(slices) / _seconds_to_send(slices, port, associations))
            _send_again_as_new(slices)
            os.sync()  # what one receiver left unwritten is not for the next one to wait for
    ours = rates.pop("ours")
    return [
        Row(
            name=f"C-STORE {medium}, {associations} association{'s' * (associations > 1)}, {peer}",
            ours=statistics.median(ours),
            peer=statistics.median(theirs),
            unit="obj/s",
            ratio=statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True)),
        )
        for peer, theirs in rates.items()
    ]


def _write_slices(folder: Path, count: int) -> list[Path]:
    """Write CT slices of 512 × 512 × 16 bit; each SOP Instance UID ends in digits to count up."""
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(-1000, 2000, (512, 512)).astype(np.int16)
    series_uid, study_uid = generate_uid(), generate_uid()
    paths = []
    for number in range(count):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = UID(f"2.25.111.{number + 1000}.1000")
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data_set = FileDataset(folder / f"{number:04}.dcm", {}, file_meta=meta, preamble=bytes(128))
        data_set.SOPClassUID, data_set.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        data_set.StudyInstanceUID, data_set.SeriesInstanceUID = study_uid, series_uid
        data_set.PatientID, data_set.Modality = "BENCH", "CT"
        data_set.Rows, data_set.Columns, data_set.SamplesPerPixel = 512, 512, 1
        data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit = 16, 16, 15
        data_set.PixelRepresentation, data_set.PhotometricInterpretation = 1, "MONOCHROME2"
        data_set.PixelData = (pixels + number).tobytes()
        path = folder / f"{number:04}.dcm"
        data_set.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _send_again_as_new(slices: list[Path]) -> None:
    """Count the instances' UIDs up in place, so that no receiver knows them yet."""
    for path in slices:
        content = path.read_bytes()
        at = content.index(b"2.25.111.")
        old = content[at : at + 18]
        new = old[:14] + str(int(old[14:]) + 1).encode()
        path.write_bytes(content.replace(old, new))


def _seconds_to_send(slices: list[Path], port: int, associations: int) -> float:
    command = ["/usr/bin/storescu", "-R", "-aec", AE_TITLE, "127.0.0.1", str(port)]
    started = time.perf_counter()
    senders = [
        subprocess.Popen([*command, *map(str, slices[part::associations])], env=NO_DELAY)
        for part in range(associations)
    ]
    codes = [sender.wait() for sender in senders]
    assert not any(codes), f"storescu to port {port} ended with {codes}"
    return time.perf_counter() - started
