"""EfficientNet-Lite as a model of transformers, so that a folder with one in it opens like any other.

It stands apart from the network because transformers' models take seconds to import, more than all else that a
worker with a default encoder needs (DECISIONS.md).
"""

from torch import Tensor
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from infra.encoder.efficientnet import CLASSES, EfficientNetLite


class EfficientNetLiteConfig(PreTrainedConfig):
    """What a saved model keeps: which of Lite0, Lite1 and Lite2 it is, and how many classes it tells apart."""

    model_type = "efficientnet-lite"
    variant: int = 2
    classes: int = CLASSES


class EfficientNetLiteModel(PreTrainedModel):
    """The network in the shape that AutoModel's users expect; pixels are normalised as it wants them."""

    config_class = EfficientNetLiteConfig
    base_model_prefix = "network"
    main_input_name = "pixel_values"

    def __init__(self, config: EfficientNetLiteConfig) -> None:
        super().__init__(config)
        self.network = EfficientNetLite(config.variant, config.classes)
        PreTrainedModel.post_init(self)

    def forward(self, pixel_values: Tensor, **_: object) -> BaseModelOutputWithPooling:
        """The maps as hidden states, float [N, 3, h, w] given."""
        maps = self.network.maps(pixel_values)
        return BaseModelOutputWithPooling(
            last_hidden_state=maps.last, pooler_output=maps.last.mean((2, 3)), hidden_states=tuple(maps)
        )


def register() -> None:
    """Make AutoModel open folders with this model in them."""
    AutoConfig.register(EfficientNetLiteConfig.model_type, EfficientNetLiteConfig, exist_ok=True)
    AutoModel.register(EfficientNetLiteConfig, EfficientNetLiteModel, exist_ok=True)
