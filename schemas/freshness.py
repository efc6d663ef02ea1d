"""Freshness: how far the index has read the item topics, and how far a search requires it to have read."""

from pydantic import Field

from schemas.items import Source
from schemas.model import Model
from schemas.moments import Moment


class RecordPosition(Model):
    """Position of a record in an item topic, as the broker acknowledges it to the producer."""

    source: Source = Field(description="catalog or social: the source whose topic contains the record")
    partition: int = Field(ge=0, description="Partition of the record")
    offset: int = Field(ge=0, description="Offset of the record in its partition")


class Watermark(Model):
    """How far the index has read one source: all earlier events are searchable, rejected or waiting for a retry."""

    source: Source = Field(description="catalog or social")
    time: Moment = Field(description="Time of the newest record that was read, RFC 3339")
    offsets: dict[str, int] = Field(
        description="For each partition, the offset after the last record that was read"
    )
