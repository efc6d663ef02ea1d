"""A process that decodes pictures, one at a time, and may die of them.

decode_pool.py starts it. It holds a socket as its standard input, and ends when that is hung up.
Numbers on the wire are big-endian. What it says is data alone, never code: a picture may have taken it over.
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
"""Length of the encoded picture, which follows; the Limits; whether only a part is wanted, and which."""
REPLY = struct.Struct("!4I")
"""Width and height of the picture, and of its pixels, which follow as RGB; or 0, 0, 0 and the length of a text: the
code, a blank and the message of a Rejected."""

LONGEST_TEXT = 2_000
"""Bytes."""

LAZY = ("Gif", "Jpeg", "Mpo", "Png", "Tiff", "WebP")
"""PIL imports formats when it first meets them; with these it looks for no others. Tiff is the reader of EXIF."""


class CropBox(NamedTuple):
    """The part of a picture that is wanted."""

    x: float
    y: float
    w: float
    h: float


def main() -> None:
    """Decode until the parent hangs up."""
    memory, seconds = int(sys.argv[1]), float(sys.argv[2])
    for name in LAZY:
        importlib.import_module(f"PIL.{name}ImagePlugin")
    confine(memory)
    with (
        socket.socket(fileno=sys.stdin.fileno()) as line,
        suppress(EOFError, BrokenPipeError, ConnectionResetError),
    ):
        line.sendall(READY)
        while True:
            answer(line, seconds)


def confine(memory: int) -> None:
    """Bound this process's memory, and leave its end to the parent."""
    with suppress(ValueError, OSError):  # macOS knows no bound on address space
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Ctrl-C and a service manager's SIGTERM reach the whole group: what the worker still drains needs decoding.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def answer(line: socket.socket, seconds: float) -> None:
    """Decode one picture; raises EOFError when the parent hung up."""
    length, *rest = REQUEST.unpack(receive(line, REQUEST.size))
    limits, (partly, *sides) = DecodeLimits(*rest[:5]), rest[5:]
    data = receive(line, length)
    # The parent kills who takes too long; should it be dead itself, the alarm does.
    signal.setitimer(signal.ITIMER_REAL, seconds + 1)
    try:
        picture = decode(bytes(data), limits, CropBox(*sides) if partly else None)
    except Rejected as failure:
        refuse(line, failure)
    except MemoryError:
        refuse(line, Rejected(Code.IMAGE_TOO_LARGE, "the picture takes too much memory to decode: reduce it"))
        raise EOFError from None  # a new process starts with all of its memory
    else:
        give(line, picture)
    signal.setitimer(signal.ITIMER_REAL, 0)


def give(line: socket.socket, picture: DecodedImage) -> None:
    """Send a picture."""
    line.sendall(REPLY.pack(picture.width, picture.height, *picture.image.size))
    line.sendall(picture.image.tobytes())


def refuse(line: socket.socket, failure: Rejected) -> None:
    """Send why there is no picture."""
    text = f"{failure.code} {failure.message}".encode("utf-8", "replace")[:LONGEST_TEXT]
    line.sendall(REPLY.pack(0, 0, 0, len(text)) + text)


def receive(line: socket.socket, length: int) -> bytearray:
    """So many bytes; raises EOFError when they do not come."""
    data = bytearray(length)
    view = memoryview(data)
    while view:
        count = line.recv_into(view)
        if not count:
            raise EOFError
        view = view[count:]
    return data


if __name__ == "__main__":
    main()
