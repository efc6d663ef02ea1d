"""Readers' tests: reads a made folder of a format, whole, without an encoder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from consumers.quality.evaluation.datasets.formats import open_dataset
from consumers.quality.evaluation.datasets.selection import DatasetSelection, select

Select = Callable[..., DatasetSelection]


@pytest.fixture
def read() -> Select:
    """Reads the set in a folder; of a split, with a limit."""

    def read_folder(folder: Path, split: str | None = None, limit: int = 0) -> DatasetSelection:
        return select(open_dataset(folder, split, None), limit, 0)

    return read_folder
