"""Produce the numbers of CARD.md: on the real CT of the corpus, and on synthetic chests never trained on.

usage: evaluate.py --corpus CORPUS [--planted] [--precision fp32 int8] [--runtime openvino]
       evaluate.py --cases FOLDER [--precision fp32 int8]     what `cases.py` wrote

Needs no torch. Labels come through the product's own code: its reader, the preprocessing of manifest.yaml,
its runtimes, decoder and policy.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import real
import scoring
from numpy.typing import NDArray
from real import VOXEL_MM
from scipy import ndimage

from edge.bundles.store import Bundle, load
from edge.bundles.volume_segmentation import VolumeSegmentation
from edge.domain.image import Segmentation, Volume
from edge.findings.policy import judge
from edge.inference.deadline import Deadline
from edge.inference.decode import decode
from edge.inference.forms import Form, open_session
from edge.inference.session import Session
from edge.inference.volume_network import look
from edge.kit.clock import SystemClock
from edge.preprocess.steps import prepare

HERE = Path(__file__).resolve().parent
LIMIT_S = 600.0
CLASSES = ("lungs", "trachea", "nodule candidate")
SIDES, TRACHEA, FIRST_NODULE = (1, 2), 3, 5  # in what `cases.py` wrote


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
    """The one real CT with lung in it: 33 mm of the bases. Single slices with lung, and CT without any."""
    body = real.ct_of(corpus / real.BODY)
    seen = segment(body, bundle, session)
    lobes = real.lungs_of(corpus)
    yield f"example_ct, lungs: {compared(seen, lobes)}"
    for observation in judge(seen, manifest_of(bundle).policy):
        yield f"example_ct: {observation.code.meaning} {observation.verdict.name} {observation.reason}"
    for name, height_mm in real.SLABS.items():
        slab = real.slab_of(corpus / name, height_mm)
        seen = segment(slab, bundle, session)
        yield f"{name}, a slice that is a slab of {height_mm:g} mm, lungs: {compared(seen, real.airy(slab))}"
    head = real.ct_of(corpus / real.HEAD)
    waist = real.stacked(sorted(corpus.glob(real.WAIST)))
    for name, volume in (("example_ct_dicom", waist), ("CT_AVM", head)):
        marked = segment(volume, bundle, session)
        yield f"{name}: {float((marked.labels > 0).sum()) * marked.voxel_ml:.1f} mL marked, wanted 0"


def compared(seen: Segmentation, wanted: NDArray[np.bool_]) -> str:
    """Dice of the lungs, and what of them was found."""
    mine = seen.labels == CLASSES.index("lungs") + 1
    hit, all_ml, too_many = (
        float(part.sum()) * seen.voxel_ml for part in (mine & wanted, wanted, mine & ~wanted)
    )
    nodules_ml = float((seen.labels == len(CLASSES)).sum()) * seen.voxel_ml
    return (
        f"Dice {dice(mine, wanted):.4f}, {hit:.0f} of {all_ml:.0f} mL found, {too_many:.1f} mL too many, "
        f"{nodules_ml:.2f} mL nodule candidates"
    )


def judge_planted(bundle: Bundle, session: Session, corpus: Path) -> Iterator[str]:
    """How many balls that were put into real slices are marked as nodule candidates."""
    body = real.ct_of(corpus / real.BODY)
    scans = {real.BODY: (body, real.lungs_of(corpus))}
    for name, height_mm in real.SLABS.items():
        slab = real.slab_of(corpus / name, height_mm)
        scans[name] = slab, real.airy(slab)
    for name, (volume, lungs) in scans.items():
        for diameter_mm in real.BALLS_MM:
            planted, middles = real.plant(volume, lungs, diameter_mm)
            marked = segment(planted, bundle, session).labels == len(CLASSES)
            boxes = [tuple(slice(max(0, m - 1), m + 2) for m in middle) for middle in middles]
            found = sum(bool(marked[box].any()) for box in boxes)
            pieces = ndimage.label(marked, structure=np.ones((3, 3, 3)))[1]
            yield f"{name}, balls of {diameter_mm:g} mm: {found} of {len(middles)} found, {pieces} marks"


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
        voxels = np.argwhere(case["truth"] == FIRST_NODULE + number)
        found.append(scoring.Drawn(nodule["diameter_mm"], tuple(nodule["place"]), voxels))
    return found


def judge_cases(folder: Path, bundle: Bundle, session: Session) -> Iterator[str]:
    """Dice of lungs and trachea, and what became of the nodules, by thickness of the slices."""
    tallies: dict[str, scoring.Tally] = {}
    shares: dict[str, list[float]] = {name: [] for name in CLASSES[:2]}
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as stored:
            case = dict(stored)
        seen = segment(volume_of(case["image"]), bundle, session).labels.T
        wanted = {"lungs": np.isin(case["truth"], SIDES), "trachea": case["truth"] == TRACHEA}
        for number, name in enumerate(CLASSES[:2], 1):
            if wanted[name].sum() > 500:
                shares[name].append(dice(seen == number, wanted[name]))
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
    parser.add_argument("--planted", action="store_true", help="balls in the real lungs of the corpus, too")
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
        if chosen.corpus and chosen.planted:
            print(*judge_planted(bundle, session, chosen.corpus), sep="\n", flush=True)
        if chosen.cases:
            print(*judge_cases(chosen.cases, bundle, session), sep="\n", flush=True)
        session.close()


if __name__ == "__main__":
    main()
