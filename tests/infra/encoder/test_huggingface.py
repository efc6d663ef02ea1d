"""Models of the Hugging Face hub: the parts in use, their names, and the errors of unsupported ones."""

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn.functional import normalize
from transformers import AutoImageProcessor, AutoModel, BertConfig, BertModel

from consumers.vision.contracts import Encoder, EncoderInput
from infra.array_types import Box
from infra.config.settings import TorchSettings
from infra.encoder import EncoderUnavailable, open_encoder
from infra.encoder.huggingface import preparation
from tests.contracts.families import FAMILIES, VOCABULARY, save

EXACT = TorchSettings(threads=1, precision="float32")
FULL: Box = (0, 0, 90, 60)


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8))


def vector(encoder: Encoder, picture: Image.Image, box: Box = FULL) -> NDArray[np.float32]:
    only: NDArray[np.float32] = encoder.run([EncoderInput((encoder.prepare(picture, box),), studio=False)])[0]
    return only


def own_output(folder: Path, picture: Image.Image) -> Any:
    """The output of transformers itself for the picture."""
    model = AutoModel.from_pretrained(folder).eval()
    inputs = AutoImageProcessor.from_pretrained(folder, backend="pil")(images=picture, return_tensors="pt")
    with torch.inference_mode():
        return getattr(model, "get_image_features", model)(**inputs, output_hidden_states=True)


@pytest.mark.parametrize(
    "kind",
    ["clip", "clip-vision", "siglip", "siglip2", "siglip2-vision", "dinov2", "dinov2-registers", "vit", "convnext"],
)
def test_the_object_part_is_the_models_own_summary(kind: str, picture: Image.Image, tmp_path: Path) -> None:
    encoder = open_encoder(str(save(kind, tmp_path / kind)), EXACT)
    expected = normalize(own_output(tmp_path / kind, picture).pooler_output.flatten(1))[0].numpy()
    assert vector(encoder, picture)[: encoder.object_size] == pytest.approx(expected, abs=1e-4)


def test_an_image_tower_without_a_summary_gives_the_mean_of_its_patches(
    picture: Image.Image, tmp_path: Path
) -> None:
    encoder = open_encoder(str(save("siglip-without-head", tmp_path)), EXACT)
    expected = normalize(own_output(tmp_path, picture).last_hidden_state.mean(1))[0].numpy()
    assert vector(encoder, picture)[: encoder.object_size] == pytest.approx(expected, abs=1e-4)


def test_a_vit_without_a_pooler_gives_its_class_token(picture: Image.Image, tmp_path: Path) -> None:
    encoder = open_encoder(str(save("vit-without-pooler", tmp_path)), EXACT)
    expected = normalize(own_output(tmp_path, picture).last_hidden_state[:, 0])[0].numpy()
    assert vector(encoder, picture)[: encoder.object_size] == pytest.approx(expected, abs=1e-4)


def test_padding_does_not_count(picture: Image.Image, tmp_path: Path) -> None:
    """A square has 4 x 4 patches, whether there is room for 16 of them or for 24."""
    exact, padded = (
        open_encoder(str(save("siglip2", tmp_path / str(patches), max_num_patches=patches)), EXACT)
        for patches in (16, 24)
    )
    one, other = (vector(encoder, picture, (0, 0, 60, 60)) for encoder in (exact, padded))
    assert one == pytest.approx(other, abs=1e-5)


def test_naflex_keeps_the_shape_of_each_picture(tmp_path: Path) -> None:
    save("siglip2", tmp_path)
    prepare = preparation(AutoImageProcessor.from_pretrained(tmp_path, backend="pil"))
    wide, tall = (prepare(Image.new("RGB", size), (0, 0, *size)) for size in ((160, 40), (40, 160)))
    assert wide.shape == tall.shape == (1 + 20, 8 * 8 * 3)
    assert (wide[0, :2].tolist(), tall[0, :2].tolist()) == ([2, 8], [8, 2])


@pytest.mark.parametrize("kind", ["clip", "siglip", "siglip2"])
def test_text_weights_are_not_kept(kind: str, tmp_path: Path) -> None:
    encoder = open_encoder(str(save(kind, tmp_path)), EXACT)
    gc.collect()
    words = [one for one in gc.get_objects() if type(one) is torch.nn.Parameter and VOCABULARY in one.shape]
    assert encoder.object_size
    assert words == []


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_fingerprint_follows_the_weights_and_the_preprocessing(kind: str, tmp_path: Path) -> None:
    first, again, other = (
        open_encoder(str(save(kind, tmp_path / "model", **fields)), EXACT).fingerprint
        for fields in ({}, {}, {"image_mean": [0, 0, 0]})
    )
    assert first == again
    assert first.startswith("model:")
    assert other != first


def test_a_fingerprint_does_not_follow_the_text_side(tmp_path: Path) -> None:
    before = open_encoder(str(save("clip", tmp_path)), EXACT).fingerprint
    model = AutoModel.from_pretrained(tmp_path)
    torch.nn.init.zeros_(model.text_projection.weight)
    model.save_pretrained(tmp_path)
    assert open_encoder(str(tmp_path), EXACT).fingerprint == before


def test_a_name_opens_from_the_local_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = tmp_path / "models--someone--small-clip"
    save("clip", stored / "snapshots" / "0123abc")
    (stored / "refs").mkdir()
    (stored / "refs" / "main").write_text("0123abc")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert open_encoder("someone/small-clip", EXACT).fingerprint.startswith("small-clip:")


def test_a_text_model_with_an_image_processor_is_refused(tmp_path: Path) -> None:
    save("vit", tmp_path)
    tiny = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    BertModel(tiny).save_pretrained(tmp_path)
    with pytest.raises(EncoderUnavailable, match="gives no vector for a picture alone"):
        open_encoder(str(tmp_path), EXACT)
