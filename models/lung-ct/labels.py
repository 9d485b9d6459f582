"""The classes of the network."""

from typing import Final

CLASS_NAMES: Final = ("background", "lung right", "lung left", "trachea", "nodule candidate")
CLASS_COUNT: Final = len(CLASS_NAMES)
RIGHT: Final = 1
LEFT: Final = 2
TRACHEA: Final = 3  # with the main bronchi
NODULE: Final = 4
UNKNOWN: Final = CLASS_COUNT  # not learned from: a nodule that this scan cannot show
