"""EfficientNet-Lite for transformers: registers the network with AutoModel, so that a folder with it can be opened.

This module is separate from the network because transformers' models take seconds to import, longer than everything
else that a worker with a default encoder imports (DECISIONS.md).
"""

from torch import Tensor
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from infra.encoder.efficientnet import EfficientNetLite
from infra.encoder.stages import CLASSES


class EfficientNetLiteConfig(PreTrainedConfig):
    """Configuration of a saved model: its variant (0 to 2 for Lite0 to Lite2) and the number of classes."""

    model_type = "efficientnet-lite"
    variant: int = 2
    classes: int = CLASSES


class EfficientNetLiteModel(PreTrainedModel):
    """Network with the interface of AutoModel; its input pixels are already normalised."""

    config_class = EfficientNetLiteConfig
    base_model_prefix = "network"
    main_input_name = "pixel_values"

    def __init__(self, config: EfficientNetLiteConfig) -> None:
        super().__init__(config)
        self.network = EfficientNetLite(config.variant, config.classes)
        PreTrainedModel.post_init(self)

    def forward(self, pixel_values: Tensor, **_: object) -> BaseModelOutputWithPooling:
        """Compute the feature maps of float pixels [N, 3, h, w], returned as hidden states."""
        maps = self.network.maps(pixel_values)
        return BaseModelOutputWithPooling(
            last_hidden_state=maps.last, pooler_output=maps.last.mean((2, 3)), hidden_states=tuple(maps)
        )


def register() -> None:
    """Register the model with AutoConfig and AutoModel, so that AutoModel can open folders with it."""
    AutoConfig.register(EfficientNetLiteConfig.model_type, EfficientNetLiteConfig, exist_ok=True)
    AutoModel.register(EfficientNetLiteConfig, EfficientNetLiteModel, exist_ok=True)
