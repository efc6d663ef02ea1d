"""Decode pool: decodes pictures in child processes, so that a crash or hang of a decoder never stops the worker."""

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

from consumers.embedding.decode_process import MAX_MESSAGE_BYTES, READY, REPLY, REQUEST
from consumers.vision.decode import CropRegion, DecodedImage, DecodeLimits
from schemas.failures import Code, Rejected, Unavailable

PICTURE_SECONDS = 5.0
"""Time limit for one picture."""
MEMORY_BYTES = 1 << 30
"""Limit of a process's address space."""
PICTURES_PER_PROCESS = 1_000
"""A process is replaced after this many pictures, so that memory leaks do not add up."""
START_SECONDS = 30.0
MAX_WAIT_SECONDS = 0.25
"""Longest wait on the socket; counts at most twice, so that a pause of the worker is not charged to a picture."""
MAX_ATTEMPTS = 2
"""Processes that one picture may end: the first may have been killed by an operator or for lack of memory."""

ROOT = Path(__file__).parents[2]
TUNING = {
    **{f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL")},
    # By default glibc returns each picture's memory to the system and gets it back page by page, which doubles the
    # time of a small picture.
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(128 << 20),
}
INHERITED = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "LANG", "LC_ALL", "TMPDIR")
"""The only environment variables that the processes inherit; the others may hold secrets."""


class DecodePool:
    """Pool of `count` decoder processes, one picture at a time in each. Thread-safe.

    The processes start in the constructor and become ready in the background. Limits: `seconds` for a picture,
    `memory` bytes of address space for a process. A process is replaced after `pictures` pictures.
    """

    def __init__(
        self,
        count: int,
        seconds: float = PICTURE_SECONDS,
        memory: int = MEMORY_BYTES,
        pictures: int = PICTURES_PER_PROCESS,
    ) -> None:
        self._seconds = seconds
        self._slots = [_Slot(memory, seconds, pictures) for _ in range(count)]
        self._free_slots: queue.LifoQueue[_Slot] = queue.LifoQueue()
        for slot in self._slots:
            self._free_slots.put(slot)

    def decode(self, data: bytes, limits: DecodeLimits, crop: CropRegion | None = None) -> DecodedImage:
        """consumers.vision.decode.decode in a child process; waits for a free one.

        Raises Rejected, with IMAGE_CRASHED when the picture ends its process or takes too long; raises Unavailable
        when no process starts.
        """
        slot = self._free_slots.get()
        try:
            return slot.decode(data, limits, crop)
        finally:
            self._free_slots.put(slot)

    def pids(self) -> list[int]:
        """Process ids of the current processes, for monitoring."""
        return [slot.pid for slot in self._slots]

    def close(self) -> None:
        """End the processes. Call it when no thread uses the pool any more."""
        for slot in self._slots:
            slot.close()


class _Slot:
    """One place in the pool: holds one process at a time, and replaces it when it has ended or is used up."""

    def __init__(self, memory: int, seconds: float, pictures: int) -> None:
        self._memory, self._seconds, self._pictures = memory, seconds, pictures
        self._child = _DecodeProcess(memory, seconds)

    def decode(self, data: bytes, limits: DecodeLimits, crop: CropRegion | None) -> DecodedImage:
        deadline = _Deadline(self._seconds)
        for _ in range(MAX_ATTEMPTS):
            child = self._ready_process()
            try:
                return child.decode(data, limits, crop, deadline)
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

    def _ready_process(self) -> "_DecodeProcess":
        """The current process, or a new one in its place, ready to decode."""
        if self._child.is_dead() or self._child.request_count >= self._pictures:
            self._child.close()
            self._child = _DecodeProcess(self._memory, self._seconds)
        self._child.wait_until_ready()
        return self._child


class _DecodeProcess:
    """Child process that runs consumers/embedding/decode_process.py, and the socket to it."""

    def __init__(self, memory: int, seconds: float) -> None:
        self.request_count = 0
        self._ready = False
        self._socket, child_socket = socket.socketpair()
        with child_socket:
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
                stdin=child_socket.fileno(),
                stdout=subprocess.DEVNULL,
                cwd=ROOT,
                env={name: os.environ[name] for name in INHERITED if name in os.environ} | TUNING,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Wait until the process has started; raises Unavailable when it does not start within START_SECONDS."""
        if self._ready:
            return
        try:
            self._receive(len(READY), _Deadline(START_SECONDS))
        except (OSError, EOFError):  # includes TimeoutError
            self.close()
            raise Unavailable("a process that decodes pictures does not start: see its output on stderr") from None
        self._ready = True

    def decode(
        self, data: bytes, limits: DecodeLimits, crop: CropRegion | None, deadline: "_Deadline"
    ) -> DecodedImage:
        """The picture; raises Rejected, TimeoutError, or EOFError or OSError when the process has ended."""
        self.request_count += 1
        limit_fields = limits.max_bytes, limits.max_pixels, limits.min_side, limits.detail, limits.thumbnail
        crop_box = (crop.x, crop.y, crop.w, crop.h) if crop else (0.0, 0.0, 1.0, 1.0)
        self._send(REQUEST.pack(len(data), *limit_fields, crop is not None, *crop_box), deadline)
        self._send(data, deadline)
        width, height, pixel_width, pixel_height = REPLY.unpack(self._receive(REPLY.size, deadline))
        if not pixel_width:
            raise _rejected(bytes(self._receive(_checked(pixel_height, MAX_MESSAGE_BYTES), deadline)))
        _checked(pixel_width * pixel_height, limits.max_pixels)
        pixels = self._receive(pixel_width * pixel_height * 3, deadline)
        return DecodedImage(Image.frombytes("RGB", (pixel_width, pixel_height), pixels), width, height)

    def is_dead(self) -> bool:
        """Whether the process has ended, by itself or through `close`."""
        return self._process.poll() is not None

    def close(self) -> None:
        """Kill the process."""
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def _send(self, data: bytes, deadline: "_Deadline") -> None:
        view = memoryview(data)
        while view:
            with deadline.wait_for_socket(self._socket):
                view = view[self._socket.send(view) :]

    def _receive(self, length: int, deadline: "_Deadline") -> bytearray:
        data = bytearray(length)
        view = memoryview(data)
        while view:
            with deadline.wait_for_socket(self._socket):
                count = self._socket.recv_into(view)
                if not count:
                    raise EOFError
                view = view[count:]
        return data


@dataclass
class _Deadline:
    """Remaining time for a picture, in seconds."""

    remaining: float

    @contextmanager
    def wait_for_socket(self, connection: socket.socket) -> Iterator[None]:
        """Give the socket call inside a timeout, and subtract the time that it takes.

        A timeout of the call itself is suppressed, so that the caller can try again; raises TimeoutError when no
        time remains.
        """
        if self.remaining <= 0:
            raise TimeoutError
        connection.settimeout(min(MAX_WAIT_SECONDS, self.remaining))
        started = time.monotonic()
        try:
            yield
        except TimeoutError:
            pass  # of this wait alone: time may remain
        finally:
            self.remaining -= min(time.monotonic() - started, 2 * MAX_WAIT_SECONDS)


def _checked(number: int, maximum: int) -> int:
    """`number`; raises EOFError above `maximum`, which only a process compromised by a picture would send."""
    if number > maximum:
        raise EOFError
    return number


def _rejected(text: bytes) -> Rejected:
    code, _, message = text.decode("utf-8", "replace").partition(" ")
    if code not in set(Code):
        raise EOFError
    return Rejected(Code(code), message)
