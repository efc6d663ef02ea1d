"""Address policy: accept pictures only from the public internet, not from private networks (SSRF protection)."""

import re
import socket
from collections.abc import Callable, Collection
from ipaddress import ip_address, ip_network
from urllib.parse import SplitResult, quote, urlsplit

from infra.config.images import ImageSettings
from schemas.failures import Code, Rejected, TryLater

Resolver = Callable[[str, int], list[str]]
"""Resolves host and port to IP addresses as text; raises OSError or UnicodeError."""

PORTS = {"https": 443, "http": 80}
SAFE_CHARACTERS = "/%:@!$&'()*+,;=~-._?"
HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_][a-z0-9_-]{0,62})*\.?|[0-9a-f:.]+")
"""An ASCII host name or an IPv6 address; without zone or percent sign, so that it is unambiguous."""

BLOCKED_NETWORKS = tuple(
    ip_network(network)
    for network in (
        "192.0.0.0/24",  # IETF protocol assignments: clouds place metadata services here
        "192.88.99.0/24",  # 6to4 relays
        "224.0.0.0/4",  # multicast
        "::/96",  # IPv4 in IPv6 (compatible, mapped, translated), which could reach a private address
        "::ffff:0:0/96",
        "::ffff:0:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
        "fec0::/10",  # site-local, the deprecated private range
        "ff00::/8",  # multicast
    )
)
"""Networks to reject although `ipaddress.is_global` accepts them in at least one Python version (DECISIONS.md)."""


def is_public(address: str) -> bool:
    """Whether an IPv4 or IPv6 address, as text, is on the public internet."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return parsed.is_global and not any(parsed in network for network in BLOCKED_NETWORKS)


def is_loopback(host: str) -> bool:
    """Whether a listener on this address, or on `localhost`, is reachable only from this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def is_listed(host: str, hosts: Collection[str]) -> bool:
    """Whether `host` matches an entry exactly, or is a subdomain of an entry that starts with a dot."""
    entries = [entry.lower() for entry in hosts]
    return any(host == entry or (entry.startswith(".") and host.endswith(entry)) for entry in entries)


def resolve_host(host: str, port: int) -> list[str]:
    """The addresses of a host from the system's resolver, whose timeout is set by resolv.conf."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found))


def resolution_failure(host: str, error: OSError | UnicodeError) -> TryLater:
    """The failure for a host without addresses.

    A name that does not exist is retried once, like a missing picture, because the name may be new. Only if the
    resolver is unavailable are all retries made, which take a quarter of an hour.
    """
    if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
        return TryLater(
            Code.IMAGE_UNREACHABLE, f"the host name `{host}` was not resolved: the name server does not answer"
        )
    return TryLater(Code.IMAGE_UNREACHABLE, f"the host name `{host}` is not known", tries=1)


def check_addresses(host: str, addresses: Collection[str], allowed_hosts: Collection[str]) -> None:
    """Raise Rejected unless all addresses of a host are public, or the host is in the list of allowed hosts.

    A single private address is enough to reject the host: the owner of the name controls which address is used.
    """
    if not is_listed(host, allowed_hosts) and not all(map(is_public, addresses)):
        message = f"`{host}` lies on a private network: name it in LOOKSTREAM_IMAGES_ALLOW_HOSTS if that is meant"
        raise Rejected(Code.SOURCE_REFUSED, message)


def check_url(url: str, settings: ImageSettings) -> tuple[str, str]:
    """The host in ASCII and the URL to request; raises Rejected if the policy forbids it."""
    parts, host, port = _split(url)
    if parts.scheme == "http" and not settings.allow_http:
        message = f"{redact_url(url)} is not encrypted: use https, or set LOOKSTREAM_IMAGES_ALLOW_HTTP=true"
        raise Rejected(Code.SOURCE_REFUSED, message)
    if "@" in parts.netloc:
        raise Rejected(Code.SOURCE_REFUSED, f"{redact_url(url)} holds credentials: leave them out")
    if settings.only_hosts and not is_listed(host, settings.only_hosts):
        raise Rejected(Code.SOURCE_REFUSED, f"{redact_url(url)}: its host is not in LOOKSTREAM_IMAGES_ONLY_HOSTS")
    if port not in PORTS.values() and not is_listed(host, settings.allow_hosts):
        message = (
            f"{redact_url(url)} uses port {port}: name the host in LOOKSTREAM_IMAGES_ALLOW_HOSTS if that is meant"
        )
        raise Rejected(Code.SOURCE_REFUSED, message)
    url_host = f"[{host}]" if ":" in host else host
    query = f"?{quote(parts.query, SAFE_CHARACTERS)}" if parts.query else ""
    return host, f"{parts.scheme}://{url_host}:{port}{quote(parts.path or '/', SAFE_CHARACTERS)}{query}"


def _split(url: str) -> tuple[SplitResult, str, int]:
    """The parts, the ASCII host and the port of an http(s) URL; raises Rejected."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode().lower()
        port = PORTS[parts.scheme] if parts.port is None else parts.port
    except (ValueError, KeyError):
        raise Rejected(Code.SOURCE_REFUSED, f"{redact_url(url)} is not an http(s) address") from None
    if not HOST_NAME.fullmatch(host) or "\\" in url or not url.isprintable():
        raise Rejected(Code.SOURCE_REFUSED, f"{redact_url(url)} is not an http(s) address")
    return parts, host, port


def redact_url(url: str) -> str:
    """A URL for messages: without query, fragment, credentials and control characters; at most 200 characters."""
    start, _, rest = url.partition("://")
    location = rest.split("?", 1)[0].split("#", 1)[0]
    host, slash, path = location.partition("/")
    text = f"{start}://{host.rpartition('@')[2]}{slash}{path}"
    return "".join(character if character.isprintable() else "?" for character in text)[:200]
