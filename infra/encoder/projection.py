"""Features to vectors: what is common to all pictures taken away, the axes that tell them apart evened out.

object = unit(features - mean of their kind) @ axes       the base: whitened without labels
         beside it, where there is one, a head that was fitted on labels, each with its share of the cosine
style  = the same, of the features for style

A kind is studio pictures or photos. Taking away each kind's own mean lets a photo find the studio picture of the
same thing (DECISIONS.md).
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from safetensors.torch import load_file
from torch import Tensor

from infra.encoder import EncoderUnavailable
from infra.encoder.runtime import Backbone, Box, Pixels, Shown, unit

STYLE_SIZE = 64
AGREES = 0.98
"""Lowest cosine to the known vector; the worst of 32 photos in bfloat16 had .993."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Axes:
    """A linear map: [N, d] to unit rows [N, k]; `means` [2, d] are those of photos and of studio pictures."""

    means: Tensor
    axes: Tensor

    def __call__(self, x: Tensor, studio: Tensor) -> Tensor:
        return unit((x - self.means[studio.long()]) @ self.axes)


@dataclass(frozen=True)
class Projection:
    """The maps of both parts; `share` is the head's part of the object's cosine, 0 to 1."""

    base: Axes
    style: Axes
    digest: str
    head: Axes | None = None
    share: float = 0.0
    known: Floats | None = None
    """The vector of the probe picture, seen once as a photo, by which a machine checks itself."""

    def __call__(self, features: Tensor, studio: Tensor) -> Tensor:
        """Features [N, f] and a mask of studio pictures [N] to vectors [N, object_size + 64], parts of length 1."""
        things, textures = torch.split(features, [len(self.base.axes), len(self.style.axes)], 1)
        return torch.cat([self.object(things, studio), self.style(textures, studio)], 1)

    @property
    def object_size(self) -> int:
        """Dimensions of the object part."""
        return self.base.axes.shape[1] + (self.head.axes.shape[1] if self.head else 0)

    @property
    def base_tensors(self) -> dict[str, Floats]:
        """What was fitted without labels, as `write_projection` takes it."""
        parts = {"object": self.base, "style": self.style}
        means = {f"{name}.means": part.means.cpu().numpy() for name, part in parts.items()}
        return means | {f"{name}.axes": part.axes.cpu().numpy() for name, part in parts.items()}

    def object(self, things: Tensor, studio: Tensor) -> Tensor:
        """[N, object_size], unit length: cosines are (1 - share) of the base's plus share of the head's."""
        base = self.base(things, studio)
        if self.head is None:
            return base
        parts = [base * (1 - self.share) ** 0.5, self.head(things, studio) * self.share**0.5]
        return torch.cat(parts, 1)


@dataclass(frozen=True, eq=False)
class TorchEncoder:
    """A backbone and the projection of its features: an Encoder."""

    name: str
    backbone: Backbone
    projection: Projection

    @property
    def fingerprint(self) -> str:
        """The name and 12 hexadecimal digits over all that shapes a vector."""
        digest = hashlib.sha256((self.backbone.digest + self.projection.digest).encode()).hexdigest()
        return f"{self.name}:{digest[:12]}"

    @property
    def object_size(self) -> int:
        """Dimensions of the object part."""
        return self.projection.object_size

    @property
    def style_size(self) -> int:
        """Dimensions of the style part."""
        return self.projection.style.axes.shape[1]

    @property
    def prepare(self) -> Callable[[Image, Box], Pixels]:
        """A part of an upright RGB picture to the network's pixels; callable from many threads."""
        return self.backbone.prepare

    def run(self, batch: Sequence[Shown]) -> Floats:
        """float32 [N, object_size + style_size] of N pictures; non-finite where the network overflowed."""
        if not batch:
            return np.empty((0, self.object_size + self.style_size), np.float32)
        features = self.backbone.features([views for views, _ in batch])
        studio = torch.tensor([studio for _, studio in batch], device=features.device)
        with torch.inference_mode():
            vectors: Floats = self.projection(features, studio).cpu().numpy()
        return vectors

    def check(self, view: Image) -> None:
        """Raises EncoderUnavailable unless the known vector comes out of this picture, seen once as a photo."""
        known = self.projection.known
        if known is None:
            return
        product = self.run([((self.prepare(view, (0, 0, *view.size)),), False)])[0] * known
        cosine = min(product[: self.object_size].sum(), product[self.object_size :].sum())
        if not cosine >= AGREES:
            raise EncoderUnavailable(
                f"encoder {self.name}: this machine computes its known vector wrongly (cosine {cosine:.3f}): "
                "set LOOKSTREAM_TORCH_PRECISION=float32, or install another build of torch"
            )


