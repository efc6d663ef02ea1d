"""A small labelled shop, drawn in code: three kinds of things in three colours, a table for each side."""

import csv
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

COLOURS = {"red": "#cc2222", "green": "#228833", "blue": "#2255cc"}
KINDS = ("disc", "bar", "ring")
FIELDS = ("image", "label", "category", "colour", "side", "maker")


def draw(kind: str, colour: str, shift: int) -> Image.Image:
    """One thing on white, moved by some pixels."""
    image = Image.new("RGB", (64, 64), "white")
    pen, box = ImageDraw.Draw(image), (12 + shift, 12, 50 + shift, 50)
    if kind == "disc":
        pen.ellipse(box, fill=COLOURS[colour])
    elif kind == "bar":
        pen.rectangle((8 + shift, 26, 54 + shift, 38), fill=COLOURS[colour])
    else:
        pen.ellipse(box, outline=COLOURS[colour], width=7)
    return image


def write_table(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)
    return path


def draw_shop(folder: Path) -> Path:
    """Draw a table of 36 pictures: 9 labels, four of each; the first is the query."""
    rows = []
    for kind in KINDS:
        for colour in COLOURS:
            for shift in range(4):
                name = f"{kind}-{colour}-{shift}.png"
                draw(kind, colour, shift).save(folder / name)
                side = "queries" if shift == 0 else "catalogue"
                label, maker = f"{colour} {kind}", f"maker {colour}"
                rows.append(dict(zip(FIELDS, (name, label, kind, colour, side, maker), strict=True)))
    return write_table(folder / "labels.csv", rows)


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """The table of the shop."""
    return draw_shop(tmp_path)


@pytest.fixture
def off_topic(tmp_path: Path) -> Path:
    """A table of pictures of something else, in a folder of its own, without labels."""
    folder = tmp_path / "off_topic"
    folder.mkdir()
    for n in range(4):
        image = Image.effect_mandelbrot((64, 64), (-2.0 + n / 4, -1.0, 0.5 + n / 4, 1.0), 20)
        image.convert("RGB").save(folder / f"{n}.png")
    path = folder / "off_topic.csv"
    path.write_text("image\n" + "".join(f"{n}.png\n" for n in range(4)))
    return path
