"""Small image models with random weights, one of each family, saved as the Hugging Face hub keeps them."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor
    from transformers.modeling_utils import PreTrainedModel

VOCABULARY = 1013
"""Words of each text side: no other weight has so many rows."""

SMALL: dict[str, Any] = {
    "hidden_size": 40, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 64,
    "image_size": 32, "patch_size": 8,
}  # fmt: skip
NAFLEX: dict[str, Any] = {**SMALL, "num_patches": 16}
TEXT: dict[str, Any] = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
    "vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1,
}  # fmt: skip
SIGLIP_TEXT: dict[str, Any] = {**TEXT, "projection_size": SMALL["hidden_size"]}
MAPS: dict[str, Any] = {"hidden_sizes": [8, 16, 24, 40], "depths": [1, 1, 1, 1]}

SQUARE = {"height": 32, "width": 32}
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}

CLIP = {"feature_extractor_type": "CLIPFeatureExtractor", "size": 32, "crop_size": 32, "resample": 3, **IMAGENET}
SIGLIP = {"image_processor_type": "SiglipImageProcessor", "size": SQUARE, "resample": 3, **HALF}
SIGLIP2 = {"image_processor_type": "Siglip2ImageProcessor", "patch_size": 8, "max_num_patches": 20, **HALF}
DINOV2 = {
    "image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 36}, "crop_size": SQUARE, **IMAGENET
}  # fmt: skip
DINOV3 = {"image_processor_type": "DINOv3ViTImageProcessorFast", "size": SQUARE, "crop_size": None, **IMAGENET}
VIT = {"image_processor_type": "ViTImageProcessor", "size": SQUARE, **HALF}
CONVNEXT = {
    "feature_extractor_type": "ConvNextFeatureExtractor", "size": 32, "crop_pct": 0.875, **IMAGENET
}  # fmt: skip


@dataclass(frozen=True)
class Family:
    """How to make a model of this kind, and the fields of its image processor."""

    model: "Callable[[Any], PreTrainedModel]"
    """Makes the model with transformers, which takes seconds to import and is therefore an argument."""
    processor: dict[str, Any]


FAMILIES = {
    "clip": Family(
        lambda of: of.CLIPModel(of.CLIPConfig(text_config=TEXT, vision_config=SMALL, projection_dim=24)), CLIP
    ),
    "clip-vision": Family(lambda of: of.CLIPVisionModel(of.CLIPVisionConfig(**SMALL)), CLIP),
    "siglip": Family(
        lambda of: of.SiglipModel(of.SiglipConfig(text_config=SIGLIP_TEXT, vision_config=SMALL)), SIGLIP
    ),
    "siglip-without-head": Family(
        lambda of: of.SiglipVisionModel(of.SiglipVisionConfig(**SMALL, vision_use_head=False)), SIGLIP
    ),
    "siglip2": Family(
        lambda of: of.Siglip2Model(of.Siglip2Config(text_config=SIGLIP_TEXT, vision_config=NAFLEX)), SIGLIP2
    ),
    "siglip2-vision": Family(lambda of: of.Siglip2VisionModel(of.Siglip2VisionConfig(**NAFLEX)), SIGLIP2),
    "dinov2": Family(lambda of: of.Dinov2Model(of.Dinov2Config(**SMALL)), DINOV2),
    "dinov2-registers": Family(
        lambda of: of.Dinov2WithRegistersModel(of.Dinov2WithRegistersConfig(**SMALL)), DINOV2
    ),
    "dinov3": Family(lambda of: of.DINOv3ViTModel(of.DINOv3ViTConfig(**SMALL)), DINOV3),
    "dinov3-convnext": Family(lambda of: of.DINOv3ConvNextModel(of.DINOv3ConvNextConfig(**MAPS)), DINOV3),
    "vit": Family(lambda of: of.ViTModel(of.ViTConfig(**SMALL)), VIT),
    "vit-without-pooler": Family(lambda of: of.ViTModel(of.ViTConfig(**SMALL), add_pooling_layer=False), VIT),
    "convnext": Family(lambda of: of.ConvNextModel(of.ConvNextConfig(**MAPS)), CONVNEXT),
}


JOINT = ("clip", "siglip", "siglip2")
"""The families that read texts too."""


def save_tokenizer(kind: str, folder: Path) -> None:
    """A tokenizer of single letters, of the class that real models of this family have, into the model's folder.

    That of SigLIP needs the library sentencepiece: here it has transformers' class for any tokenizer.
    """
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    if kind == "clip":
        marks = ["<|startoftext|>", "<|endoftext|>"]
        words = [*marks, *letters, *(f"{letter}</w>" for letter in letters)]
        transformers.CLIPTokenizer(_numbered(words), []).save_pretrained(folder)
    elif kind == "siglip2":
        words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "\u2581", *letters]
        transformers.Siglip2Tokenizer(_numbered(words), []).save_pretrained(folder)
    else:
        tokenizer = Tokenizer(models.BPE(_numbered(["<end>", *letters]), []))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.post_processor = processors.TemplateProcessing("$A <end>", special_tokens=[("<end>", 0)])
        transformers.PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>"
        ).save_pretrained(folder)


def _numbered(words: Iterable[str]) -> dict[str, int]:
    return {word: number for number, word in enumerate(words)}


def save(kind: str, folder: Path, **fields: Any) -> Path:
    """A model of this family, the same each time, into a folder; `fields` replace those of its image processor."""
    import torch
    import transformers

    torch.manual_seed(0)
    FAMILIES[kind].model(transformers).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(FAMILIES[kind].processor | fields))
    return folder


def save_joint(kind: str, folder: Path, pairs: "Mapping[str, Image] | None" = None) -> Path:
    """A model of this family with a tokenizer; its text tower gives each text of the pairs its picture's vector.

    The last layer of the text tower is solved for them, so their number is at most the width of that layer.
    """
    import torch
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    save(kind, folder)
    save_tokenizer(kind, folder)
    if not pairs:
        return folder
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    layer = model.text_projection if kind == "clip" else model.text_model.head
    with torch.inference_mode():
        pictures = AutoImageProcessor.from_pretrained(folder, backend="pil")(
            images=list(pairs.values()), return_tensors="pt"
        )
        targets = torch.nn.functional.normalize(model.get_image_features(**pictures).pooler_output)
        inputs: list[Tensor] = []
        layer.register_forward_hook(lambda _layer, arguments, _output: inputs.append(arguments[0]))
        length = {} if kind == "clip" else {"max_length": model.config.text_config.max_position_embeddings}
        padding = "longest" if kind == "clip" else "max_length"
        model.get_text_features(
            input_ids=tokenizer(list(pairs), return_tensors="pt", padding=padding, **length)["input_ids"]
        )
        layer.weight.copy_((torch.linalg.pinv(inputs[0]) @ targets).T)
        if layer.bias is not None:
            layer.bias.zero_()
    model.save_pretrained(folder)
    return folder
