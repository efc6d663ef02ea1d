"""Image models as they lie in a folder, in the local cache or on the Hugging Face hub: found, read, and named."""

import hashlib
import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from huggingface_hub import constants
from safetensors import SafetensorError
from torch import nn
from transformers import AutoImageProcessor, AutoModel, ViTImageProcessorPil

from infra.encoder import EncoderUnavailable

UNREADABLE = (OSError, ValueError, RuntimeError, ImportError, SafetensorError)
"""What transformers raises on a folder or a name that it cannot open."""

PREPROCESSING = (
    "size", "crop_size", "crop_pct", "resample", "image_mean", "image_std", "rescale_factor",
    "do_resize", "do_center_crop", "do_rescale", "do_normalize", "patch_size", "max_num_patches",
)  # fmt: skip
"""What of an image processor goes into the fingerprint; its other fields change from release to release."""

NEEDS_TORCHVISION = "DINOv3ViTImageProcessor"
"""The one image processor without a PIL back end; ViT's takes the same steps from the same fields."""


@dataclass(frozen=True)
class Pretrained:
    """A model as it was read, without its text side; `random` are the weights that the files do not hold."""

    model: nn.Module
    processor: Any
    random: frozenset[str]

    @property
    def trained_summary(self) -> bool:
        """Whether the pooled output means anything: many ViT checkpoints come without a pooler."""
        return not any("pooler" in weight for weight in self.random)

    def digest(self, recipe: str) -> str:
        """SHA-256 over weights, preprocessing and recipe."""
        said = self.processor.to_dict()
        kept = {key: said[key] for key in PREPROCESSING if said.get(key) is not None}
        digest = hashlib.sha256(f"{recipe}\n{json.dumps(kept, sort_keys=True, default=str)}".encode())
        for weight, value in sorted(self.model.state_dict().items()):
            if weight not in self.random:
                digest.update(weight.encode())
                digest.update(value.contiguous().numpy().tobytes())
        return digest.hexdigest()


def read_pretrained(name: str) -> Pretrained:
    """From the folder or the local cache; else from the hub, when it can be reached; raises EncoderUnavailable."""
    try:
        return _read(name, local=True)
    except UNREADABLE as error:
        reason = first_sentence(error)
    if Path(name).exists():
        raise EncoderUnavailable(
            f"encoder {name}: not a folder with an image model ({reason}): it needs config.json, "
            "preprocessor_config.json and model.safetensors, as save_pretrained writes them"
        )
    if not _hub_answers():
        raise EncoderUnavailable(
            f"encoder {name}: no such folder, not in the local cache, and the Hugging Face hub is out of reach: "
            "give a folder in LOOKSTREAM_ENCODER, or leave it out: the default needs no network"
        )
    try:
        return _read(name, local=False)
    except UNREADABLE as error:
        reason = first_sentence(error)
    raise EncoderUnavailable(f"encoder {name}: the hub gives no image model of this name ({reason})")


def first_sentence(error: Exception) -> str:
    """The first sentence of what an error says, which with transformers can be a page."""
    return str(error).strip().split("\n")[0].split(". ")[0][:200]


def _read(name: str, *, local: bool) -> Pretrained:
    processor = _read_processor(name, local=local)
    model, report = AutoModel.from_pretrained(
        name, local_files_only=local, trust_remote_code=False, dtype=torch.float32, output_loading_info=True
    )
    random = frozenset(report["missing_keys"])
    lost = sorted(weight for weight in random if "pooler" not in weight)
    if lost:
        raise ValueError(f"its files lack {len(lost)} weights, {lost[0]} for one")
    _drop_text(model)
    return Pretrained(model.eval(), processor, random)


def _read_processor(name: str, *, local: bool) -> Any:
    said, _ = ViTImageProcessorPil.get_image_processor_dict(name, local_files_only=local)
    if said.get("image_processor_type", "").removesuffix("Fast") == NEEDS_TORCHVISION:
        return ViTImageProcessorPil.from_pretrained(name, local_files_only=local)
    # The PIL back end on every machine: torchvision's resampling moves vectors as much as bfloat16 does.
    return AutoImageProcessor.from_pretrained(name, local_files_only=local, trust_remote_code=False, backend="pil")


def _drop_text(model: nn.Module) -> None:
    for part, _ in list(model.named_children()):
        if part.startswith("text_"):
            delattr(model, part)


def _hub_answers() -> bool:
    """Whether it is worth asking: transformers itself retries for half a minute before it gives up."""
    if constants.HF_HUB_OFFLINE:
        return False
    if getproxies():
        return True
    try:
        with socket.create_connection((urlsplit(constants.ENDPOINT).hostname or "", 443), timeout=5):
            return True
    except OSError:
        return False
