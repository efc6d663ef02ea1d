"""Search requests and their results."""

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from schemas.failures import Code
from schemas.filters import ColourName, Filters
from schemas.items import ImageRef, ItemId, Source, Tenant
from schemas.model import Model
from schemas.ranking import INTENTS, Boosts, Intent, Weights

Collapse = Literal["item", "brand", "creator"]
MOST_IMAGES = 8
REARRANGED = 100
"""Hits that diversity and boosts put in order: the best ones by score."""
Status = Literal["ok", "no_match", "rejected", "expired", "unavailable"]
RequestId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="Correlation id, the request's Kafka key: 1 to 64 letters, digits, _ . or -",
    ),
]


class Crop(Model):
    """The part of the picture to search by, in fractions of the upright picture."""

    x: float = Field(ge=0, lt=1, description="Left edge, fraction of the width")
    y: float = Field(ge=0, lt=1, description="Top edge, fraction of the height")
    w: float = Field(gt=0, le=1, description="Width, fraction of the width")
    h: float = Field(gt=0, le=1, description="Height, fraction of the height")

    @model_validator(mode="after")
    def _lies_inside(self) -> Self:
        if self.x + self.w > 1 + 1e-6 or self.y + self.h > 1 + 1e-6:
            raise ValueError("the crop reaches outside the picture: x+w and y+h must be at most 1")
        return self


class SearchRequest(Model):
    """Find items that look like a picture, or like an item that is already indexed."""

    schema_: Literal["search.request/1"] = Field(
        "search.request/1", alias="schema", description="Name and version of this event"
    )
    request_id: RequestId
    tenant: Tenant = "default"
    image: ImageRef | None = Field(None, description="The picture to search by; or give `item_id`, or `like`")
    more_images: tuple[ImageRef, ...] = Field(
        (), max_length=MOST_IMAGES - 1, description="Other pictures of what `image` shows: all count alike"
    )
    item_id: ItemId | None = Field(None, description="Search by an indexed item's main picture")
    like: tuple[ItemId, ...] = Field((), max_length=10, description="Indexed items that hits shall resemble too")
    unlike: tuple[ItemId, ...] = Field((), max_length=10, description="Indexed items that hits shall not resemble")
    crop: Crop | None = Field(None, description="Search by this part of `image` only")
    intent: Intent = Field("similar", description="exact, similar, style or colour: a named weighting")
    weights: Weights | None = Field(None, description="Own weights instead of an intent's")
    filters: Filters = Field(default_factory=Filters, description="What every hit must satisfy")
    any_of: tuple[Filters, ...] = Field((), max_length=10, description="Every hit satisfies one of these at least")
    none_of: tuple[Filters, ...] = Field((), max_length=10, description="No hit satisfies any of these")
    top_k: int = Field(10, ge=1, le=100, description="How many items to return at most")
    offset: int = Field(0, ge=0, le=900, description="How many of the best hits to leave out: the pages before")
    collapse: Collapse = Field(
        "item", description="item, brand or creator: of each that many hits at most; who has none stands alone"
    )
    group_size: int = Field(
        1, ge=1, le=10, description="Hits of one brand or creator at most, when collapsed by it"
    )
    diversity: float = Field(
        0, ge=0, le=1, description="0: the best hits; towards 1: hits that resemble each other less (MMR)"
    )
    boosts: Boosts = Field(default_factory=Boosts, description="What moves hits up besides their look")
    understand: Literal["off", "auto"] = Field(
        "off",
        description="auto: the likely category, and for exact and colour searches the main colour, become filters "
        "when sure, else boosts; filters so added are taken back when they leave too few hits",
    )
    explain: bool = Field(default=False, description="Whether hits tell what their scores are made of")
    min_score: float | None = Field(None, ge=-1, le=1, description="Return nothing that scores below this")
    strict: bool = Field(
        default=True,
        description="Leave out hits that score no better than unrelated pictures do; nothing left is `no_match`. "
        "False: best effort, whatever is nearest",
    )
    thumbnails: bool = Field(default=False, description="Whether hits carry a small JPEG of the matched picture")
    deadline_ms: int = Field(
        5_000, ge=50, le=60_000, description="Milliseconds after the record's time; later it is answered `expired`"
    )

    @model_validator(mode="after")
    def _asks_one_question(self) -> Self:
        if self.image is not None and self.item_id is not None:
            raise ValueError("give either `image` or `item_id`, one of the two; items beside a picture are `like`")
        if self.image is None and self.item_id is None and not self.like:
            raise ValueError("there is nothing to search by: give `image`, `item_id` or `like`")
        if self.crop is not None and self.image is None:
            raise ValueError("`crop` needs `image`: an indexed item is searched whole")
        if self.more_images and self.image is None:
            raise ValueError("`more_images` needs `image`: name the first picture there")
        if both := {*self.like, self.item_id} & set(self.unlike):
            raise ValueError(f"hits cannot resemble and not resemble one item: {', '.join(map(str, both))}")
        return self

    @model_validator(mode="after")
    def _can_be_put_in_order(self) -> Self:
        if any(filters == Filters() for filters in (*self.any_of, *self.none_of)):
            raise ValueError("a filter of `any_of` or `none_of` is empty, so everything satisfies it: leave it out")
        if self.group_size > 1 and self.collapse == "item":
            raise ValueError("`group_size` needs `collapse` by brand or creator: an item is one hit in any case")
        if self.is_rearranged and self.offset + self.top_k > REARRANGED:
            raise ValueError(f"with `diversity` or `boosts` pages end at {REARRANGED}: lower `offset` or `top_k`")
        return self

    @property
    def is_rearranged(self) -> bool:
        """Whether hits come in another order than that of their scores."""
        return self.diversity > 0 or self.boosts.most > 0

    @property
    def named_items(self) -> tuple[str, ...]:
        """The indexed items that it searches by: they are no hits."""
        return (*((self.item_id,) if self.item_id else ()), *self.like, *self.unlike)

    def weighting(self) -> Weights:
        """The weights to use: the request's own, else its intent's."""
        return self.weights or INTENTS[self.intent]


