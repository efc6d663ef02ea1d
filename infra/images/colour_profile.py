"""Colour profiles: converts the pixels of a picture to sRGB by the ICC profile that its file carries or states."""

from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

from infra.images.colour_space import MAX_PROFILE_BYTES, cicp_profile
from infra.images.stated_space import embedded_profile, png_cicp, stated_profile

CHANNELS = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}
"""PIL's mode for the colour space that a profile names."""
INPUT_CLASSES = (b"mntr", b"scnr", b"prtr", b"spac")
"""Classes of profiles that say what pixels mean. Not among them: device links, abstract and named colours."""
TRANSFORMS_IN_MEMORY = 8

INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
"""The measured colours, not the rendering to another gamut that the perceptual tables of some profiles hold."""
FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
"""The black of a press becomes black, as in the pictures beside it, not dark grey."""

SAME_LEVELS = 2
"""A profile is sRGB if it changes no channel by more than these levels, of 255: the tables of some are rounded."""
MIN_LEVEL_RANGE = 64
"""A profile is broken if all colours that it can give lie within fewer levels."""


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert a picture of any mode of 8 bits to sRGB: RGB, or RGBA if it has transparency, which is unchanged.

    A profile that is sRGB, broken, too large, of another colour space than the picture or not made for pictures
    changes nothing; then CMYK is converted by PIL's formula. A 16-bit picture must be scaled to 8 bits before.
    """
    colours, alpha = _split(image)
    if profile and profile[16:20] == b"RGB " and colours.mode == "L":
        colours = colours.convert("RGB")  # A grey picture of an RGB space: its curve counts.
    transform = _transform(profile, colours.mode) if profile and len(profile) <= MAX_PROFILE_BYTES else None
    if colours.mode == "LAB":
        transform = _lab_transform()
    if transform is not None:
        colours = transform.apply(colours)
        del colours.info["icc_profile"]  # The output's, which PIL sets.
    elif colours.mode != "RGB":
        colours = colours.convert("RGB")
    if alpha is not None:
        colours.putalpha(alpha)
    return colours


def profile_of(image: Image.Image, data: bytes = b"") -> bytes | None:
    """The ICC profile of a picture: its own, or one for the colour space that its file states by numbers.

    `data` is the whole file: PIL does not read all that a PNG, AVIF, BMP or GIF states. None: sRGB, or unknown.
    """
    if numbers := png_cicp(data):  # It counts more than a profile. Source: PNG specification, 3rd edition, 4.3.
        profile = cicp_profile(*numbers)
        if profile is not None:
            return profile
    own = image.info.get("icc_profile") or embedded_profile(data)
    return own if isinstance(own, bytes) and own else stated_profile(image, data)


def _split(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The colours of a picture in mode L, RGB, CMYK or LAB, and its transparency."""
    if image.mode in ("1", "I", "F") or image.mode.startswith("I;"):
        return image.convert("L"), None
    if image.has_transparency_data:
        is_grey = image.mode in ("L", "LA", "La")
        whole = image.convert("LA" if is_grey else "RGBA")
        return whole.convert("L" if is_grey else "RGB"), whole.getchannel("A")
    return image if image.mode in ("L", "RGB", "CMYK", "LAB") else image.convert("RGB"), None


@lru_cache(maxsize=TRANSFORMS_IN_MEMORY)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform of pixels of a mode to sRGB; None if the profile is unusable for them or changes nothing."""
    if CHANNELS.get(profile[16:20]) != mode or profile[12:16] not in INPUT_CLASSES:
        return None
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        transform = ImageCms.ImageCmsTransform(source, _srgb_profile(), mode, "RGB", INTENT, flags=FLAGS)
        probe = _probe(mode)
        after = np.asarray(transform.apply(probe), np.int16)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    if np.ptp(after) < MIN_LEVEL_RANGE:
        return None
    is_same = mode != "CMYK" and np.abs(after - np.asarray(probe.convert("RGB"), np.int16)).max() <= SAME_LEVELS
    return None if is_same else transform


def _probe(mode: str) -> Image.Image:
    """A picture of one row with colours of the whole space: 256 greys, 9^3 colours or 5^4 inks."""
    bands = Image.getmodebands(mode)
    levels = np.linspace(0, 255, {1: 256, 3: 9, 4: 5}[bands]).astype(np.uint8)
    pixels = np.stack(np.meshgrid(*[levels] * bands), axis=-1).reshape(-1, bands)
    return Image.frombytes(mode, (len(pixels), 1), pixels.tobytes())


@lru_cache(maxsize=1)
def _srgb_profile() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@lru_cache(maxsize=1)
def _lab_transform() -> ImageCms.ImageCmsTransform:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    return ImageCms.ImageCmsTransform(lab, _srgb_profile(), "LAB", "RGB", INTENT)
