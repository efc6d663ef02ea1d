"""Audit events: record what operators did to records by hand."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.model import KEEP_WHITESPACE, Model
from schemas.moments import Moment


class DeadLetterReplayed(Model):
    """A dead letter was sent to its source topic again, and the broker acknowledged it."""

    schema_: Literal["dead_letter.replayed/1"] = Field(
        "dead_letter.replayed/1", alias="schema", description="Name and version of this event"
    )
    position: str = Field(max_length=300, description="Original position of the record, as topic/partition/offset")
    digest: str = Field(
        pattern=r"^[0-9a-f]{8}$",
        description="Digest of the record's position, time, key and value, 8 hex digits; it "
        "distinguishes records with the same position, if a topic was created again",
    )
    topic: str = Field(max_length=250, description="Topic that the record was sent to")
    code: str = Field(max_length=64, description="Error code: why the record had been dead-lettered")
    key: Annotated[str, KEEP_WHITESPACE, Field(max_length=300)] | None = Field(
        None, description="Key of the record, if it has one"
    )
    replayed_at: Moment = Field(description="Time of the broker's acknowledgement, RFC 3339")
    replay_id: str = Field(
        max_length=64, description="Id of the replay command; the replayed record has it in a header"
    )
    by: str = Field(max_length=100, description="Operating-system user who ran the command")
