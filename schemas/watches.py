"""Watches: standing searches that are matched against every newly indexed picture, and their matches."""

from hashlib import sha256
from typing import Annotated, Literal

from pydantic import Field

from schemas.filters import Filters
from schemas.items import Tenant, item_key
from schemas.model import KEEP_WHITESPACE, LenientModel, Model
from schemas.moments import Moment
from schemas.ranking import Weights
from schemas.results import Hit, QueryLook

WatchId = Annotated[
    str,
    KEEP_WHITESPACE,
    Field(
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="Id of the standing search, unique within its tenant; 1 to 64 letters, digits, _ . or -",
    ),
]


class Watch(LenientModel):
    """A standing search: newly indexed pictures are matched against it. A null value for its key deletes it."""

    schema_: Literal["watch/1"] = Field("watch/1", alias="schema", description="Name and version of this event")
    watch_id: WatchId
    tenant: Tenant = "default"
    look: QueryLook = Field(
        description="Embedding of the query, as returned in the field `look` of a search result"
    )
    encoder: str = Field(
        description="Fingerprint of the encoder of `look`; pictures of other encoders are not compared"
    )
    weights: Weights = Field(description="Weights of object, style and colour in the score")
    filters: Filters = Field(default_factory=Filters, description="Conditions that every match must satisfy")
    any_of: tuple[Filters, ...] = Field(
        (), max_length=10, description="Every match satisfies at least one of these"
    )
    none_of: tuple[Filters, ...] = Field((), max_length=10, description="No match satisfies any of these")
    restricted: bool = Field(default=False, description="Whether matches may have restricted moderation labels")
    min_confidence: float = Field(0.5, gt=0, le=1, description="Minimum confidence of a match, above 0 and up to 1")
    created_at: Moment = Field(description="Time when the standing search was added, RFC 3339")

    @property
    def key(self) -> str:
        """The Kafka key, `tenant:watch_id`."""
        return watch_key(self.tenant, self.watch_id)

    @property
    def fingerprint(self) -> str:
        """Fingerprint of 16 hex digits: unique among watches, including earlier watches with the same id."""
        return sha256(f"{self.key}\n{self.created_at.isoformat()}".encode()).hexdigest()[:16]


class WatchMatched(Model):
    """A newly indexed picture matches a standing search. Each item is reported once to each search.

    After a crash it may be reported again, with the same event id.
    """

    schema_: Literal["watch.matched/1"] = Field(
        "watch.matched/1", alias="schema", description="Name and version of this event"
    )
    watch_id: WatchId
    tenant: Tenant = "default"
    hit: Hit = Field(description="The item, with the score and confidence of its best matching new picture")


def watch_key(tenant: str, watch_id: str) -> str:
    """The Kafka key of a watch and of its matches."""
    return item_key(tenant, watch_id)
