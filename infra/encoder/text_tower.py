"""Text towers: the text side of CLIP and SigLIP models, and encoders that compare texts with stored pictures.

features of a text = the text tower's own summary, in the space of the object features of pictures, unit length
vector of a text   = these features mapped to the object part of looks, so that a dot product compares them

The object part of a picture is (features - mean) @ axes, scaled to unit length. For a text t, the vector
pinv(axes) @ t gives t @ (features - mean) with each picture, except for what the axes leave out. Without a fitted
projection the mean is 0 and the axes are the identity: then the product is the cosine that the model was trained
for. So old collections answer texts too: a text needs no other vector in the index, and fingerprints stay.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging

from infra.array_types import Floats
from infra.encoder import EncoderUnavailable
from infra.encoder.backbone import l2_normalise
from infra.encoder.pretrained import LOAD_ERRORS, drop_modules, first_sentence
from infra.encoder.projection import NetworkEncoder, Projection
from infra.encoder.runtime import Runtime


@dataclass(frozen=True, eq=False)
class TextTower:
    """Text side of a model: maps texts to unit features [N, d] in the space of its pictures."""

    model: Any
    tokenizer: Any
    runtime: Runtime

    def __call__(self, texts: Sequence[str]) -> Floats:
        config = self.model.config
        is_siglip = config.model_type.startswith("siglip")
        tokens = self.tokenizer(
            list(texts),
            # SigLIP was trained on texts of full length without a mask, as its model card says.
            padding="max_length" if is_siglip else "longest",
            truncation=True,
            max_length=config.text_config.max_position_embeddings,
            return_tensors="pt",
        ).to(self.runtime.device)
        mask = None if is_siglip else tokens["attention_mask"]
        with torch.inference_mode():
            outputs = self.model.get_text_features(input_ids=tokens["input_ids"], attention_mask=mask)
            features: Floats = outputs.pooler_output.float().cpu().numpy()
        return l2_normalise(features)


def open_text_tower(name: str, runtime: Runtime) -> TextTower:
    """Open the text side of the model called `name`, whose pictures were opened before.

    Raises EncoderUnavailable if its text weights or its tokenizer cannot be read.
    """
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=True, trust_remote_code=False)
        model, report = AutoModel.from_pretrained(
            name,
            local_files_only=True,
            trust_remote_code=False,
            dtype=runtime.dtype,
            output_loading_info=True,
        )
    except LOAD_ERRORS as error:
        raise EncoderUnavailable(
            f"encoder {name}: its text tower cannot be read ({first_sentence(error)})"
        ) from None
    if missing := sorted(weight for weight in report["missing_keys"] if weight.startswith("text_")):
        raise EncoderUnavailable(
            f"encoder {name}: its files lack {len(missing)} weights of the text tower, {missing[0]} for one"
        )
    drop_modules(model, "vision_", "visual_")
    return TextTower(model.to(runtime.device).eval(), tokenizer, runtime)


@dataclass(frozen=True, eq=False)
class JointEncoder(NetworkEncoder):
    """Encoder that reads texts too. `open_tower` returns the text tower, which its first call opens."""

    open_tower: Callable[[], TextTower]

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        """Encode N texts, each cut to the tower's context: float32 [N, object_size], rows of unit length.

        Raises EncoderUnavailable if the text tower cannot be opened, or does not share the space of pictures.
        """
        features = self.open_tower()(texts)
        width = len(self.projection.base.axes)
        if features.shape[1] != width:
            raise EncoderUnavailable(
                f"encoder {self.name}: its texts have {features.shape[1]} features and its pictures {width}"
            )
        return project_texts(features, self.projection)


def project_texts(features: Floats, projection: Projection) -> Floats:
    """Map features of texts [N, d] to unit object parts [N, object_size]; a fitted head has no part in them.

    Texts of such models lie apart from pictures (W. Liang et al., Mind the gap, 2022). So texts lose only what they
    have in the direction of the mean that pictures lose, and a head, which was trained on pictures, is left out.
    """
    mean = projection.base.means.mean(0)
    mean = mean / max(float(np.linalg.norm(mean)), 1e-12)
    centred = features - (features @ mean)[:, None] * mean
    base = l2_normalise(centred @ np.linalg.pinv(projection.base.axes).T)
    return np.pad(base, ((0, 0), (0, projection.object_size - base.shape[1])))
