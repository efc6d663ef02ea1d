"""Photos: render a drawn product as a studio picture of a merchant and as a casual photo of a customer."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageFilter, ImageOps

from producers.demo.backdrops import SIDE, Scenery
from producers.demo.kinds import Place
from producers.demo.shapes import SIZE

Picture = Image.Image
Corner = tuple[float, float]

PHOTO_SIZES = ((512, 384), (384, 512), (448, 448))
"""Width and height of casual photos."""

STREET_SIZE = (640, 480)
"""Width and height of the photo of a street."""

TRANSPOSES = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
"""How the pixels of a rotated camera are transposed, by the EXIF orientation (tag 0x0112) that it writes."""

ORIENTATION = 0x0112


@dataclass(frozen=True)
class Shot:
    """A photo and the EXIF orientation that must be saved with it."""

    picture: Picture
    orientation: int = 1

    def exif(self) -> Image.Exif:
        """The EXIF block of the photo, which contains only the orientation."""
        exif = Image.Exif()
        exif[ORIENTATION] = self.orientation
        return exif


def studio_shot(cutout: Picture, rng: np.random.Generator) -> Picture:
    """The product on white or very light grey with a soft shadow, SIZE x SIZE, nearly centred."""
    paper = int(rng.integers(246, 256))
    sheet = Image.new("RGB", (SIZE, SIZE), (paper, paper, paper))
    left, top = (int(rng.integers(-9, 10)) for _ in range(2))
    _cast_shadow(sheet, cutout, (left + 5, top + 9), 0.22)
    sheet.paste(cutout, (left, top), cutout)
    return sheet


def casual_photo(cutout: Picture, place: Place, scenery: Scenery, rng: np.random.Generator) -> Shot:
    """The product as photographed with a phone: another angle and light, clutter around it, blur and noise."""
    size = PHOTO_SIZES[int(rng.integers(len(PHOTO_SIZES)))]
    scene = _compose_background(place, size, scenery, rng)
    for _ in range(int(rng.integers(1, 4))):
        _add_clutter(scene, scenery, rng)
    thing = _project(cutout, scene.size, 18 if place == "laid" else 9, rng)
    _cast_shadow(scene, thing, (int(rng.integers(-9, 10)), int(rng.integers(4, 13))), rng.uniform(0.3, 0.5))
    scene.paste(thing, (0, 0), thing)
    photo = _add_grain(_relight(scene, rng), scenery, rng)
    orientation = int(rng.choice([1, 1, 1, 3, 6, 8]))
    return Shot(photo.transpose(TRANSPOSES[orientation]) if orientation in TRANSPOSES else photo, orientation)


def street_photo(cutouts: Sequence[Picture], scenery: Scenery, rng: np.random.Generator) -> Shot:
    """Several products side by side on the ground in front of a wall, as photographed with a phone."""
    scene = _compose_background("room", STREET_SIZE, scenery, rng)
    width, height = STREET_SIZE[0] // len(cutouts), round(STREET_SIZE[1] * 0.62)
    for number, cutout in enumerate(cutouts):
        thing = _project(cutout, (width, height), 9, rng)
        place = width * number, int(rng.uniform(0.18, 0.36) * STREET_SIZE[1])
        _cast_shadow(scene, thing, (place[0] + 6, place[1] + 8), 0.4)
        scene.paste(thing, place, thing)
    return Shot(_add_grain(_relight(scene, rng), scenery, rng))


def _crop_surface(pictures: tuple[Picture, ...], size: tuple[int, int], rng: np.random.Generator) -> Picture:
    """Crop one of the surfaces at random; half of the crops are mirrored."""
    left, top = (int(rng.integers(0, SIDE - side + 1)) for side in size)
    piece = pictures[int(rng.integers(len(pictures)))].crop((left, top, left + size[0], top + size[1]))
    return ImageOps.mirror(piece) if rng.random() < 0.5 else piece


def _compose_background(place: Place, size: tuple[int, int], scenery: Scenery, rng: np.random.Generator) -> Picture:
    width, height = size
    if place == "laid":
        return _crop_surface(scenery.cloths + scenery.tables + scenery.floors, (width, height), rng)
    ground = _crop_surface(scenery.tables if place == "table" else scenery.floors, (width, height), rng)
    # From a standing person's viewpoint, the ground is foreshortened and meets the wall at the horizon.
    horizon = int(height * rng.uniform(0.42, 0.66))
    scene = _crop_surface(scenery.walls, (width, height), rng)
    scene.paste(ground.resize((width, height - horizon), Image.Resampling.BILINEAR), (0, horizon))
    scene.paste((92, 84, 76), (0, horizon - 2, width, horizon + 1))
    tilt = float(rng.uniform(-3, 3))
    enlarged = scene.resize((round(width * 1.12), round(height * 1.12)), Image.Resampling.BILINEAR).rotate(tilt)
    left, top = (enlarged.width - width) // 2, (enlarged.height - height) // 2
    return enlarged.crop((left, top, left + width, top + height))


def _add_clutter(scene: Picture, scenery: Scenery, rng: np.random.Generator) -> None:
    """Add an object at the border of the scene, partly outside of it."""
    side = int(min(scene.size) * rng.uniform(0.3, 0.5))
    prop = scenery.clutter[int(rng.integers(len(scenery.clutter)))].resize((side, side), Image.Resampling.BILINEAR)
    prop = prop.rotate(float(rng.uniform(0, 360)), Image.Resampling.BILINEAR, expand=True)
    angle = float(rng.uniform(0, 2 * math.pi))
    across, down = 0.5 + 0.56 * math.cos(angle), 0.5 + 0.56 * math.sin(angle)
    left, top = round(scene.width * across - prop.width / 2), round(scene.height * down - prop.height / 2)
    _cast_shadow(scene, prop, (left + 4, top + 6), 0.35)
    scene.paste(prop, (left, top), prop)


def _project(cutout: Picture, size: tuple[int, int], tilt: float, rng: np.random.Generator) -> Picture:
    """The product on a transparent frame of this size: smaller, rotated, foreshortened and off-centre."""
    side = min(size) * rng.uniform(0.72, 0.98) / 2
    angle = math.radians(rng.uniform(-tilt, tilt))
    centre = [extent / 2 + extent * rng.uniform(-0.07, 0.07) for extent in size]
    stretch = rng.uniform(0.86, 1.08), rng.uniform(0.86, 1.08)
    corners: list[Corner] = []
    for corner in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        x, y = (
            side * (unit * scale + rng.uniform(-0.09, 0.09)) for unit, scale in zip(corner, stretch, strict=True)
        )
        across, down = (
            x * math.cos(angle) - y * math.sin(angle),
            x * math.sin(angle) + y * math.cos(angle),
        )
        corners.append((centre[0] + across, centre[1] + down))
    source = ImageOps.mirror(cutout) if rng.random() < 0.3 else cutout
    return source.transform(size, Image.Transform.PERSPECTIVE, _perspective(corners), Image.Resampling.BILINEAR)


def _perspective(corners: list[Corner]) -> list[float]:
    """PIL's perspective coefficients that move the drawing's corners (clockwise from the top left) to these points.

    PIL maps each point (x, y) of the photo to a point (u, v) of the drawing:
    u = (a x + b y + c) / (g x + h y + 1) and v = (d x + e y + f) / (g x + h y + 1).
    """
    drawing = ((0, 0), (SIZE, 0), (SIZE, SIZE), (0, SIZE))
    rows, targets = [], []
    for (x, y), (u, v) in zip(corners, drawing, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        targets += [u, v]
    return [float(value) for value in np.linalg.solve(np.array(rows), np.array(targets))]


def _cast_shadow(scene: Picture, thing: Picture, place: tuple[int, int], strength: float) -> None:
    """Darken the scene in the soft silhouette of the object, placed at this offset in pixels."""
    alpha = thing.getchannel("A")
    soft = alpha.reduce(4).filter(ImageFilter.GaussianBlur(2.5)).resize(alpha.size, Image.Resampling.BILINEAR)
    scene.paste((18, 14, 12), place, soft.point([round(value * strength) for value in range(256)]))


def _relight(scene: Picture, rng: np.random.Generator) -> Picture:
    """Change the light: brightness, gamma, warm or cool tint, one lighter side, darker corners and soft focus."""
    gain, gamma, warmth = rng.uniform(0.84, 1.14), rng.uniform(0.85, 1.18), rng.uniform(-0.06, 0.06)
    table: list[int] = []
    for tint in (1 + warmth, 1.0, 1 - warmth):
        table += [min(255, round(255 * gain * tint * (value / 255) ** gamma)) for value in range(256)]
    soft = scene.filter(ImageFilter.BoxBlur(float(rng.uniform(0.3, 0.9))))
    return ImageChops.multiply(soft.point(table), _light_falloff(scene.size, rng))


def _light_falloff(size: tuple[int, int], rng: np.random.Generator) -> Picture:
    """Light that reaches each point: less in the corners and on one side."""
    down, across = np.mgrid[-1:1:32j, -1:1:32j]
    angle = rng.uniform(0, 2 * math.pi)
    side = 0.07 * (across * math.cos(angle) + down * math.sin(angle))
    light = 0.95 + side - rng.uniform(0.04, 0.13) * (across**2 + down**2)
    grey = Image.fromarray(np.clip(255 * light, 0, 255).astype(np.uint8))
    return grey.resize(size, Image.Resampling.BICUBIC).convert("RGB")


def _add_grain(photo: Picture, scenery: Scenery, rng: np.random.Generator) -> Picture:
    width, height = photo.size
    left, top = int(rng.integers(0, SIDE - width + 1)), int(rng.integers(0, SIDE - height + 1))
    grain = scenery.grain[top : top + height, left : left + width] * np.int16(rng.integers(2, 7)) // 8
    return Image.fromarray(np.clip(np.asarray(photo) + grain, 0, 255).astype(np.uint8))
