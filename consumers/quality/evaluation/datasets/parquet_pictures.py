"""Parquet pictures: reads the tables of sets on the Hugging Face hub, and their pictures by row groups.

A picture column is a struct with the fields `bytes` and `path`, or plain binary (datasets.Image, "Image feature":
https://huggingface.co/docs/datasets/image_load). It needs the extra `parquet` (pyarrow).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from consumers.quality.evaluation.picture_source import MAX_BYTES
from infra.config.errors import BadInput
from infra.console import printable

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet

BATCH, PICTURE_BATCH = 10_000, 64
"""Rows that are decoded at once, without and with their pictures."""
MAX_GROUP_BYTES = 64 << 30
"""Bytes of a row group, decompressed. The hub writes 100 pictures a group, but some sets have one group alone."""
MAX_GROUP_ROWS = 2_000_000
OPEN_GROUPS = 2
"""Row groups that are read at the same time: one of the queries and one of the catalogue."""
BUFFER = 1 << 20
"""Bytes of a file that are read at once; without it, all of a column of a row group."""


@dataclass(frozen=True)
class ParquetPicture:
    """The picture in a row of a row group; whoever reads the rows in their order decodes each group once."""

    file: Path
    group: int
    row: int
    column: str

    def read(self) -> bytes:
        """The encoded picture, empty when the row has none. Raises OSError when the file is damaged."""
        try:
            return _cursor(self.file, self.group, self.column).picture(self.row)
        except BadInput as error:
            raise OSError(str(error)) from None


@dataclass(frozen=True)
class ParquetRow:
    """The values of some columns of a row, as text, empty where they are missing; and where its row is."""

    file: Path
    group: int
    row: int
    values: tuple[str, ...]

    def picture(self, column: str) -> ParquetPicture:
        """The picture of the row in a column."""
        return ParquetPicture(self.file, self.group, self.row, column)


def check_columns(files: Sequence[Path], columns: Sequence[str]) -> None:
    """Raise BadInput when a file cannot be read or lacks one of the columns."""
    for file in files:
        with _open(file) as table:
            present = list(table.schema_arrow.names)
        if missing := [column for column in columns if column not in present]:
            raise BadInput(
                f"{file} has no column {' or '.join(missing)}: its columns are {printable(', '.join(present))}"
            )


def choose_column(files: Sequence[Path], choices: Sequence[str]) -> str:
    """The first of some columns that all files have. Raises BadInput when there is none."""
    for column in choices[:-1]:
        try:
            check_columns(files, (column,))
        except BadInput:
            continue
        return column
    check_columns(files, choices[-1:])
    return choices[-1]


def read_rows(files: Sequence[Path], columns: Sequence[str]) -> Iterator[ParquetRow]:
    """The rows of some files, without their pictures. Raises BadInput when a file is damaged."""
    for file in files:
        with _open(file) as table:
            for group in range(table.metadata.num_row_groups):
                row = 0
                for batch in _batches(table, file, group, columns, BATCH):
                    cells = [batch.column(batch.schema.get_field_index(column)).to_pylist() for column in columns]
                    for values in zip(*cells, strict=True):
                        texts = tuple("" if value is None else str(value) for value in values)
                        yield ParquetRow(file, group, row, texts)
                        row += 1


def digests(files: Sequence[Path], column: str) -> Iterator[str]:
    """The SHA-256 of the picture in each row, empty where there is none, in the order of read_rows."""
    for file in files:
        with _open(file) as table:
            for group in range(table.metadata.num_row_groups):
                for batch in _batches(table, file, group, [column], PICTURE_BATCH):
                    pictures = [_bytes_at(batch.column(0), row) for row in range(batch.num_rows)]
                    yield from (sha256(picture).hexdigest() if picture else "" for picture in pictures)


def _batches(
    table: "pyarrow.parquet.ParquetFile", file: Path, group: int, columns: Sequence[str], size: int
) -> "Iterator[pyarrow.RecordBatch]":
    try:
        yield from table.iter_batches(batch_size=size, row_groups=[group], columns=list(columns))
    except (OSError, ValueError, ArithmeticError) as error:  # pyarrow's own errors are kinds of these
        raise BadInput(f"{file} is damaged: {_reason(error)}") from None


@dataclass
class GroupCursor:
    """Reads the pictures of a row group in the order of their rows, with one batch in memory; going back reads the
    group from its start."""

    file: Path
    group: int
    column: str
    start: int = 0
    pictures: "Sequence[pyarrow.Scalar]" = ()
    batches: "Iterator[pyarrow.Array] | None" = None

    def picture(self, row: int) -> bytes:
        """The picture of a row; empty behind the last one. Raises BadInput when the file is damaged."""
        if self.batches is None or row < self.start:
            self.start, self.pictures, self.batches = 0, (), _picture_batches(self.file, self.group, self.column)
        while row >= self.start + len(self.pictures):
            self.start += len(self.pictures)
            self.pictures = next(self.batches, ())
            if not self.pictures:
                self.batches = None
                return b""
        return _bytes_at(self.pictures, row - self.start)


@lru_cache(maxsize=OPEN_GROUPS)
def _cursor(file: Path, group: int, column: str) -> GroupCursor:
    return GroupCursor(file, group, column)


def _picture_batches(file: Path, group: int, column: str) -> "Iterator[pyarrow.Array]":
    with _open(file) as table:
        for batch in _batches(table, file, group, [column], PICTURE_BATCH):
            yield batch.column(0)


def _bytes_at(pictures: "Sequence[pyarrow.Scalar]", row: int) -> bytes:
    """The bytes of a picture; empty when it is missing or larger than MAX_BYTES."""
    value = pictures[row].as_py()
    data = value.get("bytes") if isinstance(value, dict) else value
    return data if isinstance(data, bytes) and len(data) <= MAX_BYTES else b""


@contextmanager
def _open(file: Path) -> "Iterator[pyarrow.parquet.ParquetFile]":
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise BadInput(f"{file} is a Parquet file: pip install 'lookstream[parquet]' to read it") from None
    try:
        table = ParquetFile(
            file,
            buffer_size=BUFFER,
            pre_buffer=False,
            thrift_string_size_limit=64 << 20,
            thrift_container_size_limit=1_000_000,
        )
        groups = [table.metadata.row_group(number) for number in range(table.metadata.num_row_groups)]
    except (OSError, ValueError, NotImplementedError) as error:
        raise BadInput(f"{file} is no readable Parquet file: {_reason(error)}") from None
    with table:
        for group in groups:
            if not (0 <= group.total_byte_size <= MAX_GROUP_BYTES and group.num_rows <= MAX_GROUP_ROWS):
                raise BadInput(
                    f"{file} has a row group of {group.total_byte_size:,} bytes and {group.num_rows:,} rows: write "
                    f"smaller ones, of at most {MAX_GROUP_BYTES >> 30} GB and {MAX_GROUP_ROWS:,} rows"
                )
        yield table


def _reason(error: BaseException) -> str:
    return printable(str(error).partition("\n")[0][:160]) or type(error).__name__
