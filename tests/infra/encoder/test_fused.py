"""The fused network: the same maps as the plain one, for every variant, precision, batch and number of threads."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from infra.encoder.efficientnet import EfficientNetLite, FeatureMaps
from infra.encoder.fused import ParallelBackbones, fuse
from infra.encoder.runtime import Runtime

SIDES = {0: 224, 1: 240, 2: 260}
"""The input sizes of the variants; together they pad on one side, on both, and not at all."""


def runtime(dtype: torch.dtype = torch.float32, device: str = "cpu") -> Runtime:
    return Runtime(torch.device(device), dtype, 8)


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


def pixels(count: int, side: int) -> Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(count))


def worst_cosine(one: FeatureMaps, other: FeatureMaps) -> float:
    """The lowest over pictures and over both maps, each map as one long vector."""
    pairs = zip(one, other, strict=True)
    return min(float(cosine_similarity(a.float().flatten(1), b.float().flatten(1)).min()) for a, b in pairs)


@pytest.fixture(scope="module")
def lite0() -> EfficientNetLite:
    return made(0)


@pytest.fixture
def threads() -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield 2
    torch.set_num_threads(before)


@pytest.mark.parametrize("variant", SIDES)
def test_every_variant_gives_the_maps_of_the_plain_network(variant: int, threads: int) -> None:
    network, x = made(variant), pixels(3, SIDES[variant])
    with torch.inference_mode():
        plain, fused = network.maps(x), fuse(network, SIDES[variant], runtime())(x)
    assert [maps.shape for maps in plain] == [maps.shape for maps in fused]
    assert worst_cosine(plain, fused) > 0.99999


def test_bfloat16_stays_close_to_float32(lite0: EfficientNetLite) -> None:
    x = pixels(2, 224)
    with torch.inference_mode():
        assert worst_cosine(lite0.maps(x), fuse(lite0, 224, runtime(torch.bfloat16))(x)) > 0.99


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_picture_gives_the_same_maps_in_every_batch(lite0: EfficientNetLite, threads: int, count: int) -> None:
    x = pixels(5, 224)
    fused = fuse(lite0, 224, runtime())
    with torch.inference_mode():
        whole, part = fused(x), fused(x[:count])
    assert worst_cosine(FeatureMaps(*(maps[:count] for maps in whole)), part) > 0.99999


def test_one_thread_is_enough(lite0: EfficientNetLite, threads: int) -> None:
    x = pixels(2, 224)
    torch.set_num_threads(1)
    with torch.inference_mode():
        assert worst_cosine(lite0.maps(x), fuse(lite0, 224, runtime())(x)) > 0.99999


def test_later_threads_keep_the_number_that_was_set(lite0: EfficientNetLite, threads: int) -> None:
    fuse(lite0, 224, runtime())
    with ThreadPoolExecutor(1) as later:
        assert later.submit(torch.get_num_threads).result() == torch.get_num_threads() == threads


def test_what_goes_in_stays_as_it_was(lite0: EfficientNetLite) -> None:
    x = pixels(2, 224).contiguous(memory_format=torch.channels_last)
    before = x.clone()
    with torch.inference_mode():
        fuse(lite0, 224, runtime())(x)
    assert torch.equal(x, before)


def test_other_devices_keep_the_plain_network(lite0: EfficientNetLite) -> None:
    assert fuse(lite0, 224, runtime(device="cuda")) == lite0.maps


def test_threads_that_look_side_by_side_start_none_of_their_own(lite0: EfficientNetLite) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        eye = fuse(lite0, SIDES[0], runtime())
        assert isinstance(eye, ParallelBackbones)
        eye(pixels(2, SIDES[0]))
        assert set(eye.crew.map(lambda _: torch.get_num_threads(), range(8))) == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
