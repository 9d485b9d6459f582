"""Produce the numbers of CARD.md: on the real CT of the corpus, and on synthetic chests never trained on.

usage: evaluate.py --corpus CORPUS [--precision fp32 int8] [--runtime openvino]
       evaluate.py --cases FOLDER [--precision fp32 int8]     what `cases.py` wrote

Needs no torch. Labels come through the product's own code: its reader, the preprocessing of manifest.yaml,
its runtimes, decoder and policy.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import scoring
from numpy.typing import NDArray

from edge.bundles.store import Bundle, load
from edge.bundles.volume_segmentation import VolumeSegmentation
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
LIMIT_S = 600.0
VOXEL_MM = 1.5
BODY = "totalsegmentator/tests/reference_files"
REFERENCE = "example_seg_fast_force_split.nii.gz"  # lobes 10 to 14, on the grid of example_ct
LOBES = {"lung right": (12, 13, 14), "lung left": (10, 11)}
NO_LUNG = ("niivue-images/CT_AVM.nii.gz",)
CLASSES = ("lung right", "lung left", "trachea", "nodule candidate")


def manifest_of(bundle: Bundle) -> VolumeSegmentation:
    assert isinstance(bundle.manifest, VolumeSegmentation)
    return bundle.manifest


def segment(volume: Volume, bundle: Bundle, session: Session) -> Segmentation:
    """What the engine does with a volume."""
    manifest = manifest_of(bundle)
    prepared = prepare(volume, manifest.preprocessing)
    picture = np.ascontiguousarray(prepared.voxels, np.float32)
    answer = look(session, picture[None], manifest, Deadline(SystemClock(), LIMIT_S))
    components = manifest.policy.components
    return decode(answer, grid=prepared, source=volume, output=manifest.output, components=components)


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    total = int(first.sum() + second.sum())
    return 2 * int((first & second).sum()) / total if total else 1.0


def judge_real(bundle: Bundle, session: Session, corpus: Path) -> Iterator[str]:
    """The one real CT with lung in it: 34 mm of the bases. And real CT without any lung."""
    volume = replace(
        nifti.read(corpus / BODY / "example_ct.nii.gz").volumes[0], modality="CT", unit="hounsfield"
    )
    seen = segment(volume, bundle, session)
    reference = np.asarray(nibabel.load(corpus / BODY / REFERENCE).dataobj).T  # (k, j, i), as volumes are
    for name, lobes in LOBES.items():
        wanted = np.isin(reference, lobes)
        mine = seen.labels == seen.names.index(name) + 1
        ml = float(wanted.sum()) * seen.voxel_ml
        mine_ml = float(mine.sum()) * seen.voxel_ml
        yield f"example_ct, {name}: Dice {dice(mine, wanted):.4f}, {mine_ml:.0f} of {ml:.0f} mL"
    for observation in judge(seen, manifest_of(bundle).policy):
        yield f"example_ct: {observation.code.meaning} {observation.verdict.name} {observation.reason}"
    for path in NO_LUNG:
        other = replace(nifti.read(corpus / path).volumes[0], modality="CT", unit="hounsfield")
        marked = segment(other, bundle, session)
        yield f"{path}: {float((marked.labels > 0).sum()) * marked.voxel_ml:.1f} mL marked, wanted 0"


def volume_of(image: NDArray[np.int16]) -> Volume:
    """A synthetic scan, axes to the right, to the front, up, as a volume in the patient."""
    placed = np.diag([-VOXEL_MM, -VOXEL_MM, VOXEL_MM, 1.0])
    voxels = np.ascontiguousarray(image.T)
    return Volume(
        voxels=voxels,
        unit="hounsfield",
        spacing_mm=(VOXEL_MM,) * 3,
        patient_from_voxel=placed,
        modality="CT",
    )


def drawn_in(case: dict[str, NDArray[np.generic]]) -> list[scoring.Drawn]:
    """The nodules of a case."""
    found = []
    for number, nodule in enumerate(json.loads(str(case["nodules"]))):
        voxels = np.argwhere(case["truth"] == len(CLASSES) + 1 + number)
        found.append(scoring.Drawn(nodule["diameter_mm"], tuple(nodule["place"]), voxels))
    return found


def judge_cases(folder: Path, bundle: Bundle, session: Session) -> Iterator[str]:
    """Dice of lungs and trachea, and what became of the nodules, by thickness of the slices."""
    tallies: dict[str, scoring.Tally] = {}
    shares: dict[str, list[float]] = {name: [] for name in CLASSES[:3]}
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as stored:
            case = dict(stored)
        seen = segment(volume_of(case["image"]), bundle, session).labels.T
        for number, name in enumerate(CLASSES[:3], 1):
            wanted = case["truth"] == number
            if wanted.sum() > 500:
                shares[name].append(dice(seen == number, wanted))
        tally = tallies.setdefault(str(case["thickness"]), scoring.Tally())
        scoring.count(tally, seen == len(CLASSES), None, drawn_in(case), VOXEL_MM)
    for name, values in shares.items():
        if values:
            yield f"{name}: Dice {np.mean(values):.4f}, lowest {np.min(values):.4f}, {len(values)} scans"
    for thickness, tally in tallies.items():
        false_marks = len(tally.false_marks) / tally.scans
        yield f"slices of {thickness} mm: {tally.scans} scans, {len(tally.nodules)} nodules"
        yield f"{false_marks:.2f} false marks a scan"
        yield from scoring.by_size(tally)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, default=HERE)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--cases", type=Path)
    parser.add_argument("--precision", nargs="*", default=["fp32", "int8"])
    parser.add_argument("--runtime", default="openvino")
    chosen = parser.parse_args()
    bundle = load(chosen.bundle)
    for precision in chosen.precision:
        session = open_session(bundle, Form(precision, chosen.runtime, "cpu"), threads=2, gives_way=True)
        print(f"{precision} with {chosen.runtime}")
        if chosen.corpus:
            print(*judge_real(bundle, session, chosen.corpus), sep="\n", flush=True)
        if chosen.cases:
            print(*judge_cases(chosen.cases, bundle, session), sep="\n", flush=True)
        session.close()


if __name__ == "__main__":
    main()
