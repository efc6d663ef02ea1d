"""What many tests need: a real local broker each, the quick encoder, and pictures drawn in code."""

import io
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest
from PIL import Image, ImageDraw

from infra.kafka import create_topics
from infra.parts import broker_part
from infra.ports import LOOPBACK, free_port
from infra.settings import Kafka
from schemas.topics import all_topics
from tests.running import running_part

# A busy machine must not fail a test: how long something takes is for benchmarks to say.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


LONGEST = (
    "test_readme.py", "chaos", "benchmarks", "test_lives.py", "browser", "test_search_page.py", "end_to_end",
)  # fmt: skip
"""Files and folders of tests that run whole systems, the longest first; those that mostly wait beside those that
mostly compute."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where the tests of the page keep what they saw, and a Qdrant server to run on as well."""
    parser.addoption("--qdrant", default=None, help="URL of a Qdrant server that contracts and systems run on")
    parser.addoption("--screenshots", default=None, help="folder to keep screenshots of the page in")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests come first: at the end one would be waited for alone."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: min(places.get(part, len(places)) for part in item.path.parts))


@dataclass(frozen=True)
class Broker:
    """A local broker of a test's own."""

    process: "subprocess.Popen[bytes]"
    port: int


@pytest.fixture
def broker() -> Iterator[Broker]:
    """A broker of this test's own, without topics."""
    port = free_port(0)
    with running_part(broker_part(port), (LOOPBACK, port)) as process:
        yield Broker(process, port)


@pytest.fixture
def kafka(broker: Broker) -> Kafka:
    """How to reach that broker, with all topics; members join in half a second."""
    settings = Kafka(bootstrap=f"127.0.0.1:{broker.port}", session_timeout_ms=1_000, fetch_wait_ms=2)
    create_topics(settings, all_topics())
    return settings


@pytest.fixture
def picture() -> bytes:
    """A red disc on white, as PNG."""
    return draw_disc("#cc2222")


def draw_disc(colour: str, side: int = 96) -> bytes:
    """A disc of this colour on white, as PNG."""
    image = Image.new("RGB", (side, side), "white")
    ImageDraw.Draw(image).ellipse((side // 6, side // 6, side * 5 // 6, side * 5 // 6), fill=colour)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def discs(tmp_path: Path) -> Iterator[Path]:
    """A folder with discs: red.png, green.png, blue.png, yellow.png, black.png."""
    folder = tmp_path / "discs"
    folder.mkdir()
    colours = {"red": "#cc2222", "green": "#228833", "blue": "#2255cc", "yellow": "#f0d020", "black": "#181818"}
    for name, colour in colours.items():
        (folder / f"{name}.png").write_bytes(draw_disc(colour))
    yield folder
    shutil.rmtree(folder)
