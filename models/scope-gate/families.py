"""Which scenes are for what: learned from, used to choose numbers, or kept for the figures of the card."""

import inside
import outside

TRAINED_INSIDE = tuple(inside.FAMILIES)
TRAINED_OUTSIDE = tuple(outside.FAMILIES)
TRAINED = (*TRAINED_INSIDE, *TRAINED_OUTSIDE)
# Drawn in ways that training never saw. The first set chose sharpness and thresholds: it flatters a little.
VALIDATION = ("marched cavity", "perspective room", "material")
TEST = ("airway", "still life")
