"""Compression: open a feed as bytes; the first bytes of the file name its compression, not the suffix.

gzip, bzip2, xz, Zstandard, and ZIP archives with one feed in them, also within each other (as `feed.csv.gz` in a
ZIP archive). Everything is read as a stream, in bounded memory.
"""

import bz2
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, Protocol, cast

import zstandard

from infra.config.errors import BadInput
from infra.console import printable

ZIP, EMPTY_ZIP = b"PK\x03\x04", b"PK\x05\x06"
PIECE, BUFFER = 1 << 10, 1 << 16
"""Compressed bytes that are decompressed at once: at the greatest ratio (bzip2, Zstandard) they become 32 MB."""
MAX_LAYERS = 3
FREE_BYTES, MAX_RATIO = 256 << 20, 200
"""A file may expand to FREE_BYTES, or to MAX_RATIO times its size; feeds of text reach a ratio of 10 to 50."""
MAX_WINDOW, MAX_LZMA_MEMORY = 128 << 20, 256 << 20
"""Bytes that a decompressor may use: what `zstd` and `xz` need at their highest ordinary levels."""
FEED_SUFFIXES = {
    ".csv", ".tsv", ".tab", ".txt", ".dat", ".json", ".jsonl", ".ndjson", ".xml", ".rss", ".atom", ".yml",
    ".parquet", ".gz", ".bz2", ".xz", ".zst",
}  # fmt: skip
OFFICE_MEMBERS = {
    "xl/workbook.xml": "an Excel workbook", "xl/workbook.bin": "an Excel workbook",
    "word/document.xml": "a Word document", "META-INF/manifest.xml": "an OpenDocument file",
}  # fmt: skip
DAMAGE = (
    EOFError, OSError, zlib.error, lzma.LZMAError, zstandard.ZstdError, zipfile.BadZipFile, RuntimeError,
    ValueError, struct.error,
)  # fmt: skip
"""Exceptions of decompressors for damaged, encrypted or unsupported data."""


class Decompressor(Protocol):
    """One of zlib, bz2, lzma and zstandard: decompresses the pieces of one stream."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


class FeedBytes(io.RawIOBase):
    """The decompressed bytes of a feed. They end where the data is damaged; `damage` then holds the reason."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self.damage: str | None = None
        """Why the bytes ended too early; completes `the file ...`."""
        self.layers: tuple[str, ...] = ()
        """Names of the compressions, the outermost first."""
        self.content = self._file = cast("io.BufferedReader", file)
        self._size, self._count, self._member_size = size, 0, 0
        """Bytes of the file on the disk, and decompressed bytes that were read."""

    def add_layer(self, name: str, stream: io.RawIOBase, size: int = 0) -> None:
        """Read from `stream`, which decompresses the present content to `size` bytes, if that is known."""
        self._member_size = size
        self.content = io.BufferedReader(stream, BUFFER)
        self.layers = (*self.layers, name)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        """Read decompressed bytes; 0 at the end, and where the data is damaged."""
        view = memoryview(cast("bytearray", buffer))
        if self.damage is not None:
            return 0
        try:
            data = self.content.read1(len(view))
        except DAMAGE as error:
            self.damage = f"breaks off here: {_reason(error)}"
            return 0
        self._count += len(data)
        if self.layers and self._count > max(FREE_BYTES, MAX_RATIO * self._size):
            self.damage = f"expands to more than {MAX_RATIO} times its size, which no feed does"
            return 0
        view[: len(data)] = data
        return len(data)

    def estimate(self, count: int) -> int:
        """Estimate the number in the whole file from `count`, the number in the part read so far."""
        whole, part = (self._member_size, self._count) if self._member_size else (self._size, self._file.tell())
        return round(count * max(1.0, whole / max(part, 1)))

    def close(self) -> None:
        """Close the file."""
        self.content.close()
        self._file.close()
        super().close()


class _Stream(io.RawIOBase):
    """Decompressed bytes of a file of one or more compressed streams after each other."""

    def __init__(self, file: IO[bytes], create: Callable[[], Decompressor], rest: str | None = None) -> None:
        self._file, self._create, self._rest = file, create, rest
        self._decompressor = create()
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        """Read decompressed bytes; raises EOFError if the compressed data ends too early."""
        view = memoryview(cast("bytearray", buffer))
        while not self._ready:
            piece = self._next_piece()
            if piece is None:
                return 0
            self._ready = memoryview(self._decompressor.decompress(piece))
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _next_piece(self) -> bytes | None:
        """The next compressed bytes; None at the end."""
        if not self._decompressor.eof:
            piece = self._file.read(PIECE)
            if not piece:
                raise EOFError
            return piece
        if self._rest is not None:
            raise ValueError(self._rest)
        piece = (self._decompressor.unused_data or self._file.read(PIECE)).lstrip(b"\0")  # archives may be padded
        if piece:
            self._decompressor = self._create()
        return piece or None

    def close(self) -> None:
        self._file.close()
        super().close()


