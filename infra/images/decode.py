"""Stand-in until P1's room is merged: the limits of decoding."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DecodeLimits:
    """Limits of decoding a picture."""

    max_bytes: int = 50_000_000
    max_pixels: int = 100_000_000
