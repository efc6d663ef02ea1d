"""Stated colour spaces: numbers in PNG, HEIF, AVIF and EXIF, and profiles of BMP and GIF that PIL passes over."""

import struct
from collections.abc import Iterator

from PIL import Image

from infra.images.colour_space import (
    ADOBE_RGB,
    MAX_PROFILE_BYTES,
    SRGB,
    ColourSpace,
    Primaries,
    cicp_profile,
    icc_profile,
    power,
)

PNG_START, FILE_TYPE = b"\x89PNG\r\n\x1a\n", b"ftyp"
GIF_START, GIF_PROFILE, GIF_HEAD = b"GIF8", b"!\xff\x0bICCRGBG1012", 10_000
"""Starts of a GIF and of its extension with a profile, and the bytes in which it is sought."""
BMP_HEADER = struct.Struct("<2s12xI52x4s52xII")
"""Start, size of the header, kind of colour space, offset (behind the first 14 bytes) and size of the profile."""
BMP_HEADER_SIZE, BMP_EMBEDDED = 124, b"DEBM"
MAX_PARTS = 1_000
"""Chunks, boxes and entries that are read at most; what states the colours stands at the beginning."""

SRGB_GAMMA, GAMMA_TOLERANCE = 0.45455, 0.005
"""The value of gAMA that writers of PNG state for sRGB. Source: PNG specification, 3rd edition, 11.3.2.4."""
GAMMA_RANGE = (0.1, 4.0)
"""Values of gAMA that a picture can have; others are mistakes."""
SRGB_TOLERANCE = 0.003
"""Difference of chromaticities up to which primaries are those of sRGB."""

EXIF_IFD, INTEROPERABILITY_IFD = 0x8769, 0xA005
COLOUR_SPACE_TAG, ADOBE_RGB_VALUE, UNCALIBRATED = 0xA001, 2, 0xFFFF
"""Tag of EXIF and its values. Source: EXIF 3.0, 4.6.6; it does not have 2, but cameras write it."""
INTEROPERABILITY_TAG, DCF_OPTION_FILE = 1, "R03"
"""Tag of the interoperability IFD, and its value for Adobe RGB. Source: DCF 2.0, 4.5."""
EXIF_ERRORS = (
    OSError, SyntaxError, ValueError, KeyError, TypeError, IndexError, AttributeError, struct.error,
)  # fmt: skip
"""Exceptions that PIL raises on broken EXIF data."""

Numbers = tuple[int, int]
"""Numbers of primaries and transfer function in Rec. ITU-T H.273."""


def stated_profile(image: Image.Image, data: bytes) -> bytes | None:
    """The ICC profile of the colour space that a file states beside a profile; None if it states none or sRGB."""
    nclx = image.info.get("nclx_profile")  # pillow-heif reads it.
    if nclx:
        return cicp_profile(nclx["color_primaries"], nclx["transfer_characteristics"])
    if numbers := avif_nclx(data):
        return cicp_profile(*numbers)
    if "srgb" in image.info:
        return None
    space = _png_space(image) or (ADOBE_RGB if _is_adobe_rgb(image) else None)
    return icc_profile(space) if space else None


def _png_space(image: Image.Image) -> ColourSpace | None:
    """The space of the chunks gAMA and cHRM of a PNG, which PIL has read; None if they state sRGB or nothing."""
    gamma = image.info.get("gamma")
    if not isinstance(gamma, float) or not GAMMA_RANGE[0] <= gamma <= GAMMA_RANGE[1]:
        gamma = None
    primaries = _primaries(image.info.get("chromaticity")) or SRGB.primaries
    is_srgb = all(
        abs(value - standard) <= SRGB_TOLERANCE
        for point, srgb_point in zip(primaries, SRGB.primaries, strict=True)
        for value, standard in zip(point, srgb_point, strict=True)
    )
    if is_srgb and (gamma is None or abs(gamma - SRGB_GAMMA) <= GAMMA_TOLERANCE):
        return None
    return ColourSpace(primaries, SRGB.transfer if gamma is None else power(1 / gamma))


def _primaries(chromaticities: object) -> Primaries | None:
    """Red, green, blue and white of a cHRM chunk, which begins with white; None if values are missing."""
    if not isinstance(chromaticities, tuple) or len(chromaticities) != 8:
        return None
    white, red, green, blue = zip(chromaticities[::2], chromaticities[1::2], strict=True)
    return red, green, blue, white


