"""What many tests need: a real broker, the quick encoder, and pictures drawn in code."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog
from PIL import Image, ImageDraw

from infra.config.kafka import KafkaSettings
from tests.kafka.apache import ApacheCluster, apache_cluster
from tests.kafka.brokers import Broker, create_all_topics, open_broker, open_kafka
from tests.kafka.plugin import add_option, select, share_kafka
from tests.kafka.shared import shared_bootstrap
from tests.qdrant_server import add_option as add_qdrant_option
from tests.qdrant_server import share_qdrant, shared_url

# A busy machine must not fail a test: benchmarks measure times, tests do not.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


LONGEST = (
    "test_readme.py", "chaos", "benchmarks", "test_lives.py", "browser", "test_search_page.py", "end_to_end",
)  # fmt: skip
"""Files and folders of tests that run whole systems, the longest first; those that mostly wait beside those that
mostly compute."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options: the folder of screenshots, and the Kafka and Qdrant that the tests run on."""
    parser.addoption("--screenshots", default=None, help="folder to keep screenshots of the page in")
    add_option(parser)
    add_qdrant_option(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Start the Kafka that the tests share, and find the Qdrant server."""
    share_kafka(config)
    share_qdrant(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run long tests first, so that the run does not end with a wait for one of them."""
    select(config, items)
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: min(places.get(part, len(places)) for part in item.path.parts))


@pytest.fixture(autouse=True)
def default_logs() -> Iterator[None]:
    """Undo the configuration of logs by a command that a test has run: later tests read the default ones."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def kafka_server() -> str | None:
    """The address of the Kafka that all tests share; None when each test has a local broker.

    Every fixture with a broker requests this one: `--kafka apache` runs the tests that do.
    """
    return shared_bootstrap()


@pytest.fixture(scope="session")
def qdrant_server() -> str | None:
    """The URL of the Qdrant server of --qdrant; tests that run on it request this fixture."""
    return shared_url()


@pytest.fixture
def broker(kafka_server: str | None) -> Iterator[Broker]:
    """A broker of this test's own, without topics."""
    with open_broker() as broker:
        yield broker


@pytest.fixture
def kafka(request: pytest.FixtureRequest, kafka_server: str | None) -> Iterator[KafkaSettings]:
    """How to reach Kafka, with all topics: in the test's own broker if it has one."""
    if "broker" in request.fixturenames:
        broker: Broker = request.getfixturevalue("broker")
        yield create_all_topics(broker.bootstrap)
    else:
        with open_kafka() as kafka:
            yield kafka


@pytest.fixture(scope="module")
def kafka_cluster(kafka_server: str | None) -> Iterator[ApacheCluster]:
    """Three nodes of Apache Kafka, for the tests of a file that end them one by one."""
    if kafka_server is None:
        pytest.skip("the local broker has one node: this runs on Apache Kafka, by `make conformance`")
    with apache_cluster(3, settings={"broker.session.timeout.ms": "6000"}) as cluster:
        yield cluster


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
