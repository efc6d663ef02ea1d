"""Text towers: their texts are compared with pictures in the index's own vectors, whatever the projection."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize
from transformers import AutoModel, AutoTokenizer

from consumers.embedding.pipeline import TextEncoder
from consumers.vision.contracts import Encoder, EncoderInput
from infra.array_types import Floats
from infra.config.settings import TorchSettings
from infra.encoder import FITTED, EncoderUnavailable, open_backbone, open_encoder, reads_text
from infra.encoder.projection import write_projection
from infra.encoder.whitening import whiten
from tests.contracts.families import JOINT, save, save_joint, save_tokenizer

EXACT = TorchSettings(threads=1, precision="float32")
TEXTS = ("a red square", "a green circle", "blue", "yellow stripes on white")


def pictures(count: int = 4) -> list[Image.Image]:
    """Unlike pictures: noise of unlike colours."""
    draw = np.random.default_rng(3)
    return [Image.fromarray(draw.integers(0, 60 + 11 * n, (48, 48, 3), np.uint8)) for n in range(count)]


def object_parts(encoder: Encoder, images: Sequence[Image.Image]) -> Floats:
    inputs = [EncoderInput((encoder.prepare(image, (0, 0, *image.size)),), studio=False) for image in images]
    return encoder.run(inputs)[:, : encoder.object_size]


def text_encoder(name: Path) -> TextEncoder:
    encoder = open_encoder(str(name), EXACT)
    assert isinstance(encoder, TextEncoder)
    return encoder


@pytest.mark.parametrize("kind", JOINT)
def test_a_text_has_the_models_own_vector(kind: str, tmp_path: Path) -> None:
    save_joint(kind, tmp_path)
    model, tokenizer = AutoModel.from_pretrained(tmp_path).eval(), AutoTokenizer.from_pretrained(tmp_path)
    length = model.config.text_config.max_position_embeddings
    for text in TEXTS:
        padding = {"padding": "max_length", "max_length": length} if kind != "clip" else {}
        inputs = tokenizer([text], return_tensors="pt", **padding)
        with torch.inference_mode():
            output = model.get_text_features(input_ids=inputs["input_ids"]).pooler_output
        [vector] = text_encoder(tmp_path).encode_texts([text])
        assert vector == pytest.approx(normalize(output)[0].numpy(), abs=1e-5)


@pytest.mark.parametrize("kind", JOINT)
def test_a_text_is_nearest_to_the_picture_that_it_was_trained_for(kind: str, tmp_path: Path) -> None:
    save_joint(kind, tmp_path, dict(zip(TEXTS, pictures(), strict=True)))
    encoder = open_encoder(str(tmp_path), EXACT)
    cosines = text_encoder(tmp_path).encode_texts(TEXTS) @ object_parts(encoder, pictures()).T
    assert np.diag(cosines) == pytest.approx(1, abs=1e-3)


def test_a_whitened_projection_keeps_the_nearest_picture_of_a_text(tmp_path: Path) -> None:
    """The projection has fewer axes than the features have dimensions, and means that it subtracts."""
    model, fitted = (
        save_joint("clip", tmp_path / "clip", dict(zip(TEXTS, pictures(), strict=True))),
        tmp_path / "own",
    )
    backbone = open_backbone(str(model), EXACT)
    views = [(backbone.prepare(image, (0, 0, *image.size)),) for image in pictures(16)]
    tensors = whiten(backbone.features(views), np.zeros(16, bool), backbone)
    fitted.mkdir()
    write_projection(fitted / FITTED, tensors, {"backbone": str(model)})
    encoder = open_encoder(str(fitted), EXACT)
    assert encoder.object_size < backbone.object_size
    cosines = text_encoder(fitted).encode_texts(TEXTS) @ object_parts(encoder, pictures()).T
    assert cosines.argmax(1).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", JOINT)
def test_texts_of_all_lengths_have_unit_vectors_and_long_ones_are_cut(kind: str, tmp_path: Path) -> None:
    encoder = text_encoder(save_joint(kind, tmp_path))
    long = "red " * 10_000
    vectors = encoder.encode_texts(["", "x", "\u0000\u202e\U0001f9e5", long, long + "green"])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(vectors[3], vectors[4]), "what is behind the context of the tower has no part"
    assert encoder.encode_texts(["x"])[0] == pytest.approx(vectors[1], abs=1e-5), "a batch changes nothing"


def test_an_encoder_reads_texts_if_it_has_a_text_tower_and_a_tokenizer(tmp_path: Path) -> None:
    joint, without_tokenizer = save_joint("clip", tmp_path / "clip"), save("siglip", tmp_path / "siglip")
    pictures_alone = save("clip-vision", tmp_path / "vision")
    save_tokenizer("clip", pictures_alone)
    assert reads_text(str(joint))
    broken = save_joint("clip", tmp_path / "broken")
    (broken / "config.json").write_text("no JSON")
    for name in (
        without_tokenizer,
        pictures_alone,
        broken,
        tmp_path / "none",
        "best",
        "fake",
        "someone/unknown",
        "a/b/c",
    ):
        assert not reads_text(str(name)), name
    assert not isinstance(open_encoder(str(without_tokenizer), EXACT), TextEncoder)


def test_text_weights_that_are_missing_are_named(tmp_path: Path) -> None:
    save_joint("clip", tmp_path)
    encoder = text_encoder(tmp_path)
    model = AutoModel.from_pretrained(tmp_path)
    del model.text_projection
    model.save_pretrained(tmp_path)
    with pytest.raises(EncoderUnavailable, match=r"lack 1 weights of the text tower, text_projection\.weight"):
        encoder.encode_texts(["red"])
