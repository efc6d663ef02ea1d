"""Ports of the loopback interface: who listens, which are free, which another `lookstream up` has claimed."""

import random
import socket

LOOPBACK = "127.0.0.1"
TRIES = 100
"""Ports that are looked at before giving up."""
QUIET = range(20_000, 32_000)
"""Below those that systems give to outgoing connections, of which one may take a port before its owner listens."""


def accepts(address: tuple[str, int]) -> bool:
    """Whether somebody listens there."""
    try:
        with socket.create_connection(address, timeout=0.5):
            return True
    except OSError:
        return False


def free_port(wanted: int) -> int:
    """This port if it is free, else any free one; somebody else may take it before it is used."""
    for port in (wanted, 0):
        if found := _free(port):
            return found
    raise OSError("no free port on the loopback interface")


def claim_port(wanted: int) -> socket.socket:
    """This port if it is free, else another, which nobody else who asks here gets until the claim is closed.

    Between finding a port free and listening on it lies the start of a process; a second `lookstream up` that
    starts meanwhile would choose the same port, and then use the first one's broker. So the UDP port of the same
    number is held as the claim: it is nobody else's business, and the kernel gives it up when its owner dies.
    """
    for port in (*filter(None, [wanted]), *random.sample(QUIET, TRIES)):
        claim = socket.socket(type=socket.SOCK_DGRAM)
        try:
            claim.bind((LOOPBACK, port))
        except OSError:
            claim.close()
            continue
        if _free(port_of(claim)):
            return claim
        claim.close()
    raise OSError("no free port on the loopback interface")


def port_of(claim: socket.socket) -> int:
    """The port that a claim is for."""
    return int(claim.getsockname()[1])


def _free(port: int) -> int | None:
    """This port, or any for 0, if nobody has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return None
        return int(probe.getsockname()[1])
