"""Fuzzing of pictures: files of every format, mutated, through the real decoder processes.

    python -m tests.fuzz.pictures --count 30000 --seed 1

Nothing but a picture or a named refusal may come out. Prints a table of what came, the slowest picture, and the
most memory that a process had.
"""

import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image

from infra.images.decode import DecodeLimits
from infra.images.decode_pool import DecodePool
from schemas.failures import Rejected
from schemas.items import MAX_INLINE_BYTES
from tests.infra.images.drawn import as_jpeg_xl, chunk, encoded, noise, photo, segment, with_chunks, with_segments

PROCESSES = 2
WATCH_SECONDS = 0.05
LIMITS = DecodeLimits()
EXTREMES = (
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\0\0\0\1",
    b"\1\0\0\0",
    b"\xff\xda",
)
"""What a number in a file is overwritten with."""


@cache
def corpus() -> dict[str, bytes]:
    """Small files of every format and of its kinds, by name."""
    image, clear = photo(64, 48), photo(64, 48)
    clear.putalpha(photo(64, 48, seed=2).convert("L"))
    deep = Image.linear_gradient("L").convert("I").point(lambda level: level * 257).resize((64, 48))
    frames = [photo(64, 48, seed=n) for n in range(4)]
    moving: dict[str, object] = {"save_all": True, "append_images": frames, "duration": 40}
    exif = Image.Exif()
    exif[0x0112] = 6
    jpeg = encoded(image, "JPEG", exif=exif, icc_profile=bytes(400))
    files = {
        "JPEG": jpeg,
        "JPEG progressive": encoded(image, "JPEG", progressive=True),
        "JPEG CMYK": encoded(image.convert("CMYK"), "JPEG"),
        "JPEG restarts": encoded(image, "JPEG", restart_marker_rows=1),
        "JPEG with more": with_segments(jpeg, segment(0xE2, b"MPF\0" + bytes(40)), segment(0xFE, b"x" * 90)) + jpeg,
        "PNG": encoded(image, "PNG"),
        "PNG alpha": encoded(clear, "PNG", exif=exif),
        "PNG palette": encoded(image.quantize(16), "PNG", transparency=3),
        "PNG 16 bits": encoded(deep.convert("I;16"), "PNG"),
        "PNG side chunks": with_chunks(encoded(image, "PNG"), *_side_chunks()),
        "PNG moving": encoded(Image.new("RGB", (64, 48)), "PNG", **moving),
        "WebP": encoded(image, "WEBP", exif=exif, icc_profile=bytes(400)),
        "WebP lossless": encoded(clear, "WEBP", lossless=True),
        "WebP moving": encoded(Image.new("RGB", (64, 48)), "WEBP", **moving),
        "GIF": encoded(image, "GIF"),
        "GIF moving": encoded(Image.new("RGB", (64, 48)), "GIF", **moving),
        "HEIC": encoded(image, "HEIF", exif=exif),
        "HEIC alpha": encoded(clear, "HEIF"),
        "AVIF": encoded(image, "AVIF", exif=exif),
        "AVIF alpha": encoded(clear, "AVIF"),
        "AVIF moving": encoded(Image.new("RGB", (64, 48)), "AVIF", **moving),
        "BMP": encoded(image.resize((24, 20)), "BMP"),
        "BMP palette": encoded(image.quantize(16), "BMP"),
        "JPEG XL": encoded(image, "JXL"),
        "JPEG XL lossless": encoded(clear, "JXL", lossless=True, use_container=True),
        "JPEG XL of a JPEG": as_jpeg_xl(encoded(image, "JPEG", exif=exif)),
        "TIFF pages": encoded(image, "TIFF", save_all=True, append_images=frames, compression="tiff_lzw"),
        "TIFF 16 bits": encoded(deep.convert("I;16"), "TIFF"),
        "TIFF floats": encoded(deep.convert("F"), "TIFF"),
    }
    for packed in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        files[f"TIFF {packed}"] = encoded(image.resize((24, 20)), "TIFF", compression=packed)
    return files | {"PNG noise": encoded(noise(40, 30), "PNG")}


def _side_chunks() -> list[bytes]:
    return [
        chunk(b"gAMA", (45_455).to_bytes(4, "big")), chunk(b"tEXt", b"a\0b"), chunk(b"pHYs", bytes(9)),
        chunk(b"cHRM", bytes(32)), chunk(b"eXIf", b"MM\0*\0\0\0\x08" + bytes(30)),
    ]  # fmt: skip


def _flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        data[rng.randrange(len(data))] = rng.randrange(256)


def _flip_header(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(min(len(data), 80))] = rng.randrange(256)


