"""The labelled pictures of the 2018 Data Science Bowl, and which fold tests which of them."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from pictures import Pixels
from shapes import Things

FOLDS = 5
BRIGHT_MEAN = 100  # pictures on bright ground are few: each fold gets its share of them


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """A picture that people have labelled.

    Attributes:
        name: Of its folder, the first eight letters.
        pixels: (height, width, 3) uint8 RGB.
        things: (height, width) int32.
    """

    name: str
    pixels: Pixels
    things: Things


def read(root: Path) -> list[Labelled]:
    """Read every picture below `root`: NAME/images/*.png and NAME/masks/*.png, one mask for each nucleus."""
    found = []
    for folder in sorted(root.rglob("images")):
        [path] = folder.glob("*.png")
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        things = np.zeros(picture.shape[:2], np.int32)
        for number, mask in enumerate(sorted((folder.parent / "masks").glob("*.png")), start=1):
            things[cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE) > 0] = number
        found.append(Labelled(folder.parent.name[:8], np.ascontiguousarray(picture[..., ::-1]), things))
    return found


def fold_of(pictures: list[Labelled]) -> dict[str, int]:
    """Say which fold tests a picture: dealt out in the order of brightness, then of the size of nuclei."""

    def kind(one: Labelled) -> tuple[bool, float]:
        areas = np.bincount(one.things.ravel())[1:]
        return one.pixels.mean() < BRIGHT_MEAN, float(np.median(areas[areas > 0]))

    return {one.name: number % FOLDS for number, one in enumerate(sorted(pictures, key=kind))}
