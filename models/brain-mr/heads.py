"""Build the label maps of real heads from which the training images are drawn.

usage: heads.py --corpus CORPUS --teachers TEACHERS --mean-head mean_reg2mean.nii.gz --out FOLDER

The labels are pseudo-labels: 17 structures of the teacher `brainchop_model18cls` inside an envelope on which
`brainchop_mindgrab` and `deepbet` agree. What is dark in the envelope and has no structure becomes outer CSF;
what lies outside is cut into clusters of intensity. `mean_reg2mean.nii.gz` is in the wheel of `pydeface`.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import labels
import nibabel
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from scipy import ndimage

SIDE_VOXELS = 256  # the teachers want 256 cubed at 1 mm
Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Source:
    """One head image; a stripped one shows the brain alone."""

    name: str
    image: Path
    is_stripped: bool = False


def sources(corpus: Path, mean_head: Path | None, validation_head: Path | None) -> list[Source]:
    """The heads we may train on (see CARD.md for the licence of each), then the one kept for validation."""
    found = [
        Source("colin27", corpus / "mricron-ch2/ch2.nii.gz"),
        Source(
            "mni152",
            corpus / "nilearn-mni/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz",
            is_stripped=True,
        ),
    ]
    if mean_head is not None:
        found.append(Source("meanhead", mean_head))
    if validation_head is not None:
        found.append(Source("validation", validation_head))
    return found


def build(source: Source, teachers: Path, out: Path) -> None:
    """Write one head as `out/NAME.npz`: labels, distance outside the envelope, intensity, centre."""
    image = load_head(source.image)
    structures = run_structures(image, teachers)
    envelope = fill_envelope(largest(agree(image, teachers)))
    fine = label_inside(image, structures, envelope)
    if not source.is_stripped:
        outside = head_mask(image, fine) & ~envelope
        fine[outside] = cluster_outside(image, outside)
    distance_mm = np.minimum(ndimage.distance_transform_edt(~envelope), 60).astype(np.uint8)
    keep = crop_with_margin(fine > 0, roomy=source.is_stripped)
    fine, distance_mm, image = fine[keep], distance_mm[keep], image[keep]
    image = np.clip(image / np.quantile(image[fine > 0], 0.998), 0, 1)
    centre = np.argwhere((fine > 0) & (fine < labels.OUTSIDE_FIRST)).mean(0).astype(np.float32)
    np.savez_compressed(
        out / f"{source.name}.npz",
        labels=fine,
        outside_mm=distance_mm,
        intensity=(image * 255).astype(np.uint8),
        centre=centre,
        is_stripped=source.is_stripped,
    )
    counts_ml = np.bincount(fine.ravel(), minlength=labels.LABEL_COUNT) // 1000
    print(
        f"{source.name}: envelope {envelope.sum() // 1000} mL, mL by label {counts_ml.tolist()}", flush=True
    )


def load_head(path: Path) -> Volume:
    """The head at 1 mm in RAS, (256, 256, 256) around its middle, robustly scaled to 0..255."""
    head = nibabel.as_closest_canonical(nibabel.load(path))
    grid = np.eye(4)
    middle = head.affine @ [*((np.array(head.shape[:3]) - 1) / 2), 1]
    grid[:3, 3] = middle[:3] - (SIDE_VOXELS - 1) / 2
    to_voxel = np.linalg.inv(head.affine) @ grid
    values = np.asarray(head.dataobj, dtype=np.float32).reshape(head.shape[:3])
    image = ndimage.affine_transform(values, to_voxel[:3, :3], to_voxel[:3, 3], (SIDE_VOXELS,) * 3, order=1)
    image = image.clip(0)
    return np.clip(image / np.quantile(image[image > 0.05 * image.max()], 0.999) * 255, 0, 255).astype(
        np.float32
    )


def crop_with_margin(mask: Mask, *, roomy: bool) -> tuple[slice, ...]:
    """The box of a mask; a stripped brain keeps room for the head that the generator draws around it."""
    below, around = ((24, 24, 60), 24) if roomy else ((3, 3, 3), 3)
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    return tuple(
        slice(max(0, side.start - low), side.stop + around) for side, low in zip(box, below, strict=True)
    )


def agree(image: Volume, teachers: Path) -> Mask:
    """The brain on which both extractors agree."""
    mindgrab, deepbet = run_mindgrab(image, teachers), run_deepbet(image)
    overlap = 2 * (mindgrab & deepbet).sum() / (mindgrab.sum() + deepbet.sum())
    print(f"  teachers agree {overlap:.3f}, {mindgrab.sum() // 1000} and {deepbet.sum() // 1000} mL")
    return mindgrab & deepbet


def run_teacher(image: Volume, network: Path, *, low: float, high: float) -> NDArray[np.uint8]:
    """Argmax of a teacher. It sees the axes as left, inferior, anterior, scaled between two quantiles."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    floor, ceiling = np.quantile(image, [low, high])
    scaled = (image - floor) / (ceiling - floor)
    turned = scaled[::-1].transpose(0, 2, 1)[:, ::-1]
    feed = {session.get_inputs()[0].name: np.ascontiguousarray(turned)[None, None].astype(np.float32)}
    answer = session.run(None, feed)[0][0].argmax(0).astype(np.uint8)
    return np.ascontiguousarray(answer[:, ::-1].transpose(0, 2, 1)[::-1])


