"""Decoding in child processes: a picture that crashes or hangs its decoder costs that process, never the worker."""

import os
import queue
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from consumers.embedding.decode_process import LONGEST_TEXT, READY, REPLY, REQUEST
from consumers.vision.decode import CropRegion, DecodedImage, DecodeLimits
from schemas.failures import Code, Rejected, Unavailable

SECONDS = 5.0
MEMORY = 1 << 30
PICTURES = 1_000
"""After so many pictures a process is replaced, so that what one of them leaked does not add up."""
START_SECONDS = 30.0
SLICE_SECONDS = 0.25
"""Longest single wait: a worker that was frozen meanwhile counts twice that at most, and blames no picture."""
LIVES = 2
"""One death may be the machine's doing, as of an operator or for want of memory; two are the picture's."""

ROOT = Path(__file__).parents[2]
TUNED = {
    **{f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL")},
    # glibc would hand every picture's memory back and fetch it again, page by page: twice the time of a small one.
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
}
PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "LANG", "LC_ALL", "TMPDIR")
"""All that the processes know of the environment: the rest may hold secrets."""


class DecodePool:
    """As many processes that decode as there are pictures to be decoded at a time; any number of threads may ask.

    They start at once and get ready beside what the caller does next. A picture has `seconds`, a process `memory`
    bytes of address space; after `pictures` of them it is replaced.
    """

    def __init__(
        self, count: int, seconds: float = SECONDS, memory: int = MEMORY, pictures: int = PICTURES
    ) -> None:
        self._seconds = seconds
        self._all = [_Slot(memory, seconds, pictures) for _ in range(count)]
        self._free: queue.LifoQueue[_Slot] = queue.LifoQueue()
        for seat in self._all:
            self._free.put(seat)

    def decode(self, data: bytes, limits: DecodeLimits, crop: CropRegion | None = None) -> DecodedImage:
        """consumers.vision.decode.decode, elsewhere; raises Rejected, or Unavailable when no process starts.

        A picture that ends its process or takes too long is Rejected with IMAGE_CRASHED.
        """
        seat = self._free.get()
        try:
            return seat.decode(data, limits, crop)
        finally:
            self._free.put(seat)

    def pids(self) -> list[int]:
        """The processes as they are now, for whoever watches them."""
        return [seat.pid for seat in self._all]

    def close(self) -> None:
        """End the processes; to be called when nobody asks any more."""
        for seat in self._all:
            seat.close()


class _Slot:
    """One process at a time."""

    def __init__(self, memory: int, seconds: float, pictures: int) -> None:
        self._memory, self._seconds, self._pictures = memory, seconds, pictures
        self._child = _DecodeProcess(memory, seconds)

    def decode(self, data: bytes, limits: DecodeLimits, crop: CropRegion | None) -> DecodedImage:
        watch = _Deadline(self._seconds)
        for _ in range(LIVES):
            child = self._living()
            try:
                return child.decode(data, limits, crop, watch)
            except TimeoutError:
                child.close()
                message = f"decoding the picture takes more than {self._seconds:g} s: send another one"
                raise Rejected(Code.IMAGE_CRASHED, message) from None
            except (OSError, EOFError):
                child.close()
        raise Rejected(Code.IMAGE_CRASHED, "the picture ends the process that decodes it: send another one")

    @property
    def pid(self) -> int:
        return self._child.pid

    def close(self) -> None:
        self._child.close()

    def _living(self) -> "_DecodeProcess":
        """The process, or another one in its place, ready."""
        if self._child.is_dead() or self._child.asked >= self._pictures:
            self._child.close()
            self._child = _DecodeProcess(self._memory, self._seconds)
        self._child.get_ready()
        return self._child


class _DecodeProcess:
    """A process of consumers/embedding/decode_process.py, and the line to it."""

    def __init__(self, memory: int, seconds: float) -> None:
        self.asked = 0
        self._ready = False
        self._line, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-W",
                    "ignore",
                    "-m",
                    "consumers.embedding.decode_process",
                    str(memory),
                    str(seconds),
                ],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                cwd=ROOT,
                env={name: os.environ[name] for name in PASSED_ON if name in os.environ} | TUNED,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def get_ready(self) -> None:
        """Wait until it has started; raises Unavailable when it does not."""
        if self._ready:
            return
        try:
            self._receive(len(READY), _Deadline(START_SECONDS))
        except (OSError, EOFError):  # a TimeoutError among them
            self.close()
            raise Unavailable(
                "a process that decodes pictures does not start: see what it wrote to stderr"
            ) from None
        self._ready = True

    def decode(
        self, data: bytes, limits: DecodeLimits, crop: CropRegion | None, watch: "_Deadline"
    ) -> DecodedImage:
        """The picture; raises Rejected, TimeoutError, or EOFError or OSError when the process is gone."""
        self.asked += 1
        bounds = limits.max_bytes, limits.max_pixels, limits.min_side, limits.detail, limits.thumbnail
        part = (crop.x, crop.y, crop.w, crop.h) if crop else (0.0, 0.0, 1.0, 1.0)
        self._send(REQUEST.pack(len(data), *bounds, crop is not None, *part), watch)
        self._send(data, watch)
        width, height, across, down = REPLY.unpack(self._receive(REPLY.size, watch))
        if not across:
            raise _rejected(bytes(self._receive(_sane(down, LONGEST_TEXT), watch)))
        _sane(across * down, limits.max_pixels)
        pixels = self._receive(across * down * 3, watch)
        return DecodedImage(Image.frombytes("RGB", (across, down), pixels), width, height)

    def is_dead(self) -> bool:
        """Whether it ended by itself, or was closed."""
        return self._process.poll() is not None

    def close(self) -> None:
        """End it, whatever it does."""
        self._line.close()
        self._process.kill()
        self._process.wait()

    def _send(self, data: bytes, watch: "_Deadline") -> None:
        view = memoryview(data)
        while view:
            with watch.waiting(self._line):
                view = view[self._line.send(view) :]

    def _receive(self, length: int, watch: "_Deadline") -> bytearray:
        data = bytearray(length)
        view = memoryview(data)
        while view:
            with watch.waiting(self._line):
                count = self._line.recv_into(view)
                if not count:
                    raise EOFError
                view = view[count:]
        return data


@dataclass
class _Deadline:
    """The time that a picture has left, in seconds."""

    left: float

    @contextmanager
    def waiting(self, line: socket.socket) -> Iterator[None]:
        """Wait for the line inside, for a while; raises TimeoutError when no time was left before."""
        if self.left <= 0:
            raise TimeoutError
        line.settimeout(min(SLICE_SECONDS, self.left))
        started = time.monotonic()
        try:
            yield
        except TimeoutError:
            pass  # of this slice alone: there may be more
        finally:
            self.left -= min(time.monotonic() - started, 2 * SLICE_SECONDS)


def _sane(number: int, most: int) -> int:
    """`number`; raises EOFError when a process that was not taken over by a picture could not say it."""
    if number > most:
        raise EOFError
    return number


def _rejected(text: bytes) -> Rejected:
    code, _, message = text.decode("utf-8", "replace").partition(" ")
    if code not in set(Code):
        raise EOFError
    return Rejected(Code(code), message)
