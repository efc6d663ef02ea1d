"""Unix sockets of the embedded index: whole messages in frames, between processes of one user.

A frame is MAGIC, the length of the message (4 bytes, big-endian) and the message (wire.py). MAGIC holds the version
of the protocol, so that processes of different versions refuse each other by name.
"""

import hashlib
import os
import select
import socket
import struct
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from infra.qdrant.embedded.wire import MalformedMessage, decode, encode

MAGIC = b"LSI1"
HEADER = struct.Struct("!4sI")
LONGEST = 256 << 20
"""Bytes of a message: 10,000 points with thumbnails and vectors of 1,000 numbers have half of that."""
LEAST_READ, MOST_READ = 4 << 10, 256 << 10
"""Bytes to ask for at a time: a short message comes as a whole, a long one in as much as a socket holds."""
LONGEST_PATH = 100
"""Bytes of a socket's path: systems take 104 to 108 with the end."""
SHORTEST_BASE = Path("/tmp")
"""Where everybody may make folders; whose the folder is gets checked."""
ROOT = 0
"""The superuser, who may read every folder in any case."""

Address = Path


class Channel:
    """A connection that carries whole messages; every single wait is bounded by the socket's timeout."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._read = bytearray()
        """What has come and belongs to no message yet."""

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, message: object) -> None:
        """Send a message; raises ValueError, having sent nothing, when it is too long or does not travel."""
        data = encode(message)
        if len(data) > LONGEST:
            raise ValueError(f"a message to or from the index has {len(data) >> 20} MB: ask for fewer at a time")
        self._stream.sendall(HEADER.pack(MAGIC, len(data)) + data)  # together: each part would wake the peer

    def receive(self) -> Any:
        """The next message; raises EOFError when the peer has hung up, Malformed on what is no message."""
        magic, length = HEADER.unpack(self._exactly(HEADER.size))
        if magic != MAGIC:
            raise MalformedMessage(
                f"a frame begins with {magic!r}, not with {MAGIC!r}: start `lookstream up` again"
            )
        if length > LONGEST:
            raise MalformedMessage(f"a frame of {length >> 20} MB, where at most {LONGEST >> 20} are taken")
        return decode(self._exactly(length))

    def is_silent(self) -> bool:
        """Whether there is nothing to read: neither a message nor the end."""
        poll = select.poll()
        poll.register(self._stream, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Hang up."""
        self._stream.close()

    def _exactly(self, length: int) -> bytes:
        """So many bytes. Room is made as they come: a peer cannot claim memory by announcing a length."""
        while (missing := length - len(self._read)) > 0:
            part = self._stream.recv(min(max(missing, LEAST_READ), MOST_READ))
            if not part:
                raise EOFError
            self._read += part
        data = bytes(memoryview(self._read)[:length])
        del self._read[:length]
        return data


def connect(address: Address, timeout_s: float) -> Channel:
    """A connection to whoever listens there; each wait longer than `timeout_s` raises TimeoutError."""
    stream = socket.socket(socket.AF_UNIX)
    try:
        stream.settimeout(timeout_s)
        stream.connect(os.fspath(address))
    except BaseException:
        stream.close()
        raise
    return Channel(stream)


def accepts(address: Address) -> bool:
    """Whether somebody listens there."""
    try:
        connect(address, 0.5).close()
    except OSError:
        return False
    return True


def bind(address: Address) -> socket.socket:
    """A socket at this address, in place of what a dead process has left; it does not listen yet."""
    address.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    address.unlink(missing_ok=True)
    stream = socket.socket(socket.AF_UNIX)
    try:
        stream.bind(os.fspath(address))
        address.chmod(0o600)
    except BaseException:
        stream.close()
        raise
    return stream


def address_of(folder: Path) -> Address:
    """Where the index in `folder` listens: inside of it, for it is its owner's alone.

    Where the path is too long for a socket, or the file system has none (network and Windows drives), it is in a
    folder for the user's short-lived files. Raises OSError when somebody else owns that.
    """
    inside = folder.absolute() / "socket"
    if len(os.fsencode(inside)) <= LONGEST_PATH and _has_sockets(folder):
        return inside
    name = f"{hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:16]}.socket"
    bases = [Path(base) for base in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir()) if base]
    fitting = (base for base in bases if len(os.fsencode(_runtime_folder(base) / name)) <= LONGEST_PATH)
    return _own_folder(_runtime_folder(next(fitting, SHORTEST_BASE))) / name


def peer_is_ours(stream: socket.socket) -> bool:
    """Whether the process at the other end is of the same user, or of the superuser."""
    if sys.platform == "linux":
        _, user, _ = struct.unpack("3i", stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    else:
        # macOS: struct xucred begins with its version and the user (sys/ucred.h); LOCAL_PEERCRED is 1.
        _, user = struct.unpack("2I", stream.getsockopt(0, 1, 76)[:8])
    return user in (os.geteuid(), ROOT)


def _has_sockets(folder: Path) -> bool:
    probe = folder / f"probe-{os.getpid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with socket.socket(socket.AF_UNIX) as stream:
            stream.bind(os.fspath(probe))
    except OSError:
        return False
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    return True


def _runtime_folder(base: Path) -> Path:
    return base / f"lookstream-{os.geteuid()}"


def _own_folder(folder: Path) -> Path:
    """This folder, made if it is not there. Raises PermissionError when it is not this user's alone."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.geteuid() or folder.is_symlink() or found.st_mode & 0o077:
        raise PermissionError(
            f"{folder} is not this user's alone: remove it, name another folder in XDG_RUNTIME_DIR, "
            "or a LOOKSTREAM_DATA with a shorter path"
        )
    return folder
