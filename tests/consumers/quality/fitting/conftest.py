"""Galleries of made-up features with labels that mean something or nothing, and a small shop drawn in code."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from consumers.quality.evaluation.system_under_test import Step
from consumers.quality.fitting.feature_store import FeatureMatrix
from consumers.quality.fitting.fit import FitSetup
from infra.array_types import Floats, Pixels
from infra.encoder.backbone import Backbone
from infra.encoder.heads import Recipe
from infra.encoder.projection import plain_projection

SIZE, STYLE = 24, 4
LABELS = 12


def no_bar(steps: Iterable[Step], _what: str, _total: int) -> Iterable[Step]:
    return steps


@pytest.fixture
def kit() -> FitSetup:
    """For a backbone that never looks: its features are made up."""

    def prepare(image: Image.Image, _box: object) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        return np.asarray(image)

    def network(views: Pixels) -> Floats:
        return views.reshape(len(views), -1).astype(np.float32)

    backbone = Backbone("made-up", "0", SIZE, STYLE, prepare, network)
    recipe = Recipe(epochs=40, batch=128, rate=0.02)
    return FitSetup(backbone, plain_projection(backbone).base_tensors, recipe, 0.25, no_bar)


@pytest.fixture
def gallery() -> FeatureMatrix:
    """240 pictures whose label, of twelve in turn, is told by three quiet dimensions; the others are loud."""
    chance = np.random.default_rng(3)
    centres = np.random.default_rng(1).normal(size=(LABELS, 3))
    rows = chance.normal(size=(240, SIZE + STYLE))
    rows[:, :3] = 0.8 * centres[np.arange(240) % LABELS] + 0.1 * rows[:, :3]
    views = rows[:, None] + 0.02 * chance.normal(size=(240, 2, SIZE + STYLE))
    return FeatureMatrix(views.astype(np.float16), np.arange(240) % 5 == 0)


@pytest.fixture
def names() -> list[str]:
    return [f"label {n % LABELS}" for n in range(240)]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with 3 kinds of things, 6 studio pictures of each, in sub-folders."""
    for kind in ("disc", "bar", "ring"):
        folder = tmp_path / "shop" / kind
        folder.mkdir(parents=True)
        for n in range(6):
            draw(kind, n).save(folder / f"{n}.png")
    return tmp_path / "shop"


def draw(kind: str, shift: int) -> Image.Image:
    image = Image.new("RGB", (64, 64), "white")
    pen, box = ImageDraw.Draw(image), (12 + shift, 12, 50 + shift, 50)
    colour = ("#cc2222", "#228833", "#2255cc")[shift % 3]
    if kind == "disc":
        pen.ellipse(box, fill=colour)
    elif kind == "bar":
        pen.rectangle((8 + shift, 26, 54 + shift, 38), fill=colour)
    else:
        pen.ellipse(box, outline=colour, width=7)
    return image
