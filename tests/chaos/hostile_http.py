"""Hostile servers: downloads keep their limits of time and bytes, and other pictures arrive as usual."""

import socket
import ssl
import threading
import time
from collections import Counter, defaultdict
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpcore
import numpy as np

from infra.config.images import ImageSettings
from infra.fetching.fetcher import HELD_BYTES, ImageFetcher
from infra.fetching.guarded_network import NetworkAccess, dial
from schemas.failures import Failure
from schemas.items import UrlImage
from tests.chaos.background import in_background
from tests.chaos.hostile_host import HOSTILE, PICTURE, run_host
from tests.chaos.scenario import NO_BROKER, Report, Scenario, Size

TIMES = 20
"""How often each host is met."""
AT_ONCE = 4
SECONDS, SHORT_SECONDS = 7.0, 1.0
"""What one download may take: as in production, and in the short form."""
MOST_BYTES, SHORT_BYTES = 10_000_000, 1_000_000
LATE_SECONDS = 1.0
"""Tolerance for the detection of a timeout: one process reads all downloads, and some take its processor."""
HEALTHY_SECONDS = 1.0
"""The most seconds (p95) for a valid picture during all of them."""


@dataclass
class Network:
    """Gives each name its own address, directs all to one port, and counts the bytes read from each."""

    port: int
    names: list[str] = field(default_factory=list)
    read: Counter[str] = field(default_factory=Counter)
    spent: dict[tuple[str, int], float] = field(default_factory=dict)
    """Seconds from the beginning of a connection to its last read, by name and number of the connection."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def look_up(self, host: str, _port: int) -> list[str]:
        """A public address."""
        with self.lock:
            if host not in self.names:
                self.names.append(host)
            number = self.names.index(host)
        return [f"8.8.{number // 256}.{number % 256}"]

    def dial(self, address: str, _port: int, seconds: float | None) -> httpcore.NetworkStream:
        """A connection to the host, metered."""
        _, _, high, low = address.split(".")
        name = self.names[int(high) * 256 + int(low)]
        with self.lock:
            connection = name, len(self.spent)
            self.spent[connection] = 0.0
        return Metered(dial("127.0.0.1", self.port, seconds), connection, self)

    @property
    def longest(self) -> float:
        """The most seconds that the connections to one name have taken together."""
        bytes_read = defaultdict[str, float](float)
        for (name, _), seconds in self.spent.items():
            bytes_read[name] += seconds
        return max(bytes_read.values())


@dataclass(frozen=True)
class Metered(httpcore.NetworkStream):
    """A connection that counts the bytes read and the time."""

    stream: httpcore.NetworkStream
    connection: tuple[str, int]
    network: Network
    began: float = field(default_factory=time.monotonic)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self.stream.read(max_bytes, timeout)
        self.network.read[self.connection[0]] += len(data)
        self.network.spent[self.connection] = time.monotonic() - self.began
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.stream.write(buffer, timeout)

    def close(self) -> None:
        self.stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return self.stream.start_tls(ssl_context, server_hostname, timeout)

    def get_extra_info(self, info: str) -> object:
        return self.stream.get_extra_info(info)


@dataclass
class Healthy:
    """A client that fetches valid pictures, one after the other, while the hostile ones are fetched."""

    images: ImageFetcher
    stop: threading.Event = field(default_factory=threading.Event)
    seconds: list[float] = field(default_factory=list)
    failed: int = 0

    def fetch(self) -> None:
        """Until it is over."""
        while not self.stop.wait(0.02):
            started = time.monotonic()
            found = self.images.fetch(UrlImage(url=f"http://healthy.{len(self.seconds) % 5}.test/a.png"))
            self.seconds.append(time.monotonic() - started)
            self.failed += found != PICTURE


def addresses(turn: int) -> list[UrlImage]:
    """Each kind of hostile host a few times, each time by a name of its own."""
    names = [f"{kind}.{turn}-{n}.test" for kind in HOSTILE for n in range(AT_ONCE)]
    return [UrlImage(url=f"{'https' if 'handshake' in name else 'http'}://{name}/a.png") for name in names]


def run(_folder: Path, size: Size) -> Report:
    """All kinds at the same time, four of each, again and again, with healthy pictures beside them."""
    report = Report()
    seconds, most = (SECONDS, MOST_BYTES) if size.share >= 1 else (SHORT_SECONDS, SHORT_BYTES)
    settings = ImageSettings(allow_http=True, fetch_seconds=seconds, max_bytes=most)
    with report.timed(), run_host() as port:
        network = Network(port)
        with closing(ImageFetcher(settings, internet=NetworkAccess(network.look_up, network.dial))) as images:
            healthy, took, failed, lookups = Healthy(images), [], 0, 0
            with in_background(healthy.fetch, healthy.stop):
                for turn in range(size.of(TIMES // AT_ONCE)):
                    started = time.monotonic()
                    found = images.fetch_all(addresses(turn))
                    took.append(time.monotonic() - started)
                    lookups += len(found)
                    failed += sum(isinstance(one, Failure) for one in found)
        read = sum(network.read.values())
        time.sleep(LATE_SECONDS)
        report.expect("hostile downloads that failed", failed, lookups)
        report.expect_at_most("slowest of them, s", round(network.longest, 2), seconds + LATE_SECONDS)
        # What is too large to be fetched together is fetched after the others.
        report.expect_at_most("slowest of all together, s", round(max(took), 2), 2 * seconds + LATE_SECONDS)
        together = HELD_BYTES // len(addresses(0))  # what is larger is fetched once more, by itself
        report.expect_at_most("most bytes read for one", max(network.read.values()), most + min(together, most))
        report.expect("bytes read after their end", sum(network.read.values()) - read, 0)
        report.expect("healthy pictures that failed", healthy.failed, 0)
        report.figures["healthy pictures"] = len(healthy.seconds)
        slow = round(float(np.quantile(healthy.seconds, 0.95)), 3)
        report.expect_at_most("healthy pictures p95, s", slow, HEALTHY_SECONDS)
    return report


def control(_folder: Path, size: Size) -> Report:
    """A client whose time is that of each read, as most have it, and who unpacks and keeps all that comes."""
    report = Report()
    seconds, most = (SECONDS, MOST_BYTES) if size.share >= 1 else (SHORT_SECONDS, SHORT_BYTES)
    took: dict[str, float] = {}
    read: dict[str, int] = {}

    def ask(kind: str, port: int) -> None:
        started = time.monotonic()
        read[kind] = read_plainly(port, kind, seconds, 2 * most)
        took[kind] = round(time.monotonic() - started, 2)

    with report.timed(), run_host() as port:
        threads = [
            threading.Thread(target=ask, args=(kind, port), daemon=True) for kind in ("drip-body", "gigabyte")
        ]
        for thread in threads:
            thread.start()
        threads[1].join()
        threads[0].join(1.5 * seconds + 1)
        report.expect_at_most("a drip, s", took.get("drip-body", 1.5 * seconds + 1), seconds + LATE_SECONDS)
        report.expect_at_most("a body of 1 GB, bytes read", read["gigabyte"], most)
    for thread in threads:
        thread.join()
    return report


def read_plainly(port: int, kind: str, seconds: float, enough: int) -> int:
    """Bytes that a plain client reads, until the server is gone, or there is enough to prove the point."""
    count = 0
    with socket.create_connection(("127.0.0.1", port), seconds) as line, suppress(OSError):
        line.sendall(f"GET / HTTP/1.1\r\nHost: {kind}.test\r\n\r\n".encode())
        while count < enough and (data := line.recv(65_536)):
            count += len(data)
    return count


SCENARIO = Scenario(
    name="hostile http",
    promise="Servers that drip, lie, flood and never end, 15 kinds 20 times each: every download ends within 8 s "
    "and its bytes, and healthy pictures beside them come as ever",
    run=run,
    control=control,
    brokers=NO_BROKER,
)
