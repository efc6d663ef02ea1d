"""Freshness: how far the index has read the item topics, and how far a search requires it to have read."""

from pydantic import Field

from schemas.items import Source
from schemas.model import Model
from schemas.moments import Moment


class RecordPosition(Model):
    """Position of a record in an item topic, as the broker acknowledges it to the producer."""

    source: Source = Field(description="catalog or social: of whose topic")
    partition: int = Field(ge=0, description="Partition that it lies in")
    offset: int = Field(ge=0, description="Its offset")


class Watermark(Model):
    """How far the index has read one source: all earlier events are searchable, rejected or waiting for a retry."""

    source: Source = Field(description="catalog or social")
    time: Moment = Field(description="Time of the newest record that was passed, RFC 3339")
    offsets: dict[str, int] = Field(description="For each partition the offset after the last one that was passed")
