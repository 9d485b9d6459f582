"""Turn trained weights into the three files of the bundle, and a golden answer to test them with.

usage: export.py --weights average.pt --out FOLDER [--chance-min 0.5]

Batch norms are folded, the labels are decided in the graph (scores would cost more to copy than the network
to run), and the three spatial axes are free, in multiples of 16. `model.fp16.onnx` is for a GPU;
`model.int8.onnx` has every layer quantised (unsigned activations, signed weights, per channel) and was
calibrated on synthetic scans only. `--chance-min` is chosen with `froc.py`.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import labels
import numpy as np
import onnx
import onnxruntime
import torch
from chance import Chance, Shape
from decision import Labelled
from network import LungNet, fold_batch_norms
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from synthesis import paint_scene, take
from torch import nn
from views import SHAPES, shape_of

OPSET = 17
INPUT, OUTPUT = "image", "labels"
CALIBRATION_SCANS = 12
COMPARED_SCANS = 8
CALIBRATION_SEED = 7_700_000
GOLDEN_SHAPE: Shape = (80, 80, 80)
GOLDEN_SCANS = 2
GOLDEN_SEED = 7_800_000
GOLDEN_TRIES = 60
GOLDEN_VOXELS_MIN = 40  # of each class
NODULE_CHANCE_MIN = 0.5
NETWORK = "/network/"  # what does not begin so in the graph is the decision, and is not quantised

Picture = NDArray[np.float32]


def load_network(weights: Path) -> LungNet:
    network = LungNet()
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return fold_batch_norms(network)


def export_fp32(network: nn.Module, path: Path) -> None:
    sides = {2: "x", 3: "y", 4: "z"}
    torch.onnx.export(
        network.eval(),
        (torch.rand(1, 1, 64, 64, 64),),
        str(path),
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_axes={INPUT: sides, OUTPUT: {axis - 1: name for axis, name in sides.items()}},
        opset_version=OPSET,
        dynamo=False,
    )


def export_fp16(fp32: Path, path: Path) -> None:
    """Half precision inside; input and output keep their types."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = convert_float_to_float16(onnx.load(fp32), keep_io_types=True, op_block_list=["Resize"])
    onnx.save(model, path)


class Calibration(CalibrationDataReader):
    """Feeds the quantiser."""

    def __init__(self, scans: list[Picture]) -> None:
        self._scans: Iterator[Picture] = iter(scans)

    def get_next(self) -> dict[str, Picture] | None:
        """Return the next scan, or None at the end."""
        scan = next(self._scans, None)
        return None if scan is None else {INPUT: scan}


def decision_of(path: Path) -> list[str]:
    """Names of the nodes that are not the network's."""
    graph = onnx.load(path, load_external_data=False).graph
    return [node.name for node in graph.node if not node.name.startswith(NETWORK)]


def export_int8(fp32: Path, path: Path, scans: list[Picture]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(fp32, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            path,
            Calibration(scans),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=decision_of(prepared),
            op_types_to_quantize=["Conv", "MaxPool", "Concat", "Resize"],
            extra_options={"ActivationSymmetric": False, "CalibMovingAverage": True, "WeightSymmetric": True},
        )


def draw_scans(count: int, shapes: Sequence[Shape]) -> list[Picture]:
    """(1, 1, x, y, z) each, of chests that are not trained on; they take turns with the shapes."""
    drawn = []
    for number in range(count):
        chance = Chance(CALIBRATION_SEED + number, torch.device("cpu"))
        place = (chance.uniform(-80, 80), chance.uniform(-30, 30), chance.uniform(-90, 70))
        shape = shapes[number % len(shapes)]
        scene = paint_scene(chance, shape=shape, centre=place if number % 6 > 1 else None)
        drawn.append(take(scene, chance, shape=shape).image[None, None].numpy())
    return drawn


def write_golden(fp32: Path, path: Path) -> None:
    """Two pieces of synthetic chests with the fp32 answer of the CPU; no real scan is in them."""
    network = session(fp32)
    images, answers = [], []
    for number in range(GOLDEN_TRIES):
        chance = Chance(GOLDEN_SEED + number, torch.device("cpu"))
        centre = (
            chance.pick([-1, 1]) * chance.uniform(15, 45),
            chance.uniform(-20, 20),
            chance.uniform(-20, 30),
        )
        scene = paint_scene(chance, shape=GOLDEN_SHAPE, centre=centre)
        image = take(scene, chance, shape=GOLDEN_SHAPE).image[None, None]
        crop = image.numpy().astype(np.float16)
        answer = network.run(None, {INPUT: crop.astype(np.float32)})[0]
        each = np.bincount(answer.ravel(), minlength=len(labels.TOLD_NAMES))
        if (each[1:] > GOLDEN_VOXELS_MIN).all() and each[0] > 0.1 * answer.size:
            images.append(crop)
            answers.append(answer)
        if len(images) == GOLDEN_SCANS:
            break
    if len(images) < GOLDEN_SCANS:
        raise SystemExit(
            f"golden: {len(images)} of {GOLDEN_TRIES} scans show every class, wanted {GOLDEN_SCANS}"
        )
    np.savez_compressed(path, image=np.concatenate(images), labels=np.concatenate(answers))


def session(path: Path, *, threads: int = 2) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def compare(out: Path, scans: list[Picture]) -> None:
    """Dice of fp16 and int8 against fp32 for each class, over scans that were not used for calibration."""
    fp32 = session(out / "model.fp32.onnx")
    wanted = [fp32.run(None, {INPUT: scan})[0] for scan in scans]
    for name in ("fp16", "int8"):
        other = session(out / f"model.{name}.onnx")
        seen = [other.run(None, {INPUT: scan})[0] for scan in scans]
        for index in range(1, len(labels.TOLD_NAMES)):
            shared = sum(int(((a == index) & (b == index)).sum()) for a, b in zip(seen, wanted, strict=True))
            total = sum(
                int((a == index).sum() + (b == index).sum()) for a, b in zip(seen, wanted, strict=True)
            )
            value = f"{2 * shared / total:.4f}" if total else "-"
            print(f"{name} against fp32, {labels.TOLD_NAMES[index]}: Dice {value}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True, help="average.pt of the last run")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--chance-min", type=float, default=NODULE_CHANCE_MIN, help="of a nodule's voxel")
    parser.add_argument(
        "--shapes", type=shape_of, nargs="+", default=SHAPES, help="of the calibration scans, voxels"
    )
    chosen = parser.parse_args()
    torch.set_num_threads(2)
    chosen.out.mkdir(parents=True, exist_ok=True)
    network = load_network(chosen.weights)
    scans = draw_scans(CALIBRATION_SCANS + COMPARED_SCANS, chosen.shapes)
    export_fp32(Labelled(network, chosen.chance_min), chosen.out / "model.fp32.onnx")
    export_fp16(chosen.out / "model.fp32.onnx", chosen.out / "model.fp16.onnx")
    export_int8(chosen.out / "model.fp32.onnx", chosen.out / "model.int8.onnx", scans[:CALIBRATION_SCANS])
    compare(chosen.out, scans[CALIBRATION_SCANS:])
    write_golden(chosen.out / "model.fp32.onnx", chosen.out / "golden.npz")


if __name__ == "__main__":
    main()
