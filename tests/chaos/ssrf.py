"""SSRF: picture URLs that lead to our own network in every known way; none may reach a loopback listener."""

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpcore

from infra.config.images import ImageSettings
from infra.fetching.address_policy import resolve_host
from infra.fetching.fetcher import ImageFetcher
from infra.fetching.guarded_network import NetworkAccess, dial
from schemas.failures import Code, Rejected
from schemas.items import UrlImage
from tests.chaos.scenario import NO_BROKER, Report, Scenario, Size

PICTURE = b"\x89PNG\r\n\x1a\n of a good host"
GOOD = ("8.8.8.8", "93.184.215.14", "2606:4700::1111", "2a00:1450:4001::1")
BAD = """
    0.0.0.0 10.0.0.1 100.64.0.1 127.0.0.1 127.255.255.255 169.254.169.254 172.16.0.1 192.0.0.192 192.0.2.1
    192.88.99.1 192.168.1.1 198.18.0.1 203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255
    :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1
    2001::1 2001:db8::1 2002:7f00:1:: fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1
"""
ENCODED = (
    "localhost",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "127.1",
    "\uff11\uff12\uff17.\uff10.\uff10.\uff11",
    "[::1]",
    "[::ffff:127.0.0.1]",
)
"""Loopback, as the system's own resolver reads it."""
TRICKS = (
    "http://good-0.test@127.0.0.1/a.png",
    "http://good-0.test:80@127.0.0.1/a.png",
    "http://127.0.0.1\\@good-0.test/a.png",
    "http://good-0.test\\.127.0.0.1/a.png",
    "http://127.0.0.1:6379/a.png",
    "http://127.0.0.1%2f@good-0.test/a.png",
    "http://[fe80::1%25lo]/a.png",
    "http://127.0.0.1#@good-0.test/a.png",
    "http://127\u30020\u30020\u30021/a.png",
)
CHAINS = (
    (0, "http://127.0.0.1/a.png"),
    (0, "http://2130706433/a.png"),
    (0, "//[::1]/a.png"),
    (0, "http://169.254.169.254/latest/meta-data/"),
    (0, "http://good-1.test@127.0.0.1/a.png"),
    (0, "http://good-1.test:6379/a.png"),
    (0, "file:///etc/passwd"),
    (1, "http://bad-3.test/a.png"),
    (2, "http://localhost/a.png"),
    (3, "http://127.0.0.1/a.png"),
)
"""How many good hosts send us on to the next one, and where the last of them sends us."""
REBOUND = 100


@dataclass
class Names:
    """A resolver of an attacker: `rebound` is public and loopback in turn, other names have fixed addresses."""

    lookups: Counter[str] = field(default_factory=Counter)

    def look_up(self, host: str, port: int) -> list[str]:
        """The addresses of a host of ours, or what the system says of any other."""
        self.lookups[host] += 1
        kind, _, number = host.removesuffix(".test").partition("-")
        if not host.endswith(".test"):
            return resolve_host(host, port)
        if kind == "rebound":
            return [GOOD[1] if self.lookups[host] % 2 else "127.0.0.1"]
        bad = BAD.split()[int(number) % len(BAD.split())]
        mixed = {
            "good": [GOOD[int(number) % len(GOOD)]],
            "bad": [bad],
            "first": [bad, GOOD[0]],
            "last": [GOOD[0], bad],
        }
        return mixed[kind]


@dataclass
class Canary:
    """The listener that no download may reach; it counts connections."""

    connections: int = 0


