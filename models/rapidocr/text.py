"""Pictures with words burned into them, drawn: what a station writes into the corners of a radiograph."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE_PX: Final = 320
LETTERS: Final = np.array(list("ABCDEFGHIKLMNOPRSTUVWabcdefghiklmnoprstuvw0123456789:-./"))
FONTS: Final = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_PLAIN,
)
LINES_MAX: Final = 6


def draw(seed: int) -> NDArray[np.uint8]:
    """Draw something like tissue with one to six lines of text over it, (320, 320, 3) RGB, grey."""
    random = np.random.default_rng(seed)
    cells = random.random((5, 5)).astype(np.float32)
    grey = cv2.resize(cells, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC) * random.uniform(60, 180)
    grey = (grey + random.normal(0, 4, grey.shape)).clip(0, 255).astype(np.uint8)
    canvas = np.ascontiguousarray(np.repeat(grey[..., None], 3, axis=2))
    lines = int(random.integers(1, LINES_MAX + 1))
    for line in range(lines):
        words = "".join(random.choice(LETTERS, size=int(random.integers(3, 14))))
        font, size = FONTS[int(random.integers(len(FONTS)))], random.uniform(0.4, 0.9)
        size *= 1.8 if font == cv2.FONT_HERSHEY_PLAIN else 1.0
        at = (int(random.integers(4, SIDE_PX // 2)), int((line + 0.7) * SIDE_PX / lines))
        shade = (int(random.choice((255, 235, 0))),) * 3
        cv2.putText(canvas, words, at, font, size, shade, int(random.integers(1, 3)), cv2.LINE_AA)
    return canvas
