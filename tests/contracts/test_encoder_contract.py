"""What every encoder keeps: the default, the one for fast tests, and models in transformers' own format."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    CLIPConfig,
    CLIPModel,
    ConvNextConfig,
    ConvNextModel,
    Dinov2Config,
    Dinov2Model,
    SiglipConfig,
    SiglipModel,
    ViTConfig,
    ViTImageProcessorPil,
    ViTModel,
)
from transformers.modeling_utils import PreTrainedModel

from consumers.vision.look import Encoder
from infra.encoder import open_encoder
from infra.settings import Torch

SMALL: dict[str, Any] = {
    "hidden_size": 40, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 64,
    "image_size": 32, "patch_size": 8,
}  # fmt: skip
TEXT: dict[str, Any] = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
    "vocab_size": 9, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1,
}  # fmt: skip
MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    "clip": lambda: CLIPModel(CLIPConfig(text_config=TEXT, vision_config=SMALL, projection_dim=24)),
    "siglip": lambda: SiglipModel(SiglipConfig(text_config=TEXT, vision_config=SMALL)),
    "dinov2": lambda: Dinov2Model(Dinov2Config(**SMALL)),
    "vit": lambda: ViTModel(ViTConfig(**SMALL)),
    "vit-without-pooler": lambda: ViTModel(ViTConfig(**SMALL), add_pooling_layer=False),
    "convnext": lambda: ConvNextModel(ConvNextConfig(hidden_sizes=[8, 16, 24, 40], depths=[1, 1, 1, 1])),
}


def save(kind: str, folder: Path) -> Path:
    """A small model with random weights, the same each time, as save_pretrained writes it."""
    torch.manual_seed(0)
    MODELS[kind]().save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=["efficientnet-lite2", "fake", *MODELS])
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    name = request.param
    if name in MODELS:
        name = str(save(name, tmp_path_factory.mktemp("models") / name))
    return open_encoder(name, Torch(threads=2))


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    """Nine unlike pictures, of unlike shapes, a black and a grey one among them."""
    draw = np.random.default_rng(0)
    shapes = [(20, 90), (90, 20), (64, 64), (300, 200), (33, 47), (120, 80), (260, 260)]
    noise = [Image.fromarray(draw.integers(0, 255, (*shape, 3), np.uint8)) for shape in shapes]
    return [*noise, Image.new("RGB", (50, 50)), Image.new("RGB", (50, 50), (128, 128, 128))]


def run(encoder: Encoder, pictures: list[Image.Image]) -> np.ndarray:
    return encoder.run([encoder.prepare(picture) for picture in pictures])


def test_prepared_pictures_have_one_shape(encoder: Encoder, pictures: list[Image.Image]) -> None:
    prepared = [encoder.prepare(picture) for picture in pictures]
    assert len({(one.shape, one.dtype) for one in prepared}) == 1


def test_both_parts_have_unit_length(encoder: Encoder, pictures: list[Image.Image]) -> None:
    vectors = run(encoder, pictures)
    assert vectors.dtype == np.float32
    assert vectors.shape == (9, encoder.object_size + encoder.style_size)
    parts = vectors[:, : encoder.object_size], vectors[:, encoder.object_size :]
    assert np.abs([np.linalg.norm(part, axis=1) - 1 for part in parts]).max() < 1e-4


def test_a_batch_changes_nothing(encoder: Encoder, pictures: list[Image.Image]) -> None:
    together = run(encoder, pictures)
    alone = np.concatenate([run(encoder, [picture]) for picture in pictures])
    assert (together * alone).sum(1).min() > 2 * 0.998


def test_no_pictures_give_no_vectors(encoder: Encoder) -> None:
    assert encoder.run([]).shape == (0, encoder.object_size + encoder.style_size)


def test_unlike_pictures_get_unlike_vectors(encoder: Encoder, pictures: list[Image.Image]) -> None:
    white, red = run(encoder, [Image.new("RGB", (64, 64), "white"), pictures[2]])
    assert np.abs(white - red).max() > 1e-3


def test_pictures_can_be_prepared_in_many_threads(encoder: Encoder, pictures: list[Image.Image]) -> None:
    with ThreadPoolExecutor(4) as pool:
        side_by_side = list(pool.map(encoder.prepare, pictures * 4))
    assert all(
        np.array_equal(one, encoder.prepare(picture))
        for one, picture in zip(side_by_side, pictures * 4, strict=True)
    )


def test_the_fingerprint_is_short_and_readable(encoder: Encoder) -> None:
    name, colon, digest = encoder.fingerprint.partition(":")
    assert name
    assert colon
    assert 1 <= len(digest) <= 12


@pytest.mark.parametrize("kind", [*MODELS])
def test_a_fingerprint_follows_the_weights_and_the_preprocessing(kind: str, tmp_path: Path) -> None:
    first = open_encoder(str(save(kind, tmp_path / "model")), Torch(threads=1)).fingerprint
    again = open_encoder(str(tmp_path / "model"), Torch(threads=1)).fingerprint
    ViTImageProcessorPil(size={"height": 32, "width": 32}, image_mean=[0, 0, 0]).save_pretrained(tmp_path / "model")
    other = open_encoder(str(tmp_path / "model"), Torch(threads=1)).fingerprint
    assert first == again
    assert other != first
