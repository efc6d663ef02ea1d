"""Channel: length-prefixed messages over a Unix socket, between processes of one user.

A frame is MAGIC, the message length (4 bytes, big-endian) and the message (wire.py). MAGIC contains the protocol
version, so that processes of different versions reject each other with a clear error.
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

MAGIC = b"LSI2"
HEADER = struct.Struct("!4sI")
MAX_MESSAGE_BYTES = 256 << 20
"""Maximum bytes of a message. 10,000 points with thumbnails and 1,000-dimensional vectors take half of that."""
MIN_READ, MAX_READ = 4 << 10, 256 << 10
"""Bounds of the bytes per `recv`: enough for a short message at once, and at most what a socket buffers."""
MAX_PATH_BYTES = 100
"""Maximum bytes of a socket path. Operating systems allow 104 to 108, including the terminating zero."""
FALLBACK_BASE = Path("/tmp")
"""Fallback folder in which every user may create folders; the owner of our folder is checked."""
SUPERUSER_ID = 0
"""User id of the superuser, who can read every folder anyway."""

Address = Path


class Channel:
    """A connection for complete messages; the socket timeout limits each single wait."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._buffer = bytearray()
        """Received bytes that are not part of a complete message yet."""

    def __del__(self) -> None:
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, message: object) -> None:
        """Send a message; raises ValueError, before sending anything, if it is too long or cannot be encoded."""
        data = encode(message)
        if len(data) > MAX_MESSAGE_BYTES:
            raise ValueError(f"a message to or from the index has {len(data) >> 20} MB: ask for fewer at a time")
        # A single call, because each part would wake the peer.
        self._stream.sendall(HEADER.pack(MAGIC, len(data)) + data)

    def receive(self) -> Any:
        """Return the next message; raises EOFError if the peer has closed, MalformedMessage if it is invalid."""
        magic, length = HEADER.unpack(self._read_exactly(HEADER.size))
        if magic != MAGIC:
            raise MalformedMessage(
                f"a frame begins with {magic!r}, not with {MAGIC!r}: start `lookstream up` again"
            )
        if length > MAX_MESSAGE_BYTES:
            raise MalformedMessage(
                f"a frame of {length >> 20} MB, where at most {MAX_MESSAGE_BYTES >> 20} are taken"
            )
        return decode(self._read_exactly(length))

    def is_silent(self) -> bool:
        """Whether there is nothing to read, neither data nor end of file."""
        poll = select.poll()
        poll.register(self._stream, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def _read_exactly(self, length: int) -> bytes:
        """Read exactly `length` bytes. The buffer grows with the data: an announced length allocates no memory."""
        while (missing := length - len(self._buffer)) > 0:
            chunk = self._stream.recv(min(max(missing, MIN_READ), MAX_READ))
            if not chunk:
                raise EOFError
            self._buffer += chunk
        data = bytes(memoryview(self._buffer)[:length])
        del self._buffer[:length]
        return data


def connect(address: Address, timeout_s: float) -> Channel:
    """Connect to the listener at this address; each wait longer than `timeout_s` raises TimeoutError."""
    stream = socket.socket(socket.AF_UNIX)
    try:
        stream.settimeout(timeout_s)
        stream.connect(os.fspath(address))
    except BaseException:
        stream.close()
        raise
    return Channel(stream)


def is_listening(address: Address) -> bool:
    """Whether a process listens at this address."""
    try:
        connect(address, 0.5).close()
    except OSError:
        return False
    return True


def bind(address: Address) -> socket.socket:
    """Bind a socket to this address and replace a stale socket file; it does not listen yet."""
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
    """Return the socket address of the index in `folder`: inside the folder, which only its owner can access.

    If the path is too long for a socket, or the file system supports no sockets (network and Windows drives), the
    address is in a folder for the user's runtime files. Raises OSError if another user owns that folder.
    """
    inside = folder.absolute() / "socket"
    if len(os.fsencode(inside)) <= MAX_PATH_BYTES and _has_sockets(folder):
        return inside
    name = f"{hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:16]}.socket"
    bases = [Path(base) for base in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir()) if base]
    candidates = (base for base in bases if len(os.fsencode(_runtime_folder(base) / name)) <= MAX_PATH_BYTES)
    return _own_folder(_runtime_folder(next(candidates, FALLBACK_BASE))) / name


def peer_has_access(stream: socket.socket) -> bool:
    """Whether the peer process belongs to the same user or to the superuser."""
    if sys.platform == "linux":
        _, user, _ = struct.unpack("3i", stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    else:
        # macOS: struct xucred begins with its version and the user (sys/ucred.h); LOCAL_PEERCRED is 1.
        _, user = struct.unpack("2I", stream.getsockopt(0, 1, 76)[:8])
    return user in (os.geteuid(), SUPERUSER_ID)


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
    """Create the folder if it is missing. Raises PermissionError if other users own it or can access it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    info = folder.lstat()
    if info.st_uid != os.geteuid() or folder.is_symlink() or info.st_mode & 0o077:
        raise PermissionError(
            f"{folder} is not this user's alone: remove it, name another folder in XDG_RUNTIME_DIR, "
            "or a LOOKSTREAM_DATA with a shorter path"
        )
    return folder
