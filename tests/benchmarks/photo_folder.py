"""A folder of large photos, made cheaply: `python -m tests.benchmarks.photo_folder FOLDER --count 20000`

Six in ten are JPEGs, two HEICs, one an AVIF, and one a PNG, WebP or TIFF, of 12 to 48 megapixels (the last three of
12). Each shows another mosaic of pictures drawn in code, so no two have the same bytes or the same look. Files that
exist stay, so the command can be repeated.
"""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from consumers.vision.null_images import null_pictures
from tests.benchmarks.photo_formats import (
    CELL,
    JpegCells,
    Mosaic,
    TileCells,
    encode_jpeg_cells,
    encode_tile_cells,
)

SEED = 22
CELLS = 16
"""Pictures that are drawn; the first four cells of a mosaic are different for 16^4 numbers."""
KINDS = ("jpg", "jpg", "heic", "jpg", "avif", "jpg", "heic", "jpg", "png webp tif", "jpg")
"""Suffixes by the last digit of a photo's number."""
GRIDS, GRID_SHARES = ((2, 2), (3, 2), (3, 3), (4, 3), (5, 3)), (0.6, 0.15, 0.15, 0.05, 0.05)
"""Columns and rows of a mosaic, of 12.6, 18.9, 28.3, 37.7 and 47.2 megapixels, and how frequent they are."""
GRAIN = 1.5
"""Standard deviation of the noise of JPEGs, of 255 levels: a 12-megapixel JPEG has about half a megabyte."""
FOLDER_SIZE = 1_000
STEP = 40_503
"""Odd, so that its multiples, modulo a power of two, are a permutation."""


@dataclass(frozen=True)
class PhotoMaker:
    """Cells in every format."""

    cells: Sequence[Image.Image]
    jpeg: JpegCells
    heic: TileCells
    avif: TileCells

    def make(self, number: int) -> bytes:
        """The file of a photo."""
        kind, comment = kind_of(number), f"photo {number}".encode()
        if kind == "jpg":
            return self.jpeg.join(mosaic_of(number, len(self.cells)), comment)
        if kind == "heic":
            return self.heic.join(mosaic_of(number, len(self.cells)), comment)
        if kind == "avif":
            return self.avif.join(mosaic_of(number, len(self.cells)), comment)
        return self._encode(number, kind)

    def _encode(self, number: int, kind: str) -> bytes:
        mosaic = first_cells(number, len(self.cells)).reshape(2, 2)
        image = Image.new("RGB", (2 * CELL[0], 2 * CELL[1]))
        for (row, column), cell in np.ndenumerate(mosaic):
            image.paste(self.cells[int(cell)], (column * CELL[0], row * CELL[1]))
        out = BytesIO()
        match kind:
            case "png":
                image.save(out, "PNG", compress_level=1)
            case "webp":
                image.save(out, "WEBP", quality=70, method=0)
            case _:
                image.save(out, "TIFF", compression="tiff_adobe_deflate")
        return out.getvalue()


def make_cells(count: int, seed: int) -> PhotoMaker:
    """Draw and encode `count` cells; the tiles take about two seconds of a core each."""
    cells = [image.resize(CELL, Image.Resampling.BICUBIC) for image in null_pictures(count, seed)]
    noise = np.random.default_rng(seed).normal(0, GRAIN, (CELL[1], CELL[0], 1))
    grained = [Image.fromarray(np.clip(np.asarray(cell) + noise, 0, 255).astype(np.uint8)) for cell in cells]
    return PhotoMaker(
        cells, encode_jpeg_cells(grained), encode_tile_cells(cells, "HEIF"), encode_tile_cells(cells, "AVIF")
    )


def kind_of(number: int) -> str:
    """The suffix of a photo."""
    kinds = KINDS[number % len(KINDS)].split()
    return kinds[number // len(KINDS) % len(kinds)]


def first_cells(number: int, cells: int) -> NDArray[np.int64]:
    """Four numbers of cells, others for each number below cells^4."""
    scattered = number * STEP % cells**4
    return np.array([scattered // cells**place % cells for place in range(4)])


def mosaic_of(number: int, cells: int) -> Mosaic:
    """The mosaic of a photo."""
    rng = np.random.default_rng([SEED, number])
    columns, rows = GRIDS[rng.choice(len(GRIDS), p=GRID_SHARES)]
    mosaic = rng.integers(0, cells, rows * columns)
    mosaic[:4] = first_cells(number, cells)
    return [[int(cell) for cell in row] for row in mosaic.reshape(rows, columns)]


def path_of(number: int) -> Path:
    """The path of a photo below the folder."""
    return Path(f"{number // FOLDER_SIZE:03}", f"IMG_{number:06}.{kind_of(number)}")


def write_photos(folder: Path, count: int, maker: Callable[[], PhotoMaker]) -> None:
    """Write the photos that are missing."""
    missing = [number for number in range(count) if not (folder / path_of(number)).exists()]
    if not missing:
        return
    photos = maker()

    def write(number: int) -> None:
        path = folder / path_of(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}")
        part.write_bytes(photos.make(number))
        part.rename(path)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(write, missing))


def main(
    folder: Annotated[Path, typer.Argument(help="Where the photos go")],
    count: Annotated[int, typer.Option(help="Photos", min=1, max=CELLS**4)] = 20_000,
    seed: Annotated[int, typer.Option(help="Another seed draws other pictures")] = SEED,
) -> None:
    """Make a folder of large photos."""
    write_photos(folder, count, lambda: make_cells(CELLS, seed))
    files, sizes = Counter[str](), Counter[str]()
    for number in range(count):
        files[kind_of(number)] += 1
        sizes[kind_of(number)] += (folder / path_of(number)).stat().st_size
    table = Table("format", "files", "megabytes")
    for kind, amount in files.most_common():
        table.add_row(kind, f"{amount:,}", f"{sizes[kind] / 1e6:,.0f}")
    table.add_row("all", f"{count:,}", f"{sizes.total() / 1e6:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