class Swatch(Model):
    """One colour of a picture's palette."""

    hex: str = Field(pattern=r"^#[0-9a-f]{6}$", description="sRGB colour")
    lab: tuple[float, float, float] = Field(description="The same in CIE Lab (D65): L of 0 to 100, a, b")
    name: ColourName = Field(description="The named colour nearest to it")
    share: float = Field(ge=0, le=1, description="Share of the picture's foreground, 0 to 1")


class Likely(Model):
    """A category that a picture probably has, by the vote of its nearest neighbours."""

    name: str = Field(description="The category, as the neighbours' sources call it")
    confidence: float = Field(ge=0, le=1, description="Its share of the vote, 0 to 1")


class Explained(Model):
    """What a score is made of: the cosine of each part, and what each boost has added."""

    object: float = Field(description="Cosine of what kind of thing it is, -1 to 1; its weight times this counts")
    style: float = Field(description="Cosine of texture and pattern, -1 to 1")
    colour: float = Field(description="Cosine of colours, -1 to 1")
    recency: float = Field(0, ge=0, description="Added for being new")
    in_stock: float = Field(0, ge=0, description="Added for being in stock")
    price: float = Field(0, ge=0, description="Added for its price")
    likely_category: float = Field(0, ge=0, description="Added for the category that the query probably shows")
    likely_colour: float = Field(0, ge=0, description="Added for the main colour of the query")


class Hit(Model):
    """One item that was found."""

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
    created_at: AwareDatetime | None = Field(None, description="When it was made or published, RFC 3339")
    url: str | None = Field(None, description="Page of the item")
    colours: tuple[ColourName, ...] = Field((), description="Named colours of the matched picture")
    palette: tuple[Swatch, ...] = Field((), description="Up to 5 swatches of the matched picture, largest first")
    thumbnail: bytes | None = Field(None, description="Small JPEG of the matched picture, base64, when asked for")


class SearchTimes(Model):
    """Where the time went, in milliseconds."""

    queued: float = Field(0, ge=0, description="From the record's time to the worker")
    fetched: float = Field(0, ge=0, description="Getting the batch's pictures")
    looked: float = Field(0, ge=0, description="Decoding, colours and embedding of the batch")
    searched: float = Field(0, ge=0, description="The index's answer for the batch")


class SearchResult(Model):
    """The one answer to a search request."""

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
    encoder: str | None = Field(None, description="Fingerprint of the encoder that answered")
    times: SearchTimes = Field(default_factory=SearchTimes, description="Where the time went")
