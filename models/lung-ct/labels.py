"""The classes of the network, and the labels of the bundle."""

from typing import Final

CLASS_NAMES: Final = ("background", "lung right", "lung left", "trachea", "nodule candidate")
CLASS_COUNT: Final = len(CLASS_NAMES)
RIGHT: Final = 1
LEFT: Final = 2
TRACHEA: Final = 3  # with the main bronchi
NODULE: Final = 4
UNKNOWN: Final = CLASS_COUNT  # not learned from: a nodule that this scan cannot show

# What is told: sides are learned, but were confused in a real scan.
TOLD_NAMES: Final = ("background", "lungs", "trachea", "nodule candidate")
TOLD_LUNGS, TOLD_TRACHEA, TOLD_NODULE = 1, 2, 3
