"""Debezium command: `ingest debezium` follows a database table."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.config.errors import BadInput
from infra.console import FAILED, command_options, error_console, printable
from producers.cli_options import FeedOptions

if TYPE_CHECKING:
    from infra.config.settings import Settings
    from producers.debezium.changes import ChangeReader
    from producers.feed_item import FeedResult
    from producers.ingest.publish import IngestTally

app = typer.Typer()


@dataclass(frozen=True)
class DebeziumOptions(FeedOptions):
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


@app.command("debezium")
@command_options(DebeziumOptions)
def ingest_debezium(options: DebeziumOptions) -> None:
    """Send the rows of a table as they change: change events of Debezium, from a topic until Ctrl-C, or a file."""
    from infra.config.settings import read_settings
    from producers.debezium.changes import ChangeReader
    from producers.debezium.mapping import read_mapping
    from producers.image_refs import open_root
    from producers.ingest.feed_check import open_checked_root

    if (options.file is None) == (options.topic is None):
        raise BadInput("give either a file of change events or --topic, one of the two")
    if options.topic is not None and (options.is_check or options.wait or options.report is not None):
        raise BadInput("--wait, --report and --check are for a file of change events: a topic has no end")
    settings = read_settings()
    mapping = read_mapping(options.mapping)
    open_locate = open_checked_root if options.is_check else open_root
    with open_locate(options.image_root, settings, mapping.tenant) as locate:
        table = ChangeReader(mapping, locate)
        if options.file is not None:
            sys.exit(_send(settings, options.file, table, options))
        if options.topic is not None and _follow(settings, options.topic, table).bad:
            sys.exit(FAILED)


def _send(settings: "Settings", file: Path, table: "ChangeReader", options: DebeziumOptions) -> int:
    from producers.debezium.follow import read_change_items
    from producers.feeds.feed_file import count_lines
    from producers.ingest.feed_check import WITHOUT_PICTURES, open_fetch, run_check
    from producers.ingest.session import run_ingest

    total, rows = count_lines(file), read_change_items(file, table)
    if options.is_check:
        root, is_sampled = options.image_root, options.check_pictures
        return run_check(rows, options, open_fetch(settings.images, root) if is_sampled else WITHOUT_PICTURES)
    return run_ingest(settings, rows, total, options)


def _follow(settings: "Settings", topic: str, table: "ChangeReader") -> "IngestTally":
    from infra.kafka import EventSink, EventSource, create_topics
    from infra.local_state import resolve_kafka_settings
    from infra.observability.tracing import SERVICE, tracing
    from producers.debezium.follow import GROUP, ChangeFollower, dead_letter_topic_of
    from producers.ingest.publish import catch_ctrl_c, display_tally
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

        def watch(change: "FeedResult", tally: "IngestTally") -> None:
            problems = [change.message] if isinstance(change, BadRow) else getattr(change, "left_out", ())
            for problem in problems:
                console.print(printable(f"offset {change.line}: {problem}"), markup=False, soft_wrap=True)
            update(tally)

        sink = EventSink(kafka, tracing=spans)
        tally = ChangeFollower(source, sink, table, watch).run(stopped)
    source.close()
    sink.close()
    console.print(tally.line(), markup=False)
    return tally
