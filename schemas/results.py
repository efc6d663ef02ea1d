"""Search results: the answer to a search request, with its hits."""

import struct
from math import isfinite
from typing import Literal

from pydantic import Field, field_validator

from schemas.failures import Code
from schemas.filters import ColourName, Filters
from schemas.freshness import Watermark
from schemas.items import MAX_REGIONS, ItemId, Source, Tenant
from schemas.model import Model
from schemas.moments import Moment
from schemas.ranking import Weights
from schemas.searches import Crop, RequestId
from schemas.words import MOST_WORDS, UnderstoodWord, Variation

LOW_COVERAGE = 0.35
"""Coverage below which a result is flagged. Of photos whose kind was removed from the index, .84 (groceries) and
.53 (clothes) are below it; of all other photos, .26 and .16 (DECISIONS.md)."""

Status = Literal["ok", "no_match", "rejected", "expired", "unavailable"]


class Swatch(Model):
    """One colour of a picture's palette."""

    hex: str = Field(pattern=r"^#[0-9a-f]{6}$", description="sRGB colour, #rrggbb")
    lab: tuple[float, float, float] = Field(description="The same colour in CIE Lab (D65): L (0 to 100), a, b")
    name: ColourName = Field(description="Nearest named colour")
    share: float = Field(ge=0, le=1, description="Share of the picture's foreground, 0 to 1")


class Likely(Model):
    """A category that a picture probably has, predicted by a vote of its nearest neighbours."""

    name: str = Field(description="Category, as named by the sources of the neighbours")
    confidence: float = Field(ge=0, le=1, description="Share of the vote, 0 to 1")


class KeypointMatch(Model):
    """A keypoint of the query and one of a hit that look alike and lie in the same place of the thing they show."""

    query: tuple[float, float] = Field(description="Position in the query picture: shares of width and height")
    hit: tuple[float, float] = Field(description="Position in the hit's picture: shares of width and height")


class Explained(Model):
    """Components of a score: the cosine similarity of each part, and the amount that each boost added."""

    object: float = Field(
        description="Cosine similarity of the object part (kind of thing), -1 to 1, before weighting"
    )
    style: float = Field(
        description="Cosine similarity of the style part (texture and pattern), -1 to 1, before weighting"
    )
    colour: float = Field(description="Cosine similarity of the colour part, -1 to 1, before weighting")
    object_adapted: float | None = Field(
        None,
        description="Similarity of the object part under the metric of the collection, -1 to 1, if the score has "
        "it in place of `object`",
    )
    recency: float = Field(0, ge=0, description="Boost for new items")
    in_stock: float = Field(0, ge=0, description="Boost for items in stock")
    price: float = Field(0, ge=0, description="Boost for prices near `near_price`")
    likely_category: float = Field(0, ge=0, description="Boost for the predicted category of the query")
    likely_colour: float = Field(0, ge=0, description="Boost for the main colour of the query")
    geometry: float = Field(0, ge=0, description="Boost for keypoints that agree with those of the query")
    words: float = Field(
        0, ge=0, description="Boost for words of the text, for its meaning, and for facts of the query's item"
    )
    matches: tuple[KeypointMatch, ...] | None = Field(
        None, max_length=166, description="Keypoints that agree with those of the query; missing if not compared"
    )


class Hit(Model):
    """A search hit: an item with its score, from its best matching picture."""

    item_id: ItemId
    tenant: Tenant
    score: float = Field(
        description="Weighted cosine similarity of the best matching picture, -1 to 1; of a search by words alone "
        "how well the words match, 0 to 1"
    )
    confidence: float = Field(
        0,
        ge=0,
        le=1,
        description="How likely the hit is of the query's category, 0 to 1: of hits with 0.8, four in five are; "
        "0 below the result's `threshold`. Of a search by words alone, 0.98 if they filter, else the score",
    )
    same_item: float | None = Field(
        None,
        ge=0,
        le=1,
        description="How likely the hit is the very item in the query picture, 0 to 1, if the index has that item; "
        "missing for the intents style and colour, for weights, and for a text that asks for other facts",
    )
    boost: float = Field(0, ge=0, description="Sum of the boosts that were added to the score for ranking")
    explained: Explained | None = Field(None, description="Components of the score, if requested with `explain`")
    image: int = Field(ge=0, description="Number of the best matching picture of the item, from 0")
    box: Crop | None = Field(
        None,
        description="Part of that picture with the thing that matches best; missing if the picture as a whole does",
    )
    source: Source
    revision: int = Field(ge=1, description="Revision of the item in the index")
    title: str | None = Field(None, description="Title, plain text")
    category: str | None = Field(None, description="Product category, as named by the source, or predicted")
    category_confidence: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share of the vote, 0 to 1, if the category was predicted; missing if the source set it",
    )
    brand: str | None = Field(None, description="Brand or merchant of a catalog item")
    creator: str | None = Field(None, description="Author of a social post")
    price: float | None = Field(None, description="Price in units of `currency`")
    currency: str | None = Field(None, description="ISO 4217 code of `price`")
    in_stock: bool | None = Field(None, description="Whether the item was available at its latest event")
    tags: tuple[str, ...] = Field((), description="Free keywords")
    created_at: Moment | None = Field(None, description="Time of creation or publication, RFC 3339")
    url: str | None = Field(None, description="URL of the item's web page")
    colours: tuple[ColourName, ...] = Field((), description="Named colours of the matched picture")
    palette: tuple[Swatch, ...] = Field((), description="Up to 5 swatches of the matched picture, largest first")
    thumbnail: bytes | None = Field(
        None, description="Small JPEG of the matched picture, base64, if requested with `thumbnails`"
    )


