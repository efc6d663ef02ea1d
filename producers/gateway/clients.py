"""Client addresses: the client of a request is the connection's peer, or the hop that a trusted proxy names."""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import Scope

from infra.config.gateway import GatewaySettings

UNKNOWN = "unknown"
"""Address of a peer that has none, for example on a Unix socket."""
FORWARDED_FOR = re.compile(r'(?:^|;)\s*for\s*=\s*(?:"([^"]*)"|([^;\s]+))', re.IGNORECASE)
"""`for=...` in one element of `Forwarded` (RFC 7239, section 4)."""
IPV6_CLIENT_PREFIX = 64
"""Prefix length of the network of one IPv6 customer; all addresses in it count as one client."""


class ClientAddresses:
    """Finds the client's address behind the trusted proxies from the settings."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._proxies: Sequence[IPv4Network | IPv6Network] = [ip_network(text) for text in settings.proxies]
        self._header = settings.proxy_header

    def is_proxy(self, host: str) -> bool:
        """Whether the address belongs to a trusted proxy."""
        address = _parse_address(host)
        return address is not None and any(address in network for network in self._proxies)

    def client_of(self, scope: Scope) -> str:
        """The rightmost hop that is not a trusted proxy, if the peer is one; otherwise the peer."""
        client = str(scope["client"][0]) if scope["client"] else UNKNOWN
        if not self.is_proxy(client):
            return client
        for hop in reversed(self._hops(Headers(scope=scope))):
            if (address := _parse_address(hop)) is None:
                return client  # an obfuscated or malformed hop: the hops to its left cannot be trusted
            client = str(address)
            if not self.is_proxy(client):
                return client
        return client

    def _hops(self, headers: Headers) -> list[str]:
        elements = [part.strip() for value in headers.getlist(self._header) for part in value.split(",")]
        if self._header == "x-forwarded-for":
            return elements
        matches = [FORWARDED_FOR.search(element) for element in elements]
        return ["" if match is None else match[1] or match[2] or "" for match in matches]


def rate_key(address: str) -> str:
    """Key for rate and connection limits: an IPv4 address, or the /64 network of an IPv6 address."""
    parsed = _parse_address(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((int(parsed), IPV6_CLIENT_PREFIX), strict=False))
    return address


def _parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Parse an address with or without a port; an IPv4-mapped IPv6 address becomes IPv4. None if it is invalid."""
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
