"""Backdrops: draw the surroundings of casual photos, such as tables, floors, walls, cloth and clutter."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from producers.demo.drawing import CLOTH, DARK, GOLD, METAL, STEEL, WHITE, Colour, Finish, Form, Pen
from producers.demo.patterns import Field, soft_noise
from producers.demo.shapes import blob, box, cut, ellipse, polygon, stroke

SIDE = 720
"""Side of a surface in pixels; photos use a crop of it."""

LEAF: Colour = (86, 120, 78)
PAPER: Colour = (226, 222, 210)


@dataclass(frozen=True)
class Scenery:
    """Surfaces, clutter and noise of the casual photos, drawn once for a catalogue."""

    tables: tuple[Image.Image, ...]
    floors: tuple[Image.Image, ...]
    walls: tuple[Image.Image, ...]
    cloths: tuple[Image.Image, ...]
    clutter: tuple[Image.Image, ...]
    grain: NDArray[np.int16]
    """Sensor noise with a standard deviation of 1, multiplied by 8."""


def make_scenery(rng: np.random.Generator) -> Scenery:
    """Draw the surfaces and the clutter; takes about half a second."""
    tables = [_wood(rng, colour, 5) for colour in ((188, 150, 108), (132, 96, 66), (214, 190, 158))]
    floors = [_wood(rng, colour, 9) for colour in ((164, 122, 82), (196, 176, 150))]
    walls = [_plaster(rng, colour) for colour in ((222, 216, 204), (198, 204, 206), (206, 196, 178))]
    cloths = [_linen(rng, colour) for colour in ((212, 204, 190), (150, 158, 168), (186, 172, 160))]
    return Scenery(
        tables=(*tables, _marble(rng, (222, 220, 216)), _marble(rng, (150, 150, 152))),
        floors=(*floors, _carpet(rng, (168, 160, 148)), _tiles(rng, (196, 194, 190))),
        walls=(*walls, _tiles(rng, (222, 226, 226))),
        cloths=tuple(cloths),
        clutter=tuple(_draw_clutter(prop, rng) for prop in CLUTTER),
        grain=(8 * rng.standard_normal((SIDE, SIDE, 3), dtype=np.float32)).astype(np.int16),
    )


def _to_image(tone: NDArray[np.floating], colour: Colour) -> Image.Image:
    pixels = np.clip(tone[..., None] * np.array(colour, dtype=np.float32), 0, 255)
    return Image.fromarray(pixels.astype(np.uint8))


def _speckle(rng: np.random.Generator, strength: float) -> Field:
    return np.asarray(strength * rng.standard_normal((SIDE, SIDE), dtype=np.float32))


def _wood(rng: np.random.Generator, colour: Colour, planks: int) -> Image.Image:
    down = np.mgrid[0:SIDE, 0:SIDE][0].astype(np.float32) / SIDE * planks
    plank = np.floor(down).astype(int)
    tone = 1 + rng.uniform(-0.09, 0.09, planks).astype(np.float32)[plank]
    rings = 10 * soft_noise(rng, 3, planks * 3, SIDE) + 26 * down
    grain = 0.05 * np.sin(rings) + 0.05 * soft_noise(rng, 6, 240, SIDE)
    gap = np.clip(1 - np.abs(down - np.round(down)) * 60, 0, 1)
    return _to_image(tone + grain - 0.35 * gap, colour)


def _marble(rng: np.random.Generator, colour: Colour) -> Image.Image:
    across = np.mgrid[0:SIDE, 0:SIDE].sum(axis=0).astype(np.float32) / 90
    bend = 3 * soft_noise(rng, 4, 4, SIDE) + 1.2 * soft_noise(rng, 14, 14, SIDE)
    veins = np.abs(np.sin(across + bend)) ** 0.35
    return _to_image(0.88 + 0.12 * veins + _speckle(rng, 0.008), colour)


def _carpet(rng: np.random.Generator, colour: Colour) -> Image.Image:
    tufts = 0.1 * soft_noise(rng, 180, 180, SIDE) + 0.06 * soft_noise(rng, 8, 8, SIDE)
    return _to_image(0.95 + tufts + _speckle(rng, 0.05), colour)


def _tiles(rng: np.random.Generator, colour: Colour) -> Image.Image:
    down, across = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / (SIDE / 5)
    joint = np.minimum(np.abs(down - np.round(down)), np.abs(across - np.round(across)))
    groove = np.clip(1 - joint * 45, 0, 1)
    return _to_image(1 + 0.05 * soft_noise(rng, 5, 5, SIDE) - 0.22 * groove + _speckle(rng, 0.01), colour)


def _plaster(rng: np.random.Generator, colour: Colour) -> Image.Image:
    rough = 0.03 * soft_noise(rng, 90, 90, SIDE) + 0.06 * soft_noise(rng, 2, 2, SIDE)
    return _to_image(0.97 + rough + _speckle(rng, 0.012), colour)


def _linen(rng: np.random.Generator, colour: Colour) -> Image.Image:
    folds = soft_noise(rng, 5, 3, SIDE)
    down, across = np.gradient(folds)
    down_thread, across_thread = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    weave = 0.025 * (np.sin(across_thread * 1.9) + np.sin(down_thread * 1.9))
    return _to_image(0.95 + 9 * (across + down) + weave + _speckle(rng, 0.02), colour)


def _book(pen: Pen) -> None:
    pen.part(box(20, 12, 80, 88, 1.5), (116, 84, 88), METAL)
    pen.flat(box(26, 14, 28, 86), DARK, 0.3)
    pen.flat(box(38, 28, 70, 33), PAPER, 0.8)
    pen.flat(box(38, 38, 60, 40), PAPER, 0.6)


def _papers(pen: Pen) -> None:
    pen.part(polygon([(18, 14), (80, 10), (86, 86), (22, 90)]), PAPER, METAL)
    for y in range(24, 82, 7):
        pen.flat(stroke([(28, y), (74, y - 3)], 0.8), DARK, 0.35)


def _phone(pen: Pen) -> None:
    pen.part(box(30, 8, 70, 92, 6), (58, 60, 66), METAL)
    pen.part(box(32.5, 11, 67.5, 89, 4), (28, 30, 38), Form(round=2, gloss=0.3))
    pen.flat(polygon([(34, 12), (52, 12), (36, 70), (34, 60)]), WHITE, 0.12)


def _pencil(pen: Pen) -> None:
    pen.part(box(47, 14, 53, 80, 0.5), (178, 168, 120), Form(round=1.5, bulge=1.2))
    pen.part(polygon([(47, 80), (53, 80), (50, 93)]), (214, 186, 150), METAL)
    pen.flat(polygon([(48.8, 88), (51.2, 88), (50, 93)]), DARK)
    pen.part(box(47, 8, 53, 14, 1), STEEL, METAL)


def _plant(pen: Pen) -> None:
    for lean in (-38, -22, -6, 10, 26, 40):
        leaf = [(50, 66), (50, 66), (50 + lean * 0.2, 40), (50 + lean, 14 + abs(lean) / 2)]
        pen.part(blob([*leaf, (50 + lean * 0.8, 44)]), LEAF, CLOTH)
    pen.part(polygon([(34, 62), (66, 62), (61, 92), (39, 92)]), (190, 142, 118), Form(round=6, bulge=1.2))


def _plate(pen: Pen) -> None:
    pen.part(ellipse(50, 50, 42, 42), (232, 230, 226), Form(round=3, bulge=1, gloss=0.2))
    pen.part(ellipse(50, 50, 28, 28), (236, 234, 230), Form(round=3, bulge=-0.9))
    for x, y in ((44, 46), (56, 52), (47, 58)):
        pen.part(ellipse(x, y, 6, 6), (190, 148, 96), Form(round=3, bulge=1.1))


def _keys(pen: Pen) -> None:
    pen.part(cut(ellipse(40, 30, 14, 14), ellipse(40, 30, 11, 11)), STEEL, METAL)
    for tip in ((70, 80), (40, 90)):
        pen.part(stroke([(40, 44), tip], 4), GOLD, METAL)
        pen.part(ellipse(40 + (tip[0] - 40) * 0.15, 50, 6, 6), GOLD, METAL)


def _cable(pen: Pen) -> None:
    line = [(8, 20), (40, 10), (70, 40), (40, 60), (20, 80), (60, 92), (92, 70)]
    pen.part(stroke(line, 2.4), (214, 214, 212), METAL)


CLUTTER: tuple[Callable[[Pen], None], ...] = (_book, _papers, _phone, _pencil, _plant, _plate, _keys, _cable)


def _draw_clutter(prop: Callable[[Pen], None], rng: np.random.Generator) -> Image.Image:
    pen = Pen(Finish(WHITE, WHITE, "plain"), rng)
    prop(pen)
    return pen.cutout().reduce(2)
