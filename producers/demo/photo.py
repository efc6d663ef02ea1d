"""Two views of a drawn thing: the shop's studio shot, and somebody's casual photo of it."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageFilter, ImageOps

from producers.demo.backdrops import SIDE, Scenery
from producers.demo.kinds import Place
from producers.demo.shapes import SIZE

Picture = Image.Image
Corner = tuple[float, float]

FRAMES = ((512, 384), (384, 512), (448, 448))
"""Width and height of casual photos."""

TURNS = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
"""What a camera held askew does to the pixels, by the EXIF orientation (tag 0x0112) that it notes."""

ORIENTATION = 0x0112


@dataclass(frozen=True)
class Shot:
    """A photo, and the EXIF orientation under which it must be saved."""

    picture: Picture
    orientation: int = 1

    def exif(self) -> Image.Exif:
        """The photo's EXIF block: its orientation alone."""
        exif = Image.Exif()
        exif[ORIENTATION] = self.orientation
        return exif


def studio_shot(cutout: Picture, rng: np.random.Generator) -> Picture:
    """The thing on white or very light grey with a soft shadow, SIZE x SIZE, nearly in the middle."""
    paper = int(rng.integers(246, 256))
    sheet = Image.new("RGB", (SIZE, SIZE), (paper, paper, paper))
    left, top = (int(rng.integers(-9, 10)) for _ in range(2))
    _cast_shadow(sheet, cutout, (left + 5, top + 9), 0.22)
    sheet.paste(cutout, (left, top), cutout)
    return sheet


def casual_photo(cutout: Picture, place: Place, scenery: Scenery, rng: np.random.Generator) -> Shot:
    """The thing as a phone sees it: another angle and light, things around it, blur and noise."""
    scene = _stage(place, scenery, rng)
    for _ in range(int(rng.integers(1, 4))):
        _put_clutter(scene, scenery, rng)
    thing = _seen_askew(cutout, scene.size, 18 if place == "laid" else 9, rng)
    _cast_shadow(scene, thing, (int(rng.integers(-9, 10)), int(rng.integers(4, 13))), rng.uniform(0.3, 0.5))
    scene.paste(thing, (0, 0), thing)
    photo = _add_grain(_light_up(scene, rng), scenery, rng)
    orientation = int(rng.choice([1, 1, 1, 3, 6, 8]))
    return Shot(photo.transpose(TURNS[orientation]) if orientation in TURNS else photo, orientation)


def _pick(pictures: tuple[Picture, ...], size: tuple[int, int], rng: np.random.Generator) -> Picture:
    """A piece of one of the surfaces, sometimes mirrored."""
    left, top = (int(rng.integers(0, SIDE - side + 1)) for side in size)
    piece = pictures[int(rng.integers(len(pictures)))].crop((left, top, left + size[0], top + size[1]))
    return ImageOps.mirror(piece) if rng.random() < 0.5 else piece


def _stage(place: Place, scenery: Scenery, rng: np.random.Generator) -> Picture:
    width, height = FRAMES[int(rng.integers(len(FRAMES)))]
    if place == "laid":
        return _pick(scenery.cloths + scenery.tables + scenery.floors, (width, height), rng)
    ground = _pick(scenery.tables if place == "table" else scenery.floors, (width, height), rng)
    # Seen from a standing person's eyes, the ground is foreshortened and meets the wall at the horizon.
    horizon = int(height * rng.uniform(0.42, 0.66))
    scene = _pick(scenery.walls, (width, height), rng)
    scene.paste(ground.resize((width, height - horizon), Image.Resampling.BILINEAR), (0, horizon))
    scene.paste((92, 84, 76), (0, horizon - 2, width, horizon + 1))
    tilt = float(rng.uniform(-3, 3))
    grown = scene.resize((round(width * 1.12), round(height * 1.12)), Image.Resampling.BILINEAR).rotate(tilt)
    left, top = (grown.width - width) // 2, (grown.height - height) // 2
    return grown.crop((left, top, left + width, top + height))


