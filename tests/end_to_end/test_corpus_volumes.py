"""Every DICOM file of the corpus goes through: it becomes a scan or a clear refusal, never a surprise."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from edge.domain.errors import EdgeError, FormatError
from edge.domain.image import Scan
from edge.formats.dicom import index
from edge.formats.dicom_dataset import read_header
from edge.studies.pixels import build
from tests.builders.files import series_of_files

pytestmark = [pytest.mark.corpus, pytest.mark.timeout(600)]

SCANS_MIN = 39  # fewer mean that something that worked is refused now


def outcome(paths: list[Path]) -> tuple[Scan, ...] | EdgeError:
    try:
        return build(series_of_files(paths))
    except EdgeError as refusal:
        return refusal


def test_every_series_of_the_corpus_ends_in_scans_or_in_a_clear_refusal(
    corpus: Path, caplog: pytest.LogCaptureFixture
) -> None:
    series = series_of(corpus)
    with warnings.catch_warnings(record=True) as leaked, caplog.at_level(logging.WARNING):
        warnings.simplefilter("always")
        outcomes = {name: outcome(paths) for name, paths in series.items()}
    kinds = Counter("scans" if isinstance(seen, tuple) else type(seen).__name__ for seen in outcomes.values())
    assert kinds["scans"] >= SCANS_MIN, kinds
    assert set(kinds) <= {"scans", "SeriesRejectedError", "UnsupportedError", "FormatError"}
    refusals = [str(seen) for seen in outcomes.values() if isinstance(seen, EdgeError)]
    assert all("instance" in refusal and len(refusal) < 1000 for refusal in refusals)
    assert [str(warning.message) for warning in leaked] == []
    assert [record.name for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_what_pydicom_warns_of_is_counted_in_the_log_and_quotes_nobody(
    corpus: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with warnings.catch_warnings(record=True) as leaked, caplog.at_level(logging.DEBUG, "edge"):
        warnings.simplefilter("always")
        for paths in series_of(corpus).values():
            with contextlib.suppress(FormatError):
                read_header(paths[0])
    told = {record.getMessage().partition("kinds=")[2] for record in caplog.records}
    assert leaked == []
    assert told == {"UserWarning"}


def test_what_comes_out_is_a_grid_of_finite_numbers_in_a_place(corpus: Path) -> None:
    for paths in series_of(corpus).values():
        seen = outcome(paths)
        for scan in seen if isinstance(seen, tuple) else ():
            assert len(scan.times_ms) in (0, len(scan.volumes))
            for volume in scan.volumes:
                axes = volume.patient_from_voxel[:3, :3]
                assert np.isfinite(volume.voxels).all()
                assert np.allclose(np.linalg.norm(axes, axis=0)[::-1], volume.spacing_mm)
                assert np.linalg.det(axes) > 0


def test_no_refusal_tells_a_whole_identifier_or_a_file_name(corpus: Path) -> None:
    refused = [
        (str(seen), path)
        for paths in series_of(corpus).values()
        if isinstance(seen := outcome(paths), EdgeError)
        for path in paths[:5]
    ]
    told = [path for words, path in refused if index(path).sop_uid in words or path.name in words.split()]
    assert told == []


def series_of(corpus: Path) -> dict[str, list[Path]]:
    """All DICOM files by SeriesInstanceUID and folder, as a site would hold them; alone without one."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(corpus.rglob("*")):
        try:
            seen = index(path)
        except FormatError:
            continue
        if seen.sop_uid:
            found[f"{seen.series_uid or seen.sop_uid} {path.parent}"].append(path)
    return found
