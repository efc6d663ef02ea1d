"""Which addresses pictures may come from: the public internet, never a network of our own."""

import re
import socket
from collections.abc import Callable, Collection
from ipaddress import ip_address, ip_network
from urllib.parse import SplitResult, quote, urlsplit

from infra.config.settings import ImageSettings
from schemas.failures import Code, Rejected, TryLater

LookUp = Callable[[str, int], list[str]]
"""From host and port to addresses, as text; raises OSError or UnicodeError."""

PORTS = {"https": 443, "http": 80}
SAFE = "/%:@!$&'()*+,;=~-._?"
NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_][a-z0-9_-]{0,62})*\.?|[0-9a-f:.]+")
"""A host name in ASCII, or an IPv6 address: no zone, no percent sign, nothing to be read in two ways."""

NEVER = tuple(
    ip_network(network)
    for network in (
        "192.0.0.0/24",  # IETF protocol assignments: clouds put metadata services here
        "192.88.99.0/24",  # relays from 6to4
        "224.0.0.0/4",  # multicast
        "::/96",  # IPv4 inside IPv6: compatible, mapped, translated; each could reach a private address
        "::ffff:0:0/96",
        "::ffff:0:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
        "fec0::/10",  # site-local, the old private range
        "ff00::/8",  # multicast
    )
)
"""Addresses that `ipaddress.is_global` lets pass, or did in some version (DECISIONS.md)."""


def is_public(address: str) -> bool:
    """Whether an IPv4 or IPv6 address, as text, lies on the public internet."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return parsed.is_global and not any(parsed in network for network in NEVER)


def is_loopback(host: str) -> bool:
    """Whether a listener on this address, or on `localhost`, is reached from this machine alone."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def is_listed(host: str, hosts: Collection[str]) -> bool:
    """Whether `host` is in the list: by its whole name, or below an entry that starts with a dot."""
    entries = [entry.lower() for entry in hosts]
    return any(host == entry or (entry.startswith(".") and host.endswith(entry)) for entry in entries)


def look_up(host: str, port: int) -> list[str]:
    """The addresses of a host by the system's resolver, which takes its own time (resolv.conf)."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[4][0]) for place in found))


def unknown_name(host: str, error: OSError | UnicodeError) -> TryLater:
    """Why a host has no address. A name that does not exist gets one more try, as a picture that is not there does:
    it may be new, but not for the quarter of an hour that a resolver which is away may take.
    """
    if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
        return TryLater(Code.IMAGE_UNREACHABLE, f"the host name `{host}` was not resolved: the resolver is away")
    return TryLater(Code.IMAGE_UNREACHABLE, f"the host name `{host}` is not known", tries=1)


def judge_addresses(host: str, addresses: Collection[str], allowed: Collection[str]) -> None:
    """Raise Rejected unless every address of a host is public, or the host is in the list of those that need not.

    One private address among public ones refuses the host: who controls the name controls which is used.
    """
    if not is_listed(host, allowed) and not all(map(is_public, addresses)):
        message = f"`{host}` lies on a private network: name it in LOOKSTREAM_IMAGES_ALLOW_HOSTS if that is meant"
        raise Rejected(Code.SOURCE_REFUSED, message)


def judge_url(url: str, settings: ImageSettings) -> tuple[str, str]:
    """The host in ASCII, and the address as it goes on the wire; raises Rejected when it may not be asked."""
    parts, host, port = _split(url)
    if parts.scheme == "http" and not settings.allow_http:
        message = f"{shown(url)} is not encrypted: use https, or set LOOKSTREAM_IMAGES_ALLOW_HTTP=true"
        raise Rejected(Code.SOURCE_REFUSED, message)
    if "@" in parts.netloc:
        raise Rejected(Code.SOURCE_REFUSED, f"{shown(url)} holds credentials: leave them out")
    if settings.only_hosts and not is_listed(host, settings.only_hosts):
        raise Rejected(Code.SOURCE_REFUSED, f"{shown(url)}: its host is not in LOOKSTREAM_IMAGES_ONLY_HOSTS")
    if port not in PORTS.values() and not is_listed(host, settings.allow_hosts):
        message = f"{shown(url)} uses port {port}: name the host in LOOKSTREAM_IMAGES_ALLOW_HOSTS if that is meant"
        raise Rejected(Code.SOURCE_REFUSED, message)
    place = f"[{host}]" if ":" in host else host
    query = f"?{quote(parts.query, SAFE)}" if parts.query else ""
    return host, f"{parts.scheme}://{place}:{port}{quote(parts.path or '/', SAFE)}{query}"


def _split(url: str) -> tuple[SplitResult, str, int]:
    """The parts of an http(s) address, with its host in ASCII and its port; raises Rejected."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode().lower()
        port = PORTS[parts.scheme] if parts.port is None else parts.port
    except (ValueError, KeyError):
        raise Rejected(Code.SOURCE_REFUSED, f"{shown(url)} is not an http(s) address") from None
    if not NAME.fullmatch(host) or "\\" in url or not url.isprintable():
        raise Rejected(Code.SOURCE_REFUSED, f"{shown(url)} is not an http(s) address")
    return parts, host, port


def shown(url: str) -> str:
    """An address as messages may hold it: without query, credentials and control characters."""
    start, _, rest = url.partition("://")
    place = rest.split("?", 1)[0].split("#", 1)[0]
    host, slash, path = place.partition("/")
    text = f"{start}://{host.rpartition('@')[2]}{slash}{path}"
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:200]
