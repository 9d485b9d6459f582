"""Produce the numbers of CARD.md: Dice, volumes and verdicts on real scans, and the speed on this CPU.

usage: evaluate.py --corpus CORPUS --references FOLDER [--precision fp32 int8] [--runtime openvino]
       evaluate.py --speed

Everything runs through the product's own code: its reader, the preprocessing of manifest.yaml, its runtimes,
decoder and policy. `--references` holds NAME.nii.gz and NAME_brain.nii.gz of the recipe's `eval` folder, and
may hold chris_t1_brain.nii.gz (made with `heads.agree`) and MR_Gd_brain.nii.gz (what is not black).
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel
import numpy as np
from nibabel.processing import resample_from_to
from numpy.typing import NDArray

from edge.bundles.store import Bundle, load
from edge.domain.image import Segmentation, Volume
from edge.findings.policy import judge
from edge.formats import nifti
from edge.inference.deadline import Deadline
from edge.inference.decode import decode
from edge.inference.forms import Form, open_session
from edge.inference.session import Session
from edge.inference.volume_network import look
from edge.kit.clock import SystemClock
from edge.preprocess.steps import prepare

HERE = Path(__file__).resolve().parent
MNI = "nilearn-mni/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
LIMIT_S = 600.0
SPEED_SIDE_VOXELS = 128
SPEED_RUNS = 5


@dataclass(frozen=True, slots=True)
class Case:
    """One scan that was not trained on (`nilearn-mni` aside), and what ought to come out."""

    name: str
    path: Path
    modality: str
    wanted: str  # present, cut, or not assessed


def cases(corpus: Path, references: Path) -> Iterator[Case]:
    """All scans of the card that exist here."""
    listed = [
        Case("canon_dti", references / "canon_dti.nii.gz", "MR", "present"),
        Case("ctge1", references / "ctge1.nii.gz", "CT", "present"),
        Case("prisma_epi", references / "prisma_epi.nii.gz", "MR", "present"),
        Case("siemens_epi", references / "siemens_epi.nii.gz", "MR", "present"),
        Case("toshiba0", references / "toshiba0.nii.gz", "MR", "present"),
        Case("philips_b0", references / "philips_b0.nii.gz", "MR", "not assessed"),
        Case("chris_t1", corpus / "niivue-images/chris_t1.nii.gz", "MR", "present"),
        Case("pcasl", corpus / "niivue-images/pcasl.nii.gz", "MR", "present"),
        Case("MR_Gd", corpus / "niivue-images/MR_Gd.nii.gz", "MR", "present"),
        Case("nilearn-mni", corpus / MNI, "MR", "present"),
        Case("CT_AVM", corpus / "niivue-images/CT_AVM.nii.gz", "CT", "not assessed"),
        Case("spmMotor", corpus / "niivue-images/spmMotor.nii.gz", "MR", "not assessed"),
    ]
    body = corpus / "totalsegmentator"
    listed += [Case(p.name[:-7], p, "CT", "not assessed") for p in sorted(body.rglob("example_ct*.nii.gz"))]
    listed += [Case(p.name[:-7], p, "MR", "not assessed") for p in sorted(body.rglob("example_mr*.nii.gz"))]
    return (case for case in listed if case.path.exists())


def read(case: Case) -> Volume:
    """The first volume of a scan, with what NIfTI does not tell."""
    unit = "hounsfield" if case.modality == "CT" else "arbitrary"
    return replace(nifti.read(case.path).volumes[0], modality=case.modality, unit=unit)


def looked_at(volume: Volume, bundle: Bundle, session: Session) -> Segmentation:
    """What the engine does with a volume."""
    manifest = bundle.manifest
    deadline = Deadline(SystemClock(), LIMIT_S)
    prepared = prepare(volume, manifest.preprocessing)
    picture = np.ascontiguousarray(prepared.voxels, np.float32)
    labels = look(session, picture[None], manifest, deadline)
    return decode(labels, grid=prepared, source=volume, output=manifest.output)


def dice_in_reference(predicted: Path, reference: Path) -> tuple[float, float]:
    """Dice of the brains in the reference's grid, and the reference's volume in mL."""
    wanted = nibabel.load(reference)
    truth = np.asarray(wanted.dataobj) > 0
    seen = nibabel.load(predicted)
    mask = nibabel.Nifti1Image((np.asarray(seen.dataobj) > 0).astype(np.uint8), seen.affine)
    brain = np.asarray(resample_from_to(mask, wanted, order=0).dataobj) > 0
    total = int(brain.sum() + truth.sum())
    voxel_ml = abs(float(np.linalg.det(wanted.affine[:3, :3]))) / 1000
    return (2 * int((brain & truth).sum()) / total if total else 1.0), float(truth.sum()) * voxel_ml


def report(case: Case, bundle: Bundle, session: Session, *, references: Path, out: Path) -> str:
    """One line of the table."""
    segmentation = looked_at(read(case), bundle, session)
    path = out / f"{case.name}.nii.gz"
    nifti.write_labels(path, segmentation)
    names = segmentation.names
    each = " ".join(f"{name} {segmentation.volume_ml(n):.0f}" for n, name in enumerate(names, 1))
    brain_ml = segmentation.volume_ml(*range(1, len(names) + 1))
    observation = judge(segmentation, bundle.manifest.policy)[0]
    reference = references / f"{case.name}_brain.nii.gz"
    agreed = "-"
    if reference.exists():
        dice, reference_ml = dice_in_reference(path, reference)
        agreed = f"{dice:.4f} of {reference_ml:.0f} mL"
    return (
        f"{case.name} | {agreed} | {brain_ml:.0f} mL ({each}) | wanted {case.wanted}: "
        f"{observation.verdict.name} {observation.reason}"
    )


def measure_speed(bundle: Bundle) -> None:
    """Median and fastest of five runs after one that is not counted, in seconds, one and two threads."""
    rng = np.random.default_rng(1)
    picture = rng.random((SPEED_SIDE_VOXELS,) * 3, dtype=np.float32)
    for precision, runtime in (
        ("fp32", "onnxruntime"),
        ("int8", "onnxruntime"),
        ("fp32", "openvino"),
        ("bf16", "openvino"),
        ("int8", "openvino"),
    ):
        for threads in (1, 2):
            session = open_session(bundle, Form(precision, runtime, "cpu"), threads=threads, gives_way=True)
            spent = [_time_once(session, picture, bundle) for _ in range(SPEED_RUNS + 1)][1:]
            session.close()
            print(
                f"{precision} {runtime} {threads} threads: {statistics.median(spent):.2f} s "
                f"(fastest {min(spent):.2f})",
                flush=True,
            )


def _time_once(session: Session, picture: NDArray[np.float32], bundle: Bundle) -> float:
    began = time.perf_counter()
    look(session, picture[None], bundle.manifest, Deadline(SystemClock(), LIMIT_S))
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, default=HERE)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--references", type=Path)
    parser.add_argument("--precision", nargs="*", default=["fp32", "int8"])
    parser.add_argument("--runtime", default="openvino")
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--out", type=Path, default=Path("evaluated"))
    parser.add_argument("--speed", action="store_true")
    chosen = parser.parse_args()
    bundle = load(chosen.bundle)
    if chosen.speed:
        measure_speed(bundle)
        return
    for precision in chosen.precision:
        folder = chosen.out / precision
        folder.mkdir(parents=True, exist_ok=True)
        session = open_session(bundle, Form(precision, chosen.runtime, "cpu"), threads=2, gives_way=True)
        print(f"{precision} with {chosen.runtime}")
        for case in cases(chosen.corpus, chosen.references):
            if not chosen.only or case.name in chosen.only:
                print(report(case, bundle, session, references=chosen.references, out=folder), flush=True)
        session.close()


if __name__ == "__main__":
    main()
