"""The grey correction: which pictures it is for, and that it finds the features that grey copies lack."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from safetensors.numpy import load_file

from infra.array_types import Floats
from infra.config.settings import TorchSettings
from infra.encoder import WEIGHTS, open_backbone
from infra.encoder.grey_correction import (
    GreyCorrection,
    fit_grey_correction,
    grey_tensors,
    is_grey,
    parse_grey_correction,
)
from infra.encoder.lite import probe
from infra.encoder.projection import NetworkEncoder, read_projection, write_projection

FEATURES, AXES = 40, 12


def copies(seed: int, number: int) -> tuple[Floats, Floats]:
    """Features of pictures and of their grey copies, which lack a part that the rest predicts."""
    rng, world = np.random.default_rng(seed), np.random.default_rng(99)
    grey = rng.normal(size=(number, FEATURES)).astype(np.float32)
    predicted = grey @ world.normal(size=(FEATURES, 3)) @ world.normal(size=(3, FEATURES)) + 1.5
    return (grey + predicted + rng.normal(scale=0.1, size=grey.shape)).astype(np.float32), grey


def correction(colour: Floats, grey: Floats) -> GreyCorrection:
    axes = np.eye(FEATURES, dtype=np.float32)
    tensors = fit_grey_correction(colour, grey, axes)
    parsed = parse_grey_correction(tensors)
    assert parsed is not None
    return parsed


def test_a_picture_without_colours_is_grey_and_one_with_a_small_coloured_thing_is_not() -> None:
    colour = probe()
    grey = ImageOps.grayscale(colour).convert("RGB")
    assert is_grey(np.asarray(grey))
    assert not is_grey(np.asarray(colour))
    with_label = grey.copy()
    with_label.paste("red", (40, 40, 90, 90))
    assert not is_grey(np.asarray(with_label))


def test_a_black_thing_before_a_camera_is_not_grey() -> None:
    noise = np.random.default_rng(0).normal(40, 4, (240, 320, 3)).clip(0, 255).astype(np.uint8)
    assert not is_grey(noise)


def test_what_grey_copies_lack_is_predicted_for_other_pictures() -> None:
    fitted = correction(*copies(0, 400))
    colour, grey = copies(1, 50)
    corrected = fitted(grey, np.ones(50, bool))
    assert np.linalg.norm(corrected - colour) < 0.1 * np.linalg.norm(grey - colour)


def test_pictures_with_colours_keep_their_features() -> None:
    fitted = correction(*copies(0, 400))
    features = copies(1, 3)[1]
    corrected = fitted(features, np.array([False, True, False]))
    assert np.array_equal(corrected[[0, 2]], features[[0, 2]])
    assert not np.array_equal(corrected[1], features[1])


def test_the_shipped_projection_changes_grey_pictures_alone_and_can_be_written_again(tmp_path: Path) -> None:
    backbone = open_backbone("fast", TorchSettings(precision="float32"))
    shipped = read_projection(WEIGHTS / "fast.safetensors", backbone)
    without = {name: value for name, value in load_file(WEIGHTS / "fast.safetensors").items() if "grey" not in name}
    paths = {"with": shipped.base_tensors, "without": without}
    for name, tensors in paths.items():
        write_projection(tmp_path / name, tensors, {"backbone": "fast"})
    views = [probe(), ImageOps.grayscale(probe()).convert("RGB")]
    vectors = [
        encode(NetworkEncoder("fast", backbone, read_projection(tmp_path / name, backbone)), views)
        for name in paths
    ]
    assert np.array_equal(vectors[0][0], vectors[1][0])
    assert not np.allclose(vectors[0][1], vectors[1][1], atol=0.01)
    assert grey_tensors(shipped.base_tensors).keys() == {"grey.shift", "grey.inputs.axes", "grey.outputs.axes"}


def encode(encoder: NetworkEncoder, pictures: list[Image.Image]) -> Floats:
    """The vectors of whole pictures, as photos seen once."""
    return encoder.run([((encoder.prepare(picture, (0, 0, *picture.size)),), False) for picture in pictures])