def run_structures(image: Volume, teachers: Path) -> NDArray[np.uint8]:
    return run_teacher(image, teachers / "brainchop_model18cls/model18cls.onnx", low=0.05, high=0.95)


def run_mindgrab(image: Volume, teachers: Path) -> Mask:
    return (
        run_teacher(image, teachers / "brainchop_mindgrab/mindgrab_instnorm.onnx", low=0.02, high=0.98) == 1
    )


def run_deepbet(image: Volume) -> Mask:
    """The mask of the package `deepbet`, which loads its own weights."""
    from deepbet.bet import BrainExtraction

    mask = BrainExtraction(no_gpu=True).run(nibabel.Nifti1Image(image, np.eye(4)))[1]
    return np.asarray(mask.dataobj) > 0


def largest(mask: Mask) -> Mask:
    parts, count = ndimage.label(mask)
    return mask if count < 2 else parts == 1 + np.argmax(ndimage.sum(mask, parts, range(1, count + 1)))


def ball(radius_voxels: int) -> Mask:
    offsets = np.mgrid[(slice(-radius_voxels, radius_voxels + 1),) * 3]
    return (offsets**2).sum(0) <= radius_voxels**2


def fill_envelope(mask: Mask) -> Mask:
    """Close single voxels and fill what is enclosed."""
    return ndimage.binary_fill_holes(ndimage.binary_closing(mask, ball(1)))


def label_inside(image: Volume, structures: NDArray[np.uint8], envelope: Mask) -> NDArray[np.uint8]:
    """Fine labels in the envelope: the teacher's structures, CSF by intensity, then the nearest tissue."""
    tissue = largest((structures > 0) & envelope)
    fine = np.where(tissue, structures, 0).astype(np.uint8)
    grey, fluid = np.median(image[fine == labels.CORTEX]), np.median(image[fine == labels.LATERAL_VENTRICLE])
    rest = envelope & ~tissue
    dark = image <= (grey + fluid) / 2
    fine[rest & dark] = labels.OUTER_CSF
    distance_mm, nearest = ndimage.distance_transform_edt(~tissue, return_indices=True)
    grown = fine[tuple(nearest)]
    grown[np.isin(grown, labels.VENTRICLE_LABELS)] = labels.CORTEX
    near = rest & ~dark & (distance_mm <= 2)
    fine[near] = grown[near]
    fine[rest & ~dark & (distance_mm > 2)] = labels.OTHER_INSIDE
    return fine


def head_mask(image: Volume, fine: NDArray[np.uint8]) -> Mask:
    """The head with scalp, face and what the field of view shows of the neck; air around it excluded."""
    white = np.median(image[fine == labels.WHITE_MATTER])
    brain = (fine > 0) & (fine < labels.OUTSIDE_FIRST)
    solid = ndimage.binary_closing(np.pad(image > 0.12 * white, 12), ball(6))[12:-12, 12:-12, 12:-12]
    solid = ndimage.binary_fill_holes(largest(solid | brain))
    for level in range(solid.shape[2]):
        solid[:, :, level] = ndimage.binary_fill_holes(solid[:, :, level])
    return largest(ndimage.binary_opening(solid, ball(2)) | brain)


def cluster_outside(image: Volume, outside: Mask) -> NDArray[np.uint8]:
    """Pseudo-tissues outside the brain: k-means of intensity, dark to bright."""
    values = image[outside]
    sample = values[:: max(1, values.size // 60000)]
    centres = np.quantile(sample, (np.arange(labels.OUTSIDE_CLUSTERS) + 0.5) / labels.OUTSIDE_CLUSTERS)
    for _ in range(30):
        nearest = np.abs(sample[:, None] - centres).argmin(1)
        centres = np.array(
            [sample[nearest == k].mean() if (nearest == k).any() else c for k, c in enumerate(centres)]
        )
    centres.sort()
    smooth = ndimage.median_filter(image, 3)[outside]
    return (labels.OUTSIDE_FIRST + np.digitize(smooth, (centres[1:] + centres[:-1]) / 2)).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--teachers", type=Path, required=True)
    parser.add_argument("--mean-head", type=Path, help="mean_reg2mean.nii.gz of pydeface")
    parser.add_argument("--validation-head", type=Path, help="a full-head T1 that is never trained on")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="*", help="names to build; default all")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    for source in sources(chosen.corpus, chosen.mean_head, chosen.validation_head):
        if not chosen.only or source.name in chosen.only:
            build(source, chosen.teachers, chosen.out)


if __name__ == "__main__":
    main()
