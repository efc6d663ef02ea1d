"""Encoder plug-ins: opens the networks that installed packages declare.

A package declares a function without parameters that returns a `Backbone`:

    [project.entry-points."lookstream.encoders"]
    mine = "my_package:open_backbone"
"""

from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from typing import cast

import numpy as np
from PIL.Image import Image, new

from infra.array_types import Floats, Pixels
from infra.encoder import EncoderUnavailable
from infra.encoder.backbone import Backbone

ENTRY_POINTS = "lookstream.encoders"
PROBE_SHAPES = (320, 240), (240, 320)
"""Sizes of the grey pictures that a network must prepare alike."""


def find_plugin(name: str) -> EntryPoint | None:
    """What a package declares by this name; None if no package does."""
    return next(iter(entry_points(group=ENTRY_POINTS, name=name)), None)


def open_plugin(point: EntryPoint) -> Backbone:
    """Open the network that a package declares, and run it once; raises EncoderUnavailable.

    A network without style features (`style_size` 0) has its object features for the style, too.
    """
    try:
        backbone = point.load()()
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise EncoderUnavailable(f"encoder {point.name}: {point.value} fails ({reason}): correct it") from error
    if not isinstance(backbone, Backbone):
        kind = type(backbone).__name__
        raise EncoderUnavailable(
            f"encoder {point.name}: {point.value} returns a {kind}: return a lookstream.encoders.Backbone"
        )
    _check(point, backbone)
    if backbone.style_size:
        return backbone
    return replace(backbone, style_size=backbone.object_size, network=_doubled(backbone.network))


def _doubled(network: Callable[[Pixels], Floats]) -> Callable[[Pixels], Floats]:
    return lambda views: np.concatenate([network(views)] * 2, axis=1)


def _check(point: EntryPoint, backbone: Backbone) -> None:
    """Raise EncoderUnavailable unless the network turns pictures of two shapes into features of its own sizes."""
    pictures = [new("RGB", size, "grey") for size in PROBE_SHAPES]
    try:
        wide, tall = (backbone.prepare(picture, _whole(picture)) for picture in pictures)
        if wide.shape != tall.shape:
            raise ValueError(f"`prepare` gives wide and tall pictures the shapes {wide.shape} and {tall.shape}")
        features = np.asarray(backbone.network(cast(Pixels, np.stack([wide, tall]))))
        expected = (2, backbone.object_size + backbone.style_size)
        if features.shape != expected or features.dtype != np.float32:
            found = f"{features.dtype} {list(features.shape)}"
            raise ValueError(f"`network` gives two pictures {found}, not float32 {list(expected)}")
        if not np.isfinite(features).all():
            raise ValueError("`network` gives features that are not finite")
    except Exception as error:
        raise EncoderUnavailable(f"encoder {point.name}: {point.value} fails ({error}): correct it") from error


def _whole(picture: Image) -> tuple[int, int, int, int]:
    return 0, 0, picture.width, picture.height
