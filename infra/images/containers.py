"""WebP, HEIC and AVIF files: leave out what stands beside the pixels, and fill up a tail that is missing.

A WebP is a RIFF file of chunks, HEIC and AVIF are ISO base media files of boxes; both say how long they are.
"""

import re
from collections.abc import Iterator

PIXEL_CHUNKS = frozenset({b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"})
SIDE_CHUNKS = frozenset({b"ICCP", b"EXIF"})
"""Chunks of a WebP that change its look, if they are whole."""
MAX_SIDE_BYTES = 4_000_000
MAX_PARTS = 10_000
"""Chunks or boxes that are read."""
METADATA_ITEM = re.compile(rb"(infe(?:\x02...(?:..)|\x03...(?:....))..)(?:Exif|mime)", re.DOTALL)
"""The entry of an item of EXIF or XMP data in the list of items, up to its type."""
MAX_MISSING_SHARE = 64
"""A tail of at most this part of a file may be missing: it is the end of the last lines. Decoders refuse the whole
file for one byte, but draw those lines from zeros."""


def read_webp(data: bytes) -> bytes:
    """A WebP of the chunks that decide its look, with the right lengths."""
    parts = []
    for name, body, length in _chunks(data):
        if name in SIDE_CHUNKS and len(body) == length <= MAX_SIDE_BYTES:
            parts.append(_chunk(name, body))
        elif name in PIXEL_CHUNKS:
            body = _filled(body, length, len(data))
            if len(body) == length or name != b"ANMF":  # else a further frame that breaks off
                parts.append(_chunk(name, body))
    content = b"WEBP" + b"".join(parts)
    return b"RIFF" + len(content).to_bytes(4, "little") + content


def webp_size(data: bytes) -> tuple[int, int]:
    """Width and height of a WebP as `read_webp` gives it; raises ValueError.

    The decoder takes memory for two pictures before it tells the size.
    """
    for name, body, _ in _chunks(data):
        if name == b"VP8X" and len(body) >= 10:
            return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
        if name == b"VP8L" and len(body) >= 5:
            bits = int.from_bytes(body[1:5], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        if name == b"VP8 " and len(body) >= 10:
            bits = int.from_bytes(body[6:10], "little")
            return bits & 0x3FFF, bits >> 16 & 0x3FFF
    raise ValueError("it has no header")


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """The name, the body as far as it is there, and the length of each chunk."""
    end = min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    at = 12
    for _ in range(MAX_PARTS):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        # A wrong length of the whole file does not cut the pixels.
        if at + 8 > end:
            return
        yield data[at : at + 4], data[at + 8 : at + 8 + length], length
        at += 8 + length + (length & 1)


def _chunk(name: bytes, body: bytes) -> bytes:
    return b"".join((name, len(body).to_bytes(4, "little"), body, b"\0" * (len(body) & 1)))


def _filled(body: bytes, length: int, whole: int) -> bytes:
    """`body` with zeros for a missing tail, unless the tail is more than a small share of the `whole` file."""
    return body.ljust(length, b"\0") if length - len(body) <= whole // MAX_MISSING_SHARE else body


def read_boxes(data: bytes) -> bytes:
    """A HEIC or AVIF without its metadata and what stands behind its last box, and with its tail filled up.

    Motion photos have their video there. The metadata do not change the look: the orientation is a property of the
    picture, and EXIF's does not count (ISO/IEC 23008-12, annex A).
    """
    at, parts = 0, []
    for _ in range(MAX_PARTS):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size == 0 and name.isalnum():
            size = len(data) - at  # the last box, up to the end
        if size < 8 or not (name.isascii() and name.isalnum()):
            break
        box = data[at : at + size]
        parts.append(METADATA_ITEM.sub(rb"\1skip", box) if name == b"meta" else box)
        at += size
        if at >= len(data):
            return _filled(b"".join(parts), at, len(data))
    return b"".join(parts)
