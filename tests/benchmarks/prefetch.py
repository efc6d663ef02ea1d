"""What prefetching gains: indexing pictures of a slow web host with it and without it.

python -m tests.benchmarks.prefetch [--delay-ms 50] [--items 192] [--rounds 3]
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from infra.config.kafka import KafkaSettings
from infra.kafka import EventSink, TopicReader
from infra.observability.host_info import describe_machine
from producers.demo.catalogue import draw_catalogue
from schemas.envelope import Event
from schemas.items import ItemUpserted, UrlImage, item_key
from schemas.topics import CATALOG_ITEMS, ITEM_OUTCOMES, RETRY_TOPICS
from tests.benchmarks.fresh_bytes import new
from tests.benchmarks.item_load import indexed
from tests.chaos.testbed import LOOKSTREAM, open_testbed
from tests.infra.fetching.picture_host import run_server, send

PROGRAMS = {"looking ahead": LOOKSTREAM, "without": "tests.benchmarks.no_prefetch"}
SEED, WARM, TENANT = 7, 16, "default"
SETTINGS = {"LOOKSTREAM_IMAGES_ALLOW_HTTP": "true", "LOOKSTREAM_IMAGES_ALLOW_HOSTS": '["127.0.0.1"]'}


@dataclass(frozen=True)
class Round:
    """Pictures a second from the first event to the last one searchable, and how many had to be tried again."""

    rate: float
    late: int


@contextmanager
def slow_host(pictures: Sequence[bytes], seconds: float) -> Iterator[str]:
    """A host that answers each request after `seconds` with a picture that has new bytes; its address."""
    responses = cycle(pictures)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(seconds)
            with suppress(BrokenPipeError):  # the worker has given up
                send(self, 200, new(next(responses)), Content_Type="image/jpeg")

        def log_message(self, format: str, *_words: object) -> None:
            """Log nothing."""

    with run_server(Handler) as port:
        yield f"http://127.0.0.1:{port}"


def measure(folder: Path, program: str, host: str, items: int, encoder: str) -> Round:
    """Index so many items with a worker that has indexed WARM items before."""
    with open_testbed(folder, **SETTINGS, LOOKSTREAM_ENCODER=encoder) as testbed:
        testbed.start_worker(program=program)
        with (
            closing(TopicReader(testbed.kafka, ITEM_OUTCOMES)) as outcomes,
            closing(EventSink(testbed.kafka)) as sink,
        ):
            for first, count in ((0, WARM), (WARM, items)):
                began = time.time()
                for number in range(first, first + count):
                    _send(sink, f"i{number}", f"{host}/{number}.png")
                sink.flush()
                done = list(indexed(outcomes, TENANT, count))
        late = _records(testbed.kafka, RETRY_TOPICS[0])
        times = [one.times for one in done]
        ended = max(each.searchable_at.timestamp() for each in times if each.searchable_at)
        return Round(round(len(done) / (ended - began), 2), late)


def _records(kafka: KafkaSettings, topic: str) -> int:
    with closing(TopicReader(kafka, topic)) as reader:
        reader.rewind()
        return sum(1 for _ in iter(lambda: reader.poll(1.0), None))


def _send(sink: EventSink, item: str, url: str) -> None:
    body = ItemUpserted(tenant=TENANT, item_id=item, revision=1, images=(UrlImage(url=url),))
    sink.send(CATALOG_ITEMS, item_key(TENANT, item), Event(body))


def main(
    delay_ms: Annotated[float, typer.Option(help="How long the host takes for a picture")] = 50,
    items: Annotated[int, typer.Option(help="Items in a round", min=1)] = 192,
    rounds: Annotated[int, typer.Option(help="Of each kind, in turn", min=1)] = 3,
    encoder: Annotated[str, typer.Option(help="As LOOKSTREAM_ENCODER")] = "best",
) -> None:
    """Medians of interleaved rounds, and their ratio."""
    console = Console()
    rounds_of: dict[str, list[Round]] = {name: [] for name in PROGRAMS}
    with tempfile.TemporaryDirectory(prefix="lookstream-ahead-") as temporary:
        folder = Path(temporary)
        catalogue = draw_catalogue(folder / "shop", 64, SEED)
        shots = [(catalogue.folder / product.image).read_bytes() for product in catalogue.products]
        with slow_host(shots, delay_ms / 1000) as host, console.status("measuring"):
            for turn in range(rounds):
                for name, program in PROGRAMS.items():
                    rounds_of[name].append(measure(folder / f"{name}-{turn}", program, host, items, encoder))
    table = Table("", "pictures a second", "tried again")
    for name, each in rounds_of.items():
        table.add_row(name, f"{median(one.rate for one in each):.2f}", str(median(one.late for one in each)))
    ahead, without = (median(one.rate for one in rounds_of[name]) for name in PROGRAMS)
    console.print(describe_machine(), table, f"ratio {ahead / without:.2f}", highlight=False)


if __name__ == "__main__":
    typer.run(main)
