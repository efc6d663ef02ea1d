"""Who a request comes from: the peer of its connection, or whom a trusted proxy names."""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import Scope

from infra.config.settings import GatewaySettings

UNKNOWN = "unknown"
"""Stands for a peer without an address, as on a Unix socket."""
FOR = re.compile(r'(?:^|;)\s*for\s*=\s*(?:"([^"]*)"|([^;\s]+))', re.IGNORECASE)
"""`for=...` in one element of `Forwarded` (RFC 7239, section 4)."""
HOUSEHOLD_BITS = 64
"""Prefix length of the network that one IPv6 customer has: addresses in it are one client."""


class ClientAddresses:
    """Finds the address of the client behind the proxies that the settings name."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._proxies: Sequence[IPv4Network | IPv6Network] = [ip_network(text) for text in settings.proxies]
        self._header = settings.proxy_header

    def is_proxy(self, host: str) -> bool:
        """Whether an address, as text, is one of the proxies."""
        address = _parsed(host)
        return address is not None and any(address in network for network in self._proxies)

    def client_of(self, scope: Scope) -> str:
        """The rightmost hop that is no proxy, if the peer is a proxy; otherwise the peer."""
        client = str(scope["client"][0]) if scope["client"] else UNKNOWN
        if not self.is_proxy(client):
            return client
        for hop in reversed(self._hops(Headers(scope=scope))):
            if (address := _parsed(hop)) is None:
                return client  # an obfuscated or malformed hop: what stands left of it cannot be believed
            client = str(address)
            if not self.is_proxy(client):
                return client
        return client

    def _hops(self, headers: Headers) -> list[str]:
        elements = [part.strip() for value in headers.getlist(self._header) for part in value.split(",")]
        if self._header == "x-forwarded-for":
            return elements
        found = [FOR.search(element) for element in elements]
        return ["" if match is None else match[1] or match[2] or "" for match in found]


def rate_key(address: str) -> str:
    """What limits count by: an IPv4 address, or the /64 network of an IPv6 address."""
    parsed = _parsed(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((int(parsed), HOUSEHOLD_BITS), strict=False))
    return address


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """An address with or without its port; IPv4 inside IPv6 is IPv4."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
