"""Projection: maps features to vectors; it subtracts the mean of all pictures and whitens the axes.

object = normalise((features - mean of their kind) @ axes)    base, whitened without labels
         combined with a head that was fitted on labels, if there is one (infra/encoder/fitted_head.py)
style  = the same, for the style features

The object features of grey pictures are corrected first (infra/encoder/grey_correction.py).

A kind is studio pictures or photos. Each kind has a mean of its own, so that a photo can match the studio picture
of the same object (DECISIONS.md).
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from infra.array_types import Box, Floats, Mask, Pixels
from infra.encoder import EncoderUnavailable, PreparedViews
from infra.encoder.backbone import Backbone
from infra.encoder.fitted_head import Axes, FittedHead, parse_head
from infra.encoder.grey_correction import GreyCorrection, is_grey, parse_grey_correction

STYLE_SIZE = 64
MIN_REFERENCE_COSINE = 0.98
"""Minimum cosine to the reference vector; the lowest of 32 photos in bfloat16 was .993."""


@dataclass(frozen=True)
class Projection:
    """Linear maps of the object and style parts."""

    base: Axes
    style: Axes
    digest: str
    head: FittedHead | None = None
    known: Floats | None = None
    """Reference vector of the probe picture, as a photo with one view, to check the computation on a machine."""
    grey_correction: GreyCorrection | None = None

    def __call__(self, features: Floats, studio: Mask, grey: Mask | None = None) -> Floats:
        """Map features [N, f] to vectors [N, object_size + 64] of unit parts.

        `studio` [N] is a mask of studio pictures, `grey` [N] of grey pictures; without it, none is grey.
        """
        object_features, style_features = np.split(features, [len(self.base.axes)], axis=1)
        if self.grey_correction is not None and grey is not None:
            object_features = self.grey_correction(object_features, grey)
        return np.concatenate([self.object(object_features, studio), self.style(style_features, studio)], axis=1)

    @property
    def object_size(self) -> int:
        """Dimensions of the object part."""
        parts = (self.base, self.head.linear_map) if self.head else (self.base,)
        return sum(int(part.axes.shape[1]) for part in parts)

    @property
    def base_tensors(self) -> dict[str, Floats]:
        """Tensors that were fitted without labels, as input for `write_projection`."""
        parts = {"object": self.base, "style": self.style}
        means = {f"{name}.means": part.means for name, part in parts.items()}
        axes = {f"{name}.axes": part.axes for name, part in parts.items()}
        return means | axes | (self.grey_correction.tensors if self.grey_correction else {})

    def object(self, object_features: Floats, studio: Mask) -> Floats:
        """Unit object part [N, object_size]."""
        base = self.base(object_features, studio)
        return base if self.head is None else self.head.combine(base, object_features, studio)


@dataclass(frozen=True, eq=False)
class NetworkEncoder:
    """Encoder that consists of a backbone and the projection of its features."""

    name: str
    backbone: Backbone
    projection: Projection

    @property
    def fingerprint(self) -> str:
        """Name, and 12 hexadecimal digits of a hash of everything that affects a vector."""
        digest = hashlib.sha256((self.backbone.digest + self.projection.digest).encode()).hexdigest()
        return f"{self.name}:{digest[:12]}"

    @property
    def object_size(self) -> int:
        """Dimensions of the object part."""
        return self.projection.object_size

    @property
    def style_size(self) -> int:
        """Dimensions of the style part."""
        return int(self.projection.style.axes.shape[1])

    @property
    def head_size(self) -> int:
        """Dimensions of a fitted head, which are the last of the object part; 0 without one."""
        return self.object_size - int(self.projection.base.axes.shape[1])

    @property
    def head_share(self) -> float:
        """Weight of a fitted head in the cosine of two pictures of its domain, 0 to 1."""
        return self.projection.head.share if self.projection.head else 0.0

    @property
    def head_reliability(self) -> float:
        """What is left of the neighbours' vote on a picture of the head's domain, 0 to 1."""
        return self.projection.head.reliability if self.projection.head else 1.0

    @property
    def prepare(self) -> Callable[[Image, Box], Pixels]:
        """Function from a part of an upright RGB picture to the network's pixels; thread-safe."""
        return self.backbone.prepare

    @property
    def prepare_region(self) -> Callable[[Image, Box], Pixels]:
        """The same for a thing in a picture, with fewer pixels where the networks allow it."""
        return self.backbone.prepare_region or self.backbone.prepare

    def run(self, batch: Sequence[PreparedViews]) -> Floats:
        """Encode N pictures: float32 [N, object_size + style_size], not finite where the network overflowed."""
        if not batch:
            return np.empty((0, self.object_size + self.style_size), np.float32)
        features = self.backbone.features([views for views, _ in batch])
        studio = np.array([studio for _, studio in batch], bool)
        return self.projection(features, studio, np.array([self._is_grey(views) for views, _ in batch], bool))

    def _is_grey(self, views: Sequence[Pixels]) -> bool:
        return self.projection.grey_correction is not None and is_grey(views[0])

    def check(self, view: Image) -> None:
        """Encode `view` as a photo with one view; raises EncoderUnavailable unless the reference vector results."""
        known = self.projection.known
        if known is None:
            return
        products = self.run([((self.prepare(view, (0, 0, *view.size)),), False)])[0] * known
        cosine = min(products[: self.object_size].sum(), products[self.object_size :].sum())
        if not cosine >= MIN_REFERENCE_COSINE:
            raise EncoderUnavailable(
                f"encoder {self.name}: this machine computes its known vector wrongly (cosine {cosine:.3f}): "
                "set LOOKSTREAM_TORCH_PRECISION=float32, or another LOOKSTREAM_TORCH_ENGINE"
            )


