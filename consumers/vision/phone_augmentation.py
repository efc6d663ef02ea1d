"""Phone augmentation: change a picture to what a casual photo of the same thing, by a phone, could show.

A collection learns from its augmented pictures how photos of its items look to the encoder, also if it has studio
pictures alone. The changes are random, in ranges that phone photos have; no other object is added.
"""

import numpy as np
from PIL import Image, ImageFilter
from PIL.Image import Resampling

from consumers.vision.cielab import to_lab
from consumers.vision.foreground import is_enclosed
from consumers.vision.null_images import encode_jpeg
from consumers.vision.synthetic_textures import TEXTURES
from infra.array_types import Doubles, Floats
from infra.images.decode import DecodeLimits, decode
from schemas.failures import Rejected

LONG_SIDES, SHORT_SIDES = (300, 361), (220, 301)
"""Sides of an augmented picture in pixels: more than the encoder needs of a casual photo."""
OBJECT_SHARE = (0.5, 0.9)
"""Size of a studio picture within an augmented picture, as a share of the shorter side."""
CROP_SHARE = (0.7, 1.0)
"""Sides of the part of a photo that remains."""
TILT, SHIFT = 12.0, 0.12
"""Most degrees of rotation, and most shift from the middle as a share of the sides."""
BACKGROUND_DISTANCE = 9.0
"""CIE76 distance to the border's colour above which a pixel of a studio picture belongs to its object."""
GAMMA, BRIGHTNESS, CAST, SHADE = (0.7, 1.5), (0.55, 1.1), 0.08, 0.35
"""Ranges of tone curve, brightness, colour cast of a channel, and of the fall of light across the picture."""
BLUR = (0.0, 1.4)
"""Range of the standard deviation of the blur, in pixels."""


def augment(image: Image.Image, rng: np.random.Generator, *, studio: bool) -> Image.Image:
    """Return an RGB picture as a casual photo; of a studio picture its object on another ground."""
    scene = _on_ground(image, rng) if studio else _reframed(image, rng)
    lit = _relight(np.asarray(scene, np.float64) / 255, rng)
    photo = Image.fromarray((np.clip(lit, 0, 1) * 255).round().astype(np.uint8))
    return photo.filter(ImageFilter.GaussianBlur(float(rng.uniform(*BLUR))))


def augment_encoded(data: bytes, rng: np.random.Generator, *, studio: bool) -> bytes | None:
    """Augment an encoded picture and return it as JPEG; None if it cannot be decoded."""
    try:
        image = decode(data, DecodeLimits(min_side=1)).image
    except Rejected:
        return None
    return encode_jpeg(augment(image, rng, studio=studio))


def _on_ground(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Cut the object out of a studio picture and lay it, turned and smaller, on a random ground."""
    width, height = (int(rng.integers(*sides)) for sides in (LONG_SIDES, SHORT_SIDES))
    size = (width, height) if rng.random() < 0.5 else (height, width)
    ground = _ground(rng, size)
    side = min(size) * rng.uniform(*OBJECT_SHARE)
    scale = side / max(image.size)
    small = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), Resampling.BOX)
    cutout = small.convert("RGBA")
    cutout.putalpha(_object_mask(small))
    turned = cutout.rotate(float(rng.uniform(-TILT, TILT)), Resampling.BICUBIC, expand=True)
    left, top = (
        round((extent - own) / 2 + extent * rng.uniform(-SHIFT, SHIFT))
        for extent, own in zip(size, turned.size, strict=True)
    )
    ground.paste(turned, (left, top), turned)
    return ground


def _object_mask(image: Image.Image) -> Image.Image:
    """Return a mask of what differs from the border's colour, and of what that encloses."""
    lab = to_lab(np.asarray(image))
    border = np.concatenate([lab[0], lab[-1], lab[:, 0], lab[:, -1]])
    differs = np.linalg.norm(lab - np.median(border, axis=0), axis=2) > BACKGROUND_DISTANCE
    mask = differs | is_enclosed(differs)
    return Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(0.7))


def _ground(rng: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Return a texture in random, mostly dull colours."""
    field: Doubles = TEXTURES[int(rng.integers(len(TEXTURES)))](rng, size[1], size[0])
    grey = rng.uniform(0.1, 0.95, (3, 1))
    stops = np.clip(grey + rng.normal(0, 0.12, (3, 3)), 0, 1)
    channels = [np.interp(field, np.linspace(0, 1, 3), stops[:, channel]) for channel in range(3)]
    return Image.fromarray((np.stack(channels, axis=-1) * 255).round().astype(np.uint8))


def _reframed(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a part of a photo, slightly turned."""
    turned = image.rotate(float(rng.uniform(-TILT / 2, TILT / 2)), Resampling.BILINEAR)
    shares = rng.uniform(*CROP_SHARE, 2)
    width, height = turned.width * shares[0], turned.height * shares[1]
    left, top = rng.uniform(0, turned.width - width), rng.uniform(0, turned.height - height)
    size = (int(rng.integers(*LONG_SIDES)), int(rng.integers(*SHORT_SIDES)))
    target = size if turned.width >= turned.height else size[::-1]
    return turned.resize(target, Resampling.BILINEAR, (left, top, left + width, top + height))


def _relight(rgb: Doubles, rng: np.random.Generator) -> Floats:
    """Change tone, brightness and colour cast, and let light fall from one side."""
    height, width = rgb.shape[:2]
    y, x = np.mgrid[-0.5 : 0.5 : height * 1j, -0.5 : 0.5 : width * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    shade = 1 + rng.uniform(0, SHADE) * (x * np.cos(angle) + y * np.sin(angle))
    cast = 1 + rng.uniform(-CAST, CAST, 3)
    tone: Doubles = rgb ** rng.uniform(*GAMMA) * rng.uniform(*BRIGHTNESS)
    lit: Floats = (tone * cast * shade[..., None]).astype(np.float32)
    return lit
