"""The parts of a new manifest that speak of volumes and of spectra."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from edge.workshop.answers import Answers
from edge.workshop.guessed import Guess
from edge.workshop.picture_text import UNSEALED
from edge.workshop.text_parts import code, edit, flow, known, named, quoted

UNITS: Final = {"CT": "hounsfield", "PT": "suv_bw"}
TILE_SIDE: Final = 96
PASS_VOXELS_MAX: Final = 7_000_000
VOLUME_VOXELS_MAX: Final = 80_000_000


def volume_lines(guess: Guess, answers: Answers, *, given: str) -> Iterator[str]:
    """Write everything from `input` to `policy`, the variants aside."""
    classes = answers.classes or guess.names
    count = guess.classes - (guess.decoder in ("logits", "probabilities"))
    yield from _input(guess, answers, given=given)
    yield ""
    yield from _steps(answers)
    yield ""
    yield "output:"
    yield f"  name: {quoted(guess.outputs['name'])}"
    yield f"  decoder: {guess.decoder}"
    yield "  largest_component_only: false  # true for one organ; false where there may be several things"
    yield "  fill_holes: false"
    yield "  field_of_view: {margin_mm: 2.0, contact_min_mm2: 100.0}"
    yield from named("labels", classes, count, "label")
    yield ""
    yield "golden:                          # `edge bundle golden` writes the file, its hash and these bounds"
    yield "  file: golden.npz"
    yield f'  sha256: "{UNSEALED}"'
    yield "  union_dice_min: 0.98"
    yield "  label_dice_min: 0.95"
    yield ""
    yield from _policy(answers, classes, is_nested=guess.decoder.startswith("sigmoid"))


def _input(guess: Guess, answers: Answers, *, given: str) -> Iterator[str]:
    modality = answers.modality
    unit = None if modality is None else UNITS.get(modality, "arbitrary")
    kind = (
        f"{{modality: {known(modality, 'DICOM: CT, MR, PT …')}, "
        f"unit: {known(unit, 'hounsfield for CT, arbitrary for MR, suv_bw for PT')}}}"
    )
    yield "input:"
    yield f"  name: {quoted(given)}"
    yield f"  layout: {guess.layout}"
    if len(guess.sides) == 2:
        yield f"  slices: {edit('axial, coronal or sagittal: the network sees one at a time')}"
    if guess.channels == 1:
        yield "  accepts:                       # volumes of other kinds are refused"
        yield f"    - {kind}"
    else:
        yield "  channels:                      # which series goes where, in the graph's order"
        for place in range(guess.channels):
            yield f"    - {{role: {edit(f'channel {place}: T1, T1c, T2, FLAIR …')}, accepts: [{kind}]}}"
    if all(guess.sides):
        yield f"  shape_voxels: {list(guess.sides)}    # fixed by the graph; larger volumes go in tiles"
        overlap = min(guess.sides) // 4
    else:
        tile = [
            side or max(guess.multiple, TILE_SIDE // guess.multiple * guess.multiple) for side in guess.sides
        ]
        yield f"  multiple_of_voxels: {guess.multiple}            # found by trying"
        yield f"  pass_voxels_max: {PASS_VOXELS_MAX}"
        yield f"  tile_voxels: {tile}"
        overlap = min(tile) // 4
    yield f"  overlap_voxels: {overlap}"
    yield f"  volume_voxels_max: {VOLUME_VOXELS_MAX}"


def _steps(answers: Answers) -> Iterator[str]:
    yield "preprocessing:                   # in the order of the training"
    yield f"  - {{step: orient, axes: {edit('where the array axes ran to in training: RAS, LPS, SPL …')}}}"
    spacing = known(answers.spacing_mm, "edge of a voxel in training, mm; or three, one for each axis")
    yield f"  - {{step: resample, spacing_mm: {spacing}}}"
    if answers.modality == "CT":
        low, high = edit("HU that becomes 0"), edit("HU that becomes 1")
        yield f"  - {{step: scale_range, low: {low}, high: {high}}}"
    else:
        yield f"  - step: {edit('zscore, percentile, scale_range, scale_percentiles …, as in training')}"


def _policy(answers: Answers, classes: Sequence[str], *, is_nested: bool) -> Iterator[str]:
    """Write what may be said.

    Args:
        answers: Of a person.
        classes: Names of the labels, or () where they are not known.
        is_nested: Whether a label may hold those after it: which ones its volume sums, only a person knows.
    """
    modality = known(answers.modality, "DICOM: CT, MR, PT …")
    yield "policy:"
    yield f"  looked_for: {code(answers.looked_for, 'what it looks for, for the reader of a finding')}"
    yield "  # gates: what a segmentation must pass before anything is said; see docs/bundle-format.md"
    yield "  nothing_marked: NOT_ASSESSED   # ABSENT where it was measured how much the network finds"
    yield "  cutting_faces: [L, R, A, P, S, I]"
    if not classes:
        wanted = "volumes that are said: - {name: …, code: …, labels: […], modalities: […]}"
        yield f"  measurements: {edit(wanted)}"
        return
    yield "  measurements:                  # a voxel has one label: what holds others sums theirs, too"
    for place, one in enumerate(classes, start=1):
        labels = f"[{quoted(one)}]"
        if is_nested and place < len(classes):
            labels = edit(f"[{', '.join(classes[place - 1 :])}], less those that do not lie within {one}")
        yield f"    - name: {quoted(one)}"
        yield f"      code: {code(one, '')}"
        yield f"      labels: {labels}"
        yield f"      modalities: [{modality}]"


def spectra_lines(guess: Guess, answers: Answers, *, given: str) -> Iterator[str]:
    """Write everything from `input` to `policy` of a network of spectra, the variants aside."""
    names = answers.classes or guess.names
    uncertain = "uncertainty" in guess.outputs
    yield "input:"
    yield f"  name: {quoted(given)}"
    yield "  layout: NC"
    yield "  unit: reflectance"
    yield f"  wavelengths_nm: {edit(f'the {guess.channels} wavelengths, increasing: [520, 530, …]')}"
    yield "  value_min: -0.05               # a spectrum with a value outside is not assessed"
    yield "  value_max: 3.0"
    yield "  batch_spectra_max: 16384"
    yield ""
    yield "preprocessing: []                # {step: log, floor: 0.002}, {step: snv}: as in training"
    yield ""
    yield "output:"
    yield f"  name: {quoted(guess.outputs['name'])}"
    if uncertain:
        yield f"  uncertainty: {quoted(guess.outputs['uncertainty'])}   # a guess"
    yield "  quantities:"
    for place in range(guess.classes):
        name = names[place] if place < len(names) else None
        yield f"    - name: {known(name, f'quantity {place}')}"
        yield f"      code: {code(name, 'words for a reader')}"
        yield f"      unit: {edit('UCUM: %, umol/L, 1 …')}"
        yield f"      value_min: {edit('less is no value')}"
        yield f"      value_max: {edit('more is no value')}"
        if uncertain:
            yield f"      uncertainty_max: {edit('with more it is not assessed')}"
    yield ""
    yield "golden:                          # `edge bundle golden` writes the file, its hash and these bounds"
    yield "  file: golden.npz"
    yield f'  sha256: "{UNSEALED}"'
    each = {name: edit("in its unit") for name in names}
    yield f"  errors_max: {flow(each) if names else edit('{quantity: bound in its unit}, for each')}"
    yield "  same_validity_min: 0.95"
    yield ""
    yield "policy:"
    yield f"  looked_for: {code(answers.looked_for, 'what it reads, for the reader of a finding')}"
    yield f"  valid_share_min: {edit('with less of the spectra known, nothing is assessed: 0.05')}"