CODECS: dict[str, Callable[[], Decompressor]] = {
    "gzip": lambda: zlib.decompressobj(wbits=31),
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(memlimit=MAX_LZMA_MEMORY),
    "zstd": lambda: zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).decompressobj(),
}


def open_bytes(path: Path) -> FeedBytes:
    """The decompressed bytes of a file; raises BadInput if it cannot be opened or does not hold one feed."""
    try:
        if path.exists() and not path.is_file():
            what = (
                "a folder: name a file in it" if path.is_dir() else "no file that can be read twice: save it first"
            )
            raise BadInput(f"{path} is {what}")
        file = path.open("rb")
        found = FeedBytes(file, path.stat().st_size)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {(error.strerror or 'unknown reason').lower()}") from None
    try:
        _open_layers(path, found)
    except DAMAGE as error:
        found.close()
        raise BadInput(f"{path} is a damaged archive: {_reason(error)}; make it again") from None
    except BadInput:
        found.close()
        raise
    return found


def _open_layers(path: Path, found: FeedBytes) -> None:
    while True:
        start = found.content.peek(8)[:8]
        codec = _codec_of(start)
        if codec is None and not start.startswith((ZIP, EMPTY_ZIP)):
            return
        if len(found.layers) == MAX_LAYERS:
            raise BadInput(f"{path} is compressed more than {MAX_LAYERS} times: unpack it")
        if codec is None:
            found.add_layer("zip", *_open_member(path, found.content))
        else:
            found.add_layer(codec, _Stream(found.content, CODECS[codec]))


def _codec_of(start: bytes) -> str | None:
    """The compression of a stream with these first bytes."""
    if start.startswith(b"\x1f\x8b"):
        return "gzip"
    if start.startswith(b"BZh") and start[3:4].isdigit():
        return "bzip2"
    if start.startswith(b"\xfd7zXZ\0"):
        return "xz"
    is_skippable = start[1:4] == b"\x2a\x4d\x18" and start[0] & 0xF0 == 0x50  # pzstd begins with such a frame
    return "zstd" if is_skippable or start.startswith(b"\x28\xb5\x2f\xfd") else None


def _open_member(path: Path, file: io.BufferedReader) -> tuple[io.RawIOBase, int]:
    """The bytes of the one feed in a ZIP archive, and their number; 0 if it is not known."""
    if not file.seekable():
        raise BadInput(f"{path} is a ZIP archive in another archive: unpack the outer one")
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile:
        return _open_first_member(file), 0
    names = [info.filename for info in archive.infolist() if not info.is_dir()]
    office = next((OFFICE_MEMBERS[name] for name in names if name in OFFICE_MEMBERS), None)
    if office is not None:
        raise BadInput(f"{path} is {office}: save its table as CSV")
    files = [name for name in names if not _is_hidden(name)]
    feeds = [name for name in files if PurePosixPath(name).suffix.lower() in FEED_SUFFIXES] or files
    if len(feeds) != 1:
        listing = f" ({', '.join(feeds[:10])})" if feeds else ""
        raise BadInput(f"{path} holds {len(feeds)} feeds{listing}: unpack it, and send one file at a time")
    info = archive.getinfo(feeds[0])
    if info.flag_bits & 1:
        raise BadInput(f"{path} is encrypted: unpack it with its password, and send {feeds[0]}")
    return cast("io.RawIOBase", archive.open(info)), info.file_size


def _open_first_member(file: io.BufferedReader) -> io.RawIOBase:
    """The first member of a ZIP archive that is cut off, and so has no directory. Raises ValueError if it has none.

    The layout of a local header: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.3.7.
    """
    file.seek(0)
    _, _, _, method, *_, name_length, extra_length = struct.unpack("<4s5H3I2H", file.read(30))
    file.read(name_length + extra_length)
    if method != zipfile.ZIP_DEFLATED:
        raise ValueError("the archive is cut off")
    return _Stream(file, lambda: zlib.decompressobj(wbits=-15), "the archive is cut off after its first file")


def _is_hidden(name: str) -> bool:
    """Whether a member is one that macOS or Windows adds."""
    *folders, last = PurePosixPath(name).parts
    return "__MACOSX" in folders or last.startswith(".") or last.lower() in ("thumbs.db", "desktop.ini")


def _reason(error: BaseException) -> str:
    if isinstance(error, EOFError):
        return "the archive is cut off"
    return printable(str(error).partition("\n")[0][:120]) or type(error).__name__
