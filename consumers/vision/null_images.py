"""Null images: draws abstract pictures that show no object, to measure which scores mean nothing.

The scores of a catalogue against such unrelated pictures are the null distribution of scores. The pictures are
drawn from seeds, so that every worker gets the same ones. Half of them have a plain background, as studio pictures
have, and half fill the picture, as photos do, because encoders treat the two differently.
"""

import io
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from consumers.vision.synthetic_textures import TEXTURES
from infra.array_types import Doubles

Draw = Callable[[np.random.Generator, int, int], Doubles]

DRAWING_VERSION = 1
"""Version of the drawings. Change it whenever the pictures change: it invalidates their stored looks."""
NULL_IMAGE_COUNT = 208
"""Default number of null pictures; about ten of them lie above the 95th percentile."""
LONG_SIDE, SHORT_SIDES = 224, (150, 225)
"""Sides in pixels: the longer side, and the range of the shorter side."""
BACKGROUND_BRIGHTNESS = (0.8, 1.0)
"""Range of the brightness of a plain background, 0..1."""
JPEG_QUALITY = 90


def null_pictures(count: int = NULL_IMAGE_COUNT, seed: int = 0) -> Iterator[Image.Image]:
    """Yield `count` RGB pictures, the same for the same seed.

    Each texture is equally frequent, with and without a plain background.
    """
    for number in range(count):
        cycle, texture = divmod(number, len(TEXTURES))
        rng = np.random.default_rng([DRAWING_VERSION, seed, number])
        pixels = _coloured_texture(TEXTURES[texture], rng)
        if (cycle + texture) % 2:
            pixels = _on_plain_background(pixels, rng)
        yield Image.fromarray((pixels * 255).round().astype(np.uint8))


def encode_jpeg(image: Image.Image) -> bytes:
    """Encode a picture as JPEG, the format of most pictures."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _coloured_texture(draw: Draw, rng: np.random.Generator) -> Doubles:
    """Draw a texture and map it to random colours: [height, width, 3] of 0..1."""
    short_side = int(rng.integers(*SHORT_SIDES))
    height, width = (LONG_SIDE, short_side) if rng.random() < 0.5 else (short_side, LONG_SIDE)
    field = draw(rng, height, width)
    stops = rng.random((int(rng.integers(2, 6)), 3))
    positions = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(field, positions, stops[:, channel]) for channel in range(3)], axis=-1)


def _on_plain_background(pixels: Doubles, rng: np.random.Generator) -> Doubles:
    """Cut an irregular region out of the picture and put it on a plain background that reaches every edge."""
    height, width = pixels.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    angle, distance = np.arctan2(y, x), np.hypot(y, x)
    waves = sum(rng.normal(0, 0.35 / n) * np.cos(n * angle + rng.uniform(0, 6)) for n in range(2, 9))
    region = distance < np.clip(rng.uniform(0.5, 0.8) + waves, 0.2, 0.9)
    background = np.full(3, rng.uniform(*BACKGROUND_BRIGHTNESS))
    return np.where(region[..., None], pixels, background)