def _is_adobe_rgb(image: Image.Image) -> bool:
    """Whether EXIF data state Adobe RGB, as those of cameras that embed no profile."""
    try:
        exif = image.getexif()
        value = exif.get_ifd(EXIF_IFD).get(COLOUR_SPACE_TAG)
        if value != UNCALIBRATED:
            return bool(value == ADOBE_RGB_VALUE)
        return str(exif.get_ifd(INTEROPERABILITY_IFD).get(INTEROPERABILITY_TAG)).startswith(DCF_OPTION_FILE)
    except EXIF_ERRORS:
        return False


def embedded_profile(data: bytes) -> bytes | None:
    """The ICC profile of a BMP or GIF, which PIL does not read; None if there is none."""
    if len(data) >= BMP_HEADER.size and data.startswith(b"BM"):
        _, header_size, kind, offset, size = BMP_HEADER.unpack_from(data)
        is_embedded = header_size >= BMP_HEADER_SIZE and kind == BMP_EMBEDDED
        return data[14 + offset : 14 + offset + size] if is_embedded else None
    start = data.find(GIF_PROFILE, 0, GIF_HEAD) if data.startswith(GIF_START) else -1
    if start < 0:
        return None
    profile, at = bytearray(), start + len(GIF_PROFILE)
    while at < len(data) and data[at] and len(profile) <= MAX_PROFILE_BYTES:  # Blocks of up to 255 bytes.
        profile += data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]
    return bytes(profile)


def png_cicp(data: bytes) -> Numbers | None:
    """The numbers of the chunk cICP of a PNG; None if `data` is another file or has none before its pixels."""
    start = len(PNG_START)
    for _ in range(MAX_PARTS if data.startswith(PNG_START) else 0):
        length, kind = int.from_bytes(data[start : start + 4], "big"), data[start + 4 : start + 8]
        if kind == b"cICP" and length == 4 and len(data) >= start + 12:
            return data[start + 8], data[start + 9]
        if kind in (b"IDAT", b""):
            return None
        start += length + 12
    return None


def avif_nclx(data: bytes) -> Numbers | None:
    """The numbers of the primary picture of an AVIF or HEIF file; None if it has none.

    Source: ISO/IEC 14496-12 (pitm, iprp, ipco, ipma, colr).
    """
    if data[4:8] != FILE_TYPE:
        return None
    try:
        meta = next((body for kind, body in _boxes(memoryview(data)) if kind == b"meta"), memoryview(b""))
        boxes = dict(_boxes(meta[4:]))
        properties = dict(_boxes(boxes[b"iprp"]))
        item = int.from_bytes(boxes[b"pitm"][4:], "big")  # 2 bytes, or 4 in version 1.
        indices = _property_indices(properties[b"ipma"], item)
        for number, (kind, body) in enumerate(_boxes(properties[b"ipco"]), start=1):
            if number in indices and kind == b"colr" and bytes(body[:4]) == b"nclx":
                primaries, transfer = struct.unpack_from(">HH", body, 4)
                return primaries, transfer
    except (KeyError, IndexError, struct.error):
        pass
    return None


def _boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Types and contents of the boxes in `data`."""
    for _ in range(MAX_PARTS):
        if len(data) < 8:
            return
        size, start = int.from_bytes(data[:4], "big"), 8
        if size == 1:  # The size follows in 8 bytes.
            size, start = int.from_bytes(data[8:16], "big"), 16
        end = size or len(data)
        if end < start:
            return
        yield bytes(data[4:8]), data[start:end]
        data = data[end:]


def _property_indices(associations: memoryview, item: int) -> list[int]:
    """Numbers, from 1, of the properties of an item; raises struct.error if the box breaks off."""
    version, is_wide = associations[0], associations[3] & 1
    entry, step = struct.Struct(">HB" if version < 1 else ">IB"), 2 if is_wide else 1
    (count,), start = struct.unpack_from(">I", associations, 4), 8
    for _ in range(min(count, MAX_PARTS)):
        identifier, length = entry.unpack_from(associations, start)
        start += entry.size
        numbers = struct.unpack_from(f">{length}{'H' if is_wide else 'B'}", associations, start)
        if identifier == item:
            return [number & (0x7FFF if is_wide else 0x7F) for number in numbers]
        start += step * length
    return []
