"""More than sixty files that are no pictures, or pictures that must not be decoded whole, made in code."""

import gzip
import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from functools import cache

from PIL import Image

from tests.infra.images.drawn import KINDS, chunk, encoded, photo

PNG = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, RGBA = 0, 2, 3, 6
"""Colour types of PNG."""


def header(width: int, height: int, depth: int = 8, colour: int = RGB, interlaced: int = 0) -> bytes:
    """The first chunk of a PNG."""
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))


def zeros(count: int) -> bytes:
    """So many zero bytes, deflated without ever holding them."""
    packer = zlib.compressobj(1)
    parts = [packer.compress(bytes(1 << 20)) for _ in range(count >> 20)]
    return b"".join(parts) + packer.compress(bytes(count & 0xFFFFF)) + packer.flush()


def png(*chunks: bytes, pixels: bytes | None = None) -> bytes:
    """A PNG of these chunks, the first of them its header, and its pixels."""
    body = zlib.compress((b"\0" + b"\x50\x90\xc0" * 64) * 64) if pixels is None else pixels
    return PNG + b"".join(chunks) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def bomb(side: int, depth: int = 8, colour: int = RGB, interlaced: int = 0) -> bytes:
    """A small PNG of so many pixels, all of them there."""
    samples = {GREY: 1, RGB: 3, PALETTE: 1, RGBA: 4}[colour]
    row = 1 + (side * depth * samples + 7) // 8
    palette = [chunk(b"PLTE", bytes(6))] if colour == PALETTE else []
    return png(header(side, side, depth, colour, interlaced), *palette, pixels=zeros(row * side))


@cache
def healthy() -> dict[str, bytes]:
    """A good picture in each format."""
    return {kind: encoded(photo(), kind) for kind in KINDS}


