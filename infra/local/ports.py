"""Ports: find and claim free ports of the loopback interface."""

import random
import socket

LOOPBACK = "127.0.0.1"
MAX_TRIES = 100
"""Number of random ports to try."""
PORT_RANGE = range(20_000, 32_000)
"""Below the ephemeral range, from which the kernel could give a port to an outgoing connection before its owner
listens."""


def is_listening(address: tuple[str, int]) -> bool:
    """Whether a server accepts connections at this address."""
    try:
        with socket.create_connection(address, timeout=0.5):
            return True
    except OSError:
        return False


def find_free_port(preferred: int) -> int:
    """`preferred` if it is free, else any free port; another process may take it before it is used."""
    for port in (preferred, 0):
        if found := _free(port):
            return found
    raise OSError("no free port on the loopback interface")


def claim_port(preferred: int) -> socket.socket:
    """Claim `preferred` if it is free, else another port; no other caller gets it until the claim is closed.

    A child process listens on its port some time after the port was checked: a second `lookstream up` that starts
    in that time would choose the same port, and then use the broker of the first one. So the claim binds the UDP
    port of the same number: nothing else uses it, and the kernel releases it when its owner dies.
    """
    for port in (*filter(None, [preferred]), *random.sample(PORT_RANGE, MAX_TRIES)):
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
    return int(claim.getsockname()[1])


def _free(port: int) -> int | None:
    """The port if it is free, any free one for 0; None if it is in use."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return None
        return int(probe.getsockname()[1])
