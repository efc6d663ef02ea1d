"""Encoders: turn pictures into vectors. OpenVINO, torch and transformers are imported only when one is opened.

The default encoders run on OpenVINO (openvino.py), or on torch (torch_lite.py) where there is a GPU. Models of your
own run on torch, which is an extra."""

import json
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from infra.array_types import Pixels
from infra.config.settings import TorchSettings

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from infra.encoder.backbone import Backbone
    from infra.encoder.grid import GridEncoder
    from infra.encoder.projection import NetworkEncoder, Projection

FITTED = "encoder.safetensors"
"""Name of the projection file that `lookstream fit` writes; a folder that contains it is a fitted encoder."""

PreparedViews = tuple[tuple[Pixels, ...], bool]
"""Prepared views of one picture, and whether it is a studio picture."""

WEIGHTS = Path(__file__).parent.parent / "weights"
"""Folder with the projections of the default encoders, which tests/evaluation/fit_defaults.py fits."""

JOINT_MODELS = ("clip", "siglip", "siglip2")
"""Types of models with a text tower, in the same space as their pictures, that JointEncoder can open."""

FAKE_FINGERPRINTS = {"fake": "fake:1", "fake2": "fake:2"}
"""Fingerprints of two encoders with equal vectors, for tests that switch from one encoder to another."""


class EncoderUnavailable(Exception):
    """Raised when an encoder cannot be opened; the message names the encoder, the reason and the remedy."""


def open_encoder(name: str, torch_settings: TorchSettings) -> "NetworkEncoder | GridEncoder":
    """Open the encoder called `name` and check it on the probe picture; raises EncoderUnavailable.

    `fast`, `balanced` and `best` need no internet connection. `fake` and `fake2` are for fast tests and need no
    torch. The name of an entry point `lookstream.encoders` opens the network of another package (plugins.py). Any
    other name is a folder that `lookstream fit` wrote, a folder with an image model, or a model on the Hugging Face
    hub. If the model reads texts too, the encoder has `encode_texts` (infra/encoder/text_tower.py).
    """
    if name in FAKE_FINGERPRINTS:
        from infra.encoder.grid import GridEncoder

        return GridEncoder(FAKE_FINGERPRINTS[name])
    from infra.encoder.lite import probe
    from infra.encoder.projection import NetworkEncoder

    backbone, projection = open_parts(name, torch_settings)
    encoder = NetworkEncoder(Path(name).name, backbone, projection)
    encoder.check(probe())
    if not reads_text(name):
        return encoder
    from infra.encoder.runtime import open_runtime
    from infra.encoder.text_tower import JointEncoder, open_text_tower

    open_tower = cache(partial(open_text_tower, backbone_name(name), open_runtime(torch_settings)))
    return JointEncoder(encoder.name, backbone, projection, open_tower)


def reads_text(name: str) -> bool:
    """Whether the encoder called `name` reads texts too: a CLIP or SigLIP model whose files have a tokenizer.

    A model of the hub that is not on this machine yet does not count.
    """
    is_own = name in FAKE_FINGERPRINTS or (WEIGHTS / f"{name}.safetensors").is_file()
    if is_own or _find_plugin(name) is not None:
        return False
    model = backbone_name(name) if (Path(name) / FITTED).is_file() else name
    file, tokenizer = (_find_file(model, file) for file in ("config.json", "tokenizer_config.json"))
    if file is None or tokenizer is None:
        return False
    try:
        config = json.loads(file.read_bytes())
    except ValueError:  # the model cannot be opened either, which says why
        return False
    return isinstance(config, dict) and config.get("model_type") in JOINT_MODELS


def _find_file(model: str, file: str) -> Path | None:
    """Path of a file of a model, in its folder or in the local cache of the hub; None if it is not there."""
    if Path(model).is_dir():
        return path if (path := Path(model) / file).is_file() else None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(model, file)
    except HFValidationError:  # no name of the hub
        return None
    return Path(found) if isinstance(found, str) else None


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
    from infra.encoder.lite import PROFILES

    file = WEIGHTS / f"{name}.safetensors" if name in PROFILES else Path(name) / FITTED
    return file if file.is_file() else None


def _find_plugin(name: str) -> "EntryPoint | None":
    from infra.encoder.plugins import find_plugin

    return find_plugin(name)


def open_backbone(name: str, torch_settings: TorchSettings) -> "Backbone":
    """Open the backbone called `name`, without a projection; raises EncoderUnavailable."""
    from infra.encoder.lite import PROFILES, open_profile

    if name in PROFILES:
        return open_profile(name, torch_settings)
    if (plugin := _find_plugin(name)) is not None:
        from infra.encoder.plugins import open_plugin

        return open_plugin(plugin)
    try:
        from infra.encoder.huggingface import open_huggingface
        from infra.encoder.runtime import open_runtime
    except ImportError as error:
        raise EncoderUnavailable(
            f"encoder {name}: models of your own need {error.name}: `pip install 'lookstream[torch]'` (PyTorch for "
            "processors alone, without CUDA: see README.md)"
        ) from None
    return open_huggingface(name, open_runtime(torch_settings))
