"""Encoders: turn pictures into vectors; torch and transformers are imported only when an encoder is opened."""

from pathlib import Path
from typing import TYPE_CHECKING

from infra.array_types import Pixels
from infra.config.settings import TorchSettings

if TYPE_CHECKING:
    from infra.encoder.grid import GridEncoder
    from infra.encoder.projection import Projection, TorchEncoder
    from infra.encoder.runtime import Backbone

FITTED = "encoder.safetensors"
"""Name of the projection file that `lookstream fit` writes; a folder that contains it is a fitted encoder."""

PreparedViews = tuple[tuple[Pixels, ...], bool]
"""Prepared views of one picture, and whether it is a studio picture."""

FAKE_FINGERPRINTS = {"fake": "fake:1", "fake2": "fake:2"}
"""Fingerprints of two encoders with equal vectors, for tests that switch from one encoder to another."""


class EncoderUnavailable(Exception):
    """Raised when an encoder cannot be opened; the message names the encoder, the reason and the remedy."""


def open_encoder(name: str, torch_settings: TorchSettings) -> "TorchEncoder | GridEncoder":
    """Open the encoder called `name` and check it on the probe picture; raises EncoderUnavailable.

    `fast`, `balanced` and `best` need no internet connection. `fake` and `fake2` are for fast tests and need no
    torch. Any other name is a folder that `lookstream fit` wrote, a folder with an image model, or a model on the
    Hugging Face hub.
    """
    if name in FAKE_FINGERPRINTS:
        from infra.encoder.grid import GridEncoder

        return GridEncoder(FAKE_FINGERPRINTS[name])
    from infra.encoder.lite import probe
    from infra.encoder.projection import TorchEncoder

    backbone, projection = open_parts(name, torch_settings)
    encoder = TorchEncoder(Path(name).name, backbone, projection)
    encoder.check(probe())
    return encoder


def open_parts(name: str, torch_settings: TorchSettings) -> "tuple[Backbone, Projection]":
    """Open the backbone and the projection of the encoder called `name`; raises EncoderUnavailable."""
    from infra.encoder.projection import plain_projection, read_projection

    projection_file = _projection_file(name)
    backbone = open_backbone(backbone_name(name), torch_settings)
    return backbone, read_projection(projection_file, backbone) if projection_file else plain_projection(backbone)


def backbone_name(name: str) -> str:
    """Name of the encoder's backbone for `open_backbone`; a folder is made absolute, to work from any directory."""
    from infra.encoder.projection import read_backbone_name

    if projection_file := _projection_file(name):
        return read_backbone_name(projection_file)
    return str(Path(name).resolve()) if Path(name).is_dir() else name


def _projection_file(name: str) -> Path | None:
    from infra.encoder.lite import PROFILES, WEIGHTS

    file = WEIGHTS / f"{name}.safetensors" if name in PROFILES else Path(name) / FITTED
    return file if file.is_file() else None


def open_backbone(name: str, torch_settings: TorchSettings) -> "Backbone":
    """Open the backbone called `name`, without a projection; raises EncoderUnavailable."""
    from infra.encoder.lite import PROFILES, open_profile
    from infra.encoder.runtime import open_runtime

    runtime = open_runtime(torch_settings)
    if name in PROFILES:
        return open_profile(name, runtime)
    from infra.encoder.huggingface import open_huggingface

    return open_huggingface(name, runtime)
