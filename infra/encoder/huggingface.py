"""Any image model that transformers can open: CLIP, SigLIP, DINOv2, ViT, ConvNeXt and so on.

object = the image tower's own summary of the picture, unit length
style  = mean and standard deviation over the positions of the middle hidden state, layer-normalised first, through
         a random orthonormal matrix (seed 0) to 64 dimensions, unit length: cosines survive it
         (Johnson and Lindenstrauss, 1984), and nothing has to be fitted
"""

import hashlib
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import numpy as np
import torch
from huggingface_hub import constants
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn.functional import layer_norm
from transformers import AutoImageProcessor, AutoModel
from transformers.utils import logging

from infra.encoder import EncoderUnavailable
from infra.encoder.efficientnet import register
from infra.encoder.runtime import Runtime, TorchEncoder, unit

STYLE_SIZE = 64
UNREADABLE = (OSError, ValueError, RuntimeError, ImportError, SafetensorError)
"""What transformers raises on a folder or a name that it cannot open."""

RECIPE = "1: summary of the image tower, moments of the middle hidden state"

PREPROCESSING = (
    "size", "crop_size", "resample", "image_mean", "image_std", "rescale_factor",
    "do_resize", "do_center_crop", "do_rescale", "do_normalize",
)  # fmt: skip
"""What of an image processor goes into the fingerprint; its other fields change from release to release."""


@dataclass(frozen=True)
class _Loaded:
    """A model as it was read; `random` are the weights that the files do not hold."""

    model: nn.Module
    processor: Any
    random: frozenset[str]

    @property
    def trained_summary(self) -> bool:
        """Whether the pooled output means anything: many ViT checkpoints come without a pooler."""
        return not any("pooler" in weight for weight in self.random)


def open_huggingface(name: str, runtime: Runtime) -> TorchEncoder:
    """The model called `name`, or in the folder `name`, warm; raises EncoderUnavailable."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    register()
    loaded = _load(name)
    _drop_text(loaded.model)
    fingerprint = _fingerprint(name, loaded)
    tower = _Tower(loaded.model.eval().to(runtime.device, runtime.dtype), loaded.trained_summary, runtime.dtype)

    def prepare(image: Image.Image) -> NDArray[np.float32]:
        pixels = loaded.processor(images=image, return_tensors="np")["pixel_values"][0]
        return np.asarray(pixels, np.float32)

    with torch.inference_mode():
        things, moments = tower(torch.from_numpy(_probe(name, prepare)[None]).to(runtime.device))
    rotation = _orthonormal(moments.shape[1]).to(runtime.device)

    def network(pixels: Tensor) -> Tensor:
        things, moments = tower(pixels)
        return torch.cat([unit(things), unit(moments @ rotation)], 1)

    return TorchEncoder(fingerprint, things.shape[1], rotation.shape[1], prepare, network, runtime)


def _probe(name: str, prepare: Callable[[Image.Image], NDArray[np.float32]]) -> NDArray[np.float32]:
    """A prepared picture, once it is sure that wide and tall pictures come out in one shape."""
    wide, tall = (prepare(Image.new("RGB", size, "grey")) for size in ((320, 240), (240, 320)))
    if wide.shape != tall.shape:
        raise EncoderUnavailable(
            f"encoder {name}: its image processor keeps each picture's shape, and a batch needs one: "
            "set a fixed size in preprocessor_config.json"
        )
    return wide


@dataclass(frozen=True)
class _Tower:
    """The image side of a model: pixels to object [N, d] and style [N, 2c] before projection, float32."""

    model: nn.Module
    trained_summary: bool
    dtype: torch.dtype

    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        look = getattr(self.model, "get_image_features", self.model)
        seen = look(pixel_values=pixels.to(self.dtype), output_hidden_states=True, return_dict=True)
        return self._summary(seen).float(), _moments(seen.hidden_states[len(seen.hidden_states) // 2].float())

    def _summary(self, seen: Any) -> Tensor:
        """The pooled output when its weights were trained, else the first token, or the mean of a map."""
        pooled, last = getattr(seen, "pooler_output", None), seen.last_hidden_state
        if pooled is not None and self.trained_summary:
            summary: Tensor = pooled.flatten(1)
            return summary
        first: Tensor = last.mean((2, 3)) if last.ndim == 4 else last[:, 0]
        return first


def _moments(middle: Tensor) -> Tensor:
    """Tokens [N, t, c] or a map [N, c, h, w] to [N, 2c]."""
    positions = middle.flatten(2).transpose(1, 2) if middle.ndim == 4 else middle
    levelled = layer_norm(positions, positions.shape[-1:])
    return torch.cat([levelled.mean(1), levelled.std(1, correction=0)], 1)


def _orthonormal(size: int) -> Tensor:
    """[size, 64], or square where there is less to project."""
    normal = np.random.Generator(np.random.PCG64(0)).standard_normal((size, min(STYLE_SIZE, size)))
    q, r = np.linalg.qr(normal)
    return torch.from_numpy((q * np.sign(np.diag(r))).astype(np.float32))


def _load(name: str) -> _Loaded:
    """From the folder or the local cache; else from the hub, when it can be reached."""
    try:
        return _read(name, local=True)
    except UNREADABLE as error:
        reason = _first_sentence(error)
    if Path(name).exists():
        raise EncoderUnavailable(
            f"encoder {name}: not a folder with an image model ({reason}): it needs config.json, "
            "preprocessor_config.json and model.safetensors, as save_pretrained writes them"
        )
    if not _hub_answers():
        raise EncoderUnavailable(
            f"encoder {name}: no such folder, not in the local cache, and the Hugging Face hub is out of reach: "
            "give a folder in LOOKSTREAM_ENCODER, or use efficientnet-lite2, which needs no network"
        )
    try:
        return _read(name, local=False)
    except UNREADABLE as error:
        reason = _first_sentence(error)
    raise EncoderUnavailable(f"encoder {name}: the hub gives no image model of this name ({reason})")


def _first_sentence(error: Exception) -> str:
    return str(error).split("\n")[0].split(". ")[0][:200]


def _read(name: str, *, local: bool) -> _Loaded:
    # The PIL back end on every machine: torchvision's resampling moves vectors as much as bfloat16 does.
    processor = AutoImageProcessor.from_pretrained(name, local_files_only=local, backend="pil")
    model, report = AutoModel.from_pretrained(
        name, local_files_only=local, dtype=torch.float32, output_loading_info=True
    )
    random = frozenset(report["missing_keys"])
    lost = sorted(weight for weight in random if "pooler" not in weight)
    if lost:
        raise ValueError(f"its files lack {len(lost)} weights, {lost[0]} for one")
    return _Loaded(model, processor, random)


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


def _drop_text(model: nn.Module) -> None:
    if hasattr(model, "get_image_features") and hasattr(model, "text_model"):
        del model.text_model


def _fingerprint(name: str, loaded: _Loaded) -> str:
    """The model's short name and 12 hexadecimal digits over weights, preprocessing and recipe."""
    said = loaded.processor.to_dict()
    kept = {key: said.get(key) for key in PREPROCESSING}
    digest = hashlib.sha256(f"{RECIPE}\n{json.dumps(kept, sort_keys=True, default=str)}".encode())
    for weight, value in sorted(loaded.model.state_dict().items()):
        if weight not in loaded.random:
            digest.update(weight.encode())
            digest.update(value.contiguous().numpy().tobytes())
    return f"{Path(name).name}:{digest.hexdigest()[:12]}"
