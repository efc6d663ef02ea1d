"""The OpenVINO runtime: the same maps as torch's, and a clear sentence where OpenVINO is missing."""

import sys

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from infra.encoder import EncoderUnavailable
from infra.encoder.efficientnet import EfficientNetLite
from infra.encoder.openvino import compile_maps
from infra.encoder.runtime import Runtime

SIDES = {0: 224, 1: 240, 2: 260}


def made(variant: int) -> EfficientNetLite:
    """Random weights, and batch norms that neither kill the signal nor leave ReLU6 idle."""
    torch.manual_seed(variant)
    network = EfficientNetLite(variant, classes=2)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.bias, -0.5, 1.0)
    network.train(mode=False)
    network.fold()
    return network


def worst_cosine(network: EfficientNetLite, pixels: Tensor, dtype: torch.dtype) -> float:
    """Between the plain network and OpenVINO, the lowest over pictures and over both maps."""
    maps = compile_maps(network, pixels.shape[-1], Runtime(torch.device("cpu"), dtype, 8))
    with torch.inference_mode():
        pairs = list(zip(network.maps(pixels), maps(pixels), strict=True))
    assert all(a.shape == b.shape and b.dtype == torch.float32 for a, b in pairs)
    return min(float(cosine_similarity(a.flatten(1), b.flatten(1)).min()) for a, b in pairs)


@pytest.mark.parametrize("variant", SIDES)
def test_every_variant_gives_the_maps_of_torch(variant: int) -> None:
    pytest.importorskip("openvino", reason="the extra `openvino` is not installed")
    assert worst_cosine(made(variant), torch.randn(3, 3, SIDES[variant], SIDES[variant]), torch.float32) > 0.9999


def test_a_picture_gives_the_same_maps_in_every_batch() -> None:
    pytest.importorskip("openvino", reason="the extra `openvino` is not installed")
    network, pixels = made(0), torch.randn(5, 3, 224, 224)
    maps = compile_maps(network, 224, Runtime(torch.device("cpu"), torch.float32, 8))
    whole = maps(pixels)
    for count in (1, 2, 4):
        for one, other in zip(whole, maps(pixels[:count]), strict=True):
            assert torch.allclose(one[:count], other, rtol=1e-3, atol=1e-3)


def test_bfloat16_stays_close_to_float32() -> None:
    pytest.importorskip("openvino", reason="the extra `openvino` is not installed")
    assert worst_cosine(made(0), torch.randn(2, 3, 224, 224), torch.bfloat16) > 0.99


def test_without_openvino_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EncoderUnavailable, match=r"pip install 'lookstream\[openvino\]'"):
        compile_maps(made(0), 224, Runtime(torch.device("cpu"), torch.float32, 8))
