"""What the bundle `lung-ct` promises: the numbers of its card on real slices, and nothing ruled out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.bundles.store import Bundle, load
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.domain.finding import Verdict
from edge.domain.image import Segmentation, Volume
from edge.findings.policy import judge
from edge.inference.forms import Form, forms_of, open_session, stamp_of
from edge.inference.volumes import VolumeSegmenter
from edge.kit.clock import SystemClock
from tests.builders.scripts import scripts_of

BUNDLE = Path(__file__).parents[2] / "models" / "lung-ct"
CARD = (BUNDLE / "CARD.md").read_text()
INT8 = Form("int8", "openvino", "cpu")
COLUMNS = {"fp32": 0, "int8": 1}  # of the card's tables of real slices
UPPER_SLICES = 36  # of 3 mm: all that is lung in the scan of the belly, and the liver
BALLS_MM = 7.0
DEADLINE_S = 300.0


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load(BUNDLE)


@pytest.fixture(scope="module")
def manifest(bundle: Bundle) -> VolumeSegmentation:
    assert isinstance(bundle.manifest, VolumeSegmentation)
    return bundle.manifest


@pytest.fixture(scope="module")
def real() -> Iterator[Any]:
    """The script that knows which scans of the corpus have lung in them."""
    with scripts_of(BUNDLE, "real") as found:
        yield found.real


def model_of(bundle: Bundle, manifest: VolumeSegmentation, form: Form) -> VolumeSegmenter:
    session = open_session(bundle, form, threads=2, gives_way=True)
    stamp = stamp_of(bundle, form, session)
    return VolumeSegmenter(manifest, session=session, stamp=stamp, clock=SystemClock())


@pytest.fixture(scope="module")
def int8(bundle: Bundle, manifest: VolumeSegmentation) -> Iterator[VolumeSegmenter]:
    model = model_of(bundle, manifest, INT8)
    yield model
    model.close()


def upper(volume: Volume) -> Volume:
    """The upper slices of a scan whose slices go up."""
    first = len(volume.voxels) - UPPER_SLICES
    moved = volume.patient_from_voxel.copy()
    moved[:3, 3] += first * moved[:3, 2]
    return replace(volume, voxels=volume.voxels[first:].copy(), patient_from_voxel=moved)


@pytest.fixture(scope="module")
def bases(real: Any, corpus: Path) -> tuple[Volume, NDArray[np.bool_]]:
    """The bases of both lungs, at the upper end of a scan of the belly, and what of it is lung."""
    return upper(real.ct_of(corpus / real.BODY)), real.lungs_of(corpus)[-UPPER_SLICES:]


def dice(seen: Segmentation, wanted: NDArray[np.bool_]) -> float:
    mine = seen.labels == seen.names.index("lungs") + 1
    return 2 * float((mine & wanted).sum()) / float(mine.sum() + wanted.sum())


def card_of(row: str) -> list[float]:
    """The numbers of a row of the card's tables, fp32 and int8 first."""
    found = re.search(rf"^\| `{re.escape(row)}`[^|]*\|(.*)\|$", CARD, re.M)
    assert found is not None, f"the card has a row for {row}"
    return [float(number) for number in found[1].split("|")[:2]]


@pytest.mark.corpus
def test_the_bases_of_the_lungs_in_a_scan_of_the_belly_are_found_as_the_card_says(
    int8: VolumeSegmenter, bases: tuple[Volume, NDArray[np.bool_]]
) -> None:
    volume, lungs = bases
    seen = int8.infer(volume, deadline_s=DEADLINE_S)
    assert dice(seen, lungs) == pytest.approx(card_of("example_ct")[COLUMNS["int8"]], abs=0.02)
    assert "S" in seen.touched_faces


@pytest.mark.corpus
@pytest.mark.proof
def test_every_form_of_this_machine_scores_as_the_card_says(
    bundle: Bundle, manifest: VolumeSegmentation, bases: tuple[Volume, NDArray[np.bool_]]
) -> None:
    volume, lungs = bases
    for form in forms_of(manifest, {"cpu", "cuda"}):
        model = model_of(bundle, manifest, form)
        wanted = card_of("example_ct")[COLUMNS.get(form.precision, 0)]
        found = dice(model.infer(volume, deadline_s=DEADLINE_S), lungs)
        assert found == pytest.approx(wanted, abs=0.02), str(form)
        model.close()


