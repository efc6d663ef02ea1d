"""For authors of encoders: what the function of an entry point `lookstream.encoders` returns (docs/encoders.md)."""

from infra.array_types import Box, Floats, Pixels
from infra.encoder.backbone import Backbone

__all__ = ["Backbone", "Box", "Floats", "Pixels"]
