"""Pictures to vectors: torch and transformers live in this package, imported when an encoder is opened."""

from pathlib import Path
from typing import TYPE_CHECKING

from infra.config.settings import TorchSettings

if TYPE_CHECKING:
    from infra.encoder.grid import GridEncoder
    from infra.encoder.projection import Projection, TorchEncoder
    from infra.encoder.runtime import Backbone

FITTED = "encoder.safetensors"
"""The file that makes a folder an encoder of ours: what `lookstream fit` writes."""

FAKES = {"fake": "fake:1", "fake2": "fake:2"}
"""Two encoders that see the same, for tests that go from one to another; and their fingerprints."""


class EncoderUnavailable(Exception):
    """An encoder cannot be opened; the message names it, says why, and gives the remedy."""


def open_encoder(name: str, torch_settings: TorchSettings) -> "TorchEncoder | GridEncoder":
    """The encoder called `name`, warm and checked; raises EncoderUnavailable.

    `fast`, `balanced` and `best` need no network. `fake` and `fake2` need no torch: they are for fast tests. Any
    other name is a folder that `lookstream fit` wrote, a folder with an image model, or the name of one on the
    Hugging Face hub.
    """
    if name in FAKES:
        from infra.encoder.grid import GridEncoder

        return GridEncoder(FAKES[name])
    from infra.encoder.lite import probe
    from infra.encoder.projection import TorchEncoder

    backbone, projection = open_parts(name, torch_settings)
    encoder = TorchEncoder(Path(name).name, backbone, projection)
    encoder.check(probe())
    return encoder


def open_parts(name: str, torch_settings: TorchSettings) -> "tuple[Backbone, Projection]":
    """The network of the encoder called `name` and the projection that it comes with; raises EncoderUnavailable."""
    from infra.encoder.projection import plain_projection, read_projection

    fitted = _projection_file(name)
    backbone = open_backbone(backbone_name(name), torch_settings)
    return backbone, read_projection(fitted, backbone) if fitted else plain_projection(backbone)


def backbone_name(name: str) -> str:
    """What `open_backbone` knows the network of the encoder called `name` by, from any folder."""
    from infra.encoder.projection import backbone_of

    if fitted := _projection_file(name):
        return backbone_of(fitted)
    return str(Path(name).resolve()) if Path(name).is_dir() else name


def _projection_file(name: str) -> Path | None:
    from infra.encoder.lite import PROFILES, WEIGHTS

    file = WEIGHTS / f"{name}.safetensors" if name in PROFILES else Path(name) / FITTED
    return file if file.is_file() else None


def open_backbone(name: str, torch_settings: TorchSettings) -> "Backbone":
    """The network called `name`, without a projection; raises EncoderUnavailable."""
    from infra.encoder.lite import PROFILES, open_profile
    from infra.encoder.runtime import open_runtime

    runtime = open_runtime(torch_settings)
    if name in PROFILES:
        return open_profile(name, runtime)
    from infra.encoder.huggingface import open_huggingface

    return open_huggingface(name, runtime)
