"""Pictures from the web: what is asked, what the answers mean, and what a picture's bytes must look like."""

import ssl
import time
from collections.abc import Iterable, Mapping
from urllib.parse import urljoin

import httpcore

from infra.config.settings import ImageSettings
from infra.fetching.address_policy import judge_url, shown
from infra.fetching.fair_pool import FairPool
from infra.fetching.guarded_network import DownloadBudget, GuardedNetwork, NetworkAccess
from infra.fetching.http_cache import CachedResponse, HttpCache
from infra.fetching.image_formats import MAGIC_BYTES, media_type
from schemas.failures import Code, Rejected, TryLater

MAX_REDIRECTS = 3
CONNECTIONS, KEPT_CONNECTIONS = 64, 32
RESOLVING, RESOLVING_EACH = 32, 2
"""Names that are looked up at the same time: in all, and for one host."""
REDIRECTS = (301, 302, 303, 307, 308)
LATER = (408, 425, 429)
"""Statuses by which a server asks for another try, besides 5xx."""

HEADERS: Mapping[str, str] = {
    "User-Agent": "lookstream",
    "Accept": "image/*",
    # A compressed body of 49 kB can be 50 MB: pictures are compressed already.
    "Accept-Encoding": "identity",
}
ALIASES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "image/apng": "image/png",
}
SOME_CHUNKS, CRUMB_BYTES = 2_000, 64
"""A body may have so many chunks, and more only if they are larger than that: 10 MB byte by byte would keep a core
busy for as long as the download may take."""
UNTYPED = ("application/octet-stream", "binary/octet-stream")
"""Content types that say nothing: the bytes alone decide."""


class HttpDownloads:
    """Gets pictures over http(s): no proxy, no cookies, no credentials, at most 3 redirects."""

    def __init__(self, settings: ImageSettings, internet: NetworkAccess) -> None:
        self._settings = settings
        self._resolvers = FairPool("resolver", RESOLVING, RESOLVING_EACH)
        self._cache = HttpCache(settings.cache, settings.cache_mb * 1_000_000) if settings.cache else None
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=CONNECTIONS,
            max_keepalive_connections=KEPT_CONNECTIONS,
            keepalive_expiry=10,
            network_backend=GuardedNetwork(settings.allow_hosts, internet, self._resolvers),
        )

    def get(self, url: str, seconds: float) -> bytes:
        """The body at `url`, in `seconds` at most; raises Rejected or TryLater.

        Their messages hold neither query nor credentials.
        """
        allowance = DownloadBudget(shown(url), time.monotonic() + seconds)
        place = url
        try:
            for _ in range(1 + MAX_REDIRECTS):
                _, wire = judge_url(place, self._settings)
                found = self._ask(wire, allowance)
                if isinstance(found, bytes):
                    return found
                place = _follow(place, found)
        except httpcore.TimeoutException:
            raise TryLater(Code.IMAGE_TIMEOUT, f"{shown(place)} was not there within {seconds:.3g} s") from None
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise TryLater(Code.IMAGE_UNREACHABLE, f"{shown(place)} broke off: {type(error).__name__}") from None
        raise Rejected(Code.SOURCE_REFUSED, f"{shown(url)} redirects more than {MAX_REDIRECTS} times")

    def close(self) -> None:
        """Let go of connections and threads."""
        self._pool.close()
        self._resolvers.close()

    def _ask(self, url: str, allowance: DownloadBudget) -> bytes | str:
        """The body, or the address to which the server sends us."""
        kept = self._cache.find(url) if self._cache else None
        asked = {**HEADERS, **(kept.conditions if kept else {})}
        raw = [(name.encode(), value.encode("latin-1")) for name, value in asked.items()]
        timeouts = {"pool": allowance.seconds(), "connect": allowance, "read": allowance, "write": allowance}
        with self._pool.stream("GET", url, headers=raw, extensions={"timeout": timeouts}) as response:
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
            if response.status in REDIRECTS and "location" in headers:
                return headers["location"]
            if response.status == 304 and kept:
                return kept.body
            check_status(response.status, shown(url))
            check_headers(headers, shown(url), self._settings.max_bytes)
            allowance.allow_picture(self._settings.max_bytes)
            body = read_body(response.iter_stream(), shown(url), self._settings.max_bytes)
        check_kind(headers.get("content-type", ""), body, shown(url))
        if self._cache and "no-store" not in headers.get("cache-control", ""):
            self._cache.keep(url, CachedResponse(headers.get("etag", ""), headers.get("last-modified", ""), body))
        return body


def _follow(place: str, location: str) -> str:
    try:
        return urljoin(place, location)
    except ValueError:
        raise Rejected(Code.SOURCE_REFUSED, f"{shown(place)} redirects to what is no address") from None


def check_status(status: int, place: str) -> None:
    """Raise the failure that a status means, unless it is 200."""
    if status == 200:
        return
    if status in LATER or status >= 500:
        code = Code.IMAGE_TIMEOUT if status in (408, 504) else Code.IMAGE_UNREACHABLE
        raise TryLater(code, f"{place} answered {status}")
    if status == 404:  # an event can be faster than its picture's way to every server of a CDN
        raise TryLater(Code.IMAGE_MISSING, f"{place} answered {status}: there is no picture", tries=1)
    if status in (401, 403):
        raise Rejected(
            Code.SOURCE_REFUSED, f"{place} answered {status}: make the picture public, or send it inline"
        )
    raise Rejected(Code.IMAGE_MISSING, f"{place} answered {status}: there is no picture")


def check_headers(headers: Mapping[str, str], place: str, limit: int) -> None:
    """Raise Rejected when the headers promise no picture of at most `limit` bytes."""
    kind = _bare(headers.get("content-type", ""))
    if kind and not kind.startswith("image/") and kind not in UNTYPED:
        raise Rejected(Code.IMAGE_FORMAT, f"{place} is `{kind[:80]}`, not a picture")
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Rejected(Code.IMAGE_FORMAT, f"{place} came compressed, although that was declined")
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > limit:
        raise Rejected(Code.IMAGE_TOO_LARGE, f"{place} has more than {limit} bytes")


def check_kind(content_type: str, body: bytes, place: str) -> None:
    """Raise Rejected unless the bytes begin as a picture does, and as the content type says if it says anything."""
    seen = media_type(body[:MAGIC_BYTES])
    if seen is None:
        raise Rejected(Code.IMAGE_FORMAT, f"{place} is not a JPEG, PNG, WebP or GIF: send the address of one")
    kind = _bare(content_type)
    if kind and kind not in UNTYPED and ALIASES.get(kind, kind) != seen:
        message = f"{place} says that it is `{kind[:80]}`, but it is {seen}: correct its content type"
        raise Rejected(Code.IMAGE_FORMAT, message)


def _bare(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def read_body(chunks: Iterable[bytes], place: str, limit: int) -> bytes:
    """The whole body; raises Rejected as soon as it is longer than `limit`, or comes in crumbs."""
    body = bytearray()
    for count, chunk in enumerate(chunks):
        body += chunk
        if count > SOME_CHUNKS + len(body) // CRUMB_BYTES:
            raise Rejected(Code.SOURCE_REFUSED, f"{place} comes in crumbs: chunks of a few bytes each")
        if len(body) > limit:
            raise Rejected(Code.IMAGE_TOO_LARGE, f"{place} has more than {limit} bytes")
    return bytes(body)
