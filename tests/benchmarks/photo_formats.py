"""Large pictures without encoding them: a mosaic of cells that were encoded once is put together as a file.

A JPEG is joined at its restart markers; HEIC and AVIF are grids of tiles, as phones write them.
Sources: ITU-T T.81 (JPEG); ISO/IEC 23008-12, 6.6.2.3 (grids of HEIF).
"""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import cycle

import pillow_heif
from PIL import Image

CELL, TILE = (2048, 1536), 512
"""Width and height of a cell, and side of a tile of HEIC and AVIF, in pixels."""
JPEG_QUALITY, TILE_QUALITY = 80, 50

RESTART = re.compile(rb"\xff[\xd0-\xd7]")
START_OF_SCAN, END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"
FRAME_HEADER = b"\xff\xc0"

Mosaic = Sequence[Sequence[int]]
"""Rows of numbers of cells."""


@dataclass(frozen=True)
class JpegCells:
    """Cells as JPEG: the common header up to the pixels, and for each cell the data of its rows of 16 pixels."""

    header: bytes
    rows: tuple[tuple[bytes, ...], ...]

    def join(self, mosaic: Mosaic, comment: bytes) -> bytes:
        """The file of a mosaic."""
        header = bytearray(self.header)
        at = self.header.index(FRAME_HEADER) + 5
        struct.pack_into(">HH", header, at, len(mosaic) * CELL[1], len(mosaic[0]) * CELL[0])
        header[2:2] = b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment
        intervals = (self.rows[cell][row] for cells in mosaic for row in range(len(self.rows[0])) for cell in cells)
        markers = cycle(bytes((0xFF, 0xD0 + n)) for n in range(8))
        body = b"".join(part for interval in intervals for part in (interval, next(markers)))
        return bytes(header) + body[:-2] + END_OF_IMAGE


def encode_jpeg_cells(cells: Sequence[Image.Image]) -> JpegCells:
    """Encode cells with a restart marker behind each row of blocks."""
    header = b""
    rows: list[tuple[bytes, ...]] = []
    for cell in cells:
        out = BytesIO()
        cell.save(out, "JPEG", quality=JPEG_QUALITY, subsampling="4:2:0", restart_marker_rows=1)
        data = out.getvalue()
        scan = data.index(START_OF_SCAN)
        start = scan + 2 + struct.unpack_from(">H", data, scan + 2)[0]
        header = data[:start]
        rows.append(tuple(RESTART.split(data[start:].removesuffix(END_OF_IMAGE))))
    return JpegCells(header, tuple(rows))


@dataclass(frozen=True)
class TileCells:
    """Cells as tiles of HEIC or AVIF: the file type box, the tiles' item type and properties, and their data."""

    file_type: bytes
    item_type: bytes
    properties: dict[bytes, bytes]
    """The whole boxes of the codec's configuration, the colours and the depth, by their types."""
    tiles: tuple[tuple[tuple[bytes, ...], ...], ...]
    """For each cell its rows of tiles."""

    def join(self, mosaic: Mosaic, comment: bytes) -> bytes:
        """The file of a mosaic: a grid item, which the tiles belong to."""
        tiles = [
            tile
            for cells in mosaic
            for row in range(len(self.tiles[0]))
            for cell in cells
            for tile in self.tiles[cell][row]
        ]
        width, height = len(mosaic[0]) * CELL[0], len(mosaic) * CELL[1]
        grid = struct.pack(">BBBBHH", 0, 0, height // TILE - 1, width // TILE - 1, width, height)
        contents = [grid, *tiles]
        comment_box = box(b"free", comment)
        size = len(self._meta(contents, (width, height), 0))
        start = len(self.file_type) + size + len(comment_box) + 8
        meta = self._meta(contents, (width, height), start)
        return self.file_type + meta + comment_box + box(b"mdat", b"".join(contents))

    def _meta(self, contents: Sequence[bytes], size: tuple[int, int], start: int) -> bytes:
        """The box that describes the items, whose data begin at the file's byte `start`."""
        numbers = range(1, len(contents) + 1)
        names = b"".join(
            full_box(b"infe", struct.pack(">HH4sx", n, 0, b"grid" if n == 1 else self.item_type), 2, int(n > 1))
            for n in numbers
        )
        parts = struct.pack(f">HH{len(contents) - 1}H", 1, len(contents) - 1, *numbers[1:])
        locations = b""
        for n, content in zip(numbers, contents, strict=True):
            locations += struct.pack(">HHHII", n, 0, 1, start, len(content))
            start += len(content)
        return full_box(
            b"meta",
            full_box(b"hdlr", bytes(4) + b"pict" + bytes(13))
            + full_box(b"pitm", struct.pack(">H", 1))
            + full_box(b"iloc", struct.pack(">BBH", 0x44, 0, len(contents)) + locations)
            + full_box(b"iinf", struct.pack(">H", len(contents)) + names)
            + full_box(b"iref", box(b"dimg", parts))
            + self._properties(numbers, size),
        )

    def _properties(self, numbers: range, size: tuple[int, int]) -> bytes:
        tile_size, grid_size = (full_box(b"ispe", struct.pack(">II", *each)) for each in ((TILE, TILE), size))
        config, *others = self.properties.values()
        shared = range(4, 4 + len(others))
        entries = b""
        for n in numbers:
            own = (3, *shared) if n == 1 else (0x81, 2, *shared)  # The configuration is essential.
            entries += struct.pack(f">HB{len(own)}B", n, len(own), *own)
        associations = full_box(b"ipma", struct.pack(">I", len(numbers)) + entries)
        return box(b"iprp", box(b"ipco", b"".join((config, tile_size, grid_size, *others))) + associations)


def encode_tile_cells(cells: Sequence[Image.Image], kind: str) -> TileCells:
    """Encode cells as tiles of "HEIF" or "AVIF"."""
    files = [[[_encode_tile(cell, x, y, kind) for x in range(0, CELL[0], TILE)] for y in range(0, CELL[1], TILE)]
             for cell in cells]  # fmt: skip
    sample = files[0][0][0]
    meta = boxes(sample)[b"meta"]
    properties = boxes(boxes(boxes(meta[12:])[b"iprp"][8:])[b"ipco"][8:])
    config = b"hvcC" if kind == "HEIF" else b"av1C"
    used = {name: properties[name] for name in (config, b"colr", b"pixi")}
    tiles = tuple(tuple(tuple(boxes(tile)[b"mdat"][8:] for tile in row) for row in rows) for rows in files)
    return TileCells(boxes(sample)[b"ftyp"], b"hvc1" if kind == "HEIF" else b"av01", used, tiles)


def _encode_tile(cell: Image.Image, x: int, y: int, kind: str) -> bytes:
    out, tile = BytesIO(), cell.crop((x, y, x + TILE, y + TILE))
    if kind == "HEIF":
        pillow_heif.from_pillow(tile).save(out, quality=TILE_QUALITY)
    else:
        tile.save(out, kind, quality=TILE_QUALITY, speed=10)
    return out.getvalue()


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def full_box(kind: bytes, content: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags) + content)


def boxes(data: bytes) -> dict[bytes, bytes]:
    """The boxes one after another in `data`, each whole."""
    found: dict[bytes, bytes] = {}
    while data:
        size, kind = struct.unpack_from(">I4s", data)
        found[kind] = data[:size]
        data = data[size:]
    return found
