"""Torch engine of the default encoders: for GPUs, and the reference of the other engine in the tests."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils import convert_conv2d_weight_memory_format

from infra.array_types import Floats, Pixels
from infra.config.settings import TorchSettings
from infra.encoder.efficientnet import FeatureMaps, from_checkpoint
from infra.encoder.fused import fuse
from infra.encoder.lite import start_and_end
from infra.encoder.runtime import Runtime, l2_normalise, one_thread, open_runtime

FeatureNetwork = Callable[[Tensor], FeatureMaps]
"""Function from normalised pixels, float [N, 3, h, w], to the feature maps of one network."""


def regional_average(last: Tensor) -> Tensor:
    """The same as infra.encoder.lite.regional_average, on any device."""
    rows, columns = last.shape[2] * 2 // 3, last.shape[3] * 2 // 3
    corners = [last[:, :, y, x] for y in start_and_end(rows) for x in start_and_end(columns)]
    return l2_normalise(torch.stack([l2_normalise(region.mean((2, 3))) for region in (last, *corners)]).mean(0))


def root_normalise(average: Tensor) -> Tensor:
    """The same as infra.encoder.lite.root_normalise."""
    return l2_normalise(average.clamp_min(0).sqrt())


def channel_moments(middle: Tensor) -> Tensor:
    """The same as infra.encoder.lite.channel_moments."""
    return torch.cat([middle.mean((2, 3)), middle.std((2, 3), correction=0)], 1)


def normalise_pixels(views: Pixels, runtime: Runtime) -> Tensor:
    """Views, uint8 [N, h, w, 3], as normalised pixels [N, 3, h, w] on the runtime's device."""
    pixels = torch.from_numpy(views).to(runtime.device)
    # 0..255 and the differences to 127 are exact in bfloat16; permuted NHWC is channels_last without a copy.
    return pixels.permute(0, 3, 1, 2).to(runtime.dtype).sub(127).div(128)


@dataclass(frozen=True)
class TorchFeatures:
    """Function from prepared views, uint8 [N, side, side, 3], to float32 features [N, f] of all networks.

    `networks` opens those for views of a side.
    """

    networks: Callable[[int], tuple[FeatureNetwork, ...]]
    runtime: Runtime

    def __call__(self, views: Pixels) -> Floats:
        with torch.inference_mode():
            pixels = normalise_pixels(views, self.runtime)
            maps = [network(pixels) for network in self.networks(views.shape[1])]
            object_features = [root_normalise(regional_average(output.last.float())) for output in maps]
            joined = torch.cat([*object_features, channel_moments(maps[-1].middle.float())], 1)
            features: Floats = joined.cpu().numpy()
        return features


def open_features(
    checkpoints: Mapping[int, Path], side: int, settings: TorchSettings
) -> tuple[Callable[[Pixels], Floats], int, str]:
    """The features of networks, by variant; the most views of a batch; and the precision."""
    runtime = open_runtime(settings)

    @cache
    def networks(side: int) -> tuple[FeatureNetwork, ...]:
        return tuple(open_network(path, variant, side, runtime) for variant, path in checkpoints.items())

    networks(side)
    return TorchFeatures(networks, runtime), runtime.batch, runtime.precision


def open_network(path: Path, variant: int, side: int, runtime: Runtime) -> FeatureNetwork:
    """Open one network for views of `side` pixels, with the fastest operators that the runtime allows."""
    with one_thread():
        network = from_checkpoint(path, variant)
        network.fold()
        network.to(runtime.device, runtime.dtype)
        convert_conv2d_weight_memory_format(network, torch.channels_last)
    return fuse(network, side, runtime)
