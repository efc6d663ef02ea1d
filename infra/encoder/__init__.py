"""Pictures to vectors: torch and transformers live in this package, imported when an encoder is opened."""

from typing import TYPE_CHECKING

from infra.settings import Torch

if TYPE_CHECKING:
    from infra.encoder.grid import GridEncoder
    from infra.encoder.runtime import TorchEncoder


class EncoderUnavailable(Exception):
    """An encoder cannot be opened; the message names it, says why, and gives the remedy."""


def open_encoder(name: str, torch_settings: Torch) -> "TorchEncoder | GridEncoder":
    """The encoder called `name`, warm; raises EncoderUnavailable.

    `efficientnet-lite2` needs no network. `fake` needs no torch: colours and edges over a grid, for fast tests.
    Any other name is a folder with an image model, or the name of one on the Hugging Face hub.
    """
    if name == "fake":
        from infra.encoder.grid import GridEncoder

        return GridEncoder()
    from infra.encoder.runtime import open_runtime

    runtime = open_runtime(torch_settings)
    if name == "efficientnet-lite2":
        from infra.encoder.lite2 import open_lite2

        return open_lite2(runtime)
    from infra.encoder.huggingface import open_huggingface

    return open_huggingface(name, runtime)
