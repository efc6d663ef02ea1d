"""Which network addresses pictures may come from: the public internet, never a network of our own."""

import socket
from collections.abc import Collection
from ipaddress import ip_address, ip_network

from schemas.failures import Code, Rejected, TryLater

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


def is_allowed_host(host: str, allowed: Collection[str]) -> bool:
    """Whether `host` is in the list: by its whole name, or below an entry that starts with a dot."""
    return any(host == entry or (entry.startswith(".") and host.endswith(entry)) for entry in allowed)


def resolve(host: str, port: int, allowed: Collection[str]) -> list[str]:
    """The addresses of a host, every one of them judged; raises Rejected, or TryLater when there are none.

    One private address among public ones refuses the host: who controls the name controls which is used.
    The waiting time is the system resolver's own (resolv.conf).
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise TryLater(Code.IMAGE_UNREACHABLE, f"the host name `{host}` is not known") from None
    addresses = list(dict.fromkeys(str(place[4][0]) for place in found))
    if not is_allowed_host(host, allowed) and not all(map(is_public, addresses)):
        raise Rejected(
            Code.SOURCE_REFUSED,
            f"`{host}` lies on a private network: name it in LOOKSTREAM_IMAGES_ALLOW_HOSTS if that is meant",
        )
    return addresses