def _set_number(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    number = rng.choice(EXTREMES)
    data[at : at + len(number)] = number


def _cut_end(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(1, len(data)) :]


def _cut_tail(data: bytearray, rng: random.Random) -> None:
    del data[-rng.randrange(1, min(60, len(data))) :]


def _cut_part(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    del data[at : at + rng.choice((1, 2, 4, 30, 400))]


def _insert(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    data[at:at] = rng.randbytes(rng.choice((1, 2, 7, 100)))


def _repeat(data: bytearray, rng: random.Random) -> None:
    at, length = rng.randrange(len(data)), rng.choice((2, 12, 100, 1_000))
    data[at:at] = data[at : at + length] * rng.choice((1, 3, 50))


def _splice(data: bytearray, rng: random.Random) -> None:
    other = rng.choice(list(corpus().values()))
    start = rng.randrange(len(other))
    at = rng.randrange(len(data))
    data[at : at + rng.choice((0, 50, 5_000))] = other[start : start + rng.choice((20, 300, 5_000))]


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip, _flip, _flip_header, _set_number, _cut_end, _cut_tail, _cut_part, _insert, _repeat, _splice,
)  # fmt: skip


def mutated(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """`count` mutated files with the names of what they were, the same ones for the same seed."""
    rng = random.Random(seed)
    files = list(corpus().items())
    for n in range(count):
        name, whole = files[n % len(files)]
        data = bytearray(whole)
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            if data:
                rng.choice(MUTATIONS)(data, rng)
        yield name, bytes(data)


def peak(pid: int) -> int:
    """The most memory that a process ever had resident, in bytes; 0 when it is gone, or not on Linux."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


@dataclass
class Tally:
    """The results of the files."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By the format of the file, and the code, or `picture`."""
    failures: list[str] = field(default_factory=list)
    """What may not happen: processes that ended, each with its picture. An exception ends the run itself."""
    slowest: tuple[float, str] = (0.0, "")
    """Seconds, and the file."""
    most_bytes: int = 0
    """Resident memory of a process at its most."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, name: str, outcome: str, seconds: float, failure: str = "") -> None:
        """Note one file."""
        with self.lock:
            image_format = "JPEG XL" if name.startswith("JPEG XL") else name.split()[0]
            self.outcomes[image_format, outcome] += 1
            self.slowest = max(self.slowest, (seconds, name))
            if failure:
                self.failures.append(f"{name}: {failure}")


def fuzz(count: int, seed: int) -> Tally:
    """Decode each mutated file, and shrink every fifth, in a pool of processes."""
    tally, over = Tally(), threading.Event()
    with closing(DecodePool(PROCESSES)) as pool, ThreadPoolExecutor(PROCESSES) as threads:

        def run(numbered: tuple[int, tuple[str, bytes]]) -> None:
            number, (name, data) = numbered
            started, outcome, failure = time.monotonic(), "picture", ""
            try:
                if number % 5:
                    image = pool.decode(data, LIMITS).image
                    assert image.mode == "RGB"
                else:
                    assert pool.shrink(data, LIMITS, MAX_INLINE_BYTES).startswith(b"\xff\xd8\xff")
            except Rejected as refused:
                outcome = str(refused.code)
                failure = refused.message if refused.code == "image_crashed" or "0x" in refused.message else ""
            tally.note(name, outcome, time.monotonic() - started, failure)

        def watch() -> None:
            while not over.wait(WATCH_SECONDS):
                tally.most_bytes = max(tally.most_bytes, *map(peak, pool.pids()), 0)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            numbered = enumerate(mutated(count, seed))
            while batch := [each for _, each in zip(range(1_000), numbered, strict=False)]:
                list(threads.map(run, batch))
        finally:
            over.set()
            watcher.join()
    return tally


def main(
    count: Annotated[int, typer.Option(help="Files.")] = 30_000,
    seed: Annotated[int, typer.Option(help="Of the mutations.")] = 1,
) -> None:
    """Mutate pictures of every format, decode them in processes, and print the results."""
    started = time.monotonic()
    tally = fuzz(count, seed)
    outcomes = sorted({outcome for _, outcome in tally.outcomes}, key=lambda each: (each != "picture", each))
    names = dict.fromkeys(name for name, _ in tally.outcomes)
    print(f"| format | {' | '.join(outcomes)} |\n|---|{'---:|' * len(outcomes)}")
    for name in names:
        print(f"| {name} | {' | '.join(str(tally.outcomes[name, outcome]) for outcome in outcomes)} |")
    print(f"\n{count} files of seed {seed} in {time.monotonic() - started:.0f} s")
    print(f"slowest: {tally.slowest[0]:.2f} s ({tally.slowest[1]}); largest process: {tally.most_bytes >> 20} MB")
    print(f"processes that ended: {len(tally.failures)}")
    for failure in tally.failures[:20]:
        print(f"  {failure}")
    raise typer.Exit(code=bool(tally.failures))


if __name__ == "__main__":
    typer.run(main)
