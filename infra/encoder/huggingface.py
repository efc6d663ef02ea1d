"""Hugging Face backbones: opens any image model that transformers can open.

Examples are CLIP, SigLIP, SigLIP 2, DINOv2, DINOv3, ViT and ConvNeXt.

object features = the image tower's own summary of the picture, unit length
style features  = mean and standard deviation over the positions of the middle hidden state, layer-normalised
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import layer_norm
from transformers.utils import logging

from infra.array_types import Box, Floats, Pixels
from infra.encoder import EncoderUnavailable
from infra.encoder.backbone import Backbone
from infra.encoder.efficientnet_model import register
from infra.encoder.pretrained import Pretrained, first_sentence, read_pretrained
from infra.encoder.runtime import Runtime, l2_normalise

RECIPE = "2: summary of the image tower, moments of the middle hidden state"

CLASS_TOKENS = ("cls_token", "class_token", "class_embedding")
"""Names of the class token in models: the token before the patches that represents the whole picture."""

FORWARD_ERRORS = (TypeError, ValueError, RuntimeError, AttributeError, KeyError, IndexError)
"""Exceptions of a model that needs more input than a picture, or does not return hidden states."""


def open_huggingface(name: str, runtime: Runtime) -> Backbone:
    """Open the model called `name`, or in the folder `name`, and run it once; raises EncoderUnavailable."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    register()
    loaded = read_pretrained(name)
    digest, prepare = loaded.digest(RECIPE), preparation(loaded.processor)
    tower = Tower(loaded.model.to(runtime.device, runtime.dtype), _select_summary(loaded), runtime.dtype)
    object_features, style_features = _try_forward(
        name, tower, torch.from_numpy(_prepare_probe(name, prepare)[None]).to(runtime.device)
    )
    sizes = object_features.shape[1], style_features.shape[1]

    def network(views: Pixels) -> Floats:
        with torch.inference_mode():
            object_features, style_features = tower(torch.from_numpy(views).to(runtime.device))
            features: Floats = torch.cat([l2_normalise(object_features), style_features], 1).cpu().numpy()
        return features

    return Backbone(Path(name).name, digest, *sizes, prepare, network, runtime.batch, runtime.precision)


def preparation(processor: Any) -> Callable[[Image.Image, Box], Floats]:
    """Make a function that applies a model's image processor to a part of a picture and returns one array.

    The array is [3, height, width]. For SigLIP 2 NaFlex, which preserves each picture's aspect ratio, it is
    [1 + patches, values]: a row that starts with the height and width in patches, then the patches and padding.
    """

    def prepare(image: Image.Image, box: Box) -> Floats:
        outputs = processor(images=image.crop(_whole_pixels(box)), return_tensors="np")
        pixels = np.asarray(outputs["pixel_values"][0], np.float32)
        if "spatial_shapes" not in outputs:
            return pixels
        grid = np.zeros_like(pixels[:1])
        grid[0, :2] = outputs["spatial_shapes"][0]
        return np.concatenate([grid, pixels])

    return prepare


def _whole_pixels(box: Box) -> tuple[int, int, int, int]:
    """Round the box to whole pixels, at least 1 x 1: processors resize whole pictures, not parts of them."""
    left, top, right, bottom = (round(edge) for edge in box)
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _prepare_probe(name: str, prepare: Callable[[Image.Image, Box], Floats]) -> Floats:
    """Prepare a grey picture; raises EncoderUnavailable when wide and tall pictures get different shapes."""
    wide, tall = (prepare(Image.new("RGB", size, "grey"), (0, 0, *size)) for size in ((320, 240), (240, 320)))
    if wide.shape != tall.shape:
        raise EncoderUnavailable(
            f"encoder {name}: its image processor keeps each picture's shape, and a batch needs one: "
            "set a fixed size in preprocessor_config.json"
        )
    return wide


@dataclass(frozen=True)
class Tower:
    """Image tower of a model: maps prepared pictures to object [N, d] and style [N, 2c], float32 of any length."""

    model: nn.Module
    summary: Callable[[Any, Tensor | None], Tensor]
    dtype: torch.dtype

    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        inputs = _patches(pixels) if pixels.ndim == 3 else {"pixel_values": pixels}
        inputs["pixel_values"] = inputs["pixel_values"].to(self.dtype)
        forward = getattr(self.model, "get_image_features", self.model)
        outputs = forward(**inputs, output_hidden_states=True, return_dict=True)
        middle, mask = outputs.hidden_states[len(outputs.hidden_states) // 2], inputs.get("pixel_attention_mask")
        return self.summary(outputs, mask).float(), _channel_moments(middle.float(), mask)


def _patches(pixels: Tensor) -> dict[str, Tensor]:
    """Unpack arrays of `preparation`, [N, 1 + patches, values], into the inputs of a NaFlex model."""
    grid, patches = pixels[:, 0, :2].long(), pixels[:, 1:]
    mask = torch.arange(patches.shape[1], device=pixels.device) < grid.prod(1, keepdim=True)
    return {"pixel_values": patches, "pixel_attention_mask": mask.long(), "spatial_shapes": grid}


def _select_summary(loaded: Pretrained) -> Callable[[Any, Tensor | None], Tensor]:
    """Choose the summary of a picture: the pooled output if trained, else the class token, else the mean."""
    has_class_token = any(weight.endswith(CLASS_TOKENS) for weight, _ in loaded.model.named_parameters())

    def summary(outputs: Any, mask: Tensor | None) -> Tensor:
        pooled: Tensor | None = getattr(outputs, "pooler_output", None)
        if pooled is not None and loaded.trained_summary:
            return pooled.flatten(1)
        positions = _positions(outputs.last_hidden_state.float())
        return positions[:, 0] if has_class_token else _mean(positions, mask)

    return summary


def _channel_moments(middle: Tensor, mask: Tensor | None) -> Tensor:
    """Mean and standard deviation of each channel over tokens [N, t, c] or a map [N, c, h, w]: [N, 2c]."""
    positions = _positions(middle)
    normalised = layer_norm(positions, positions.shape[-1:])
    mean = _mean(normalised, mask)
    return torch.cat([mean, _mean((normalised - mean[:, None]) ** 2, mask).sqrt()], 1)


def _positions(hidden: Tensor) -> Tensor:
    return hidden.flatten(2).transpose(1, 2) if hidden.ndim == 4 else hidden


def _mean(positions: Tensor, mask: Tensor | None) -> Tensor:
    """Mean over the positions of [N, t, c] that the mask [N, t] includes: [N, c]."""
    if mask is None:
        return positions.mean(1)
    return (positions * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


def _try_forward(name: str, tower: Tower, pixels: Tensor) -> tuple[Tensor, Tensor]:
    try:
        with torch.inference_mode():
            return tower(pixels)
    except FORWARD_ERRORS as error:
        raise EncoderUnavailable(
            f"encoder {name}: its model gives no vector for a picture alone ({first_sentence(error)}): "
            "name an image model in LOOKSTREAM_ENCODER, such as CLIP, SigLIP, DINOv2, ViT or ConvNeXt"
        ) from None
