"""PNG files: keep the chunks that decide the look; broken, huge or unknown ones beside them are left out.

PIL refuses a file for any chunk that it cannot read, even for a text of one megabyte.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from infra.images.colour_space import MAX_PROFILE_BYTES

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CRITICAL = frozenset({b"IHDR", b"PLTE", b"IDAT"})
ANIMATION = frozenset({b"acTL", b"fcTL", b"fdAT"})
SIZES = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1}
"""Bytes that these chunks must have."""
MIN_TRANSPARENCY = {0: 2, 2: 6, 3: 1}
"""Least bytes of a tRNS chunk, by colour type; the others have an alpha channel and no such chunk."""
RAW_PROFILE = b"Raw profile type "
"""Keyword of the texts in which ImageMagick keeps EXIF data."""
XMP = b"XML:com.adobe.xmp\0"
MAX_TEXT_BYTES = 100_000
"""Largest text, inflated, that is kept for the orientation in it."""
MAX_CHUNKS = 200_000


class Chunk(NamedTuple):
    """A chunk of a PNG: its name, its body, and whether its checksum is right."""

    name: bytes
    body: bytes
    is_sound: bool


@dataclass(frozen=True)
class PngFile:
    """A PNG of the chunks that matter. `animation` is the same with the further frames, if there are any."""

    data: bytes
    animation: bytes | None
    profile: bytes | None
    """The ICC profile, which PIL would read only up to 1 MB."""


def read_png(data: bytes) -> PngFile:
    """Read the chunks of a PNG up to its end, or as far as it goes."""
    still, moving = [SIGNATURE], [SIGNATURE]
    profile: bytes | None = None
    colour_type, is_animated = 0, False
    for chunk in _chunks(data):
        if chunk.name == b"IHDR":
            colour_type = chunk.body[9] if len(chunk.body) > 9 else 0
        if chunk.name == b"iCCP" and chunk.is_sound:
            profile = _inflate(chunk.body.partition(b"\0")[2][1:], MAX_PROFILE_BYTES)
        elif chunk.name in CRITICAL or (chunk.is_sound and _decides_look(chunk, colour_type)):
            still.append(_encode(chunk))
            moving.append(still[-1])
        elif chunk.name in ANIMATION and chunk.is_sound:
            moving.append(_encode(chunk))
            is_animated = True
    end = _encode(Chunk(b"IEND", b"", is_sound=True))
    animation = b"".join([*moving, end]) if is_animated else None
    return PngFile(b"".join([*still, end]), animation, profile)


def _chunks(data: bytes) -> Iterator[Chunk]:
    """The chunks before IEND; pixels that break off are the last one."""
    at = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if name == b"IEND" or len(name) < 4:
            return
        body = data[at + 8 : at + 8 + length]
        checksum = data[at + 8 + length : at + 12 + length]
        is_sound = len(body) == length and checksum == struct.pack(">I", zlib.crc32(body, zlib.crc32(name)))
        yield Chunk(name, body, is_sound)
        if len(body) < length:
            return
        at += 12 + length


def _encode(chunk: Chunk) -> bytes:
    """The bytes of a chunk; a damaged header or palette gets a wrong checksum, so that PIL refuses it."""
    checksum = zlib.crc32(chunk.body, zlib.crc32(chunk.name)) ^ (not chunk.is_sound and chunk.name != b"IDAT")
    return b"".join((struct.pack(">I", len(chunk.body)), chunk.name, chunk.body, struct.pack(">I", checksum)))


def _decides_look(chunk: Chunk, colour_type: int) -> bool:
    """Whether transparency, colours or orientation depend on a side chunk, and it can be read."""
    name, body = chunk.name, chunk.body
    if name in SIZES:
        return len(body) == SIZES[name]
    if name == b"tRNS":
        return len(body) >= MIN_TRANSPARENCY.get(colour_type, len(body) + 1) and (
            colour_type != 3 or len(body) <= 256
        )
    if name == b"eXIf":
        return body[:2] in (b"II", b"MM")
    if name == b"zTXt":
        text = body.partition(b"\0")[2]
        return body.startswith(RAW_PROFILE) and text[:1] == b"\0" and _inflate(text[1:], MAX_TEXT_BYTES) is not None
    if name == b"tEXt":
        return body.startswith(RAW_PROFILE) and len(body) <= MAX_TEXT_BYTES
    return name == b"iTXt" and body.startswith(XMP + b"\0") and len(body) <= MAX_TEXT_BYTES


def _inflate(data: bytes, most: int) -> bytes | None:
    """Inflate at most `most` bytes; None if there are more, or they are broken."""
    inflater = zlib.decompressobj()
    try:
        found = inflater.decompress(data, most)
    except zlib.error:
        return None
    return None if inflater.unconsumed_tail or not found else found
