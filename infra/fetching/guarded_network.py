"""Guarded network: connect only to checked addresses, and enforce time and byte limits against slow servers."""

import ssl
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

import httpcore

from infra.fetching.address_policy import Resolver, check_addresses, resolution_failure, resolve_host
from infra.fetching.fair_pool import FairPool
from schemas.failures import Code, Rejected

CONNECT_SECONDS = 2.0
HEAD_BYTES = 1 << 17
"""Bytes that servers may send before the picture: all headers, including those of redirects."""

Dial = Callable[[str, int, float | None], httpcore.NetworkStream]
"""Connects to an address and port within seconds; raises ConnectError or ConnectTimeout of httpcore."""


def dial(address: str, port: int, seconds: float | None) -> httpcore.NetworkStream:
    """Connect to an address by TCP."""
    return httpcore.SyncBackend().connect_tcp(address, port, seconds)


@dataclass(frozen=True)
class NetworkAccess:
    """Functions to resolve names and to connect; tests replace them."""

    resolve_host: Resolver = resolve_host
    dial: Dial = dial


@dataclass
class DownloadBudget:
    """Remaining time and bytes of one download, including redirects; `until` is a time of time.monotonic().

    It is passed to the streams below as httpcore's `timeout`, which httpcore does not inspect: httpcore's own
    timeouts apply to each read alone, so a server that sends a few bytes at a time would never exceed them.
    """

    url: str
    """URL of the download, for messages."""
    until: float
    bytes_left: int = HEAD_BYTES

    def allow_picture(self, most: int) -> None:
        """Raise the limit for a picture: headers, chunk framing and body together may have `most` bytes."""
        self.bytes_left += max(0, most - HEAD_BYTES)

    def spend(self, count: int) -> None:
        """Subtract the bytes that were received."""
        self.bytes_left -= count

    def seconds(self) -> float:
        """Remaining seconds; raises ReadTimeout if there are none."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout
        return left

    def room(self) -> int:
        """Remaining bytes, at least 1; raises Rejected if there are none."""
        if self.bytes_left <= 0:
            raise Rejected(
                Code.IMAGE_TOO_LARGE, f"{self.url} sends more bytes than a picture and its headers may have"
            )
        return self.bytes_left


@dataclass(frozen=True)
class GuardedNetwork(httpcore.NetworkBackend):
    """Connects to the addresses that were checked, which prevents DNS rebinding.

    TLS and the Host header still use the name. Derived from httpcore's base class, as its pool requires.
    """

    allow_hosts: Collection[str]
    internet: NetworkAccess
    resolvers: FairPool
    """Pool for name resolution: the system's resolver cannot be interrupted, so it runs in other threads."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: DownloadBudget | float | None = None,
        *_rest: object,
        **_options: object,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers, each within 2 s and all within the download's budget."""
        *others, last = self._resolve(host, port, timeout)
        for address in others:
            try:
                return self._connect(address, port, timeout)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return self._connect(last, port, timeout)

    def _resolve(self, host: str, port: int, timeout: DownloadBudget | float | None) -> list[str]:
        """The addresses of a host, all of them checked; raises Rejected, TryLater or ConnectTimeout."""
        found = self.resolvers.submit(host, partial(self.internet.resolve_host, host, port))
        try:
            addresses = found.result(_seconds(timeout))
        except TimeoutError:
            found.cancel()
            raise httpcore.ConnectTimeout from None
        except (OSError, UnicodeError) as error:
            raise resolution_failure(host, error) from None
        if not addresses:
            raise resolution_failure(host, OSError("no address"))
        check_addresses(host, addresses, self.allow_hosts)
        return addresses

    def _connect(self, address: str, port: int, timeout: DownloadBudget | float | None) -> "DeadlineStream":
        left = _seconds(timeout)
        seconds = CONNECT_SECONDS if left is None else min(CONNECT_SECONDS, left)
        return DeadlineStream(self.internet.dial(address, port, seconds))


@dataclass(frozen=True)
class DeadlineStream(httpcore.NetworkStream):
    """A connection whose reads and writes end with the download's budget, however slowly bytes arrive."""

    stream: httpcore.NetworkStream

    def read(self, max_bytes: int, timeout: DownloadBudget | float | None = None) -> bytes:
        """Read the next available bytes."""
        if not isinstance(timeout, DownloadBudget):
            return self.stream.read(max_bytes, timeout)
        data = self.stream.read(min(max_bytes, timeout.room()), timeout.seconds())
        timeout.spend(len(data))
        return data

    def write(self, buffer: bytes, timeout: DownloadBudget | float | None = None) -> None:
        """Write all of `buffer`; requests are small, so this ends once the server accepts any data."""
        self.stream.write(buffer, _seconds(timeout))

    def close(self) -> None:
        self.stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: DownloadBudget | float | None = None,
    ) -> httpcore.NetworkStream:
        """The same connection with TLS; the time limit applies to the whole handshake."""
        return DeadlineStream(self.stream.start_tls(ssl_context, server_hostname, _seconds(timeout)))

    def get_extra_info(self, info: str) -> object:
        """Information for the pool, such as whether the server has closed the connection."""
        return self.stream.get_extra_info(info)


def _seconds(timeout: DownloadBudget | float | None) -> float | None:
    return timeout.seconds() if isinstance(timeout, DownloadBudget) else timeout
