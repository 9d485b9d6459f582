"""The vocabulary of the generator: fine labels of a head map, and the eight classes of the network."""

from typing import Final

CLASS_NAMES: Final = (
    "background",
    "cortex",
    "white matter",
    "ventricles",
    "deep grey",
    "cerebellum",
    "brainstem",
    "outer CSF",
)
CLASS_COUNT: Final = len(CLASS_NAMES)

# Fine labels 1 to 17 are those of the teacher `brainchop_model18cls`.
WHITE_MATTER: Final = 1
CORTEX: Final = 2
LATERAL_VENTRICLE: Final = 3
INFERIOR_VENTRICLE: Final = 4
CEREBELLUM_WHITE: Final = 5
CEREBELLUM_GREY: Final = 6
THALAMUS: Final = 7
CAUDATE: Final = 8
PUTAMEN: Final = 9
PALLIDUM: Final = 10
THIRD_VENTRICLE: Final = 11
FOURTH_VENTRICLE: Final = 12
BRAINSTEM: Final = 13
HIPPOCAMPUS: Final = 14
AMYGDALA: Final = 15
ACCUMBENS: Final = 16
VENTRAL_DIENCEPHALON: Final = 17
# Inside the brain envelope, but no structure of the teacher.
OUTER_CSF: Final = 18
OTHER_INSIDE: Final = 19  # vessels, dura, what the teacher missed
# Outside the envelope: clusters of a real head by intensity, dark to bright.
OUTSIDE_FIRST: Final = 20
OUTSIDE_CLUSTERS: Final = 4
# Outside the envelope: drawn by the generator.
BONE: Final = 24
DIPLOE: Final = 25
SOFT: Final = 26
ODD_A: Final = 27
ODD_B: Final = 28
AIR: Final = 29
OUTSIDE_CSF: Final = 30  # a shell that looks like CSF, yet is background
ODD_C: Final = 31
LABEL_COUNT: Final = 32

VENTRICLE_LABELS: Final = (LATERAL_VENTRICLE, INFERIOR_VENTRICLE, THIRD_VENTRICLE, FOURTH_VENTRICLE)

# Fine label -> class; everything outside the envelope is background.
CLASS_OF_LABEL: Final = (0, 2, 1, 3, 3, 5, 5, 4, 4, 4, 4, 3, 3, 6, 4, 4, 4, 6, 7, 7) + (0,) * 12
