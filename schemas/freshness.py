"""Freshness: how far the index has come, and how far it must have come for a search."""

from pydantic import Field

from schemas.items import Source
from schemas.model import Model
from schemas.moments import Moment


class RecordPosition(Model):
    """A record of an item topic, as its producer is told when it has arrived."""

    source: Source = Field(description="catalog or social: of whose topic")
    partition: int = Field(ge=0, description="Partition that it lies in")
    offset: int = Field(ge=0, description="Its offset")


class Watermark(Model):
    """How far the index has come with one source: what lies before is searchable, refused, or to be retried."""

    source: Source = Field(description="catalog or social")
    time: Moment = Field(description="Time of the newest record that was passed, RFC 3339")
    offsets: dict[str, int] = Field(description="For each partition the offset after the last one that was passed")
