"""Systems for end-to-end tests, and a feed for them."""

import csv
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.end_to_end.system import System, make_environment
from tests.qdrant_server import qdrant_environment


@pytest.fixture
def make_system(
    tmp_path: Path, kafka_server: str | None, qdrant_server: str | None
) -> Iterator[Callable[..., System]]:
    """Makes systems that are stopped at the end of the test."""
    made: list[System] = []

    def make(name: str = "data", **settings: str) -> System:
        folder = tmp_path / name
        made.append(System(folder, make_environment(folder, qdrant_environment(folder) | settings)))
        return made[-1]

    yield make
    for system in made:
        if system.process is not None and system.process.poll() is None:
            system.process.send_signal(signal.SIGINT)
            system.process.send_signal(signal.SIGINT)  # twice: stop now
            system.process.wait(60)


@pytest.fixture
def system(make_system: Callable[..., System]) -> System:
    """A running system."""
    return make_system().start()


@pytest.fixture
def shop(tmp_path: Path, discs: Path) -> Path:
    """A feed of five discs in Google's columns, and one invalid row."""
    path = tmp_path / "shop.csv"
    rows = [
        {"id": name, "title": f"A {name} disc", "image_link": f"{name}.png", "price": f"{n + 1}.00 EUR",
         "availability": "in_stock", "product_type": "Toys > Discs", "brand": "Round", "link": "https://shop.example"}
        for n, name in enumerate(("red", "green", "blue", "yellow", "black"))
    ]  # fmt: skip
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows([*rows, rows[0] | {"id": "bad", "image_link": "missing.png"}])
    return path
