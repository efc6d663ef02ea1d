"""`pytest --kafka apache`: the tests that use a broker run on Apache Kafka, one node for the whole run."""

from contextlib import ExitStack

import pytest

from tests.kafka.apache import apache_node
from tests.kafka.jars import KafkaMissing
from tests.kafka.shared import share
from tests.qdrant_server import runs_on_server

LOCAL, APACHE = "local", "apache"


def add_option(parser: pytest.Parser) -> None:
    """Which Kafka the tests run on."""
    parser.addoption(
        "--kafka",
        default=LOCAL,
        metavar="local|apache|HOST:PORT",
        help="local: a local broker for each test; else only the tests that use a broker run, "
        "on a node of Apache Kafka that is started for the run, or on the Kafka at this address",
    )


def share_kafka(config: pytest.Config) -> None:
    """Start what the tests of the run share; processes of pytest-xdist inherit its address."""
    chosen: str = config.getoption("--kafka")
    if chosen == LOCAL or hasattr(config, "workerinput") or config.option.collectonly:
        return
    if chosen != APACHE:
        share(chosen)
        return
    stack = ExitStack()
    try:
        node = stack.enter_context(apache_node())
    except KafkaMissing as error:
        raise pytest.UsageError(str(error)) from None
    config.add_cleanup(stack.close)
    share(node.bootstrap)


def select(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On Apache Kafka only tests that use a broker count: those whose fixtures rest on `kafka_server`.

    Those that run on a Qdrant server of --qdrant count too.
    """
    if config.getoption("--kafka") == LOCAL:
        return
    chosen = [item for item in items if "kafka_server" in getattr(item, "fixturenames", ()) or runs_on_server(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen
    for item in items:
        if marker := item.get_closest_marker("local_broker"):
            item.add_marker(pytest.mark.skip(reason=f"about the local broker: {marker.args[0]}"))
