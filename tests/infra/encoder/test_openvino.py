"""The OpenVINO engine: it computes the same maps as torch, and its absence is named with the remedy."""

import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from infra.array_types import Floats
from infra.config.settings import TorchSettings
from infra.encoder import EncoderUnavailable, open_encoder
from infra.encoder.efficientnet import from_checkpoint
from infra.encoder.lite import checkpoint
from infra.encoder.openvino import Maps, compile_maps

SIDES = {0: 224, 1: 240, 2: 260}


def draw_views(count: int, side: int) -> NDArray[np.uint8]:
    """Smooth random pictures."""
    rng = np.random.default_rng(count)
    coarse = rng.integers(0, 256, (count, 8, 8, 3), np.uint8)
    return np.stack(
        [np.kron(each, np.ones((-(-side // 8),) * 2 + (1,), np.uint8))[:side, :side] for each in coarse]
    )


def maps_of(variant: int, views: NDArray[np.uint8], precision: Literal["float32", "bfloat16"] = "float32") -> Maps:
    settings = TorchSettings(threads=2, precision=precision)
    return compile_maps(checkpoint(variant), variant, views.shape[1], settings)(views)


def worst_cosine(one: Floats, other: Floats) -> float:
    """The lowest over pictures."""
    first, second = (values.reshape(len(values), -1) for values in (one, other))
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return float(((first * second).sum(1) / lengths).min())


@pytest.mark.parametrize("variant", SIDES)
def test_every_variant_gives_the_maps_of_torch(variant: int) -> None:
    views = draw_views(3, SIDES[variant])
    pixels = torch.from_numpy(views).permute(0, 3, 1, 2).float().sub(127).div(128)
    with torch.inference_mode():
        expected = from_checkpoint(checkpoint(variant), variant).maps(pixels)
    for one, other in zip(expected, maps_of(variant, views), strict=True):
        assert other.shape == tuple(one.shape)
        assert other.dtype == np.float32
        assert worst_cosine(one.numpy(), other) > 0.9999


def test_a_picture_gives_the_same_maps_in_every_batch() -> None:
    views = draw_views(5, 224)
    whole = maps_of(0, views)
    for count in (1, 2, 4):
        for one, other in zip(whole, maps_of(0, views[:count]), strict=True):
            assert np.allclose(one[:count], other, rtol=1e-3, atol=1e-3)


def test_bfloat16_stays_close_to_float32() -> None:
    views = draw_views(2, 224)
    for one, other in zip(maps_of(0, views), maps_of(0, views, "bfloat16"), strict=True):
        assert worst_cosine(one, other) > 0.99


def test_without_openvino_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EncoderUnavailable, match=r"pip install 'lookstream\[worker\]'"):
        open_encoder("fast", TorchSettings(engine="openvino"))


def test_weights_that_are_no_checkpoint_are_named(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(b"nothing")
    with pytest.raises(EncoderUnavailable, match="does not hold the weights of EfficientNet-Lite"):
        compile_maps(tmp_path / "weights.pth", 0, 224, TorchSettings())
