"""Composites: three catalogue things on the ground of a photo, with the box of each; drawn from labelled folders.

A thing is a studio picture without its plain ground. A detector may be fitted to composites with `train`; those for
evaluation have other things and other grounds.
"""

import csv
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter

from infra.array_types import Box, Mask, Pixels

LONG_SIDE = 640
"""Pixels of the longer side of a composite."""
ASPECTS = (4 / 3, 3 / 4, 1.0)
SIDE_SHARES = (0.28, 0.5)
"""Smallest and largest longer side of a thing, as a share of the shorter side of the composite."""
GROUND_TOLERANCE = 10
"""Largest difference of a channel between neighbouring pixels of the plain ground of a studio picture."""
THING_SHARES = (0.08, 0.92)
"""Smallest and largest share of a studio picture that its thing has; with others, the mask is wrong."""
HIDDEN_SHARES = (0.15, 0.4)
"""Smallest and largest share of a partly hidden thing that another thing covers."""
MAX_TRIES, PLACES = 100, 40
THINGS = 3


Ground = Path | Image.Image
"""A photo, or its file."""


@dataclass(frozen=True)
class Thing:
    """A studio picture: its id in the catalogue, and its file."""

    id: str
    path: Path


@dataclass(frozen=True)
class Scene:
    """A composite, its things in the order in which they were pasted, and the box of what is visible of each."""

    image: Image.Image
    things: tuple[Thing, ...]
    boxes: tuple[Box, ...]
    hidden: tuple[bool, ...]