def bombs(side: int) -> Iterator[tuple[str, bytes]]:
    """Small files of `side` x `side` pixels or more, which must never be decoded whole."""
    yield "png of a colour", bomb(side)
    yield "png of a grey", bomb(side, colour=GREY)
    yield "png of one bit", bomb(2 * side, depth=1, colour=GREY)
    yield "png of a palette", bomb(side, colour=PALETTE)
    yield "png of 16 bits", bomb(side // 2 + side // 3, depth=16)
    yield "png with alpha", bomb(side, colour=RGBA)
    yield "png interlaced", bomb(side, colour=GREY, interlaced=1)
    yield "jpeg of a grey", encoded(Image.new("L", (side, side)), "JPEG")
    yield "gif", encoded(Image.new("P", (side, side)), "GIF")
    yield "webp", webp_header(16_384, 16_384)


def webp_header(width: int, height: int) -> bytes:
    """A WebP whose canvas is as large as the format can say."""
    still = encoded(photo(), "WEBP")[12:]
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + size + still
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg_header(width: int, height: int) -> bytes:
    """A JPEG that says that it is of this size."""
    data = bytearray(healthy()["JPEG"])
    start = data.index(b"\xff\xc0") + 5
    data[start : start + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def largest(pixels: int) -> bytes:
    """A good picture of just so many pixels, of the kind that takes most memory."""
    image = Image.new("RGBA", (pixels // 4_000, 4_000), (180, 30, 40, 90))
    image.paste(photo(400, 400), (100, 100))
    return encoded(image, "PNG", compress_level=1)


def giants() -> Iterator[tuple[str, bytes]]:
    """Headers that say more than is there."""
    gif = healthy()["GIF"]
    yield "png of 65535 x 65535", png(header(65_535, 65_535))
    yield "png of 2147483647 x 2147483647", png(header(2**31 - 1, 2**31 - 1))
    yield "png of 0 x 0", png(header(0, 0))
    yield "png of 1000000 x 20", png(header(1_000_000, 20))
    yield "jpeg of 65535 x 65535", jpeg_header(65_535, 65_535)
    yield "jpeg of 0 x 0", jpeg_header(0, 0)
    yield "gif of 65535 x 65535", gif[:6] + b"\xff\xff\xff\xff" + gif[10:]
    yield "picture of 1 x 1", encoded(Image.new("RGB", (1, 1)), "PNG")


def scans(count: int, side: int) -> bytes:
    """A progressive JPEG that paints its last layer again and again: much work in few bytes."""
    data = encoded(Image.new("L", (side, side), 90), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * count + data[-2:]


def slow() -> Iterator[tuple[str, bytes]]:
    """Pictures that take long."""
    yield "jpeg of 1000 scans", scans(1_000, 4_000)
    yield "jpeg of 100 scans", scans(100, 1_000)


def damaged() -> Iterator[tuple[str, bytes]]:
    """Pictures that break off."""
    for kind, data in healthy().items():
        for percent in (20, 50, 95):
            yield f"{kind} of which {percent} % came", data[: len(data) * percent // 100]


def polyglots() -> Iterator[tuple[str, bytes]]:
    """Files that are two things at once, or another thing than they seem."""
    good = healthy()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("a.class", "x" * 100)
    comment = b"<?php system($_GET['c']); ?><script>alert(1)</script>"
    yield "jpeg with a zip behind it", good["JPEG"] + packed.getvalue()
    yield "gif that is an archive", good["GIF"] + packed.getvalue()
    yield "png with a jpeg behind it", good["PNG"] + good["JPEG"]
    yield (
        "jpeg with code in a comment",
        good["JPEG"][:2] + b"\xff\xfe" + struct.pack(">H", 55) + comment + good["JPEG"][2:],
    )
    yield "gif with a script", b"GIF89a/*" + good["GIF"][8:] + b"*/=1;alert(1)"


def disguises() -> Iterator[tuple[str, bytes]]:
    """Files that are not pictures of a supported format."""
    rgb = photo()
    yield "svg", b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"
    yield "postscript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n(/etc/passwd) (r) file\n"
    yield "pdf", b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n"
    yield "html", b"<html><script>alert(1)</script></html>"
    yield "ppm", encoded(rgb, "PPM")
    yield "ico", encoded(rgb, "ICO")
    yield "jpeg 2000 by its first bytes", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(200)
    yield "avif by its first bytes", b"\0\0\0\x20ftypavif" + bytes(200)
    yield "a png in gzip", gzip.compress(healthy()["PNG"])
    yield "noise", random.Random(3).randbytes(100_000)
    yield "nothing", b""
    yield "one byte", b"\xff"


def colours() -> Iterator[tuple[str, bytes]]:
    """Kinds of pixels that are rare."""
    wide = zlib.compress((b"\0" + b"\x12\x34" * 64 * 3) * 64)
    yield "cmyk", encoded(photo().convert("CMYK"), "JPEG")
    yield "grey of 16 bits", png(header(64, 64, 16, GREY), pixels=zlib.compress((b"\0" + b"\x12\x34" * 64) * 64))
    yield "colour of 48 bits", png(header(64, 64, 16), pixels=wide)
    yield "palette that is too short", png(header(64, 64, 8, PALETTE), chunk(b"PLTE", bytes(3)))
    yield "palette that is not there", png(header(64, 64, 8, PALETTE))
    yield "transparency that is too long", png(header(64, 64), chunk(b"tRNS", bytes(999)))


def moving() -> Iterator[tuple[str, bytes]]:
    """Pictures that move, of which the first frame counts."""
    frames = [Image.new("RGB", (64, 64), (n, 255 - n, 90)) for n in range(0, 250, 5)]
    for kind in ("GIF", "WEBP", "PNG"):
        yield f"{kind} that moves", encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=9)
    odd = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:3], duration=0, disposal=3)
    yield "gif whose second frame is odd", odd.replace(b",\0\0\0\0", b",\xff\xff\0\0")


def metadata() -> Iterator[tuple[str, bytes]]:
    """Pictures with hostile metadata."""
    good, text = healthy(), zeros(50_000_000)
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\x08"
    yield "text of 50 MB", png(header(64, 64), chunk(b"zTXt", b"a\0\0" + text))
    yield "international text of 50 MB", png(header(64, 64), chunk(b"iTXt", b"a\0\1\0\0\0" + text))
    yield "colour profile of 50 MB", png(header(64, 64), chunk(b"iCCP", b"a\0\0" + text))
    yield "ten thousand texts", png(header(64, 64), chunk(b"tEXt", b"a\0b") * 10_000)
    yield "two hundred texts of 1 MB", png(header(64, 64), chunk(b"zTXt", b"a\0\0" + zeros(1_000_000)) * 200)
    yield "colour profile of noise", encoded(photo(), "JPEG", icc_profile=random.Random(4).randbytes(60_000))
    yield "exif of noise", encoded(photo(), "JPEG", exif=b"Exif\0\0" + random.Random(5).randbytes(60_000))
    yield "exif that points at itself", encoded(photo(), "JPEG", exif=exif)
    yield "exif in a png", png(header(64, 64), chunk(b"eXIf", exif[6:]))
    yield "a thousand comments", good["JPEG"][:2] + (b"\xff\xfe\0\x04xx" * 1_000) + good["JPEG"][2:]


def structures() -> Iterator[tuple[str, bytes]]:
    """Pictures whose parts do not fit."""
    good = healthy()
    tables = good["JPEG"].index(b"\xff\xc4")
    yield "wrong checksum", PNG + header(64, 64) + chunk(b"IDAT", zlib.compress(bytes(64)), 1) + chunk(b"IEND", b"")
    yield "pixels before the header", PNG + chunk(b"IDAT", zlib.compress(bytes(64))) + header(64, 64)
    yield "no pixels", PNG + header(64, 64) + chunk(b"IEND", b"")
    yield "more pixels than there is room for", png(header(64, 64), pixels=zeros(50_000_000))
    yield "a chunk of 2 GB", PNG + header(64, 64) + struct.pack(">I", 2**31 - 1) + b"IDAT" + bytes(64)
    yield "interlacing of an unknown kind", png(header(64, 64, interlaced=7))
    yield (
        "tables of codes that are not there",
        good["JPEG"][:tables] + good["JPEG"][good["JPEG"].index(b"\xff\xda") :],
    )
    yield "codes of a gif that are noise", good["GIF"][:-200] + random.Random(6).randbytes(200)
    yield "a webp that says it is longer", good["WEBP"][:4] + b"\xff\xff\xff\x7f" + good["WEBP"][8:]


def attacks(side: int) -> Iterator[tuple[str, bytes]]:
    """All of them by their names; bombs are of `side` x `side` pixels."""
    yield from bombs(side)
    for kinds in (giants, slow, damaged, polyglots, disguises, colours, moving, metadata, structures):
        yield from kinds()


def flips(count: int, seed: int) -> Iterator[bytes]:
    """Good pictures of each format with a few bytes changed."""
    rng = random.Random(seed)
    good = [encoded(photo(48, 40), kind) for kind in KINDS]
    for n in range(count):
        data = bytearray(good[n % len(good)])
        for _ in range(rng.randint(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        yield bytes(data)
