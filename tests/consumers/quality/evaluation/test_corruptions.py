"""Corruptions: each gives a picture that can be looked at, and does what it says."""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from consumers.quality.evaluation.corruptions import CORRUPTIONS, corrupt
from consumers.vision.colour import make_colour_extractor
from consumers.vision.embedder import ImageEmbedder
from consumers.vision.look import Look
from infra.config.settings import TorchSettings
from infra.encoder import open_encoder
from infra.images.decode import DecodeLimits, decode


def photo(size: tuple[int, int] = (96, 64), mode: str = "RGB") -> bytes:
    """A ramp from left to right over a ramp from top to bottom, as PNG: no two corners are alike."""
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    pixels = np.stack([x * 255 / size[0], y * 255 / size[1], np.full_like(x, 128, float)], axis=-1)
    out = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).convert(mode).save(out, "PNG")
    return out.getvalue()


def pixels(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(decode(data, DecodeLimits()).image, np.float64)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_every_corruption_gives_a_picture_that_is_decoded(name: str, mode: str) -> None:
    assert decode(corrupt(photo(mode=mode), name), DecodeLimits()).image.mode == "RGB"


def test_the_same_picture_is_corrupted_the_same_way_each_time() -> None:
    for name in CORRUPTIONS:
        assert corrupt(photo(), name) == corrupt(photo(), name)


def test_they_do_what_they_say() -> None:
    clean = pixels(photo())
    assert np.abs(pixels(corrupt(photo(), "saved again")) - clean).mean() < 2
    assert pixels(corrupt(photo(), "brightness .4")).mean() == pytest.approx(clean.mean() * 0.4, abs=3)
    assert pixels(corrupt(photo(), "brightness 1.6")).mean() > clean.mean()
    assert pixels(corrupt(photo(), "gamma 2")).mean() < clean.mean() < pixels(corrupt(photo(), "gamma .5")).mean()
    assert np.abs(pixels(corrupt(photo(), "flip"))[:, ::-1] - clean).mean() < 2
    assert pixels(corrupt(photo(), "grey")).std(axis=2).max() < 2
    assert pixels(corrupt(photo(), "crop 60 %")).shape == (38, 58, 3)
    assert pixels(corrupt(photo(), "screenshot")).shape > clean.shape
    assert pixels(corrupt(photo(), "rotation 15")).shape == clean.shape
    assert len(corrupt(photo(), "JPEG q20")) < len(corrupt(photo(), "saved again"))


def test_an_exif_turn_is_undone_when_the_picture_is_looked_at() -> None:
    lying = corrupt(photo(), "EXIF turn")
    with Image.open(io.BytesIO(lying)) as stored:
        assert stored.size == (64, 96)
    with ThreadPoolExecutor(1) as pool:
        embedder = ImageEmbedder(
            open_encoder("fake", TorchSettings()), make_colour_extractor(), DecodeLimits(), pool
        )
        upright, turned = embedder.embed([corrupt(photo(), "saved again"), lying])
    assert isinstance(upright, Look)
    assert isinstance(turned, Look)
    assert float(upright.vector[:48] @ turned.vector[:48]) > 0.999
