"""Turn trained weights into the fp32 network of the bundle, and draw what proves and calibrates it.

usage: export.py --weights average.pt --out FOLDER [--pictures FOLDER]

The rest is done by the product's own commands, see CARD.md: `edge bundle golden`, `edge bundle quantize`.
"""

import argparse
from pathlib import Path

import cv2
import torch
from network import Answering, NucleiNet
from synthesis import draw

OPSET = 17
INPUT, OUTPUT = "image", "maps"
GOLDEN, CALIBRATION = 4, 48
GOLDEN_SIDE_PX, SIDE_PX = 90, 250  # no multiples of 16: the mirrored rim is proved, too
FIRST_SEED = 7_000_000_000  # far from those of training


def export_fp32(network: NucleiNet, path: Path) -> None:
    """Write the graph: bytes of any size, two maps of that size out."""
    sides = {2: "height", 3: "width"}
    torch.onnx.export(
        Answering(network).eval(),
        (torch.zeros((1, 3, 57, 90), dtype=torch.uint8),),
        str(path),
        input_names=[INPUT],
        output_names=[OUTPUT],
        dynamic_axes={INPUT: sides, OUTPUT: sides},
        opset_version=OPSET,
        dynamo=False,
    )


def write_pictures(folder: Path) -> None:
    """Draw pictures for the golden check and for calibration, as PNG."""
    for name, count, side_px in (("golden", GOLDEN, GOLDEN_SIDE_PX), ("samples", CALIBRATION, SIDE_PX)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        seed, written = FIRST_SEED + side_px * 1000, 0
        while written < count:
            drawn, seed = draw(seed, side_px), seed + 1
            if drawn.things.max() >= 5:  # what shows nothing proves nothing
                cv2.imwrite(str(folder / name / f"{written:03d}.png"), drawn.pixels[..., ::-1])
                written += 1


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, help="golden/ and samples/ are written here")
    chosen = parser.parse_args()
    network = NucleiNet()
    network.load_state_dict(torch.load(chosen.weights, map_location="cpu", weights_only=True))
    chosen.out.mkdir(parents=True, exist_ok=True)
    export_fp32(network, chosen.out / "model.fp32.onnx")
    if chosen.pictures:
        write_pictures(chosen.pictures)


if __name__ == "__main__":
    main()
