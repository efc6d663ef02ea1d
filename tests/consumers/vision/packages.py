"""Pictures of packages: each has a different print with many corners."""

import io

import numpy as np
from PIL import Image, ImageDraw

from infra.array_types import Floats

SIZE = (420, 320)
COLOURS = ("#101010", "#f0f0f0", "#c02020", "#2040a0", "#e0b020", "#208040")


def package(seed: int) -> Image.Image:
    """A print of a hundred boxes in a few colours."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", SIZE, "#d8d0c0")
    draw = ImageDraw.Draw(image)
    for _ in range(110):
        x, y = rng.uniform(0, 0.95, 2) * SIZE
        width, height = rng.uniform(8, 60, 2)
        draw.rectangle((x, y, x + width, y + height), fill=COLOURS[int(rng.integers(len(COLOURS)))])
    return image


def photo(image: Image.Image, seed: int) -> Image.Image:
    """The same package turned, smaller and darker, on a grey ground."""
    rng = np.random.default_rng(1_000 + seed)
    small = image.convert("RGBA").resize((330, 250), Image.Resampling.BICUBIC)
    turned = small.rotate(float(rng.uniform(-12, 12)), Image.Resampling.BICUBIC, expand=True)
    ground = Image.new("RGB", (460, 380), "#888888")
    ground.paste(turned, (40, 40), turned)
    pixels: Floats = np.asarray(ground, np.float32) * rng.uniform(0.6, 0.9)
    return Image.fromarray(pixels.astype(np.uint8))


def jpeg(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()
