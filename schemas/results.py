"""Search results: the answer to a search request, with its hits."""

import struct
from math import isfinite
from typing import Literal

from pydantic import Field, field_validator

from schemas.failures import Code
from schemas.filters import ColourName, Filters
from schemas.freshness import Watermark
from schemas.items import ItemId, Source, Tenant
from schemas.model import Model
from schemas.moments import Moment
from schemas.ranking import Weights
from schemas.searches import Crop, RequestId

Status = Literal["ok", "no_match", "rejected", "expired", "unavailable"]


class Swatch(Model):
    """One colour of a picture's palette."""

    hex: str = Field(pattern=r"^#[0-9a-f]{6}$", description="sRGB colour")
    lab: tuple[float, float, float] = Field(description="The same in CIE Lab (D65): L of 0 to 100, a, b")
    name: ColourName = Field(description="The named colour nearest to it")
    share: float = Field(ge=0, le=1, description="Share of the picture's foreground, 0 to 1")


class Likely(Model):
    """A category that a picture probably has, predicted by a vote of its nearest neighbours."""

    name: str = Field(description="The category, as the neighbours' sources call it")
    confidence: float = Field(ge=0, le=1, description="Its share of the vote, 0 to 1")


class Explained(Model):
    """Components of a score: the cosine of each part, and the amount that each boost added."""

    object: float = Field(description="Cosine of what kind of thing it is, -1 to 1; its weight times this counts")
    style: float = Field(description="Cosine of texture and pattern, -1 to 1")
    colour: float = Field(description="Cosine of colours, -1 to 1")
    recency: float = Field(0, ge=0, description="Added for being new")
    in_stock: float = Field(0, ge=0, description="Added for being in stock")
    price: float = Field(0, ge=0, description="Added for its price")
    likely_category: float = Field(0, ge=0, description="Added for the category that the query probably shows")
    likely_colour: float = Field(0, ge=0, description="Added for the main colour of the query")


class Hit(Model):
    """An item that was found."""

    item_id: ItemId
    tenant: Tenant
    score: float = Field(description="Weighted cosine similarity of the best picture, -1 to 1")
    confidence: float = Field(
        0,
        ge=0,
        le=1,
        description="Expected share of right ones among hits that score like this, 0 to 1; "
        "0 below the result's `threshold`",
    )
    boost: float = Field(0, ge=0, description="What boosts have added to the score when hits were put in order")
    explained: Explained | None = Field(None, description="What the score is made of, when asked for")
    image: int = Field(ge=0, description="Which of the item's pictures matched best, from 0")
    source: Source
    revision: int = Field(ge=1, description="Revision of the item that the index holds")
    title: str | None = Field(None, description="Title for people, plain text")
    category: str | None = Field(None, description="Kind of thing, as the source calls it, or as predicted")
    category_confidence: float | None = Field(
        None, ge=0, le=1, description="Share of the vote when the category was predicted; none when it was given"
    )
    brand: str | None = Field(None, description="Brand or merchant of a catalog item")
    creator: str | None = Field(None, description="Author of a social post")
    price: float | None = Field(None, description="In units of `currency`")
    currency: str | None = Field(None, description="ISO 4217 code of `price`")
    in_stock: bool | None = Field(None, description="Whether it could be bought when last heard of")
    tags: tuple[str, ...] = Field((), description="Free words")
    created_at: Moment | None = Field(None, description="When it was made or published, RFC 3339")
    url: str | None = Field(None, description="Page of the item")
    colours: tuple[ColourName, ...] = Field((), description="Named colours of the matched picture")
    palette: tuple[Swatch, ...] = Field((), description="Up to 5 swatches of the matched picture, largest first")
    thumbnail: bytes | None = Field(None, description="Small JPEG of the matched picture, base64, when asked for")


class QueryLook(Model):
    """The look of a query, which can be stored and compared with pictures later."""

    vector: bytes = Field(
        min_length=4,
        max_length=65_536,
        description="The query's look, each part of unit length: float32, little-endian, base64",
    )
    studio: bool = Field(description="Whether it is a picture on a plain ground: such pictures score higher")

    @field_validator("vector")
    @classmethod
    def _validate_vector(cls, vector: bytes) -> bytes:
        if len(vector) % 4:
            raise ValueError(f"float32 takes 4 bytes a number, so {len(vector)} bytes are no vector")
        if not all(isfinite(number) for (number,) in struct.iter_unpack("<f", vector)):
            raise ValueError("the vector holds NaN or infinity: give it as a search result has it")
        return vector


class SearchTimes(Model):
    """Duration of each step of a search, in milliseconds."""

    queued: float = Field(0, ge=0, description="From the record's time to the worker")
    fetched: float = Field(0, ge=0, description="Getting the batch's pictures")
    decoded: float = Field(0, ge=0, description="Decoding and colours of the batch")
    encoded: float = Field(0, ge=0, description="Embedding of the batch")
    searched: float = Field(0, ge=0, description="The index's answer for the batch")


class SearchResult(Model):
    """The result of a search request; each request gets exactly one."""

    schema_: Literal["search.result/1"] = Field(
        "search.result/1", alias="schema", description="Name and version of this event"
    )
    request_id: RequestId
    status: Status = Field(description="ok, no_match, rejected, expired or unavailable")
    hits: tuple[Hit, ...] = Field((), max_length=100, description="Best first, one for each item")
    more: bool = Field(default=False, description="Whether there are hits after these: raise `offset` by top_k")
    categories: tuple[Likely, ...] = Field(
        (), max_length=3, description="What the picture probably shows, likeliest first"
    )
    crop: Crop | None = Field(None, description="The part of the picture that was searched by, if not all of it")
    palette: tuple[Swatch, ...] = Field((), max_length=5, description="Colours of the picture, largest first")
    added: Filters | None = Field(None, description="Filters that understanding has added")
    relaxed: Filters | None = Field(None, description="Filters that it had added, and took back: too few hits")
    threshold: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="The score under which strict requests cut; none while the index is not calibrated",
    )
    code: Code | None = Field(None, description="Why it was rejected")
    message: str | None = Field(None, max_length=500, description="One sentence with the remedy, unless ok")
    weights: Weights | None = Field(None, description="The weights that were used")
    look: QueryLook | None = Field(None, description="What was looked for, when asked for")
    as_of: tuple[Watermark, ...] = Field(
        (), max_length=2, description="How far the index has come, for each source"
    )
    encoder: str | None = Field(None, description="Fingerprint of the encoder that answered")
    times: SearchTimes = Field(default_factory=SearchTimes, description="Where the time went")
