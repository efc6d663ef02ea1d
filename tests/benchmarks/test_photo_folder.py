"""The folder of photos: every file opens, shows its mosaic, and differs from the others."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image

from tests.benchmarks.photo_folder import (
    GRIDS,
    PhotoMaker,
    first_cells,
    kind_of,
    make_cells,
    mosaic_of,
    path_of,
    write_photos,
)
from tests.benchmarks.photo_formats import CELL

FORMATS = {"jpg": "JPEG", "heic": "HEIF", "avif": "AVIF", "png": "PNG", "webp": "WEBP", "tif": "TIFF"}
COUNT = 10


def cell_colours(image: Image.Image) -> NDArray[np.int64]:
    """The mean colour of each cell, row by row: [rows, columns, 3]."""
    size = image.width // CELL[0], image.height // CELL[1]
    return np.asarray(image.convert("RGB").resize(size, Image.Resampling.BOX), int)


def test_each_photo_opens_and_shows_its_mosaic(tmp_path: Path) -> None:
    photos = make_cells(2, 1)
    write_photos(tmp_path, COUNT, lambda: photos)
    colours = np.array([np.asarray(cell, int).mean((0, 1)) for cell in photos.cells])
    digests = set()
    for number in range(COUNT):
        data = (tmp_path / path_of(number)).read_bytes()
        digests.add(sha256(data).digest())
        heif = kind_of(number) == "heic"
        path = tmp_path / path_of(number)
        image = pillow_heif.open_heif(path).to_pillow() if heif else Image.open(path)
        assert heif or image.format == FORMATS[kind_of(number)]
        is_mosaic = kind_of(number) in ("jpg", "heic", "avif")
        mosaic = mosaic_of(number, 2) if is_mosaic else first_cells(number, 2).reshape(2, 2)
        assert np.abs(cell_colours(image) - colours[np.array(mosaic)]).max() <= 4
    assert len(digests) == COUNT


def test_photos_that_are_there_stay(tmp_path: Path) -> None:
    (tmp_path / path_of(0)).parent.mkdir()
    (tmp_path / path_of(0)).write_bytes(b"there")

    def draw() -> PhotoMaker:
        raise AssertionError("nothing is missing")

    write_photos(tmp_path, 1, draw)
    assert (tmp_path / path_of(0)).read_bytes() == b"there"


def test_sizes_and_shares_are_those_of_the_issue() -> None:
    kinds = [kind_of(number) for number in range(300)]
    assert {kind: kinds.count(kind) for kind in FORMATS} == {
        "jpg": 180, "heic": 60, "avif": 30, "png": 10, "webp": 10, "tif": 10,
    }  # fmt: skip
    megapixels = [columns * rows * CELL[0] * CELL[1] / 1e6 for columns, rows in GRIDS]
    assert 12 <= min(megapixels) <= max(megapixels) <= 48
    assert len({tuple(first_cells(number, 16)) for number in range(20_000)}) == 20_000
