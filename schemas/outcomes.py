"""Outcomes: events that report how each item event was processed."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.failures import Code
from schemas.items import ItemId, Revision, Source, Tenant
from schemas.model import Model
from schemas.moderation import Labels
from schemas.moments import Moment
from schemas.results import Likely

MAX_EVENT_ID = 200
EventId = Annotated[
    str,
    Field(
        max_length=MAX_EVENT_ID,
        description="Id of the event that this came of: its `ce_id`, or topic/partition/offset without one; cut at "
        "200 characters. The outcome's own id comes from it, so that an outcome that is sent twice is recognised",
    ),
]


class SkippedImage(Model):
    """An additional picture of an item that could not be used; the item was indexed without it."""

    image: int = Field(ge=1, description="Which of the item's pictures, from 0; never the main one")
    code: Code = Field(description="Why, in a word for programs")
    message: str = Field(max_length=500, description="One sentence with the remedy")


class StepTimes(Model):
    """When an event passed each step, and how long the steps of its batch took, in milliseconds."""

    event_time: Moment | None = Field(None, description="When the producer made the event")
    received_at: Moment | None = Field(None, description="When a worker took the event")
    searchable_at: Moment | None = Field(None, description="When the index had it")
    fetched: float = Field(0, ge=0, description="Getting the batch's pictures")
    decoded: float = Field(0, ge=0, description="Decoding and colours of the batch")
    encoded: float = Field(0, ge=0, description="Embedding of the batch")
    written: float = Field(0, ge=0, description="Writing the batch to the index")


Verdict = Literal["exact", "near", "similar"]


class Duplicate(Model):
    """Another item of the same tenant whose main picture is identical or very similar."""

    verdict: Verdict = Field(
        description="exact: the same bytes; near: the same picture, resized, recompressed or a little changed; "
        "similar: another picture that looks much the same"
    )
    item_id: ItemId
    score: float = Field(ge=-1, le=1, description="How alike the two look, 1 being the same")
    bits: int = Field(ge=0, le=64, description="In how many of 64 bits their perceptual hashes differ")


class ItemIndexed(Model):
    """The item is searchable."""

    schema_: Literal["item.indexed/1"] = Field("item.indexed/1", alias="schema", description="Name and version")
    event_id: EventId
    tenant: Tenant
    item_id: ItemId
    source: Source
    revision: Revision
    images: int = Field(ge=0, le=8, description="Pictures that were new to the item; 0 for a patch")
    unchanged: int = Field(0, ge=0, le=8, description="Pictures that the index had already, and kept as they were")
    skipped: tuple[SkippedImage, ...] = Field((), max_length=7, description="Pictures left out, with reasons")
    duplicate_group: ItemId | None = Field(
        None, description="Items of one group have exact or near duplicates as main pictures; the first one's id"
    )
    duplicate: Duplicate | None = Field(
        None,
        description="The nearest other item, where the main picture is new and duplicates or resembles another",
    )
    category_predicted: Likely | None = Field(
        None, description="The category that was written because the event had none, if the vote was clear"
    )
    times: StepTimes = Field(default_factory=StepTimes, description="When it passed each step")


class ItemRemoved(Model):
    """The item was removed from the index and is no longer searchable."""

    schema_: Literal["item.removed/1"] = Field("item.removed/1", alias="schema", description="Name and version")
    event_id: EventId
    tenant: Tenant
    item_id: ItemId
    source: Source
    revision: Revision
    times: StepTimes = Field(default_factory=StepTimes, description="When it passed each step")


class ItemBlocked(Model):
    """The item has moderation labels that block it, so it was not indexed, or it was removed from the index.

    A newer `item.upserted/1` without such labels indexes it again. A patch does not, because its pictures are no
    longer in the index.
    """

    schema_: Literal["item.blocked/1"] = Field("item.blocked/1", alias="schema", description="Name and version")
    event_id: EventId
    tenant: Tenant
    item_id: ItemId
    source: Source
    revision: Revision
    labels: Labels = Field(description="The labels that block it")
    times: StepTimes = Field(default_factory=StepTimes, description="When it passed each step")


class ItemSuperseded(Model):
    """The event changed nothing, because newer events of the item had already been applied."""

    schema_: Literal["item.superseded/1"] = Field(
        "item.superseded/1", alias="schema", description="Name and version"
    )
    event_id: EventId
    tenant: Tenant
    item_id: ItemId
    source: Source
    revision: Revision
    newest: Revision = Field(description="Revision of the newest event that counts of the item")
    times: StepTimes = Field(default_factory=StepTimes, description="When it passed each step")


class ItemRejected(Model):
    """The event was rejected; its record is in the dead-letter topic."""

    schema_: Literal["item.rejected/1"] = Field("item.rejected/1", alias="schema", description="Name and version")
    event_id: EventId
    tenant: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="None when the event was unreadable"
    )
    item_id: Annotated[str, Field(max_length=200)] | None = Field(
        None, description="None when the event was unreadable"
    )
    revision: int | None = Field(None, description="None when the event was unreadable")
    code: Code = Field(description="Why, in a word for programs")
    message: str = Field(max_length=500, description="One sentence with the remedy")


ItemOutcome = ItemIndexed | ItemRemoved | ItemBlocked | ItemSuperseded | ItemRejected
