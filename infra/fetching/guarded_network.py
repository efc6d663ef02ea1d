"""The network as downloads may use it: judged addresses, and an end to time and bytes that no server can move."""

import ssl
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

import httpcore

from infra.fetching.address_policy import LookUp, judge_addresses, look_up, unknown_name
from infra.fetching.fair_pool import FairPool
from schemas.failures import Code, Rejected

CONNECT_SECONDS = 2.0
HEAD_BYTES = 1 << 17
"""What servers may send before the picture: headers, redirects' among them."""

Dial = Callable[[str, int, float | None], httpcore.NetworkStream]
"""From address, port and seconds to a connection; raises ConnectError or ConnectTimeout of httpcore."""


def dial(address: str, port: int, seconds: float | None) -> httpcore.NetworkStream:
    """A connection to an address."""
    return httpcore.SyncBackend().connect_tcp(address, port, seconds)


@dataclass(frozen=True)
class NetworkAccess:
    """How names become addresses, and addresses connections; tests hand in their own."""

    look_up: LookUp = look_up
    dial: Dial = dial


@dataclass
class DownloadBudget:
    """What one download may still take, redirects and all: until when, a moment of time.monotonic(), and how much.

    It travels to the streams below as httpcore's `timeout`, which httpcore hands down unread: its own timeouts are
    for each read alone, so that a server that drips would outlast any of them.
    """

    place: str
    """What is downloaded, for messages."""
    until: float
    bytes_left: int = HEAD_BYTES

    def allow_picture(self, most: int) -> None:
        """The answer is a picture: all that comes, headers and framing of chunks too, may be `most` bytes now."""
        self.bytes_left += max(0, most - HEAD_BYTES)

    def seconds(self) -> float:
        """Seconds that are left; raises ReadTimeout when there are none."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout
        return left

    def room(self) -> int:
        """Bytes that may still come, at least one; raises Rejected when there are none."""
        if self.bytes_left <= 0:
            raise Rejected(
                Code.IMAGE_TOO_LARGE, f"{self.place} sends more bytes than a picture and its headers may have"
            )
        return self.bytes_left


@dataclass(frozen=True)
class GuardedNetwork(httpcore.NetworkBackend):
    """Connects to addresses that were judged, so that a name cannot point elsewhere a moment later.

    TLS and the Host header still carry the name. A base class of httpcore, because its pool asks for one.
    """

    allow_hosts: Collection[str]
    internet: NetworkAccess
    resolvers: FairPool
    """Where names are looked up: the system's resolver cannot be interrupted, so it is waited for elsewhere."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: DownloadBudget | float | None = None,
        *_rest: object,
        **_options: object,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers, each within 2 s and all within the Allowance."""
        *others, last = self._resolve(host, port, timeout)
        for address in others:
            try:
                return self._connect(address, port, timeout)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return self._connect(last, port, timeout)

    def _resolve(self, host: str, port: int, timeout: DownloadBudget | float | None) -> list[str]:
        """The addresses of a host, every one of them judged; raises Rejected, TryLater or ConnectTimeout."""
        found = self.resolvers.submit(host, partial(self.internet.look_up, host, port))
        try:
            addresses = found.result(_seconds(timeout))
        except TimeoutError:
            found.cancel()
            raise httpcore.ConnectTimeout from None
        except (OSError, UnicodeError) as error:
            raise unknown_name(host, error) from None
        if not addresses:
            raise unknown_name(host, OSError("no address"))
        judge_addresses(host, addresses, self.allow_hosts)
        return addresses

    def _connect(self, address: str, port: int, timeout: DownloadBudget | float | None) -> "DeadlineStream":
        left = _seconds(timeout)
        seconds = CONNECT_SECONDS if left is None else min(CONNECT_SECONDS, left)
        return DeadlineStream(self.internet.dial(address, port, seconds))


@dataclass(frozen=True)
class DeadlineStream(httpcore.NetworkStream):
    """A connection whose every wait ends with the request's Allowance, however slowly bytes drip in."""

    stream: httpcore.NetworkStream

    def read(self, max_bytes: int, timeout: DownloadBudget | float | None = None) -> bytes:
        """Some bytes, as soon as there are any."""
        if not isinstance(timeout, DownloadBudget):
            return self.stream.read(max_bytes, timeout)
        data = self.stream.read(min(max_bytes, timeout.room()), timeout.seconds())
        timeout.bytes_left -= len(data)
        return data

    def write(self, buffer: bytes, timeout: DownloadBudget | float | None = None) -> None:
        """All of `buffer`; the request is small, so this ends as soon as the server takes anything at all."""
        self.stream.write(buffer, _seconds(timeout))

    def close(self) -> None:
        """Hang up."""
        self.stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: DownloadBudget | float | None = None,
    ) -> httpcore.NetworkStream:
        """The same connection, encrypted; `ssl` keeps the time of the whole handshake."""
        return DeadlineStream(self.stream.start_tls(ssl_context, server_hostname, _seconds(timeout)))

    def get_extra_info(self, info: str) -> object:
        """What the pool asks, as whether the server hung up."""
        return self.stream.get_extra_info(info)


def _seconds(timeout: DownloadBudget | float | None) -> float | None:
    return timeout.seconds() if isinstance(timeout, DownloadBudget) else timeout
