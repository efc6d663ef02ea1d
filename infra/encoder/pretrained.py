"""Pretrained models: loads image models from a folder, the local cache or the Hugging Face hub, and hashes them."""

import hashlib
import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from huggingface_hub import constants
from safetensors import SafetensorError
from torch import nn
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer, ViTImageProcessorPil

from infra.encoder import EncoderUnavailable

PORTS = {"http": 80, "https": 443}
"""Default ports by the scheme of HF_ENDPOINT."""
LOAD_ERRORS = (OSError, ValueError, RuntimeError, ImportError, SafetensorError)
"""Exceptions that transformers raises for a folder or a name that it cannot open."""

FINGERPRINT_FIELDS = (
    "size", "crop_size", "crop_pct", "resample", "image_mean", "image_std", "rescale_factor",
    "do_resize", "do_center_crop", "do_rescale", "do_normalize", "patch_size", "max_num_patches",
)  # fmt: skip
"""Fields of an image processor that are part of the fingerprint; the others change between releases."""

TORCHVISION_PROCESSOR = "DINOv3ViTImageProcessor"
"""Only image processor without a PIL back end; that of ViT performs the same steps from the same fields."""


@dataclass(frozen=True)
class Pretrained:
    """Loaded model without its text modules; `random` names the weights that are missing in its files."""

    model: nn.Module
    processor: Any
    random: frozenset[str]

    @property
    def trained_summary(self) -> bool:
        """Whether the pooled output comes from trained weights: many ViT checkpoints have no pooler."""
        return not any("pooler" in weight for weight in self.random)

    def digest(self, recipe: str) -> str:
        """SHA-256 hash of the weights, the preprocessing and `recipe`."""
        config = self.processor.to_dict()
        preprocessing = {key: config[key] for key in FINGERPRINT_FIELDS if config.get(key) is not None}
        digest = hashlib.sha256(f"{recipe}\n{json.dumps(preprocessing, sort_keys=True, default=str)}".encode())
        for weight, value in sorted(self.model.state_dict().items()):
            if weight not in self.random:
                digest.update(weight.encode())
                digest.update(value.contiguous().numpy().tobytes())
        return digest.hexdigest()


def read_pretrained(name: str) -> Pretrained:
    """Load from a folder or the local cache, or else from the hub if it is reachable; raises EncoderUnavailable."""
    try:
        return _read(name, local=True)
    except LOAD_ERRORS as error:
        reason = first_sentence(error)
    if Path(name).exists():
        raise EncoderUnavailable(
            f"encoder {name}: not a folder with an image model ({reason}): it needs config.json, "
            "preprocessor_config.json and model.safetensors, as save_pretrained writes them"
        )
    if not _is_hub_reachable():
        raise EncoderUnavailable(
            f"encoder {name}: no such folder, not in the local cache, and the Hugging Face hub is out of reach: "
            "give a folder in LOOKSTREAM_ENCODER, or leave it out: the default needs no network"
        )
    try:
        return _read(name, local=False)
    except LOAD_ERRORS as error:
        reason = first_sentence(error)
    raise EncoderUnavailable(f"encoder {name}: the hub gives no image model of this name ({reason})")


def first_sentence(error: Exception) -> str:
    """First sentence of an error message, at most 200 characters; messages of transformers can fill a page."""
    return str(error).strip().split("\n")[0].split(". ")[0][:200]


def _read(name: str, *, local: bool) -> Pretrained:
    processor = _read_processor(name, local=local)
    model, report = AutoModel.from_pretrained(
        name, local_files_only=local, trust_remote_code=False, dtype=torch.float32, output_loading_info=True
    )
    random = frozenset(report["missing_keys"])
    missing = sorted(weight for weight in random if "pooler" not in weight)
    if missing:
        raise ValueError(f"its files lack {len(missing)} weights, {missing[0]} for one")
    if not local:
        _download_tokenizer(name, model)
    drop_modules(model, "text_")
    return Pretrained(model.eval(), processor, random)


def _read_processor(name: str, *, local: bool) -> Any:
    config, _ = ViTImageProcessorPil.get_image_processor_dict(name, local_files_only=local)
    if config.get("image_processor_type", "").removesuffix("Fast") == TORCHVISION_PROCESSOR:
        return ViTImageProcessorPil.from_pretrained(name, local_files_only=local)
    # The PIL back end on every machine: torchvision's resampling changes vectors as much as bfloat16 does.
    return AutoImageProcessor.from_pretrained(name, local_files_only=local, trust_remote_code=False, backend="pil")


def drop_modules(model: nn.Module, *prefixes: str) -> None:
    """Delete the modules of a model whose names start so, to free their memory."""
    for module_name, _ in list(model.named_children()):
        if module_name.startswith(prefixes):
            delattr(model, module_name)


def _download_tokenizer(name: str, model: nn.Module) -> None:
    """Bring the tokenizer of a model that reads texts into the local cache; without one it reads pictures alone."""
    if hasattr(model, "get_text_features"):
        with suppress(*LOAD_ERRORS):
            AutoTokenizer.from_pretrained(name, trust_remote_code=False)


def _is_hub_reachable() -> bool:
    """Whether the hub is reachable; checked first, as transformers retries for half a minute before it fails."""
    if constants.HF_HUB_OFFLINE:
        return False
    if getproxies():
        return True
    hub = urlsplit(constants.ENDPOINT)
    try:
        with socket.create_connection((hub.hostname or "", hub.port or PORTS.get(hub.scheme, 443)), timeout=5):
            return True
    except OSError:
        return False
