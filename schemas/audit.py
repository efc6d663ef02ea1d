"""Audit events: record what operators did to records by hand."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.model import Model
from schemas.moments import Moment


class DeadLetterReplayed(Model):
    """A dead letter was sent to its source topic again, and the broker acknowledged it."""

    schema_: Literal["dead_letter.replayed/1"] = Field(
        "dead_letter.replayed/1", alias="schema", description="Name and version"
    )
    position: str = Field(max_length=300, description="Where the record first lay, as topic/partition/offset")
    digest: str = Field(
        pattern=r"^[0-9a-f]{8}$",
        description="Of the record's position, time, key and value: tells records apart when a topic began again",
    )
    topic: str = Field(max_length=250, description="The topic that it was sent to")
    code: str = Field(max_length=64, description="Why it had been refused, in a word for programs")
    key: Annotated[str, Field(max_length=300)] | None = Field(None, description="Key of the record, if it has one")
    replayed_at: Moment = Field(description="When the broker acknowledged it")
    replay_id: str = Field(max_length=64, description="Of the command that did it; the replayed record has it too")
    by: str = Field(max_length=100, description="Who ran the command: the operating system's name of the user")
