"""Commands `lookstream topics create | check | acls`: manage the topics, and print the ACLs of each part."""

import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from infra.console import FAILED, command_options, format_count
from infra.kafka_admin.access import KafkaUser

if TYPE_CHECKING:
    from infra.config.kafka import KafkaSettings
    from infra.kafka.topics import TopicDifference

app = typer.Typer()
topics = typer.Typer(help="The Kafka topics.", no_args_is_help=True)
app.add_typer(topics, name="topics")


@dataclass(frozen=True)
class CreateOptions:
    """Options of `topics create`."""

    update: Annotated[
        bool, typer.Option("--update", help="Also change the settings of existing topics that differ.")
    ] = False


@dataclass(frozen=True)
class CheckOptions:
    """Options of `topics check`: none."""


@dataclass(frozen=True)
class AclsOptions:
    """Options of `topics acls`."""

    part: Annotated[
        list[KafkaUser] | None,
        typer.Option(help="A part of the system; repeatable. Default: all.", show_default=False),
    ] = None
    principal: Annotated[
        str | None,
        typer.Option(help="Principal, as User:lookstream. Default: User:lookstream-PART.", show_default=False),
    ] = None


@topics.command("create")
@command_options(CreateOptions)
def create(options: CreateOptions) -> None:
    """Create the missing topics; list the other ones whose settings differ from the required ones."""
    from infra.kafka.topics import create_topics, find_topic_differences, update_topics
    from schemas.failures import Unavailable
    from schemas.topics import all_topics

    kafka = _kafka()
    created = create_topics(kafka, all_topics())
    typer.echo(
        f"created {format_count(len(created), 'topic', 'topics')}: {', '.join(created)}"
        if created
        else "all topics exist"
    )
    try:
        differences = find_topic_differences(kafka, all_topics())
    except Unavailable as error:  # the topics exist: a user who may not read their settings can continue
        typer.echo(f"warning: {error}", err=True)
        return
    if options.update and differences:
        update_topics(kafka, differences)
        typer.echo("changed:\n" + "\n".join(f"  {difference}" for difference in differences))
    else:
        _print_differences(differences, kafka)


@topics.command("check")
@command_options(CheckOptions)
def check(_options: CheckOptions) -> None:
    """List the topics that are missing or differ, with the commands that correct them; exit 1 if there are any."""
    from infra.kafka.topics import find_missing_topics, find_topic_differences
    from schemas.topics import all_topics

    kafka = _kafka()
    missing = find_missing_topics(kafka, all_topics())
    differences = find_topic_differences(kafka, all_topics())
    if missing:
        typer.echo(f"missing: {', '.join(missing)}\n  lookstream topics create", err=True)
    _print_differences(differences, kafka)
    if missing or differences:
        sys.exit(FAILED)
    typer.echo("all topics are as they must be")


@topics.command("acls")
@command_options(AclsOptions)
def acls(options: AclsOptions) -> None:
    """Print the permissions that each part needs, as commands of Apache Kafka's kafka-acls.sh."""
    from infra.config.settings import read_settings
    from infra.kafka_admin.access import access_rights

    kafka = read_settings().kafka
    for part in options.part or KafkaUser:
        typer.echo(f"# {part}")
        for right in access_rights(part, kafka.prefix):
            principal = options.principal or f"User:lookstream-{part}"
            typer.echo(right.command(principal, kafka.bootstrap or "localhost:9092"))


def _kafka() -> "KafkaSettings":
    from infra.config.settings import read_settings
    from infra.local_state import resolve_kafka_settings

    return resolve_kafka_settings(read_settings())


def _print_differences(differences: "list[TopicDifference]", kafka: "KafkaSettings") -> None:
    """Print the differences, each with the command that corrects it."""
    for difference in differences:
        typer.echo(f"{difference}\n  {difference.command(shlex.quote(str(kafka.bootstrap)))}", err=True)
    if differences:
        typer.echo("or all at once: lookstream topics create --update", err=True)
