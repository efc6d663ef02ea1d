"""Pictures from the web: judged addresses alone, and an end to time and size that no server can move."""

import ssl
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urljoin, urlsplit

import httpcore

from infra.addresses import is_allowed_host, resolve
from infra.settings import Images
from schemas.failures import Code, Rejected, TryLater

CONNECT_SECONDS = 2.0
MAX_REDIRECTS = 3
KEPT_CONNECTIONS = 32
PORTS = {"https": 443, "http": 80}
REDIRECTS = (301, 302, 303, 307, 308)
LATER = (408, 425, 429)
"""Statuses by which a server asks for another try, besides 5xx."""

SAFE = "/%:@!$&'()*+,;=~-._?"
HEADERS: Mapping[bytes | str, bytes | str] = {
    "User-Agent": "lookstream",
    "Accept": "image/*",
    # A compressed body of 49 kB can be 50 MB: pictures are compressed already.
    "Accept-Encoding": "identity",
}


class Downloads:
    """Gets pictures over http(s): no proxy, no cookies, no credentials, at most 3 redirects."""

    def __init__(self, settings: Images) -> None:
        self._settings = settings
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=KEPT_CONNECTIONS,
            keepalive_expiry=10,
            network_backend=JudgedNetwork(settings.allow_hosts),
        )

    def get(self, url: str) -> bytes:
        """The body at `url`; raises Rejected or TryLater, whose messages hold neither query nor credentials."""
        deadline = time.monotonic() + self._settings.fetch_seconds
        place = url
        try:
            for _ in range(1 + MAX_REDIRECTS):
                found = self._ask(judge_url(place, self._settings), deadline)
                if isinstance(found, bytes):
                    return found
                place = urljoin(place, found)
        except httpcore.TimeoutException:
            seconds = self._settings.fetch_seconds
            raise TryLater(Code.IMAGE_TIMEOUT, f"{shown(place)} was not there within {seconds:g} s") from None
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise TryLater(Code.IMAGE_UNREACHABLE, f"{shown(place)} broke off: {type(error).__name__}") from None
        raise Rejected(Code.SOURCE_REFUSED, f"{shown(url)} redirects more than {MAX_REDIRECTS} times")

    def close(self) -> None:
        """Let go of the connections."""
        self._pool.close()

    def _ask(self, url: str, deadline: float) -> bytes | str:
        """The body, or the address to which the server sends us."""
        left = max(0.0, deadline - time.monotonic())
        timeouts = {"pool": left, "connect": deadline, "read": deadline, "write": deadline}
        with self._pool.stream("GET", url, headers=HEADERS, extensions={"timeout": timeouts}) as response:
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            if response.status in REDIRECTS and "location" in headers:
                return headers["location"]
            check_status(response.status, shown(url))
            check_headers(headers, shown(url), self._settings.max_bytes)
            return read_body(response.iter_stream(), shown(url), self._settings.max_bytes)


def judge_url(url: str, settings: Images) -> str:
    """The address in the form that goes on the wire; raises Rejected when it may not be asked."""
    parts, host, port = _split(url)
    if parts.scheme == "http" and not settings.allow_http:
        message = f"{shown(url)} is not encrypted: use https, or set LOOKSTREAM_IMAGES_ALLOW_HTTP=true"
        raise Rejected(Code.SOURCE_REFUSED, message)
    if "@" in parts.netloc:
        raise Rejected(Code.SOURCE_REFUSED, f"{shown(url)} holds credentials: leave them out")
    if port not in PORTS.values() and not is_allowed_host(host, settings.allow_hosts):
        message = f"{shown(url)} uses port {port}: name the host in LOOKSTREAM_IMAGES_ALLOW_HOSTS if that is meant"
        raise Rejected(Code.SOURCE_REFUSED, message)
    place = f"[{host}]" if ":" in host else host
    query = f"?{quote(parts.query, SAFE)}" if parts.query else ""
    return f"{parts.scheme}://{place}:{port}{quote(parts.path or '/', SAFE)}{query}"


