"""Parquet: read the rows of a Parquet file, batch by batch. It needs the extra `parquet` (pyarrow)."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from infra.config.errors import BadInput
from infra.console import printable
from producers.row_reader import BadRow, FeedRow, Json

if TYPE_CHECKING:
    import pyarrow.parquet

BATCH = 1_000
"""Rows that are decoded at once."""
MAX_BYTES_OF_GROUP = 4 << 30
"""Bytes of a row group, decompressed: writers aim at 128 MB to 1 GB."""
MAX_LETTERS_OF_FOOTER = 64 << 20


def read_columns(path: Path) -> list[str]:
    """The columns of a file; raises BadInput if it cannot be read."""
    with _open(path) as file:
        return list(file.schema_arrow.names)


def count_rows(path: Path) -> int:
    """The number of rows; raises BadInput if the file cannot be read."""
    with _open(path) as file:
        return int(file.metadata.num_rows)


def read_rows(path: Path) -> Iterator[FeedRow | BadRow]:
    """The rows of a file, with their numbers as lines. Where it is damaged, it ends with a bad row."""
    line = 0
    with _open(path) as file:
        names = file.schema_arrow.names
        try:
            for batch in file.iter_batches(batch_size=BATCH):
                columns = [column.to_pylist() for column in batch.columns]
                for values in zip(*columns, strict=True):
                    line += 1
                    yield _row(line, names, values)
        except (OSError, ValueError, ArithmeticError) as error:  # pyarrow's own errors are kinds of these
            yield BadRow(line + 1, f"the file is damaged ({_reason(error)}): nothing after it is read")


@contextmanager
def _open(path: Path) -> "Iterator[pyarrow.parquet.ParquetFile]":
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise BadInput(f"{path} is a Parquet file: pip install 'lookstream[parquet]' to read it") from None
    try:
        file = ParquetFile(
            path,
            pre_buffer=False,
            thrift_string_size_limit=MAX_LETTERS_OF_FOOTER,
            thrift_container_size_limit=1_000_000,
        )
        groups = [file.metadata.row_group(number).total_byte_size for number in range(file.metadata.num_row_groups)]
    except (OSError, ValueError, NotImplementedError) as error:
        raise BadInput(f"{path} is no readable Parquet file: {_reason(error)}") from None
    with file:
        if any(not 0 <= size <= MAX_BYTES_OF_GROUP for size in groups):
            raise BadInput(f"{path} has a row group of more than {MAX_BYTES_OF_GROUP >> 30} GB: write smaller ones")
        yield file


def _row(line: int, names: list[str], values: tuple[object, ...]) -> FeedRow | BadRow:
    try:
        cells: dict[str, Json] = {}
        for name, value in zip(names, values, strict=True):
            if value is not None and cells.get(name) is None:  # of columns with one name, the first with a value
                cells[name] = value if type(value) is str else _to_json(value)
    except UnicodeDecodeError:
        return BadRow(line, "the row has bytes that are no text in UTF-8")
    return FeedRow(line, cells)


def _to_json(value: object) -> Json:
    """A value as JSON has it, with numbers and times as text."""
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, dict):
        return {str(name): _to_json(part) for name, part in value.items()}
    if isinstance(value, list):
        if value and all(isinstance(part, tuple) and len(part) == 2 for part in value):  # a map
            return {str(name): _to_json(part) for name, part in value}
        return [_to_json(part) for part in value]
    return str(value.total_seconds()) if isinstance(value, timedelta) else str(value)


def _reason(error: BaseException) -> str:
    return printable(str(error).partition("\n")[0][:160]) or type(error).__name__
