"""Turn trained weights into the files of the bundle, and golden answers to test them with.

usage: export.py --weights average.pt --table tissue_optics.csv --out FOLDER

`model.int8.onnx` has its wide layers quantised (unsigned activations, signed weights, per channel),
calibrated on drawn spectra; the first layer and the two heads stay in fp32.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from light import reflectance_table
from network import OxygenNet, prepare
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from tissue import WAVELENGTHS_NM, draw_other, draw_tissue, load_optics, measured
from train import FLOOR

OPSET = 17
INPUT, OUTPUT, UNCERTAINTY = "spectra", "oxygenation", "uncertainty"
UNCERTAINTY_MAX = 15.0  # percent, as in manifest.yaml
CALIBRATION = 8192
GOLDEN = 64
SEED = 77

Spectra = NDArray[np.float32]


class Calibration(CalibrationDataReader):
    """Feeds the quantiser."""

    def __init__(self, spectra: Spectra) -> None:
        self._batches: Iterator[Spectra] = iter(np.array_split(spectra, 16))

    def get_next(self) -> dict[str, Spectra] | None:
        """Return the next batch, or None at the end."""
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}


def export_fp32(network: OxygenNet, path: Path) -> None:
    rows = {0: "spectra"}
    torch.onnx.export(
        network.eval(),
        (torch.rand(2, len(WAVELENGTHS_NM)),),
        str(path),
        input_names=[INPUT],
        output_names=[OUTPUT, UNCERTAINTY],
        dynamic_axes={INPUT: rows, OUTPUT: rows, UNCERTAINTY: rows},
        opset_version=OPSET,
        dynamo=False,
    )


def export_int8(fp32: Path, path: Path, spectra: Spectra) -> None:
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(fp32, prepared)
        kept = [
            node.name
            for node in onnx.load(prepared).graph.node
            if any(part in node.name for part in ("share", "spread", "body.0"))
        ]
        quantize_static(
            prepared,
            path,
            Calibration(spectra),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.Percentile,
            op_types_to_quantize=["Gemm", "MatMul"],
            nodes_to_exclude=kept,
            extra_options={"CalibPercentile": 99.99},
        )


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def answer(path: Path, spectra: Spectra) -> tuple[Spectra, Spectra]:
    """Return oxygenation and uncertainty, (n,) each, of measured reflectance."""
    share, spread = session(path).run(None, {INPUT: prepare(torch.from_numpy(spectra), FLOOR).numpy()})
    return share[:, 0], spread[:, 0]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    network = OxygenNet(len(WAVELENGTHS_NM))
    network.load_state_dict(torch.load(chosen.weights, map_location="cpu", weights_only=True))
    random = np.random.default_rng(SEED)
    optics, reflectance = load_optics(chosen.table), reflectance_table(50_000, seed=SEED)
    _, tissue = draw_tissue(
        CALIBRATION, optics, random, reflectance=reflectance, scatterers=("background", "muscle")
    )
    spectra = np.concatenate(
        [
            measured(tissue, random, noise=None),
            measured(draw_other(CALIBRATION // 4, random), random, noise=None),
        ]
    )
    fp32, int8 = chosen.out / "model.fp32.onnx", chosen.out / "model.int8.onnx"
    export_fp32(network, fp32)
    export_int8(fp32, int8, prepare(torch.from_numpy(spectra), FLOOR).numpy())
    golden = np.concatenate([spectra[:GOLDEN], spectra[-GOLDEN // 4 :]]).astype(np.float16).astype(np.float32)
    share, spread = answer(fp32, golden)
    clear = np.abs(spread - UNCERTAINTY_MAX) > 1.0  # those at the limit prove nothing
    golden, share, spread = golden[clear], share[clear], spread[clear]
    estimates = np.where(spread <= UNCERTAINTY_MAX, share, np.nan)[:, None]
    np.savez_compressed(chosen.out / "golden.npz", spectra=golden, estimates=estimates)
    others = np.concatenate([measured(tissue, np.random.default_rng(78), noise=None)])
    (one, unsure), (two, unsure_int8) = answer(fp32, others), answer(int8, others)
    known = (unsure <= UNCERTAINTY_MAX) & (unsure_int8 <= UNCERTAINTY_MAX)
    difference = np.abs(one - two)[known]
    print(
        f"int8 against fp32, {known.sum()} spectra: mean {difference.mean():.2f} %, 99 % of them within "
        f"{np.percentile(difference, 99):.2f} %, at most {difference.max():.2f} %; "
        f"known alike {((unsure <= UNCERTAINTY_MAX) == (unsure_int8 <= UNCERTAINTY_MAX)).mean():.3f}"
    )


if __name__ == "__main__":
    main()
