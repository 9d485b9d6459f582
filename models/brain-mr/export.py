"""Turn trained weights into the three files of the bundle, and a golden answer to test them with.

usage: export.py --weights average.pt --heads HEADS --out FOLDER

Batch norms are folded, the labels are decided in the graph (scores would cost more to copy than the network
to run), and the three spatial axes are free, in multiples of 16. `model.fp16.onnx` is for a GPU;
`model.int8.onnx` has every layer quantised (unsigned activations, signed weights, per channel) and was
calibrated on synthetic scans only.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from chance import Chance
from network import BrainNet, fold_batch_norms
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from synthesis import draw_scan, load_head
from torch import Tensor, nn
from torch.nn import functional
from train import HEADS

OPSET = 17
RIM_VOXELS = 5
INPUT, OUTPUT = "image", "labels"
CALIBRATION_SCANS = 12
CALIBRATION_SEED = 77
GOLDEN_SIDE_VOXELS = 80

Scan = NDArray[np.float32]


class Labelled(nn.Module):
    """The network with its decision: brain or not from a smoothed chance, then which tissue.

    Noise moves the rim by single voxels; the mean over a cube of 7.5 mm does not follow it (see CARD.md).
    """

    def __init__(self, network: BrainNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, volume: Tensor) -> Tensor:
        """Label each voxel: (batch, 1, x, y, z) to (batch, x, y, z), uint8."""
        scores = self.network(volume)
        outside = scores.softmax(1)[:, :1]
        for axis in range(3):
            sides, margin = [1, 1, 1], [0, 0, 0]
            sides[axis], margin[axis] = RIM_VOXELS, RIM_VOXELS // 2
            outside = functional.avg_pool3d(outside, sides, stride=1, padding=margin, count_include_pad=False)
        tissue = 1 + scores[:, 1:].argmax(1)
        return torch.where(outside[:, 0] < 0.5, tissue, 0).to(torch.uint8)


def load_network(weights: Path) -> BrainNet:
    network = BrainNet()
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return fold_batch_norms(network)


def export_fp32(network: BrainNet, path: Path) -> None:
    sides = {2: "x", 3: "y", 4: "z"}
    torch.onnx.export(
        Labelled(network).eval(),
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

    def __init__(self, scans: list[Scan]) -> None:
        self._scans: Iterator[Scan] = iter(scans)

    def get_next(self) -> dict[str, Scan] | None:
        """Return the next scan, or None at the end."""
        scan = next(self._scans, None)
        return None if scan is None else {INPUT: scan}


def export_int8(fp32: Path, path: Path, scans: list[Scan]) -> None:
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
            op_types_to_quantize=["Conv", "MaxPool", "Concat", "Resize"],
            extra_options={"ActivationSymmetric": False, "CalibMovingAverage": True, "WeightSymmetric": True},
        )


def draw_calibration(heads: Path, count: int) -> list[Scan]:
    device = torch.device("cpu")
    drawn = [load_head(heads / f"{name}.npz", device, share=share) for name, share, _ in HEADS]
    return [draw_scan(drawn, Chance(CALIBRATION_SEED + n, device))[0].numpy() for n in range(count)]


def write_golden(fp32: Path, scans: list[Scan], path: Path) -> None:
    """Two crops of synthetic heads with the fp32 answer of the CPU; no real scan is in them."""
    network = session(fp32)
    low = (scans[0].shape[-1] - GOLDEN_SIDE_VOXELS) // 2
    middle = slice(low, low + GOLDEN_SIDE_VOXELS)
    images, answers = [], []
    for scan in scans:
        crop = scan[:, :, middle, middle, middle].astype(np.float16)
        answer = network.run(None, {INPUT: crop.astype(np.float32)})[0]
        if 0.3 < (answer > 0).mean() < 0.95 and len(np.unique(answer)) >= 6:
            images.append(crop)
            answers.append(answer)
        if len(images) == 2:
            break
    np.savez_compressed(
        path,
        image=np.concatenate(images),
        labels=np.concatenate(answers),
    )


def session(path: Path, *, threads: int = 2) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def compare(out: Path, scans: list[Scan]) -> None:
    """Brain Dice of fp16 and int8 against fp32, on scans that were not used for calibration."""
    fp32 = session(out / "model.fp32.onnx")
    wanted = [fp32.run(None, {INPUT: scan})[0] for scan in scans]
    for name in ("fp16", "int8"):
        other = session(out / f"model.{name}.onnx")
        values = []
        for scan, answer in zip(scans, wanted, strict=True):
            seen = other.run(None, {INPUT: scan})[0]
            total = (seen > 0).sum() + (answer > 0).sum()
            values.append(2 * ((seen > 0) & (answer > 0)).sum() / total if total else 1.0)
        print(name, "brain Dice against fp32", np.round(values, 4).tolist(), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True, help="average.pt of the last run")
    parser.add_argument("--heads", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    torch.set_num_threads(2)
    scans = draw_calibration(chosen.heads, CALIBRATION_SCANS + 6)
    export_fp32(load_network(chosen.weights), chosen.out / "model.fp32.onnx")
    export_fp16(chosen.out / "model.fp32.onnx", chosen.out / "model.fp16.onnx")
    export_int8(chosen.out / "model.fp32.onnx", chosen.out / "model.int8.onnx", scans[:CALIBRATION_SCANS])
    write_golden(chosen.out / "model.fp32.onnx", scans[CALIBRATION_SCANS:], chosen.out / "golden.npz")
    compare(chosen.out, scans[CALIBRATION_SCANS:])


if __name__ == "__main__":
    main()
