"""Colour profiles: a stand-in until the real conversion is merged; it takes every picture for sRGB."""

from PIL import Image


def profile_of(image: Image.Image, data: bytes = b"") -> bytes | None:
    """The ICC profile of a picture, whose whole file is `data`; None if it has none."""
    profile = image.info.get("icc_profile")
    return profile if isinstance(profile, bytes) else None


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The picture in RGB, or in RGBA if it has an alpha channel; the profile is ignored."""
    return image.convert("RGBA" if profile is None and image.mode in ("LA", "PA", "RGBA") else "RGB")