class RegionResult(Model):
    """The result for one thing in the query picture, as if only its part of the picture had been searched by."""

    box: Crop = Field(description="Part of the picture with the thing")
    objectness: float = Field(ge=0, le=1, description="How surely the part is a whole thing, 0 to 1")
    hits: tuple[Hit, ...] = Field((), max_length=100, description="Hits of this part, best first, one per item")
    more: bool = Field(default=False, description="Whether this part has further hits: search by it as `crop`")
    categories: tuple[Likely, ...] = Field(
        (), max_length=3, description="Predicted categories of the thing, most likely first"
    )
    coverage: float | None = Field(
        None, ge=0, le=1, description="As `coverage` of the result, for this part of the picture"
    )
    palette: tuple[Swatch, ...] = Field((), max_length=5, description="Swatches of this part, largest first")
    threshold: float | None = Field(None, ge=-1, le=1, description="As `threshold` of the result, for this part")


class QueryLook(Model):
    """The embedding of a query, which can be stored and compared with pictures later."""

    vector: bytes = Field(
        min_length=4,
        max_length=65_536,
        description="Embedding of the query, each part of unit length: float32, little-endian, base64",
    )
    studio: bool = Field(description="Whether the picture has a plain background; such pictures score higher")

    @field_validator("vector")
    @classmethod
    def _validate_vector(cls, vector: bytes) -> bytes:
        if len(vector) % 4:
            raise ValueError(f"a float32 vector has a multiple of 4 bytes, not {len(vector)}")
        if not all(isfinite(number) for (number,) in struct.iter_unpack("<f", vector)):
            raise ValueError("the vector contains NaN or infinity: send the vector of a search result, unchanged")
        return vector


class SearchTimes(Model):
    """Duration of each step of a search, in milliseconds."""

    queued: float = Field(0, ge=0, description="From the record's time until a worker received it")
    fetched: float = Field(0, ge=0, description="Fetching the pictures of the batch")
    decoded: float = Field(0, ge=0, description="Decoding the pictures of the batch and extracting their colours")
    encoded: float = Field(0, ge=0, description="Embedding the pictures of the batch")
    searched: float = Field(0, ge=0, description="Querying the index for the batch")


class SearchResult(Model):
    """The result of a search request; each request gets exactly one."""

    schema_: Literal["search.result/1"] = Field(
        "search.result/1", alias="schema", description="Name and version of this event"
    )
    request_id: RequestId
    status: Status = Field(description="ok, no_match, rejected, expired or unavailable")
    hits: tuple[Hit, ...] = Field((), max_length=100, description="Hits, best first, at most one per item")
    more: bool = Field(
        default=False, description="Whether there are further hits; add `top_k` to `offset` to get them"
    )
    categories: tuple[Likely, ...] = Field(
        (), max_length=3, description="Predicted categories of the picture, most likely first"
    )
    coverage: float | None = Field(
        None,
        ge=0,
        le=1,
        description="How likely the index has things of the query's kind at all, 0 to 1; missing if unknown. "
        "Below 0.35, the hits are perhaps the nearest things of another kind",
    )
    regions: tuple[RegionResult, ...] = Field(
        (),
        max_length=MAX_REGIONS,
        description="Results for each thing in the picture, if requested with `objects`, the most certain thing "
        "first; empty if the picture as a whole is enough",
    )
    crop: Crop | None = Field(None, description="Part of the picture that was searched by, if it was cropped")
    palette: tuple[Swatch, ...] = Field(
        (), max_length=5, description="Swatches of the query picture, largest first"
    )
    understood: tuple[UnderstoodWord, ...] = Field(
        (), max_length=MOST_WORDS, description="How each word of `text` was understood, in their order"
    )
    variations: tuple[Variation, ...] = Field(
        (),
        max_length=20,
        description="How neighbours of the item differ from it, if requested: colours, prices, patterns, "
        "categories and brands; of each kind the most frequent first",
    )
    added: Filters | None = Field(None, description="Filters that query understanding added")
    relaxed: Filters | None = Field(
        None, description="Filters that query understanding added and removed again, because too few hits were left"
    )
    threshold: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="Score below which strict searches exclude hits, -1 to 1; missing if not calibrated",
    )
    code: Code | None = Field(None, description="Error code, if the request was rejected")
    message: str | None = Field(None, max_length=500, description="One sentence with the remedy, unless ok")
    weights: Weights | None = Field(None, description="Weights that were used")
    metric: str | None = Field(
        None,
        description="How the collection has chosen to compare looks, in words, if requested with `explain`; "
        "missing if the search does without it",
    )
    look: QueryLook | None = Field(None, description="Embedding of the query, if requested with `look`")
    as_of: tuple[Watermark, ...] = Field(
        (), max_length=2, description="How far the index has read the item events, per source"
    )
    encoder: str | None = Field(None, description="Fingerprint of the encoder that embedded the query")
    times: SearchTimes = Field(default_factory=SearchTimes, description="Durations of the steps")