def plain_projection(backbone: Backbone) -> Projection:
    """Projection for a backbone without a fitted one: its object features, and its style in 64 random directions.

    Random projections approximately preserve cosines (Johnson and Lindenstrauss, 1984).
    """
    size = backbone.object_size
    base = Axes(np.zeros((2, size), np.float32), np.eye(size, dtype=np.float32))
    style = Axes(np.zeros((2, backbone.style_size), np.float32), _orthonormal(backbone.style_size))
    return Projection(base, style, "plain")


def _orthonormal(size: int) -> Floats:
    """Random orthonormal columns [size, min(64, size)], with a fixed seed."""
    samples = np.random.Generator(np.random.PCG64(0)).standard_normal((size, min(STYLE_SIZE, size)))
    q, r = np.linalg.qr(samples)
    directions: Floats = (q * np.sign(np.diag(r))).astype(np.float32)
    return directions


def read_projection(path: Path, backbone: Backbone) -> Projection:
    """Read a projection for this backbone from a safetensors file.

    Raises EncoderUnavailable when the file is not a projection or was fitted on other feature sizes.
    """
    try:
        projection = build_projection(load_file(path), hashlib.sha256(path.read_bytes()).hexdigest())
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


def build_projection(tensors: Mapping[str, NDArray[np.float16] | Floats], digest: str) -> Projection:
    """Build a projection from stored tensors; raises KeyError when one is missing."""
    stored = {name: value.astype(np.float32) for name, value in tensors.items()}
    base, style = (Axes(stored[f"{part}.means"], stored[f"{part}.axes"]) for part in ("object", "style"))
    return Projection(base, style, digest, parse_head(stored), stored.get("known"), parse_grey_correction(stored))


def read_backbone_name(path: Path) -> str:
    """Read the name of the backbone that a projection was fitted on; raises EncoderUnavailable without one."""
    try:
        with safe_open(path, "np") as file:
            return str(file.metadata()["backbone"])
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise EncoderUnavailable(f"{path} does not name its backbone ({error}): fit it again") from None


def to_storage_precision(tensors: Mapping[str, Floats]) -> dict[str, NDArray[np.float16] | Floats]:
    """Convert tensors to the precision of the file: axes to float16, all others to float32."""
    return {
        name: value.astype(np.float16) if name.endswith(".axes") else value.astype(np.float32)
        for name, value in tensors.items()
    }


def write_projection(path: Path, tensors: Mapping[str, Floats], metadata: Mapping[str, str]) -> None:
    """Write the tensors for `read_projection`; axes in float16, which changes no cosine by more than .001.

    `metadata` must contain the `backbone`, and should describe the data that the projection was fitted on.
    """
    stored = to_storage_precision(tensors)
    # safetensors writes the bytes in memory order, whatever the strides.
    path.write_bytes(
        _sort_header(save({name: np.ascontiguousarray(value) for name, value in stored.items()}, dict(metadata)))
    )
    path.chmod(0o644)


def _sort_header(file: bytes) -> bytes:
    """Sort the header of a safetensors file: metadata has no fixed order, but equal files need equal bytes."""
    end = 8 + int.from_bytes(file[:8], "little")
    header = json.dumps(json.loads(file[8:end]), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return file[:8] + header.encode().ljust(end - 8) + file[end:]
