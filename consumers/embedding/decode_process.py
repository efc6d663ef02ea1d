"""Decoder process: decodes pictures one at a time, isolated from the worker because a picture may crash it.

decode_pool.py starts it. Its standard input is a socket, and it ends when the parent closes the other end.
Numbers on the wire are big-endian. Replies are plain data, never code, because a picture may have compromised
the process.
"""

import importlib
import resource
import signal
import socket
import struct
import sys
from contextlib import suppress
from typing import NamedTuple

from consumers.vision.decode import DecodedImage, DecodeLimits, decode
from schemas.failures import Code, Rejected

READY = b"!"
REQUEST = struct.Struct("!I5Q?4d")
"""Length of the encoded picture, which follows; the DecodeLimits; whether there is a crop; its x, y, w and h."""
REPLY = struct.Struct("!4I")
"""Width and height of the picture, then of its pixels, which follow as RGB.

For a Rejected: 0, 0, 0 and the length of a text, which follows: its code, a blank and its message."""

MAX_MESSAGE_BYTES = 2_000
"""Longest text of a Rejected in a reply."""

PLUGINS = ("Gif", "Jpeg", "Mpo", "Png", "Tiff", "WebP")
"""Formats whose PIL plugins are imported at the start; PIL would import them at first use.

With these loaded it searches for no others. Tiff reads EXIF."""


class CropBox(NamedTuple):
    """Crop of a picture, as shares of its width and height."""

    x: float
    y: float
    w: float
    h: float


def main() -> None:
    """Answer requests until the parent closes the socket."""
    memory, seconds = int(sys.argv[1]), float(sys.argv[2])
    for name in PLUGINS:
        importlib.import_module(f"PIL.{name}ImagePlugin")
    set_limits(memory)
    with (
        socket.socket(fileno=sys.stdin.fileno()) as connection,
        suppress(EOFError, BrokenPipeError, ConnectionResetError),
    ):
        connection.sendall(READY)
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


def serve_request(connection: socket.socket, seconds: float) -> None:
    """Read one request, decode its picture and reply; raises EOFError when the parent has closed the socket."""
    length, *fields = REQUEST.unpack(receive(connection, REQUEST.size))
    limits, (has_crop, *crop_box) = DecodeLimits(*fields[:5]), fields[5:]
    data = receive(connection, length)
    # The parent kills a process that takes too long; the alarm does so if the parent itself has ended.
    signal.setitimer(signal.ITIMER_REAL, seconds + 1)
    try:
        picture = decode(bytes(data), limits, CropBox(*crop_box) if has_crop else None)
    except Rejected as failure:
        send_rejection(connection, failure)
    except MemoryError:
        send_rejection(
            connection, Rejected(Code.IMAGE_TOO_LARGE, "the picture takes too much memory to decode: reduce it")
        )
        raise EOFError from None  # a new process starts with all of its memory
    else:
        send_picture(connection, picture)
    signal.setitimer(signal.ITIMER_REAL, 0)


def send_picture(connection: socket.socket, picture: DecodedImage) -> None:
    connection.sendall(REPLY.pack(picture.width, picture.height, *picture.image.size))
    connection.sendall(picture.image.tobytes())


def send_rejection(connection: socket.socket, failure: Rejected) -> None:
    text = f"{failure.code} {failure.message}".encode("utf-8", "replace")[:MAX_MESSAGE_BYTES]
    connection.sendall(REPLY.pack(0, 0, 0, len(text)) + text)


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
