"""The costs and gains of linger and compression, for events with a picture and events with a reference to one.

python -m tests.benchmarks.producing [--events 512] [--rounds 5]
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice, product
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from confluent_kafka import Producer
from rich.console import Console
from rich.table import Table

from infra.config.kafka import KafkaSettings
from infra.kafka import create_topics
from infra.kafka.config import client_config
from infra.kafka.sink import IDEMPOTENT_DELIVERY
from infra.local.ports import LOOPBACK, find_free_port
from infra.local.services import broker_service
from infra.local_state import local_kafka
from infra.observability.host_info import describe_machine
from producers.demo.catalogue import draw_catalogue
from schemas.envelope import Event, to_bytes, to_headers
from schemas.items import ImageRef, InlineImage, ItemUpserted, UrlImage, item_key
from schemas.topics import CATALOG_ITEMS, all_topics
from tests.service_process import run_service

LINGERS, COMPRESSIONS = (0, 2, 20), ("none", "lz4", "zstd")
SEED, SHOP = 7, 64
STATISTICS_MS = 100


@dataclass(frozen=True)
class SendCost:
    """What one round took; for one event."""

    wall_ms: float
    cpu_ms: float
    """Of the producer's process, all threads."""
    wire_bytes: float


@contextmanager
def local_broker() -> Iterator[KafkaSettings]:
    """A broker for this benchmark alone."""
    port = find_free_port(0)
    with run_service(broker_service(port)):
        kafka = local_kafka(KafkaSettings(), f"{LOOPBACK}:{port}")
        create_topics(kafka, all_topics())
        yield kafka


def measure(kafka: KafkaSettings, images: Sequence[ImageRef], linger: int, compression: str) -> SendCost:
    """Send an item with each of these pictures, and wait until the broker has them all."""
    wire: list[int] = [0]

    def note(event_id: str) -> None:
        wire[0] = int(json.loads(event_id)["tx_bytes"])

    chosen = {"acks": "all", **IDEMPOTENT_DELIVERY, "linger.ms": linger, "compression.type": compression}
    watched = {"statistics.interval.ms": STATISTICS_MS, "stats_cb": note}
    producer = Producer({**client_config(kafka), **chosen, **watched})
    _send(producer, images[:1])  # its first record waits for a producer id
    before = _settled(producer, wire)
    wall, cpu = time.perf_counter(), time.process_time()
    _send(producer, images)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    sent = _settled(producer, wire) - before
    return SendCost(wall * 1000 / len(images), cpu * 1000 / len(images), sent / len(images))


def _send(producer: Producer, images: Sequence[ImageRef]) -> None:
    for number, image in enumerate(images):
        item = f"i{number}"
        body = ItemUpserted(item_id=item, revision=1, images=(image,), title="A lamp of brass", category="Lamps")
        headers: dict[str, str | bytes | None] = {**to_headers(Event(body))}
        producer.produce(CATALOG_ITEMS, to_bytes(body), item_key("default", item), headers=headers)
        producer.poll(0)
    producer.flush()


def _settled(producer: Producer, wire: Sequence[int]) -> int:
    """The bytes sent so far, once the client's statistics include them."""
    until = time.monotonic() + 3 * STATISTICS_MS / 1000
    while time.monotonic() < until:
        producer.poll(0.05)
    return wire[0]


def main(
    events: Annotated[int, typer.Option(help="In a round", min=1)] = 512,
    rounds: Annotated[int, typer.Option(help="Of each kind, in turn", min=1)] = 5,
) -> None:
    """Medians of interleaved rounds, for one event."""
    console = Console()
    with TemporaryDirectory(prefix="lookstream-producing-") as folder:
        catalogue = draw_catalogue(Path(folder), SHOP, SEED)
        shots = [(catalogue.folder / one.image).read_bytes() for one in catalogue.products]
    kinds: Mapping[str, Sequence[ImageRef]] = {
        "picture inside": [InlineImage(data=shot) for shot in islice(cycle(shots), events)],
        "reference": [UrlImage(url=f"https://shop.example/pictures/{n}.jpg") for n in range(events)],
    }
    choices = list(product(kinds, LINGERS, COMPRESSIONS))
    results: dict[tuple[str, int, str], list[SendCost]] = {choice: [] for choice in choices}
    with local_broker() as kafka, console.status("measuring"):
        for _ in range(rounds):
            for kind, linger, compression in choices:
                results[kind, linger, compression].append(measure(kafka, kinds[kind], linger, compression))
    table = Table("event", "linger, ms", "compression", "wall, ms", "processor, ms", "bytes sent")
    for (kind, linger, compression), each in results.items():
        wall, cpu, wire = (
            median(getattr(one, what) for one in each) for what in ("wall_ms", "cpu_ms", "wire_bytes")
        )
        table.add_row(kind, str(linger), compression, f"{wall:.3f}", f"{cpu:.3f}", f"{wire:,.0f}")
    console.print(describe_machine(), table, highlight=False)


if __name__ == "__main__":
    typer.run(main)