def _put_clutter(scene: Picture, scenery: Scenery, rng: np.random.Generator) -> None:
    """Lay something at the border of the scene, partly outside of it."""
    side = int(min(scene.size) * rng.uniform(0.3, 0.5))
    prop = scenery.clutter[int(rng.integers(len(scenery.clutter)))].resize((side, side), Image.Resampling.BILINEAR)
    prop = prop.rotate(float(rng.uniform(0, 360)), Image.Resampling.BILINEAR, expand=True)
    angle = float(rng.uniform(0, 2 * math.pi))
    across, down = 0.5 + 0.56 * math.cos(angle), 0.5 + 0.56 * math.sin(angle)
    left, top = round(scene.width * across - prop.width / 2), round(scene.height * down - prop.height / 2)
    _cast_shadow(scene, prop, (left + 4, top + 6), 0.35)
    scene.paste(prop, (left, top), prop)


def _seen_askew(cutout: Picture, size: tuple[int, int], tilt: float, rng: np.random.Generator) -> Picture:
    """The thing on a transparent frame of this size: smaller, turned, foreshortened, off the middle."""
    side = min(size) * rng.uniform(0.72, 0.98) / 2
    turn = math.radians(rng.uniform(-tilt, tilt))
    middle = [extent / 2 + extent * rng.uniform(-0.07, 0.07) for extent in size]
    stretch = rng.uniform(0.86, 1.08), rng.uniform(0.86, 1.08)
    corners: list[Corner] = []
    for corner in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        x, y = (side * (at * grown + rng.uniform(-0.09, 0.09)) for at, grown in zip(corner, stretch, strict=True))
        across, down = x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)
        corners.append((middle[0] + across, middle[1] + down))
    seen = ImageOps.mirror(cutout) if rng.random() < 0.3 else cutout
    return seen.transform(size, Image.Transform.PERSPECTIVE, _perspective(corners), Image.Resampling.BILINEAR)


def _perspective(corners: list[Corner]) -> list[float]:
    """Coefficients for PIL that bring the drawing's corners (from the top left, clockwise) to these places.

    PIL maps places in the photo back to the drawing: u = (a x + b y + c) / (g x + h y + 1), v alike.
    """
    drawing = ((0, 0), (SIZE, 0), (SIZE, SIZE), (0, SIZE))
    rows, wanted = [], []
    for (x, y), (u, v) in zip(corners, drawing, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        wanted += [u, v]
    return [float(value) for value in np.linalg.solve(np.array(rows), np.array(wanted))]


def _cast_shadow(scene: Picture, thing: Picture, place: tuple[int, int], strength: float) -> None:
    """Darken the scene where the thing, moved to this place, takes the light away."""
    alpha = thing.getchannel("A")
    soft = alpha.reduce(4).filter(ImageFilter.GaussianBlur(2.5)).resize(alpha.size, Image.Resampling.BILINEAR)
    scene.paste((18, 14, 12), place, soft.point([round(value * strength) for value in range(256)]))


def _light_up(scene: Picture, rng: np.random.Generator) -> Picture:
    """Another light: brightness, contrast curve, a warm or cool tint, a light side, darker corners, soft focus."""
    gain, gamma, warm = rng.uniform(0.84, 1.14), rng.uniform(0.85, 1.18), rng.uniform(-0.06, 0.06)
    table: list[int] = []
    for tint in (1 + warm, 1.0, 1 - warm):
        table += [min(255, round(255 * gain * tint * (value / 255) ** gamma)) for value in range(256)]
    soft = scene.filter(ImageFilter.BoxBlur(float(rng.uniform(0.3, 0.9))))
    return ImageChops.multiply(soft.point(table), _falloff(scene.size, rng))


def _falloff(size: tuple[int, int], rng: np.random.Generator) -> Picture:
    """How much light reaches each place: less in the corners and on one side."""
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
