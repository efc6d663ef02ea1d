"""Decoder process: decodes pictures one at a time, isolated from its parent because a picture may crash it.

decode_pool.py starts it. Its standard input is a socket, and it ends when the parent closes the other end.
Numbers on the wire are big-endian. Replies are plain data, never code, because a picture may have compromised
the process.
"""

import os
import resource
import signal
import socket
import struct
import sys
from contextlib import suppress
from enum import IntEnum
from typing import NamedTuple

from infra.images.decode import DecodedImage, DecodeLimits, decode, shrink
from schemas.failures import Code, Rejected

READY = b"!"
REQUEST = struct.Struct("!IQ5Q?4d")
"""Length of the encoded picture, which follows; the bytes that its shrunk JPEG may have, 0 for its pixels; the
DecodeLimits; whether there is a crop; its x, y, w and h."""
REPLY = struct.Struct("!B4I")
"""Kind of the reply, and four numbers, as ReplyKind says."""

MAX_MESSAGE_BYTES = 2_000
"""Longest text of a Rejected in a reply."""


class ReplyKind(IntEnum):
    """What follows a reply, and what its numbers are."""

    PIXELS = 0
    """RGB pixels; width and height of the picture, then of the pixels."""
    JPEG = 1
    """A shrunk JPEG; its length is the last number."""
    REJECTION = 2
    """A code, a blank and a message; their length is the last number."""


class CropBox(NamedTuple):
    """Crop of a picture, as shares of its width and height."""

    x: float
    y: float
    w: float
    h: float


def main() -> None:
    """Answer requests until the parent closes the socket."""
    memory, seconds, niceness = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    os.nice(niceness)
    set_limits(memory)
    with (
        socket.socket(fileno=sys.stdin.fileno()) as connection,
        suppress(EOFError, BrokenPipeError, ConnectionResetError),
    ):
        connection.sendall(READY)
        silence_stderr()
        while True:
            serve_request(connection, seconds)


def set_limits(memory: int) -> None:
    """Limit the address space to `memory` bytes, disable core dumps, and ignore SIGINT and SIGTERM."""
    with suppress(ValueError, OSError):  # macOS has no limit on address space
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Ctrl-C and a service manager's SIGTERM reach the whole process group, but a worker that drains still decodes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def silence_stderr() -> None:
    """Send standard error to nowhere: libtiff writes a line there for each fault of a file."""
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stderr.fileno())


def serve_request(connection: socket.socket, seconds: float) -> None:
    """Read one request, process its picture and reply; raises EOFError when the parent has closed the socket."""
    length, max_jpeg_bytes, *fields = REQUEST.unpack(receive(connection, REQUEST.size))
    limits, (has_crop, *crop_box) = DecodeLimits(*fields[:5]), fields[5:]
    data = bytes(receive(connection, length))
    # The parent kills a process that takes too long; the alarm does so if the parent itself has ended.
    signal.setitimer(signal.ITIMER_REAL, seconds + 1)
    try:
        if max_jpeg_bytes:
            send_jpeg(connection, shrink(data, limits, max_jpeg_bytes))
        else:
            send_picture(connection, decode(data, limits, CropBox(*crop_box) if has_crop else None))
    except Rejected as failure:
        send_rejection(connection, failure)
    except MemoryError:
        send_rejection(
            connection, Rejected(Code.IMAGE_TOO_LARGE, "the picture takes too much memory to decode: reduce it")
        )
        raise EOFError from None  # a new process starts with all of its memory
    signal.setitimer(signal.ITIMER_REAL, 0)


def send_picture(connection: socket.socket, picture: DecodedImage) -> None:
    connection.sendall(REPLY.pack(ReplyKind.PIXELS, picture.width, picture.height, *picture.image.size))
    connection.sendall(picture.image.tobytes())


def send_jpeg(connection: socket.socket, data: bytes) -> None:
    connection.sendall(REPLY.pack(ReplyKind.JPEG, 0, 0, 0, len(data)) + data)


def send_rejection(connection: socket.socket, failure: Rejected) -> None:
    text = f"{failure.code} {failure.message}".encode("utf-8", "replace")[:MAX_MESSAGE_BYTES]
    connection.sendall(REPLY.pack(ReplyKind.REJECTION, 0, 0, 0, len(text)) + text)


def receive(connection: socket.socket, length: int) -> bytearray:
    """Read exactly `length` bytes; raises EOFError when the socket is closed before."""
    data = bytearray(length)
    view = memoryview(data)
    while view:
        count = connection.recv_into(view)
        if not count:
            raise EOFError
        view = view[count:]
    return data


if __name__ == "__main__":
    main()
