"""The parts of a new manifest that speak of pictures: input, steps, decoder, golden check, policy."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from edge.bundles.edits import MARK
from edge.workshop.answers import NUMBERS, Answers
from edge.workshop.guessed import Guess
from edge.workshop.text_parts import code, edit, flow, known, named, quoted

UNSEALED: Final = "0" * 64  # `edge bundle golden` writes the true one
SIDE_MAX_PX: Final = 1024
ULTRALYTICS: Final = "Ultralytics"
SCORE_SAID: Final = "it is there from this score on, 0 to 1"
IMAGENET: Final = "{step: normalize, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}"
GRID_KEYS: Final = ("layout", "decoded", "form", "unit", "scores_are", "strides_px", "confidence")
UNLIKE: Final = {
    "softmax": "sigmoid where each stands by itself",
    "sigmoid": "softmax where they exclude each other",
}
ORDERS: Final = {
    False: "xyxy                 # a guess: left, top, right, bottom; TensorFlow has yxyx",
    True: "yxyx                 # a guess, as TensorFlow has it: top, left, bottom, right; else xyxy",
}
FIRST_LABELS: Final = {
    False: "0              # 1 where 0 is background (torchvision)",
    True: "1              # a guess, as TensorFlow has it: 0 is background; else 0",
}
FINDINGS_MAX: Final = 3  # with more, one place is filled in and not one for each
GOLDEN: Final = {
    "picture-classification": ("score_error_max: 0.05",),
    "picture-detection": ("iou_min: 0.5", "f1_min: 0.9", "box_iou_min: 0.8", "score_error_max: 0.15"),
    "picture-segmentation": ("union_dice_min: 0.97", "label_dice_min: 0.95"),
    "picture-keypoints": ("point_error_max_px: 4", "score_error_max: 0.15"),
    "picture-embedding": ("cosine_min: 0.98",),
}


def picture_lines(guess: Guess, answers: Answers, *, dtype: str, given: str) -> Iterator[str]:
    """Write everything from `input` to `policy`, the variants aside."""
    classes = answers.classes or guess.names
    yield from _input(guess, answers, dtype=dtype, given=given)
    yield ""
    yield from _steps(guess, answers, dtype=dtype)
    yield ""
    yield "output:"
    yield from _output(guess, answers, classes)
    yield ""
    yield from _golden(guess, classes)
    yield ""
    yield "policy:"
    yield from _policy(guess, answers, classes)


def _input(guess: Guess, answers: Answers, *, dtype: str, given: str) -> Iterator[str]:
    yield "input:"
    yield f"  name: {quoted(given)}"
    yield f"  layout: {guess.layout}"
    if guess.channels == 1:
        yield "  channels: GREY"
    elif answers.channels:
        yield f"  channels: {answers.channels}"
    else:
        order, why = _colours(guess)
        yield f"  channels: {order}                 # {why}"
    yield f"  dtype: {dtype}"
    height, width = guess.sides
    if height and width:
        yield f"  height_px: {height}"
        yield f"  width_px: {width}"
    else:
        side = (guess.side_usual or SIDE_MAX_PX) // guess.multiple * guess.multiple
        yield f"  multiple_of_px: {guess.multiple}             # found by trying"
        yield f"  side_max_px: {side}              # larger pictures are scaled down; smaller is quicker"


def _colours(guess: Guess) -> tuple[str, str]:
    """Return the order of the colours, and why: that of a family which is always trained alike is taken."""
    if guess.exporter == ULTRALYTICS:
        return "RGB", "as Ultralytics trains"
    if guess.decoder == "yolox":
        return "BGR", "a guess: the YOLOX project trains so; else RGB"
    return "RGB", "a guess; networks trained with OpenCV alone take BGR"


def _steps(guess: Guess, answers: Answers, *, dtype: str) -> Iterator[str]:
    yield "preprocessing:"
    if guess.task == "picture-detection":
        corner = ", align: corner" if guess.decoder == "yolox" else ""
        yield f"  - {{step: letterbox, fill_rgb: [114, 114, 114]{corner}}}"
    elif guess.task == "picture-classification" and all(guess.sides):
        yield "  - {step: stretch}             # or crop or letterbox, as it was trained"
    elif all(guess.sides):
        yield "  - {step: stretch}             # or letterbox, as it was trained"
    else:
        yield "  - {step: letterbox, fill_rgb: [0, 0, 0]}  # or stretch; the network sees this border"
    if dtype == "uint8":
        return
    numbers = answers.numbers or ("0-1" if guess.exporter == ULTRALYTICS else None)
    numbers = numbers or ("none" if guess.decoder == "yolox" else None)
    if numbers is None:
        yield "  # Which numbers was it trained on? One of: no further step (0 to 255); scale alone (0 to 1);"
        yield f"  # scale and {IMAGENET} (ImageNet);"
        yield "  # scale and {step: normalize, mean: [0.5], std: [0.5]} (-1 to 1)."
        yield f"  - step: {edit('scale or normalize, with its numbers, or take this step away')}"
        return
    yield f"  # {NUMBERS[numbers]}"
    if numbers != "none":
        yield "  - {step: scale, divide_by: 255}"
    if numbers == "imagenet" and guess.channels == 3:
        yield f"  - {IMAGENET}"
    elif numbers in ("half", "imagenet"):
        yield "  - {step: normalize, mean: [0.5], std: [0.5]}"


# ── the decoder ────────────────────────────────────────────────────────────────────────────────────────────


def _output(guess: Guess, answers: Answers, classes: Sequence[str]) -> Iterator[str]:
    if not guess.decoder:
        yield f"  decoder: {edit('which of the task, with its keys: see docs/bundle-format.md')}"
        return
    is_open = guess.task == "picture-classification"
    yield f"  decoder: {guess.decoder}{_unlike(guess.decoder) if is_open and guess.classes > 1 else ''}"
    match guess.task:
        case "picture-detection":
            yield from _detector(guess, answers)
            yield from named("classes", classes, guess.classes, "class")
        case "picture-segmentation":
            yield f"  name: {quoted(guess.outputs['name'])}"
            yield from _mask(guess, answers)
            yield from named("labels", classes, guess.classes, "label")
        case "picture-classification":
            yield f"  name: {quoted(guess.outputs['name'])}"
            yield from named("classes", classes, guess.classes, "class")
        case "picture-keypoints":
            yield from _points(guess, classes)
        case "picture-regression":
            yield f"  name: {quoted(guess.outputs['name'])}"
            yield from _quantities(guess, classes)
        case "picture-embedding":
            yield f"  name: {quoted(guess.outputs['name'])}"
            yield f"  features: {guess.classes}"
            yield "  normalize: true"


def _detector(guess: Guess, answers: Answers) -> Iterator[str]:
    outputs = guess.outputs
    match guess.decoder:
        case "yolox" | "yolov8" | "yolov5":
            yield from _grids(outputs)
            for key, value in guess.facts.items():
                if key in GRID_KEYS:
                    yield f"  {key}: {value}"
        case "centres":
            for role in ("heat", "size", "offset"):
                if role in outputs:
                    yield f"  {role}: {quoted(outputs[role])}"
            yield f"  stride_px: {guess.facts['stride_px']}"
            yield f"  scores_are: {guess.facts['scores_are']}"
            yield f"  size_form: {edit('linear (CenterNet) or log (CenterFace)')}"
            yield f"  axes: {edit('xy or yx: which comes first in sizes and offsets')}"
            yield f"  cell_offset: {edit('0 (CenterNet) or 0.5 (CenterFace)')}"
        case "candidates":
            yield f"  boxes: {quoted(outputs['boxes'])}"
            yield f"  scores: {quoted(outputs['scores'])}"
            yield f"  order: {edit('of the four numbers: xyxy, cxcywh, xywh or yxyx')}"
            yield f"  unit: {guess.facts['unit']}                 # by the largest number on noise"
            yield f"  scores_are: {guess.facts['scores_are']}{_unlike(guess.facts['scores_are'])}"
            background = guess.facts["background"]
            wanted = f"{background or 'none, first or last'}: where the score of nothing stands"
            yield f"  background: {'none' if background == 'none' else edit(wanted)}"
        case "boxes" if "table" in outputs:
            yield f"  table: {quoted(outputs['table'])}"
            yield f"  columns: {guess.facts['columns']}"
            yield f"  unit: {guess.facts['unit']}                    # by the largest number on noise"
        case "boxes":
            for role in ("boxes", "scores", "labels", "count"):
                if role in outputs:
                    yield f"  {role}: {quoted(outputs[role])}"
            is_tensorflow = guess.facts["is_tensorflow"] == "True"
            yield f"  order: {ORDERS[is_tensorflow]}"
            yield f"  unit: {guess.facts['unit']}                    # by the largest number on noise"
            yield f"  first_label: {FIRST_LABELS[is_tensorflow]}"
    score = known(answers.threshold, "what scores less is no thing, 0 to 1; 0.25 is usual")
    yield f"  score_min: {score}"
    if "points" in guess.facts:
        names = ", ".join(f"{{name: point-{place}}}" for place in range(guess.facts["points"]))
        yield f"  points: [{names}]"
        yield f"  point_numbers: {guess.facts['point_numbers']}"
    if guess.decoder != "boxes":
        yield "  iou_max: 0.5                # a box that overlaps a better one by more is the same thing"


def _grids(outputs: Mapping[str, str]) -> Iterator[str]:
    """Write which outputs a detector of grids is read from: one table, or maps for each grid."""
    if "name" in outputs:
        yield f"  tables: [{quoted(outputs['name'])}]"
        return
    for kind in ("tables", "boxes", "scores", "objectness"):
        if names := [quoted(name) for role, name in outputs.items() if role.startswith(kind)]:
            yield f"  {kind}: [{', '.join(names)}]"


def _unlike(scores_are: str) -> str:
    """Return a remark on what else scores may be: their numbers alone do not tell."""
    other = {
        "softmax": "sigmoid where each stands by itself",
        "sigmoid": "softmax where they exclude each other",
    }
    return f"         # a guess; {other[scores_are]}" if scores_are in other else ""


def _mask(guess: Guess, answers: Answers) -> Iterator[str]:
    if guess.decoder != "labels" and guess.facts.get("layout", "NCHW") != "NCHW":
        yield f"  layout: {guess.facts['layout']}"
    if guess.facts.get("stride", 1) != 1:
        yield f"  stride_px: {guess.facts['stride']}"
    if guess.decoder == "logits":
        has = "true " if guess.facts["has_background"] else "false"
        yield f"  has_background: {has}       # channel 0; false where every pixel gets a label"
    if guess.decoder == "sigmoid":
        yield f"  scores_are: {'probabilities' if guess.facts['is_probability'] else 'logits'}"
        each = known(answers.threshold, "one for each label: a pixel has it from this score on, 0.5 is usual")
        row = ", ".join([each] * guess.classes)
        yield f"  thresholds: {f'[{row}]' if answers.threshold else each}"
    yield "  area_min_px: 0              # smaller things are none; with 0 a single pixel is one"


def _points(guess: Guess, classes: Sequence[str]) -> Iterator[str]:
    yield f"  name: {quoted(guess.outputs['name'])}"
    if guess.decoder == "heatmaps":
        if guess.facts["layout"] != "NCHW":
            yield f"  layout: {guess.facts['layout']}"
        yield f"  stride_px: {guess.facts['stride']}"
    else:
        yield f"  unit: {edit('px, relative (0 to 1) or signed (-1 to 1)')}"
    if classes:
        yield "  points:"
        for one in classes:
            yield f"    - {{name: {quoted(one)}, code: {code(one, '')}}}"
    else:
        yield f"  points: {edit(f'{guess.classes} of them, in order: - {{name: …}}')}"


def _quantities(guess: Guess, names: Sequence[str]) -> Iterator[str]:
    yield "  quantities:"
    for place in range(guess.classes):
        name = names[place] if place < len(names) else None
        yield f"    - name: {known(name, f'quantity {place}')}"
        yield f"      code: {code(name, 'words for a reader')}"
        yield f"      unit: {edit('UCUM: mm, %, 1 …')}"
        yield f"      value_min: {edit('less is no value')}"
        yield f"      value_max: {edit('more is no value')}"


# ── golden check and policy ────────────────────────────────────────────────────────────────────────────────


def _golden(guess: Guess, names: Sequence[str]) -> Iterator[str]:
    yield "golden:                         # `edge bundle golden` writes the file, its hash and these bounds"
    yield "  file: golden.npz"
    yield f'  sha256: "{UNSEALED}"'
    if guess.task == "picture-regression":
        each = {name: edit("in its unit: no estimate may be farther off") for name in names}
        yield f"  errors_max: {flow(each) if names else edit('{quantity: bound in its unit}, for each')}"
    for line in GOLDEN.get(guess.task, ()):
        yield f"  {line}"


def _policy(guess: Guess, answers: Answers, classes: Sequence[str]) -> Iterator[str]:
    yield f"  looked_for: {code(answers.looked_for, 'what it looks for, for the reader of a finding')}"
    score = known(answers.threshold, SCORE_SAID)
    match guess.task:
        case "picture-classification":
            yield from _class_policy(guess, classes, score)
        case "picture-detection":
            yield from _findings(classes, f"enter_score_min: {score}, stay_score_min: {score}")
            yield "  nothing_found: NOT_ASSESSED  # ABSENT where it was measured how much the network misses"
        case "picture-segmentation":
            bound = "enter_area_min: 0.0005, stay_area_min: 0.0002"
            yield "  # shares of the picture's area"
            yield from _findings(classes, bound)
            yield "  nothing_found: NOT_ASSESSED  # ABSENT where it was measured how much the network misses"
        case "picture-keypoints":
            yield f"  enter_points_min: {edit('PRESENT from so many points on')}"
            yield f"  stay_points_min: {edit('not PRESENT any more with fewer')}"
            yield "  nothing_found: NOT_ASSESSED"


def _class_policy(guess: Guess, classes: Sequence[str], score: str) -> Iterator[str]:
    if guess.decoder == "sigmoid" and guess.classes > 1:
        yield from _findings(classes, f"enter_score_min: {score}, stay_score_min: {score}")
    else:
        single = classes[0] if len(classes) == 1 else None
        yield f"  present_class: {known(single, 'the class whose high score means PRESENT')}"
        yield f"  enter_score_min: {score}"
        yield f"  stay_score_min: {score}"
    yield "  fail_closed: false"


def _findings(classes: Sequence[str], bounds: str) -> Iterator[str]:
    if not classes or (MARK in bounds and len(classes) > FINDINGS_MAX):
        each = re.sub(r'"[^"]*"', "0.5", bounds)
        yield f"  findings: {edit(f'the classes that are said, each: - {{name: …, {each}}}')}"
        return
    yield "  findings:                     # those that are said; take away what nobody wants to hear of"
    for one in classes[:256]:
        yield f"    - {{name: {quoted(one)}, {bounds}}}"
