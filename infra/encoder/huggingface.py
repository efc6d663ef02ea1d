"""Any image model that transformers can open: CLIP, SigLIP, SigLIP 2, DINOv2, DINOv3, ViT, ConvNeXt and so on.

features for object = the image tower's own summary of the picture, unit length
features for style  = mean and standard deviation over the positions of the middle hidden state, layer-normalised
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import layer_norm
from transformers.utils import logging

from infra.encoder import EncoderUnavailable
from infra.encoder.efficientnet_model import register
from infra.encoder.pretrained import Pretrained, first_sentence, read_pretrained
from infra.encoder.runtime import Backbone, Box, Runtime, unit

RECIPE = "2: summary of the image tower, moments of the middle hidden state"

CLASS_TOKENS = ("cls_token", "class_token", "class_embedding")
"""What models call the token in front of the patches that stands for the whole picture."""

BLIND = (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError)
"""What a model raises that cannot do with a picture alone, or says nothing of its hidden states."""

Floats = NDArray[np.float32]


def open_huggingface(name: str, runtime: Runtime) -> Backbone:
    """The model called `name`, or in the folder `name`, warm; raises EncoderUnavailable."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    register()
    loaded = read_pretrained(name)
    digest, prepare = loaded.digest(RECIPE), preparation(loaded.processor)
    tower = Tower(loaded.model.to(runtime.device, runtime.dtype), _summary_of(loaded), runtime.dtype)
    things, moments = _first_look(name, tower, torch.from_numpy(_probe(name, prepare)[None]).to(runtime.device))
    sizes = things.shape[1], moments.shape[1]

    def network(pixels: Tensor) -> Tensor:
        things, moments = tower(pixels)
        return torch.cat([unit(things), moments], 1)

    return Backbone(Path(name).name, digest, *sizes, prepare, network, runtime)


def preparation(processor: Any) -> Callable[[Image.Image, Box], Floats]:
    """What a model's own image processor makes of a part of a picture, as one array.

    That is [3, height, width], or for SigLIP 2 NaFlex, which keeps each picture's shape, [1 + patches, values]:
    a row that begins with how many patches high and wide the picture is, the patches, and padding.
    """

    def prepare(image: Image.Image, box: Box) -> Floats:
        seen = processor(images=image.crop(_whole(box)), return_tensors="np")
        pixels = np.asarray(seen["pixel_values"][0], np.float32)
        if "spatial_shapes" not in seen:
            return pixels
        grid = np.zeros_like(pixels[:1])
        grid[0, :2] = seen["spatial_shapes"][0]
        return np.concatenate([grid, pixels])

    return prepare


def _whole(box: Box) -> tuple[int, int, int, int]:
    """The box in whole pixels: processors resize pictures, not parts of them."""
    left, top, right, bottom = (round(edge) for edge in box)
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _probe(name: str, prepare: Callable[[Image.Image, Box], Floats]) -> Floats:
    """A prepared picture, once it is sure that wide and tall pictures come out in one shape."""
    wide, tall = (prepare(Image.new("RGB", size, "grey"), (0, 0, *size)) for size in ((320, 240), (240, 320)))
    if wide.shape != tall.shape:
        raise EncoderUnavailable(
            f"encoder {name}: its image processor keeps each picture's shape, and a batch needs one: "
            "set a fixed size in preprocessor_config.json"
        )
    return wide


@dataclass(frozen=True)
class Tower:
    """The image side of a model: prepared pictures to object [N, d] and style [N, 2c], float32, any length."""

    model: nn.Module
    summary: Callable[[Any, Tensor | None], Tensor]
    dtype: torch.dtype

    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        inputs = _patches(pixels) if pixels.ndim == 3 else {"pixel_values": pixels}
        inputs["pixel_values"] = inputs["pixel_values"].to(self.dtype)
        look = getattr(self.model, "get_image_features", self.model)
        seen = look(**inputs, output_hidden_states=True, return_dict=True)
        middle, mask = seen.hidden_states[len(seen.hidden_states) // 2], inputs.get("pixel_attention_mask")
        return self.summary(seen, mask).float(), _moments(middle.float(), mask)


def _patches(pixels: Tensor) -> dict[str, Tensor]:
    """[N, 1 + patches, values] as `preparation` packs them to what a NaFlex model takes."""
    grid, patches = pixels[:, 0, :2].long(), pixels[:, 1:]
    mask = torch.arange(patches.shape[1], device=pixels.device) < grid.prod(1, keepdim=True)
    return {"pixel_values": patches, "pixel_attention_mask": mask.long(), "spatial_shapes": grid}


def _summary_of(loaded: Pretrained) -> Callable[[Any, Tensor | None], Tensor]:
    """How this model sums a picture up: its pooled output when trained, else its class token, else the mean."""
    has_class_token = any(weight.endswith(CLASS_TOKENS) for weight, _ in loaded.model.named_parameters())

    def summary(seen: Any, mask: Tensor | None) -> Tensor:
        pooled: Tensor | None = getattr(seen, "pooler_output", None)
        if pooled is not None and loaded.trained_summary:
            return pooled.flatten(1)
        positions = _positions(seen.last_hidden_state.float())
        return positions[:, 0] if has_class_token else _mean(positions, mask)

    return summary


def _moments(middle: Tensor, mask: Tensor | None) -> Tensor:
    """Tokens [N, t, c] or a map [N, c, h, w] to [N, 2c]."""
    positions = _positions(middle)
    levelled = layer_norm(positions, positions.shape[-1:])
    mean = _mean(levelled, mask)
    return torch.cat([mean, _mean((levelled - mean[:, None]) ** 2, mask).sqrt()], 1)


def _positions(hidden: Tensor) -> Tensor:
    return hidden.flatten(2).transpose(1, 2) if hidden.ndim == 4 else hidden


def _mean(positions: Tensor, mask: Tensor | None) -> Tensor:
    """[N, t, c] to [N, c], over the positions that a mask [N, t] leaves."""
    if mask is None:
        return positions.mean(1)
    return (positions * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


def _first_look(name: str, tower: Tower, pixels: Tensor) -> tuple[Tensor, Tensor]:
    try:
        with torch.inference_mode():
            return tower(pixels)
    except BLIND as error:
        raise EncoderUnavailable(
            f"encoder {name}: its model gives no vector for a picture alone ({first_sentence(error)}): "
            "name an image model in LOOKSTREAM_ENCODER, such as CLIP, SigLIP, DINOv2, ViT or ConvNeXt"
        ) from None