@contextmanager
def listen(attend: Callable[[socket.socket], None]) -> Iterator[int]:
    """A listener on loopback; its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    caller, _ = listener.accept()
                    with caller, suppress(OSError):
                        attend(caller)

        thread = threading.Thread(target=accept)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def serve_picture(caller: socket.socket) -> None:
    """Answer with a picture, or send further: /chain/4/2 is two good hosts before the end of the fifth chain."""
    path = caller.recv(65_536).decode("latin-1").split(" ")[1]
    answer = f"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: {len(PICTURE)}\r\n"
    if path.startswith("/chain/"):
        chain, left = (int(part) for part in path.split("/")[2:4])
        further = f"http://good-{left}.test/chain/{chain}/{left - 1}" if left else CHAINS[chain][1]
        answer = f"HTTP/1.1 302 Found\r\nLocation: {further}\r\nContent-Length: 0\r\n"
    caller.sendall(f"{answer}Connection: close\r\n\r\n".encode() + (b"" if "302" in answer else PICTURE))


@dataclass
class Probe:
    """Fetches as a worker does; public addresses lead to a good host, all others to the canary."""

    images: ImageFetcher
    names: Names
    canary: Canary

    def refused(self, urls: Sequence[str]) -> int:
        """How many of them are refused for their source."""
        found = [self.images.fetch(UrlImage(url=url)) for url in urls]
        return sum(isinstance(one, Rejected) and one.code is Code.SOURCE_REFUSED for one in found)

    def fetched(self, urls: Sequence[str]) -> int:
        """How many of them give the good host's picture."""
        return sum(self.images.fetch(UrlImage(url=url)) == PICTURE for url in urls)


@contextmanager
def open_probe(allow_hosts: Sequence[str]) -> Iterator[Probe]:
    """A Probe for whom these hosts need not be public."""
    names, canary = Names(), Canary()

    def serve_canary(_: socket.socket) -> None:
        canary.connections += 1

    with listen(serve_picture) as good, listen(serve_canary) as bad:

        def divert(address: str, _port: int, seconds: float | None) -> httpcore.NetworkStream:
            return dial("127.0.0.1", good if address in GOOD else bad, seconds)

        settings = ImageSettings(allow_http=True, allow_hosts=tuple(allow_hosts))
        with closing(ImageFetcher(settings, internet=NetworkAccess(names.look_up, divert))) as images:
            yield Probe(images, names, canary)


def attack(size: Size, allow_hosts: Sequence[str]) -> Report:
    """Try every way in."""
    report = Report()
    rounds = size.of(REBOUND, 20)
    with report.timed(), open_probe(allow_hosts) as probe:
        ways = {
            "addresses": [
                f"http://{kind}-{n}.test/a" for n in range(len(BAD.split())) for kind in ("bad", "first", "last")
            ],
            "encodings": [f"http://{host}/a.png" for host in ENCODED],
            "tricks": list(TRICKS),
            "redirect chains": [f"http://good-0.test/chain/{n}/{left}" for n, (left, _) in enumerate(CHAINS)],
        }
        for way, urls in ways.items():
            report.expect(f"{way} refused", probe.refused(urls), len(urls))
        good = [f"http://good-{n}.test/a.png" for n in range(len(GOOD))]
        report.expect("good hosts let through", probe.fetched(good), len(good))
        rebound = ["http://rebound-0.test/a.png"] * rounds
        report.expect("rebinding: public answers fetched", probe.fetched(rebound), rounds // 2)
        report.expect("rebinding: looked up once for each", probe.names.lookups["rebound-0.test"], rounds)
        report.expect("connections to the canary", probe.canary.connections, 0)
    return report


def run(_folder: Path, size: Size) -> Report:
    """As in production: no host of a private network is allowed."""
    return attack(size, ())


def control(_folder: Path, size: Size) -> Report:
    """Without the check of addresses, switched off by its setting: the canary is reached."""
    return attack(size, (".test", "localhost", "127.0.0.1", "::1", "::ffff:127.0.0.1", *ENCODED))


SCENARIO = Scenario(
    name="ssrf",
    promise="No event makes a worker connect to our own network: 32 addresses alone and among good ones, 8 "
    "spellings, 9 tricks, 10 redirect chains and 100 changes of a resolver's mind reach a canary 0 times",
    run=run,
    control=control,
    short=1.0,
    brokers=NO_BROKER,
)