def read_picture(path: Path) -> Image.Image:
    """The picture in a file, RGB."""
    with Image.open(path) as opened:
        return opened.convert("RGB")


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a table with labels."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_things(data: Path, *, train: bool) -> list[Thing]:
    """The studio pictures of grocery and of fashion; every second product and a tenth of fashion are not for
    training."""
    grocery = [row for row in read_table(data / "grocery/labels.csv") if row["split"] == "catalog"]
    packages = [Thing(row["label"], data / "grocery" / row["image"]) for row in grocery[int(not train) :: 2]]
    fashion = [row for row in read_table(data / "fashion/products.csv") if (int(row["id"]) % 10 != 0) == train]
    clothes = [Thing(row["id"], data / "fashion" / row["image"]) for row in fashion]
    return packages * (len(clothes) // (3 * len(packages)) + 1) + clothes


def read_grounds(data: Path, *, train: bool, folder: str = "grocery") -> list[Path]:
    """The photos of groceries, or of clothes, as grounds."""
    splits = ("train",) if train else ("val", "validation")
    rows = [row for row in read_table(data / folder / "labels.csv") if row["split"] in splits]
    return [data / folder / row["image"] for row in rows]


def thing_mask(rgb: Pixels) -> Mask | None:
    """Mask of the thing of a studio picture; None if the ground is not plain enough to tell."""
    padded = cv2.copyMakeBorder(np.asarray(rgb, np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    marks = np.zeros((padded.shape[0] + 2, padded.shape[1] + 2), np.uint8)
    corners = [padded[y, x] for y in (0, -1) for x in (0, -1)]
    if np.ptp(np.array(corners, np.int16), axis=0).max() > GROUND_TOLERANCE or min(map(min, corners)) < 200:
        return None
    rows, columns = padded.shape[:2]
    tolerance = (GROUND_TOLERANCE,) * 3
    for point in ((0, 0), (columns - 1, 0), (0, rows - 1), (columns - 1, rows - 1)):
        if not marks[point[1] + 1, point[0] + 1]:
            cv2.floodFill(padded, marks, point, (0, 0, 0), tolerance, tolerance, 4 | cv2.FLOODFILL_MASK_ONLY)
    mask = cv2.morphologyEx(1 - marks[2:-2, 2:-2], cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    large = [n for n in range(1, count) if stats[n, cv2.CC_STAT_AREA] >= 0.02 * mask.size]
    found: Mask = np.isin(labels, large)
    return found if THING_SHARES[0] <= found.mean() <= THING_SHARES[1] else None


def cut_out(thing: Thing) -> Image.Image | None:
    """The thing of a studio picture as RGBA, cut to its box; None if there is no mask."""
    image = read_picture(thing.path)
    mask = thing_mask(np.asarray(image))
    if mask is None:
        return None
    alpha = Image.fromarray((mask * 255).astype(np.uint8))
    image.putalpha(alpha)
    return image.crop(alpha.getbbox())


def _vary(cut: Image.Image, longer: int, chance: random.Random) -> Image.Image:
    """The thing with this longer side, turned and lit a little differently."""
    factor = longer / max(cut.size)
    size = max(8, round(cut.width * factor)), max(8, round(cut.height * factor))
    turned = cut.resize(size, Image.Resampling.BICUBIC).rotate(
        chance.uniform(-15, 15), Image.Resampling.BICUBIC, expand=True
    )
    # Two pixels less: the edge of a thing has the colour of its old ground.
    alpha = turned.getchannel("A").filter(ImageFilter.MinFilter(5)).filter(ImageFilter.GaussianBlur(1))
    varied = ImageEnhance.Brightness(turned.convert("RGB")).enhance(chance.uniform(0.75, 1.15))
    varied.putalpha(alpha)
    box = alpha.point(lambda value: 255 * (value >= 128)).getbbox()
    return varied.crop(box)


def _cut_ground(ground: Ground, chance: random.Random) -> Image.Image:
    aspect = chance.choice(ASPECTS)
    width, height = (
        (LONG_SIDE, round(LONG_SIDE / aspect)) if aspect >= 1 else (round(LONG_SIDE * aspect), LONG_SIDE)
    )
    image = ground if isinstance(ground, Image.Image) else read_picture(ground)
    scale = chance.uniform(0.6, 1)
    side = (
        min(image.width, image.height * width / height) * scale,
        min(image.height, image.width * height / width) * scale,
    )
    left, top = chance.uniform(0, image.width - side[0]), chance.uniform(0, image.height - side[1])
    return image.resize((width, height), Image.Resampling.BICUBIC, (left, top, left + side[0], top + side[1]))


def compose(
    things: Sequence[Thing],
    grounds: Sequence[Ground],
    seed: int,
    *,
    hidden: bool = False,
    count: int = THINGS,
    sides: tuple[float, float] = SIDE_SHARES,
) -> Scene:
    """Draw one composite; with `hidden` each thing covers a part of the one before it."""
    chance = random.Random(seed)
    canvas = _cut_ground(chance.choice(grounds), chance)
    owners = np.zeros((canvas.height, canvas.width), np.uint8)  # number of the visible thing from 1, or 0
    chosen, areas = list[Thing](), list[int]()
    for _ in range(MAX_TRIES):
        if len(chosen) == count:
            break
        thing = chance.choice(things)
        cut = cut_out(thing)
        if cut is None:
            continue
        cut = _vary(cut, round(min(canvas.size) * chance.uniform(*sides)), chance)
        alpha = np.asarray(cut.getchannel("A")) >= 128
        place = _find_place(owners, areas, alpha, chance, hidden=hidden)
        if place is not None:
            chosen.append(thing)
            areas.append(int(alpha.sum()))
            canvas.paste(cut, place, cut.getchannel("A"))
            part = owners[place[1] : place[1] + cut.height, place[0] : place[0] + cut.width]
            part[alpha] = len(chosen)
    masks = [owners == n for n in range(1, len(chosen) + 1)]
    is_hidden = tuple(bool(mask.sum() < area) for mask, area in zip(masks, areas, strict=True))
    return Scene(canvas, tuple(chosen), tuple(map(_box, masks)), is_hidden)


def _find_place(
    owners: NDArray[np.uint8], areas: Sequence[int], alpha: Mask, chance: random.Random, *, hidden: bool
) -> tuple[int, int] | None:
    """Left and top where the thing covers nothing or, with `hidden`, a part of the last thing and nothing else."""
    (rows, columns), (height, width) = owners.shape, alpha.shape
    if width > columns or height > rows:
        return None
    for _ in range(PLACES):
        left, top = chance.randint(0, columns - width), chance.randint(0, rows - height)
        covered = np.bincount(owners[top : top + height, left : left + width][alpha], minlength=len(areas) + 1)[1:]
        if not hidden or not areas:
            if not covered.any():
                return left, top
        elif HIDDEN_SHARES[0] <= covered[-1] / areas[-1] <= HIDDEN_SHARES[1] and not covered[:-1].any():
            return left, top
    return None


def _box(mask: Mask) -> Box:
    (rows,), (columns,) = np.nonzero(mask.any(1)), np.nonzero(mask.any(0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