def _split(url: str) -> tuple[SplitResult, str, int]:
    """The parts of an http(s) address, with its host in ASCII and its port; raises Rejected."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode()
        port = parts.port or PORTS[parts.scheme]
    except (ValueError, KeyError):
        raise Rejected(Code.SOURCE_REFUSED, f"{shown(url)} is not an http(s) address") from None
    if not host or "\\" in url or not url.isprintable():
        raise Rejected(Code.SOURCE_REFUSED, f"{shown(url)} is not an http(s) address")
    return parts, host, port


def shown(url: str) -> str:
    """An address as messages may hold it: without query, credentials and control characters."""
    start, _, rest = url.partition("://")
    place = rest.split("?", 1)[0].split("#", 1)[0]
    host, slash, path = place.partition("/")
    text = f"{start}://{host.rpartition('@')[2]}{slash}{path}"
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:200]


def check_status(status: int, place: str) -> None:
    """Raise the failure that a status means, unless it is 200."""
    if status == 200:
        return
    if status in LATER or status >= 500:
        code = Code.IMAGE_TIMEOUT if status in (408, 504) else Code.IMAGE_UNREACHABLE
        raise TryLater(code, f"{place} answered {status}")
    if status in (401, 403):
        raise Rejected(
            Code.SOURCE_REFUSED, f"{place} answered {status}: make the picture public, or send it inline"
        )
    raise Rejected(Code.IMAGE_MISSING, f"{place} answered {status}: there is no picture")


def check_headers(headers: Mapping[str, str], place: str, limit: int) -> None:
    """Raise Rejected when the headers promise no picture of at most `limit` bytes."""
    kind = headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
    if not kind.startswith("image/") and kind not in ("application/octet-stream", "binary/octet-stream"):
        raise Rejected(Code.IMAGE_FORMAT, f"{place} is `{kind[:80]}`, not a picture")
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Rejected(Code.IMAGE_FORMAT, f"{place} came compressed, although that was declined")
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > limit:
        raise Rejected(Code.IMAGE_TOO_LARGE, f"{place} has {length[:20]} bytes, the limit is {limit}")


def read_body(chunks: Iterable[bytes], place: str, limit: int) -> bytes:
    """The whole body; raises Rejected as soon as it is longer than `limit`."""
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > limit:
            raise Rejected(Code.IMAGE_TOO_LARGE, f"{place} has more than {limit} bytes")
    return bytes(body)


@dataclass(frozen=True)
class JudgedNetwork(httpcore.NetworkBackend):
    """Connects to addresses that were judged, so that a name cannot point elsewhere a moment later.

    TLS and the Host header still carry the name. A base class of httpcore, because its pool asks for one.
    """

    allow_hosts: Collection[str]

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *_rest: object, **_options: object
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers; `timeout` is a moment (see EndingStream)."""
        *others, last = resolve(host, port, self.allow_hosts)
        for address in others:
            try:
                return _connect(address, port, timeout)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return _connect(last, port, timeout)


@dataclass(frozen=True)
class EndingStream(httpcore.NetworkStream):
    """A connection whose every wait ends at the request's deadline, however slowly bytes drip in.

    httpcore's timeouts are for each read alone, headers included. So each `timeout` here is not a length but
    the moment of time.monotonic() at which the whole request ends.
    """

    stream: httpcore.NetworkStream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Some bytes, as soon as there are any."""
        return self.stream.read(max_bytes, seconds_until(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """All of `buffer`."""
        self.stream.write(buffer, seconds_until(timeout))

    def close(self) -> None:
        """Hang up."""
        self.stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """The same connection, encrypted."""
        return EndingStream(self.stream.start_tls(ssl_context, server_hostname, seconds_until(timeout)))

    def get_extra_info(self, info: str) -> object:
        """What the pool asks, as whether the server hung up."""
        return self.stream.get_extra_info(info)


def _connect(address: str, port: int, moment: float | None) -> EndingStream:
    left = seconds_until(moment)
    seconds = CONNECT_SECONDS if left is None else min(CONNECT_SECONDS, left)
    return EndingStream(httpcore.SyncBackend().connect_tcp(address, port, seconds))


def seconds_until(moment: float | None) -> float | None:
    """Seconds from now to a moment of time.monotonic(); raises ReadTimeout when it has passed."""
    if moment is None:
        return None
    left = moment - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout
    return left
