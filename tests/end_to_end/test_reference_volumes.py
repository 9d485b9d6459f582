"""Volumes of real scanners equal the reference NIfTI that other people made of them, voxel for voxel.

Series and references that have no partner are listed by name, with the reason, and the lists are complete.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from scipy import ndimage

from edge.domain.errors import SeriesRejectedError, UnsupportedError
from edge.domain.image import Scan
from edge.studies.pixels import build
from tests.builders.files import series_of_files

pytestmark = pytest.mark.corpus

SIEMENS, GE, ENHANCED = "dcm_qa_siemens/In/Orientation", "dcm_qa_ge/In", "dcm_qa_enh/In"
OTHERS = "dicom2nifti/tests/data"
AFFINE_TOLERANCE_MM = 1e-3
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

# (series, which of its scans, reference)
PAIRS = [
    (f"{SIEMENS}/ax/axasc35", 0, "dcm_qa_siemens/Ref/ax_asc_35sl_6.nii"),
    (f"{SIEMENS}/ax/axasc35", 0, f"{SIEMENS}/ax/axasc35/6_ax_asc_35sl.nii"),
    (f"{SIEMENS}/ax/axdesc35", 0, "dcm_qa_siemens/Ref/ax_desc_35sl_7.nii"),
    (f"{SIEMENS}/ax/axint35", 0, "dcm_qa_siemens/Ref/ax_int_35sl_8.nii"),
    (f"{SIEMENS}/axmb/AxAsc36mb2a", 0, "dcm_qa_siemens/Ref/fMRI_MB_asc_25.nii"),
    (f"{SIEMENS}/cor/corasc35", 0, "dcm_qa_siemens/Ref/cor_asc_35sl_16.nii"),
    (f"{SIEMENS}/cor/cordesc35", 0, "dcm_qa_siemens/Ref/cor_desc_35sl_17.nii"),
    (f"{SIEMENS}/cor/corint35", 0, "dcm_qa_siemens/Ref/cor_int_35sl_18.nii"),
    (f"{SIEMENS}/sag/sagasc35", 0, "dcm_qa_siemens/Ref/sag_asc_35sl_22.nii"),
    (f"{SIEMENS}/sag/sagdesc35", 0, "dcm_qa_siemens/Ref/sag_desc_35sl_23.nii"),
    (f"{SIEMENS}/sag/sagint35", 0, "dcm_qa_siemens/Ref/sag_int_35sl_24.nii"),
    ("dcm_qa_12bit/In/12bitUnsigned.dcm", 0, "dcm_qa_12bit/Ref/2.nii"),
    ("dcm_qa_12bit/In/12bitUnsigned_0x0F0F.dcm", 0, "dcm_qa_12bit/Ref/3.nii"),
    ("dcm_qa_12bit/In/12bitSigned_0x0F0F.dcm", 0, "dcm_qa_12bit/Ref/4.nii"),
    ("dcm_qa_canon/In/enh", 0, "dcm_qa_canon/Ref/3000_DTI_PA-ortho_enh.nii.gz"),
    (f"{ENHANCED}/Philips", 0, "dcm_qa_enh/Ref/Philips_WIP_B0_NS_801_e1.nii"),
    (f"{ENHANCED}/Philips", 1, "dcm_qa_enh/Ref/Philips_WIP_B0_NS_801_e2_fieldmaphz.nii"),
    (f"{ENHANCED}/Siemens/XA10", 0, "dcm_qa_enh/Ref/Siemens_REST1_w_SMS_PF7-8_6.nii"),
    (f"{GE}/01_Ax_DWI_TENSOR_R2", 0, "dcm_qa_ge/Ref/Ax_DWI_TENSOR_R2_1.nii"),
    (f"{GE}/02_Ax_DWI_TENSOR_R3", 0, "dcm_qa_ge/Ref/Ax_DWI_TENSOR_R3_2.nii"),
    (f"{GE}/SliceTimingMPh/2_fMRI_Multiphase_Des", 0, "dcm_qa_ge/Ref/fMRI_Multiphase_Des_2.nii"),
    ("dcm_qa_philips/In/Magdeburg_2014/fmri", 0, "dcm_qa_philips/Ref/EPI_asc_CLEAR_201.nii"),
    (
        "dcm_qa_uih/In/DTI_132225/dti_tra_dir16_PA_rot_SaveBySlc__134057",
        0,
        "dcm_qa_uih/Ref/dti_tra_dir16_PA_rot_12_132222.nii",
    ),
    *(
        (f"{OTHERS}/{name}", 0, f"{OTHERS}/{name}_ground_truth{kind}.nii.gz")
        for name in (
            "ge/anatomical/001",
            "generic/compressed/001",
            "generic/compressed_j2k/001",
            "generic/compressed_jpeg/001",
            "generic/compressed_jpegls/001",
            "generic/compressed_rle/001",
            "hitachi/anatomical/001",
            "hitachi/anatomical/001_implicit",
            "hyperfine/anatomical/001",
            "philips/anatomical/001",
            "siemens/anatomical/001",
            "siemens_multiframe/anatomical/001",
        )
        for kind in ("", "_reoriented")
    ),
]

REFUSED = {
    f"{OTHERS}/ge/anatomical/001_single_slice": (SeriesRejectedError, "one slice is no volume"),
    f"{OTHERS}/generic/rgb/001": (UnsupportedError, "a RGB picture"),
}
"""Series with a reference that we refuse: the reference invents a slice thickness that the file does not
name, or holds colours."""

WITHOUT_REFERENCE = {
    f"{SIEMENS}/axmb/AxInt36mb": "fMRI_MB_int is not among the references",
    "dcm_qa_ct_ge/In/GE": "its reference was over the size that the snapshot keeps; see the test of the tilt",
    "dcm_qa_toshiba/In/Galan/10006_DTI_ALL_20d": "the first 60 slices of a series: nobody keeps a reference",
}

WITHOUT_SERIES = {
    "dcm_qa_ge/Ref/fMRI_Multiphase_Des_0.35Delay_3.nii",
    "dcm_qa_ge/Ref/fMRI_Multiphase_Des_VariableDelays1s_5.nii",
    "dcm_qa_uih/Ref/dti_tra_dir16_PA_rot_12_134431.nii",
}


@pytest.mark.parametrize(("series", "scan", "reference"), PAIRS)
def test_a_volume_equals_its_reference(
    series: str, scan: int, reference: str, corpus: Path, tmp_path: Path
) -> None:
    ours = canonical(as_nifti(scans(corpus / series, tmp_path)[scan]))
    stored: Any = nibabel.load(corpus / reference)
    theirs = canonical(stored)
    assert voxels(ours).shape == voxels(theirs).shape
    assert np.abs(ours.affine - theirs.affine).max() < AFFINE_TOLERANCE_MM
    # Whole numbers are equal; scaled ones belong to the same stored number: the tool that wrote the
    # references computed slopes in single precision, from differences.
    step = 0.0 if stored.dataobj.slope == 1.0 else 0.05 * stored.dataobj.slope
    np.testing.assert_allclose(voxels(ours), voxels(theirs), rtol=0, atol=step)


@pytest.mark.parametrize("series", sorted(REFUSED))
def test_what_is_no_volume_is_refused_although_somebody_made_one(
    series: str, corpus: Path, tmp_path: Path
) -> None:
    kind, words = REFUSED[series]
    with pytest.raises(kind, match=words):
        scans(corpus / series, tmp_path)


def test_every_reference_has_its_series_or_is_listed(corpus: Path) -> None:
    found = {
        str(path.relative_to(corpus))
        for pattern in ("dcm_qa_*/**/*.nii", "dcm_qa_*/**/*.nii.gz", "dicom2nifti/**/*.nii.gz")
        for path in corpus.glob(pattern)
    }
    refused = {f"{name}_ground_truth{kind}.nii.gz" for name in REFUSED for kind in ("", "_reoriented")}
    assert found == {reference for _, _, reference in PAIRS} | refused | WITHOUT_SERIES


def test_every_series_has_its_reference_or_is_listed(corpus: Path) -> None:
    holders = {
        path.parent
        for folder in (*sorted(corpus.glob("dcm_qa_*/In")), corpus / OTHERS)
        for path in folder.rglob("*")
        if path.is_file() and is_dicom(path)
    }
    listed = {corpus / name for name in (*(series for series, _, _ in PAIRS), *REFUSED, *WITHOUT_REFERENCE)}
    assert holders == {path.parent if path.is_file() else path for path in listed}


def test_an_interleaved_multiband_series_without_a_reference_is_a_volume(
    corpus: Path, tmp_path: Path
) -> None:
    (scan,) = scans(corpus / SIEMENS / "axmb/AxInt36mb", tmp_path)
    assert [volume.voxels.shape for volume in scan.volumes] == [(36, 86, 86)] * 2


def test_a_series_that_was_cut_off_gives_its_complete_volume_and_says_so(
    corpus: Path, tmp_path: Path
) -> None:
    (scan,) = scans(corpus / "dcm_qa_toshiba/In/Galan/10006_DTI_ALL_20d", tmp_path)
    assert [volume.voxels.shape for volume in scan.volumes] == [(40, 64, 64)]
    assert "20 of 40 slices" in scan.notes[0]


def test_every_pixel_of_a_tilted_head_ct_stays_where_the_header_puts_it(corpus: Path, tmp_path: Path) -> None:
    """Each slice, cut out of the straightened volume again, shows what it showed."""

    (scan,) = scans(corpus / "dcm_qa_ct_ge/In/GE", tmp_path)
    (volume,) = scan.volumes
    assert volume.unit == "hounsfield"
    assert "gantry tilt of 18.5° corrected" in scan.notes
    assert any("1.08 to 7.00 mm apart resampled to 4.00 mm" in note for note in scan.notes)
    axes = volume.patient_from_voxel[:3, :3]
    assert np.allclose(axes.T @ axes, np.diag(np.diag(axes.T @ axes)), atol=1e-6)
    voxel_from_patient = np.linalg.inv(volume.patient_from_voxel)
    for number in range(1, 15):  # those stand on the grid: the others were interpolated from two
        dataset = pydicom.dcmread(corpus / f"dcm_qa_ct_ge/In/GE/{number:02d}.dcm")
        row, column = np.reshape(dataset.ImageOrientationPatient, (2, 3)).astype(float)
        corner = np.array(dataset.ImagePositionPatient, dtype=float)
        j, i = np.mgrid[0:512:8, 0:512:8].reshape(2, -1)
        spacing = float(dataset.PixelSpacing[0])
        places = corner + np.outer(i, row) * spacing + np.outer(j, column) * spacing
        at = voxel_from_patient @ np.vstack([places.T, np.ones(len(places))])
        seen = trilinear(volume.voxels, at[2::-1])
        stored = dataset.pixel_array[j, i].astype(float)
        assert np.median(np.abs(seen - stored)) < 4.0
        assert np.corrcoef(seen, stored)[0, 1] > 0.995


def scans(series: Path, scratch: Path) -> tuple[Scan, ...]:
    return build(series_of_files(unzipped(series, scratch)))


def unzipped(series: Path, scratch: Path) -> Iterator[Path]:
    """The DICOM files of a folder, or the one file named; `.gz` ones as they were before."""
    candidates = [series] if series.is_file() else [path for path in series.iterdir() if is_dicom(path)]
    for path in candidates:
        if path.suffix != ".gz":
            yield path
            continue
        plain = scratch / path.stem
        plain.write_bytes(gzip.decompress(path.read_bytes()))
        yield plain


def is_dicom(path: Path) -> bool:
    opener: Any = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as file:
        return bool(file.read(132)[128:] == b"DICM")


def as_nifti(scan: Scan) -> Any:
    make: Any = nibabel.Nifti1Image  # nibabel has no types here
    stack = np.stack([volume.voxels.T for volume in scan.volumes], axis=-1)
    return make(stack.astype(np.float32), LPS_TO_RAS @ scan.volumes[0].patient_from_voxel)


def canonical(image: Any) -> Any:
    reorder: Any = nibabel.as_closest_canonical
    return reorder(image)


def voxels(image: Any) -> Any:
    found = image.get_fdata(dtype=np.float32)
    return found[..., None] if found.ndim == 3 else found


def trilinear(grid: Any, at: Any) -> Any:

    return ndimage.map_coordinates(grid.astype(float), at, order=1, mode="nearest", prefilter=False)
