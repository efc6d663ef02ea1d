"""Pictures of several discs on white, for searches by the things in a picture."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

PlacedDisc = tuple[str, int, tuple[int, int]]
"""A disc's name, which is its colour, and its width and place in pixels."""


def draw_discs(discs: Path, size: tuple[int, int], placed: Sequence[PlacedDisc]) -> Image.Image:
    """Draw discs, whose pictures are in a folder, on white."""
    scene = Image.new("RGB", size, "white")
    for name, side, place in placed:
        with Image.open(discs / f"{name}.png") as disc:
            scene.paste(disc.convert("RGB").resize((side, side)), place)
    return scene
