"""Turn trained weights into the three files of the bundle, and golden answers to test them with.

usage: export.py --weights average.pt --out FOLDER

The logit's sharpness is fitted first, on rendered scenes of the families that `evaluate.py` calls validation.
Batch norms are folded; bytes go in and scores come out, so that nothing has to be scaled outside. The form
for the CPU has unsigned activations and signed weights per channel, calibrated on rendered scenes only.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import scenes
import torch
from families import TRAINED, VALIDATION
from network import HEIGHT_PX, WIDTH_PX, ScopeNet, Scored
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from scope import fitted
from torch.nn import functional

OPSET = 17
INPUT, OUTPUT = "image", "scores"
CALIBRATION_PICTURES = 150
CALIBRATION_SEED = 700_000_000
SHARPNESS_EACH = 40
SHARPNESS_SEED = 710_000_000
GOLDEN_SEED = 720_000_000

Pictures = NDArray[np.uint8]  # (n, 3, height, width)


def planes(drawn: list[scenes.Scene]) -> Pictures:
    """Scenes as the network takes them."""
    return np.ascontiguousarray(np.stack([fitted(scene.picture).transpose(2, 0, 1) for scene in drawn]))


@torch.no_grad()
def fit_sharpness(network: ScopeNet) -> None:
    """Find the number that the logits are divided by: the one under which the labels are likeliest."""
    names = (*TRAINED, *VALIDATION)
    drawn = [scenes.draw_from(name, SHARPNESS_SEED + n) for name in names for n in range(SHARPNESS_EACH)]
    logits = network(functional.avg_pool2d(torch.from_numpy(planes(drawn)).float(), 2))
    wanted = torch.tensor([float(scene.is_inside) for scene in drawn])
    tried = torch.exp(torch.linspace(-1.5, 1.5, 121))
    losses = [functional.binary_cross_entropy_with_logits(logits / one, wanted) for one in tried]
    network.sharpness.copy_(tried[int(torch.stack(losses).argmin())])
    print(f"sharpness {float(network.sharpness):.3f}, loss {float(min(losses)):.4f} on {len(drawn)} scenes")


def export_fp32(network: ScopeNet, path: Path) -> None:
    torch.onnx.export(
        Scored(network).eval(),
        (torch.zeros(1, 3, HEIGHT_PX, WIDTH_PX, dtype=torch.uint8),),
        str(path),
        input_names=[INPUT],
        output_names=[OUTPUT],
        opset_version=OPSET,
        dynamo=False,
    )


def export_fp16(fp32: Path, path: Path) -> None:
    """Half precision inside; input and output keep their types."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(fp32), keep_io_types=True), path)


class Calibration(CalibrationDataReader):
    """Feeds the quantiser."""

    def __init__(self, pictures: Pictures) -> None:
        self._pictures: Iterator[Pictures] = iter(pictures[:, None])

    def get_next(self) -> dict[str, Pictures] | None:
        """Return the next picture, or None at the end."""
        picture = next(self._pictures, None)
        return None if picture is None else {INPUT: picture}


def export_int8(fp32: Path, path: Path, pictures: Pictures) -> None:
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(fp32, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            path,
            Calibration(pictures),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.Percentile,
            op_types_to_quantize=["Conv", "Add", "Relu"],
            extra_options={"ActivationSymmetric": False, "WeightSymmetric": True, "CalibPercentile": 99.99},
        )


def write_golden(fp32: Path, path: Path) -> None:
    """Two pictures of each family, with the scores that the fp32 network gives on the CPU."""
    names = (*TRAINED, *VALIDATION)
    pictures = planes([scenes.draw_from(name, GOLDEN_SEED + n) for name in names for n in range(2)])
    session = onnxruntime.InferenceSession(str(fp32), providers=["CPUExecutionProvider"])
    scores = np.concatenate([session.run(None, {INPUT: picture[None]})[0] for picture in pictures])
    np.savez_compressed(path, image=pictures, scores=scores.astype(np.float32))
    print("golden:", np.round(scores[:, 1], 3).tolist())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    settings = parser.parse_args()
    network = ScopeNet()
    network.load_state_dict(torch.load(settings.weights, map_location="cpu", weights_only=True))
    network.eval()
    fit_sharpness(network)
    settings.out.mkdir(parents=True, exist_ok=True)
    fp32, fp16, int8 = (settings.out / f"model.{name}.onnx" for name in ("fp32", "fp16", "int8"))
    export_fp32(network, fp32)
    export_fp16(fp32, fp16)
    export_int8(fp32, int8, planes([scenes.draw(CALIBRATION_SEED + n) for n in range(CALIBRATION_PICTURES)]))
    write_golden(fp32, settings.out / "golden.npz")


if __name__ == "__main__":
    main()