def plain_projection(backbone: Backbone) -> Projection:
    """For a backbone that nothing was fitted on: its own object features, and 64 random directions of its style.

    Cosines survive the latter (Johnson and Lindenstrauss, 1984).
    """
    device, size = backbone.runtime.device, backbone.object_size
    base = Axes(torch.zeros(2, size, device=device), torch.eye(size, device=device))
    directions = _orthonormal(backbone.style_size).to(device)
    style = Axes(torch.zeros(2, backbone.style_size, device=device), directions)
    return Projection(base, style, "plain")


def _orthonormal(size: int) -> Tensor:
    """[size, 64], or square where there is less to project."""
    normal = np.random.Generator(np.random.PCG64(0)).standard_normal((size, min(STYLE_SIZE, size)))
    q, r = np.linalg.qr(normal)
    return torch.from_numpy((q * np.sign(np.diag(r))).astype(np.float32))


def read_projection(path: Path, backbone: Backbone) -> Projection:
    """The projection in a safetensors file, for this backbone; raises EncoderUnavailable when it is not one."""
    try:
        held = {name: value.to(backbone.runtime.device) for name, value in load_file(path).items()}
        projection = assemble(held, hashlib.sha256(path.read_bytes()).hexdigest())
    except (OSError, SafetensorError, KeyError) as error:
        raise EncoderUnavailable(f"{path} is not a projection ({error}): fit it again, or install again") from None
    sizes = backbone.object_size, backbone.style_size
    fitted = len(projection.base.axes), len(projection.style.axes)
    if fitted != sizes:
        raise EncoderUnavailable(
            f"{path} was fitted on {fitted[0]} and {fitted[1]} features, {backbone.name} has {sizes[0]} "
            f"and {sizes[1]}: fit it again"
        )
    return projection


def assemble(tensors: Mapping[str, Tensor], digest: str) -> Projection:
    """The projection of tensors as they are stored; raises KeyError when one is missing."""
    held = {name: value.float() for name, value in tensors.items()}
    base, style = (Axes(held[f"{part}.means"], held[f"{part}.axes"]) for part in ("object", "style"))
    head = Axes(held["head.means"], held["head.axes"]) if "head.axes" in held else None
    share = float(held["head.share"]) if head else 0.0
    known = held["known"].cpu().numpy() if "known" in held else None
    return Projection(base, style, digest, head, share, known)


def backbone_of(path: Path) -> str:
    """The name of the backbone that a projection was fitted on; raises EncoderUnavailable."""
    try:
        with safe_open(path, "np") as file:
            return str(file.metadata()["backbone"])
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise EncoderUnavailable(f"{path} does not name its backbone ({error}): fit it again") from None


def as_stored(tensors: Mapping[str, Floats]) -> dict[str, NDArray[np.float16] | Floats]:
    """The tensors in the precision in which a file holds them."""
    return {
        name: value.astype(np.float16) if name.endswith(".axes") else value.astype(np.float32)
        for name, value in tensors.items()
    }


def write_projection(path: Path, tensors: Mapping[str, Floats], said: Mapping[str, str]) -> None:
    """Write the tensors that `read_projection` reads; axes in float16, which moves no cosine by more than .001.

    `said` must name the `backbone`, and should say what it was fitted on.
    """
    halves = as_stored(tensors)
    # safetensors writes the bytes as they lie, whatever the order of the axes.
    path.write_bytes(
        _in_order(save({name: np.ascontiguousarray(value) for name, value in halves.items()}, dict(said)))
    )
    path.chmod(0o644)


def _in_order(file: bytes) -> bytes:
    """The same safetensors file with a sorted header: its notes come in any order, equal files must be equal."""
    end = 8 + int.from_bytes(file[:8], "little")
    header = json.dumps(json.loads(file[8:end]), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return file[:8] + header.encode().ljust(end - 8) + file[end:]
