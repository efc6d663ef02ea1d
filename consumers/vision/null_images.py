"""Null pictures: abstract ones that show no thing at all, by which to tell what a score means.

How near a catalogue comes to pictures that have nothing to do with it is the score that says nothing. They are
drawn from seeds, so that every worker sees the same ones. Half of them stand on a plain ground, as studio pictures
do, and half fill the picture as photos do, since encoders treat the two differently.
"""

import io
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from consumers.vision.synthetic_textures import TEXTURES

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int, int], Floats]

DRAWING = 1
"""Changes whenever the pictures do: looks at them that were kept are of no use then."""
NULLS = 208
"""How many there are, by default; the 95th percentile then leaves ten of them above it."""
LONG, SHORT = 224, (150, 225)
"""Sides in pixels: the longer one, and the range of the shorter one."""
STUDIO_GROUNDS = (0.8, 1.0)
"""Brightness of the plain ground of studio pictures."""
QUALITY = 90


def null_pictures(count: int = NULLS, seed: int = 0) -> Iterator[Image.Image]:
    """So many RGB pictures, the same ones for the same seed; every texture comes equally often, on both grounds."""
    for number in range(count):
        turn, texture = divmod(number, len(TEXTURES))
        rng = np.random.default_rng([DRAWING, seed, number])
        pixels = _painted(TEXTURES[texture], rng)
        if (turn + texture) % 2:
            pixels = _on_plain_ground(pixels, rng)
        yield Image.fromarray((pixels * 255).round().astype(np.uint8))


def encoded(image: Image.Image) -> bytes:
    """A picture as JPEG, which is how most pictures come."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def _painted(draw: Draw, rng: np.random.Generator) -> Floats:
    """A texture in colours of its own, [height, width, 3] of 0..1."""
    short = int(rng.integers(*SHORT))
    height, width = (LONG, short) if rng.random() < 0.5 else (short, LONG)
    field = draw(rng, height, width)
    stops = rng.random((int(rng.integers(2, 6)), 3))
    places = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(field, places, stops[:, channel]) for channel in range(3)], axis=-1)


def _on_plain_ground(pixels: Floats, rng: np.random.Generator) -> Floats:
    """A shapeless piece of the picture on a plain ground that reaches every edge."""
    height, width = pixels.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    angle, distance = np.arctan2(y, x), np.hypot(y, x)
    waves = sum(rng.normal(0, 0.35 / n) * np.cos(n * angle + rng.uniform(0, 6)) for n in range(2, 9))
    piece = distance < np.clip(rng.uniform(0.5, 0.8) + waves, 0.2, 0.9)
    ground = np.full(3, rng.uniform(*STUDIO_GROUNDS))
    return np.where(piece[..., None], pixels, ground)
