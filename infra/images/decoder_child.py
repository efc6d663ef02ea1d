"""Decoder child: a decoder process as its parent sees it, and the socket to it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from infra.images.decode import MAX_DECODED_PIXELS, CropRegion, DecodedImage, DecodeLimits
from infra.images.decode_process import MAX_MESSAGE_BYTES, READY, REPLY, REQUEST, ReplyKind
from schemas.failures import Code, Rejected, Unavailable

START_SECONDS = 30.0
MAX_WAIT_SECONDS = 0.25
"""Longest wait on the socket; counts at most twice, so that a pause of the worker is not charged to a picture."""
ROOT = Path(__file__).parents[2]
TUNING = {
    **{f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL")},
    # By default glibc returns each picture's memory to the system and gets it back page by page, which doubles the
    # time of a small picture. The memory of large ones goes back.
    "MALLOC_MMAP_THRESHOLD_": str(8 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(32 << 20),
    "MALLOC_ARENA_MAX": "1",  # each further arena takes 64 MB of the address space
}
INHERITED = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "LANG", "LC_ALL", "TMPDIR")
"""The only environment variables that the processes inherit; the others may hold secrets."""


@dataclass(frozen=True)
class ProcessLimits:
    """Limits of a decoder process."""

    seconds: float = 5.0
    """Time for one picture."""
    memory: int = 1 << 30
    """Bytes of address space."""
    pictures: int = 1_000
    """A process is replaced after this many pictures, so that memory leaks do not add up."""
    niceness: int = 0
    """What is added to the niceness of the parent; above 0 the parent's own work goes first."""


class DecoderChild:
    """Child process that runs infra/images/decode_process.py, and the socket to it."""

    def __init__(self, limits: ProcessLimits) -> None:
        self.request_count = 0
        self._ready = False
        self._socket, child_socket = socket.socketpair()
        with child_socket:
            arguments = str(limits.memory), str(limits.seconds), str(limits.niceness)
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "infra.images.decode_process", *arguments],
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
            self._receive(len(READY), Deadline(START_SECONDS))
        except (OSError, EOFError):  # includes TimeoutError
            self.close()
            raise Unavailable("a process that decodes pictures does not start: see its output on stderr") from None
        self._ready = True

    def decode(
        self, data: bytes, limits: DecodeLimits, crop: CropRegion | None, deadline: "Deadline"
    ) -> DecodedImage:
        """The picture; raises Rejected, TimeoutError, or EOFError or OSError when the process has ended."""
        self._request(data, limits, crop, 0, deadline)
        width, height, pixel_width, pixel_height = self._reply(ReplyKind.PIXELS, deadline)
        _checked(pixel_width * pixel_height, MAX_DECODED_PIXELS)
        pixels = self._receive(pixel_width * pixel_height * 3, deadline)
        return DecodedImage(Image.frombytes("RGB", (pixel_width, pixel_height), pixels), width, height)

    def shrink(self, data: bytes, limits: DecodeLimits, max_bytes: int, deadline: "Deadline") -> bytes:
        """The shrunk JPEG; raises as `decode` does."""
        self._request(data, limits, None, max_bytes, deadline)
        *_, length = self._reply(ReplyKind.JPEG, deadline)
        return bytes(self._receive(_checked(length, max_bytes), deadline))

    def _request(
        self, data: bytes, limits: DecodeLimits, crop: CropRegion | None, max_bytes: int, deadline: "Deadline"
    ) -> None:
        self.request_count += 1
        limit_fields = limits.max_bytes, limits.max_pixels, limits.min_side, limits.detail, limits.thumbnail
        crop_box = (crop.x, crop.y, crop.w, crop.h) if crop else (0.0, 0.0, 1.0, 1.0)
        self._send(REQUEST.pack(len(data), max_bytes, *limit_fields, crop is not None, *crop_box), deadline)
        self._send(data, deadline)

    def _reply(self, expected: ReplyKind, deadline: "Deadline") -> tuple[int, int, int, int]:
        """The four numbers of a reply of the expected kind; raises Rejected, or EOFError for another kind."""
        kind, *numbers = REPLY.unpack(self._receive(REPLY.size, deadline))
        if kind == ReplyKind.REJECTION:
            raise _rejected(bytes(self._receive(_checked(numbers[3], MAX_MESSAGE_BYTES), deadline)))
        if kind != expected:
            raise EOFError
        first, second, third, fourth = numbers
        return first, second, third, fourth

    def is_dead(self) -> bool:
        """Whether the process has ended, by itself or through `close`."""
        return self._process.poll() is not None

    def close(self) -> None:
        """Kill the process."""
        self._socket.close()
        self._process.kill()
        self._process.wait()

    def _send(self, data: bytes, deadline: "Deadline") -> None:
        view = memoryview(data)
        while view:
            with deadline.wait_for_socket(self._socket):
                view = view[self._socket.send(view) :]

    def _receive(self, length: int, deadline: "Deadline") -> bytearray:
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
class Deadline:
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
