"""HTTP downloads: request pictures over http(s), and check status, headers, size and format of the responses."""

import re
import ssl
import time
from collections.abc import Iterable, Mapping
from urllib.parse import quote, urljoin

import httpcore

from infra.config.images import ImageSettings
from infra.fetching.address_policy import SAFE_CHARACTERS, check_url, redact_url
from infra.fetching.fair_pool import FairPool
from infra.fetching.guarded_network import DownloadBudget, GuardedNetwork, NetworkAccess
from infra.fetching.http_cache import CachedResponse, HttpCache
from infra.images.formats import FORMAT_NAMES, MAGIC_BYTES, MEDIA_TYPES, media_type, other_kind
from schemas.failures import Code, Rejected, TryLater

MAX_REDIRECTS = 3
CONNECTIONS, KEEPALIVE_CONNECTIONS = 64, 32
RESOLVERS, RESOLVERS_PER_HOST = 32, 2
"""Concurrent name resolutions: in total, and for one host."""
REDIRECTS = (301, 302, 303, 307, 308)
RETRY_STATUSES = (408, 425, 429)
"""Statuses, besides 5xx, after which the download is retried later."""

HEADERS: Mapping[str, str] = {
    "User-Agent": "lookstream",
    "Accept": MEDIA_TYPES,
    # A compressed body of 49 kB can expand to 50 MB, and pictures are compressed already.
    "Accept-Encoding": "identity",
}
FREE_CHUNKS, MIN_CHUNK_BYTES = 2_000, 64
"""A body may have more than FREE_CHUNKS chunks only if they average at least MIN_CHUNK_BYTES: 10 MB in single bytes
would occupy a core for the whole time limit."""
PAGES = re.compile(r".*[/+](x?html|xml|json|javascript)")
"""Content types of pages and data, whose bodies are not downloaded. For all others the bytes decide, because
many servers state a wrong type or none."""


class HttpDownloads:
    """Downloads pictures over http(s), without proxy, cookies and credentials, and with at most 3 redirects."""

    def __init__(self, settings: ImageSettings, internet: NetworkAccess) -> None:
        self._settings = settings
        self._resolvers = FairPool("resolver", RESOLVERS, RESOLVERS_PER_HOST)
        self._cache = HttpCache(settings.cache, settings.cache_mb * 1_000_000) if settings.cache else None
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=CONNECTIONS,
            max_keepalive_connections=KEEPALIVE_CONNECTIONS,
            keepalive_expiry=10,
            network_backend=GuardedNetwork(settings.allow_hosts, internet, self._resolvers),
        )

    def get(self, url: str, limit: int, seconds: float) -> bytes:
        """The body at `url`, at most `limit` bytes, within `seconds`; raises Rejected or TryLater.

        Their messages contain neither the query nor credentials.
        """
        budget = DownloadBudget(redact_url(url), time.monotonic() + seconds)
        current = url
        try:
            for _ in range(1 + MAX_REDIRECTS):
                _, request_url = check_url(current, self._settings)
                outcome = self._request(request_url, limit, budget)
                if isinstance(outcome, bytes):
                    return outcome
                current = _redirect_target(current, outcome)
        except httpcore.TimeoutException:
            raise TryLater(
                Code.IMAGE_TIMEOUT, f"{redact_url(current)} was not fetched within {seconds:.3g} s"
            ) from None
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise TryLater(
                Code.IMAGE_UNREACHABLE, f"{redact_url(current)} broke off: {type(error).__name__}"
            ) from None
        raise Rejected(Code.SOURCE_REFUSED, f"{redact_url(url)} redirects more than {MAX_REDIRECTS} times")

    def close(self) -> None:
        """Close connections and threads."""
        self._pool.close()
        self._resolvers.close()

    def _request(self, url: str, limit: int, budget: DownloadBudget) -> bytes | str:
        """The body, or the target of a redirect."""
        cached = self._cache.find(url) if self._cache else None
        request_headers = {**HEADERS, **(cached.conditions if cached else {})}
        raw = [(name.encode(), value.encode("latin-1")) for name, value in request_headers.items()]
        timeouts = {"pool": budget.seconds(), "connect": budget, "read": budget, "write": budget}
        with self._pool.stream("GET", url, headers=raw, extensions={"timeout": timeouts}) as response:
            raw_headers = {name.decode("latin-1").lower(): value for name, value in response.headers}
            headers = {name: value.decode("latin-1") for name, value in raw_headers.items()}
            if response.status in REDIRECTS and "location" in headers:
                return decode_location(raw_headers["location"])
            if response.status == 304 and cached:
                return cached.body
            check_status(response.status, redact_url(url))
            check_headers(headers, redact_url(url), limit)
            budget.allow_picture(limit)
            body = read_body(response.iter_stream(), redact_url(url), limit)
        check_format(body, redact_url(url))
        if self._cache and "no-store" not in headers.get("cache-control", ""):
            self._cache.keep(url, CachedResponse(headers.get("etag", ""), headers.get("last-modified", ""), body))
        return body


