"""JPEG XL: read the size from the header, since the decoder tells it only after decoding everything, and decode.

Headers are ISO/IEC 18181-1 (codestream) and 18181-2 (file format).
"""

from collections.abc import Iterator

from PIL import Image

from schemas.failures import Code, Rejected

CODESTREAM = b"\xff\x0a"
RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Width to height, by the three bits of the size header, from 1."""
SIZE_BITS = (9, 13, 18, 30)
MAX_BOXES = 1_000
MODES = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "I;16": 2, "F": 4}
"""Modes of PIL that the decoder gives, and bytes of a pixel in them."""


class _Bits:
    """Reads numbers of some bits, the lowest bit first."""

    def __init__(self, data: bytes) -> None:
        self._value, self._at = int.from_bytes(data, "little"), 0

    def read(self, count: int) -> int:
        value = self._value >> self._at & (1 << count) - 1
        self._at += count
        return value


def read_size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels of the stored picture; raises ValueError if there is no header."""
    start = _codestream_start(data)
    if not start.startswith(CODESTREAM) or len(start) < 12:
        raise ValueError("it has no header")
    bits = _Bits(start[2:])
    is_small = bits.read(1)
    height = _read_side(bits, is_small)
    if ratio := bits.read(3):
        return height * RATIOS[ratio - 1][0] // RATIOS[ratio - 1][1], height
    return _read_side(bits, is_small), height


def _read_side(bits: _Bits, is_small: int) -> int:
    return (bits.read(5) + 1) * 8 if is_small else bits.read(SIZE_BITS[bits.read(2)]) + 1


def _codestream_start(data: bytes) -> bytes:
    """The first bytes of the codestream, in a file with boxes or without."""
    if data.startswith(CODESTREAM):
        return data[:16]
    return next(_codestream_boxes(data), b"")


def _codestream_boxes(data: bytes) -> Iterator[bytes]:
    at = 0
    for _ in range(MAX_BOXES):
        size, name, head = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        if name in (b"jxlc", b"jxlp"):
            head += 4 * (name == b"jxlp")  # the number of the part
            yield data[at + head : at + head + 16]
        if size < 8:
            return
        at += size


def decode_jpeg_xl(data: bytes) -> Image.Image | bytes:
    """The upright picture, or the JPEG that the file was made of; raises Rejected if there is no decoder here.

    Its EXIF orientation does not count: the codestream has its own, which is applied.
    """
    try:
        from pillow_jxl import Decoder  # only for files of this format: it takes 10 MB and 15 ms
    except ImportError:
        raise Rejected(
            Code.IMAGE_FORMAT, "the picture is a JPEG XL, which cannot be decoded on this machine: send a JPEG"
        ) from None
    try:
        is_jpeg, info, pixels, profile, _ = Decoder(num_threads=0)(data)
    except Exception as error:
        raise ValueError("its data are damaged or break off") from error  # The decoder's own message says nothing.
    if is_jpeg:
        return bytes(pixels)
    if info.mode not in MODES or len(pixels) != info.width * info.height * MODES[info.mode]:
        raise Rejected(Code.IMAGE_FORMAT, f"the picture is a JPEG XL of the kind {info.mode}: send a JPEG")
    image = Image.frombytes(info.mode, (info.width, info.height), pixels)
    if profile:
        image.info["icc_profile"] = bytes(profile)
    return image
