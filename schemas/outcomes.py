"""Outcomes: events that report how each item event was processed."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.failures import Code
from schemas.items import MAX_IMAGES, MAX_REGIONS, ItemId, Revision, Source, Tenant
from schemas.model import KEEP_WHITESPACE, Model
from schemas.moderation import Labels
from schemas.moments import Moment
from schemas.results import Likely

MAX_EVENT_ID = 200
EventId = Annotated[
    str,
    KEEP_WHITESPACE,
    Field(
        max_length=MAX_EVENT_ID,
        description="Id of the item event: its `ce_id`, or topic/partition/offset if it has none; truncated to 200 "
        "characters. The id of the outcome is derived from it, so consumers can recognise a repeated outcome",
    ),
]


class SkippedImage(Model):
    """An additional picture of an item that could not be used; the item was indexed without it."""

    image: int = Field(ge=1, description="Number of the skipped picture, 1 to 7; the main picture has the number 0")
    code: Code = Field(description="Error code")
    message: str = Field(max_length=500, description="One sentence with the remedy")


class StepTimes(Model):
    """Times of an event's steps, RFC 3339, and durations of the steps of its batch, in milliseconds."""

    event_time: Moment | None = Field(None, description="Time of the event, set by its producer")
    received_at: Moment | None = Field(None, description="Time when a worker received the event")
    searchable_at: Moment | None = Field(None, description="Time when the change was searchable")
    fetched: float = Field(0, ge=0, description="Fetching the pictures of the batch")
    decoded: float = Field(0, ge=0, description="Decoding the pictures of the batch and extracting their colours")
    encoded: float = Field(0, ge=0, description="Embedding the pictures of the batch")
    written: float = Field(0, ge=0, description="Writing the batch to the index")


Verdict = Literal["exact", "near", "similar"]


class Duplicate(Model):
    """Another item of the same tenant whose main picture is identical or very similar."""

    verdict: Verdict = Field(
        description="exact: the same bytes; near: the same picture, resized, recompressed or slightly changed; "
        "similar: another picture that looks very similar"
    )
    item_id: ItemId
    score: float = Field(ge=-1, le=1, description="Cosine similarity of the two pictures, -1 to 1")
    bits: int = Field(ge=0, le=64, description="Hamming distance of their 64-bit perceptual hashes, 0 to 64")


class ItemIndexed(Model):
    """The item is searchable."""

    schema_: Literal["item.indexed/1"] = Field(
        "item.indexed/1", alias="schema", description="Name and version of this event"
    )
    event_id: EventId
    tenant: Tenant
    item_id: ItemId
    source: Source
    revision: Revision
    images: int = Field(ge=0, le=8, description="Number of pictures that were newly indexed; 0 for a patch")
    unchanged: int = Field(
        0, ge=0, le=8, description="Number of pictures that were already in the index and did not change"
    )
    regions: int = Field(
        0,
        ge=0,
        le=MAX_IMAGES * MAX_REGIONS,
        description="Number of things in the new pictures that were indexed too",
    )
    skipped: tuple[SkippedImage, ...] = Field(
        (), max_length=7, description="Pictures that could not be used, with the reasons"
    )
    duplicate_group: ItemId | None = Field(
        None,
        description="Id of the first item of its group: items whose main pictures are exact or near duplicates",
    )
    duplicate: Duplicate | None = Field(
        None,
        description="Nearest other item, if the main picture is new, and identical or similar to that of the other",
    )
    category_predicted: Likely | None = Field(
        None, description="Predicted category, stored because the event had none and the vote was clear"
    )
    times: StepTimes = Field(default_factory=StepTimes, description="Times and durations of the steps")


class ItemRemoved(Model):
    """The item was removed from the index and is no longer searchable."""

    schema_: Literal["item.removed/1"] = Field(
        "item.removed/1", alias="schema", description="Name and version of this event"
    )
    event_id: EventId
    tenant: Tenant
    item_id: ItemId
    source: Source
    revision: Revision
    times: StepTimes = Field(default_factory=StepTimes, description="Times and durations of the steps")


class ItemBlocked(Model):
    """The item has moderation labels that block it, so it was not indexed, or it was removed from the index.

    A newer `item.upserted/1` without such labels indexes it again. A patch does not, because its pictures are no
    longer in the index.
    """

    schema_: Literal["item.blocked/1"] = Field(
        "item.blocked/1", alias="schema", description="Name and version of this event"
    )
    event_id: EventId
    tenant: Tenant
    item_id: ItemId
    source: Source
    revision: Revision
    labels: Labels = Field(description="The moderation labels that block the item")
    times: StepTimes = Field(default_factory=StepTimes, description="Times and durations of the steps")


class ItemSuperseded(Model):
    """The event changed nothing, because newer events of the item had already been applied."""

    schema_: Literal["item.superseded/1"] = Field(
        "item.superseded/1", alias="schema", description="Name and version of this event"
    )
    event_id: EventId
    tenant: Tenant
    item_id: ItemId
    source: Source
    revision: Revision
    newest: Revision = Field(description="Highest revision among the events of the item that were applied")
    message: str | None = Field(
        None,
        max_length=500,
        description="One sentence with the remedy, if the revision is no time but `newest` is one, as that of a "
        "null value: then no small revision is ever newer",
    )
    times: StepTimes = Field(default_factory=StepTimes, description="Times and durations of the steps")


class ItemRejected(Model):
    """The event was rejected; its record is in the dead-letter topic."""

    schema_: Literal["item.rejected/1"] = Field(
        "item.rejected/1", alias="schema", description="Name and version of this event"
    )
    event_id: EventId
    tenant: Annotated[str, KEEP_WHITESPACE, Field(max_length=64)] | None = Field(
        None, description="Missing if the event was unreadable"
    )
    item_id: Annotated[str, KEEP_WHITESPACE, Field(max_length=200)] | None = Field(
        None, description="Missing if the event was unreadable"
    )
    revision: int | None = Field(None, description="Missing if the event was unreadable")
    code: Code = Field(description="Error code")
    message: str = Field(max_length=500, description="One sentence with the remedy")


ItemOutcome = ItemIndexed | ItemRemoved | ItemBlocked | ItemSuperseded | ItemRejected