def decode_location(value: bytes) -> str:
    """The address in a Location header, which should be ASCII, but is often UTF-8 and sometimes Latin-1.

    Bytes that are not UTF-8 are percent-encoded as they are: the server knows its file by these bytes.
    """
    try:
        return value.decode()
    except UnicodeDecodeError:
        return quote(value, SAFE_CHARACTERS + "#[]")


def _redirect_target(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        raise Rejected(Code.SOURCE_REFUSED, f"{redact_url(url)} redirects to an invalid address") from None


def check_status(status: int, url: str) -> None:
    """Raise the failure for a status other than 200."""
    if status == 200:
        return
    if status in RETRY_STATUSES or status >= 500:
        code = Code.IMAGE_TIMEOUT if status in (408, 504) else Code.IMAGE_UNREACHABLE
        raise TryLater(code, f"{url} answered {status}")
    if status == 404:  # an event can arrive before its picture has reached all servers of a CDN
        raise TryLater(Code.IMAGE_MISSING, f"{url} answered {status}: there is no picture", tries=1)
    if status in (401, 403):
        raise Rejected(Code.SOURCE_REFUSED, f"{url} answered {status}: make the picture public, or send it inline")
    raise Rejected(Code.IMAGE_MISSING, f"{url} answered {status}: there is no picture")


def check_headers(headers: Mapping[str, str], url: str, limit: int) -> None:
    """Raise Rejected if the headers do not describe a picture of at most `limit` bytes."""
    kind = _without_parameters(headers.get("content-type", ""))
    if PAGES.fullmatch(kind):
        raise Rejected(Code.IMAGE_FORMAT, f"{url} is `{kind[:80]}`, not a {FORMAT_NAMES}: send the address of one")
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Rejected(Code.IMAGE_FORMAT, f"{url} is sent with a content encoding: serve the picture without one")
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > limit:
        raise Rejected(Code.IMAGE_TOO_LARGE, f"{url} has more than {limit} bytes")


def check_format(body: bytes, url: str) -> None:
    """Raise Rejected unless the bytes start like the file of a known picture format."""
    start = body[:MAGIC_BYTES]
    if media_type(start) is None:
        kind = other_kind(start)
        message = f"{url} is {kind + ', ' if kind else ''}not a {FORMAT_NAMES}: send the address of one"
        raise Rejected(Code.IMAGE_FORMAT, message)


def _without_parameters(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def read_body(chunks: Iterable[bytes], url: str, limit: int) -> bytes:
    """The whole body; raises Rejected as soon as it exceeds `limit` or arrives in too many tiny chunks."""
    body = bytearray()
    for count, chunk in enumerate(chunks):
        body += chunk
        if count > FREE_CHUNKS + len(body) // MIN_CHUNK_BYTES:
            raise Rejected(Code.SOURCE_REFUSED, f"{url} comes in chunks of a few bytes each")
        if len(body) > limit:
            raise Rejected(Code.IMAGE_TOO_LARGE, f"{url} has more than {limit} bytes")
    return bytes(body)
