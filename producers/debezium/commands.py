"""Debezium command: `ingest debezium` follows a database table."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.config.errors import BadInput
from infra.console import FAILED, command_options, error_console, printable
from producers.cli_options import ImageRootOption

if TYPE_CHECKING:
    from infra.config.settings import Settings
    from producers.debezium.changes import Change, ChangeReader
    from producers.ingest import IngestTally

app = typer.Typer()


@dataclass(frozen=True)
class DebeziumOptions:
    """Options of `ingest debezium`."""

    mapping: Annotated[
        Path,
        typer.Argument(
            metavar="MAPPING", help="TOML file: which column of the table is which field.", show_default=False
        ),
    ]
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Change events, one a line.", show_default=False)
    ] = None
    topic: Annotated[
        str | None, typer.Option(help="Follow this topic of change events instead.", show_default=False)
    ] = None
    image_root: ImageRootOption = None


@app.command("debezium")
@command_options(DebeziumOptions)
def ingest_debezium(options: DebeziumOptions) -> None:
    """Send the rows of a table as they change: change events of Debezium, from a topic until Ctrl-C, or a file."""
    from infra.config.settings import read_settings
    from producers.debezium.changes import ChangeReader
    from producers.debezium.mapping import read_mapping
    from producers.image_refs import choose_root

    if (options.file is None) == (options.topic is None):
        raise BadInput("give either a file of change events or --topic, one of the two")
    settings = read_settings()
    mapping = read_mapping(options.mapping)
    table = ChangeReader(mapping, choose_root(options.image_root, settings.images.folders_of(mapping.tenant)))
    tally = _follow(settings, options.topic, table) if options.topic else _send(settings, options.file, table)
    if tally.bad:
        sys.exit(FAILED)


def _send(settings: "Settings", file: Path | None, table: "ChangeReader") -> "IngestTally":
    from infra.kafka import EventSink, check_broker
    from infra.local_state import resolve_kafka_settings
    from infra.observability.tracing import SERVICE, tracing
    from producers.debezium.follow import read_changes
    from producers.feeds.feed_file import count_lines
    from producers.ingest import publish_with_progress

    assert file is not None
    total, kafka = count_lines(file), resolve_kafka_settings(settings)
    check_broker(kafka)
    with tracing(settings.traces, SERVICE) as spans:
        sink = EventSink(kafka, tracing=spans)
        tally = publish_with_progress(read_changes(file, table), sink, total, error_console())
    sink.close()
    return tally


def _follow(settings: "Settings", topic: str, table: "ChangeReader") -> "IngestTally":
    from infra.kafka import EventSink, EventSource, create_topics
    from infra.local_state import resolve_kafka_settings
    from infra.observability.tracing import SERVICE, tracing
    from producers.debezium.follow import GROUP, ChangeFollower, dead_letter_topic_of
    from producers.ingest import catch_ctrl_c, display_tally
    from producers.row_reader import BadRow

    console, kafka = error_console(), resolve_kafka_settings(settings)
    create_topics(kafka, [dead_letter_topic_of(topic)])
    unprefixed = kafka.model_copy(
        update={"prefix": ""}
    )  # the topic belongs to Debezium and has no prefix; the group is ours
    source = EventSource(unprefixed, f"{kafka.prefix}{GROUP}-{topic}", [topic])

    console.print(f"following {topic} until Ctrl-C", markup=False)
    with (
        tracing(settings.traces, SERVICE) as spans,
        catch_ctrl_c() as stopped,
        display_tally(console) as update,
    ):

        def watch(change: "Change", tally: "IngestTally") -> None:
            if isinstance(change, BadRow):
                console.print(printable(f"offset {change.line}: {change.message}"), markup=False, soft_wrap=True)
            update(tally)

        sink = EventSink(kafka, tracing=spans)
        tally = ChangeFollower(source, sink, table, watch).run(stopped)
    source.close()
    sink.close()
    console.print(tally.line(), markup=False)
    return tally