@pytest.mark.corpus
@pytest.mark.proof
@pytest.mark.parametrize("name", ["CT1_J2KR", "02.dcm"])
def test_single_slices_of_real_lungs_score_as_the_card_says(
    int8: VolumeSegmenter, real: Any, corpus: Path, name: str
) -> None:
    (path,) = [path for path in real.SLABS if path.endswith(name)]
    slab = real.slab_of(corpus / path, real.SLABS[path])
    seen = int8.infer(slab, deadline_s=DEADLINE_S)
    assert dice(seen, real.airy(slab)) == pytest.approx(card_of(name)[COLUMNS["int8"]], abs=0.02)


@pytest.mark.corpus
@pytest.mark.proof
def test_balls_put_into_real_lungs_are_found_as_the_card_says(
    int8: VolumeSegmenter, real: Any, corpus: Path
) -> None:
    path = next(path for path in real.SLABS if path.endswith("CT1_J2KR"))
    slab = real.slab_of(corpus / path, real.SLABS[path])
    planted, middles = real.plant(slab, real.airy(slab), BALLS_MM)
    marked = int8.infer(planted, deadline_s=DEADLINE_S).labels == 3
    assert len(middles) == 14
    assert all(marked[tuple(middle)] for middle in middles)


@pytest.mark.corpus
@pytest.mark.proof
def test_where_there_is_no_lung_as_little_is_marked_as_the_card_says(
    int8: VolumeSegmenter, real: Any, corpus: Path
) -> None:
    waist = real.stacked(sorted(corpus.glob(real.WAIST)))
    for name, volume in (("example_ct_dicom", waist), ("CT_AVM", real.ct_of(corpus / real.HEAD))):
        marked = int8.infer(volume, deadline_s=DEADLINE_S)
        assert marked.volume_ml(1, 2, 3) == pytest.approx(card_of(name)[COLUMNS["int8"]], abs=1.0), name


@pytest.mark.corpus
@pytest.mark.proof
def test_lung_that_a_scan_of_the_belly_cuts_is_present_without_any_volume(
    int8: VolumeSegmenter, manifest: VolumeSegmentation, real: Any, corpus: Path
) -> None:
    """A field of view that cuts an organ does not hold the whole of it, however large it is."""
    volume = real.ct_of(corpus / real.BODY)
    lungs, nodules = judge(int8.infer(volume, deadline_s=DEADLINE_S), manifest.policy)
    assert (lungs.verdict, lungs.measurements) == (Verdict.PRESENT, ())
    assert "upper edge" in lungs.reason
    assert nodules.verdict is Verdict.NOT_ASSESSED


@pytest.mark.parametrize("level_hu", [-1000, 40])
def test_where_no_lung_is_seen_nothing_is_ruled_out(
    int8: VolumeSegmenter, manifest: VolumeSegmentation, level_hu: int
) -> None:
    noise = np.random.default_rng(0).normal(level_hu, 15, (48, 64, 64)).astype(np.int16)
    volume = Volume(
        voxels=noise,
        unit="hounsfield",
        spacing_mm=(2.0, 2.0, 2.0),
        patient_from_voxel=np.diag([2.0, 2.0, 2.0, 1.0]),
        modality="CT",
    )
    told = judge(int8.infer(volume, deadline_s=DEADLINE_S), manifest.policy)
    assert {one.verdict for one in told} == {Verdict.NOT_ASSESSED}


def test_the_manifest_says_what_the_card_says(manifest: VolumeSegmentation) -> None:
    assert "not finished" not in CARD
    assert "| – |" not in CARD, "every cell of the card's tables is filled"
    said = {one.metric: one.value for one in manifest.accuracy}
    assert said["Dice of the lungs"] == pytest.approx(card_of("example_ct")[COLUMNS["int8"]], abs=0.005)
