"""Search requests and their results."""

import re
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from schemas.failures import Code
from schemas.items import ImageRef, ItemId, Name, Source, Tenant
from schemas.model import Model

ColourName = Literal[
    "black", "white", "grey", "red", "orange", "yellow", "green", "teal",
    "blue", "navy", "purple", "pink", "brown", "beige",
]  # fmt: skip
DEFAULT_DISTANCE = 10
"""How far a colour may lie from one asked for by its hex code, unless the filter says."""
COLOUR_PATTERN = rf"^({'|'.join(get_args(ColourName))}|#[0-9a-fA-F]{{6}}(~([1-9]|[1-3][0-9]|40))?)$"


def _known_colour(colour: str) -> str:
    if re.fullmatch(COLOUR_PATTERN, colour) is None:
        names = ", ".join(get_args(ColourName))
        raise ValueError(f"a colour is one of {names}, or #rrggbb, or #rrggbb~15 with a distance of 1 to 40")
    return colour


ColourFilter = Annotated[
    str,
    AfterValidator(_known_colour),
    Field(
        json_schema_extra={"pattern": COLOUR_PATTERN},
        description="A colour's name, or #rrggbb, or #rrggbb~15 with a distance of 1 to 40 "
        f"(CIE76; {DEFAULT_DISTANCE} unless given) from a swatch with a tenth of the picture or more",
    ),
]
Intent = Literal["exact", "similar", "style", "colour"]
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


class Weights(Model):
    """How much each part of the look counts; they are scaled to sum to 1."""

    object: float = Field(0, ge=0, le=1, description="What kind of thing it is, share of the score")
    style: float = Field(0, ge=0, le=1, description="Texture and pattern, share of the score")
    colour: float = Field(0, ge=0, le=1, description="Colours, share of the score")

    @model_validator(mode="after")
    def _something_counts(self) -> Self:
        if self.object + self.style + self.colour <= 0:
            raise ValueError("at least one of object, style and colour must be above 0")
        return self


INTENTS: dict[Intent, Weights] = {
    "exact": Weights(object=0.75, style=0.05, colour=0.2),
    "similar": Weights(object=0.85, colour=0.15),
    "style": Weights(object=0.3, style=0.7),
    "colour": Weights(object=0.2, colour=0.8),
}
"""Each intent is a named weighting."""


class Filters(Model):
    """What a hit must satisfy. Values of one field are alternatives; fields are all required."""

    source: tuple[Source, ...] = Field((), max_length=2, description="Any of these sources")
    category: tuple[Name, ...] = Field((), max_length=50, description="Any of these categories")
    brand: tuple[Name, ...] = Field((), max_length=50, description="Any of these brands")
    creator: tuple[Name, ...] = Field((), max_length=50, description="Any of these creators")
    colours: tuple[ColourFilter, ...] = Field((), max_length=14, description="Any of these colours")
    tags: tuple[Name, ...] = Field((), max_length=50, description="Any of these tags")
    in_stock: bool | None = Field(None, description="Only items that are (true) or are not (false) in stock")
    price_min: float | None = Field(None, ge=0, description="Lowest price, inclusive, in `currency`")
    price_max: float | None = Field(None, ge=0, description="Highest price, inclusive, in `currency`")
    currency: str | None = Field(None, pattern=r"^[A-Z]{3}$", description="ISO 4217 code of the prices")
    created_after: AwareDatetime | None = Field(None, description="Created at or after this time, RFC 3339")
    created_before: AwareDatetime | None = Field(None, description="Created before this time, RFC 3339")
    exclude_items: tuple[ItemId, ...] = Field((), max_length=200, description="Items never to return")

    @model_validator(mode="after")
    def _ranges_hold_something(self) -> Self:
        if self.price_min is not None and self.price_max is not None and self.price_min > self.price_max:
            raise ValueError("price_min is above price_max: nothing can match, swap them")
        after, before = self.created_after, self.created_before
        if after is not None and before is not None and after >= before:
            raise ValueError("created_after is not before created_before: nothing can match, swap them")
        return self


class SearchRequest(Model):
    """Find items that look like a picture, or like an item that is already indexed."""

    schema_: Literal["search.request/1"] = Field(
        "search.request/1", alias="schema", description="Name and version of this event"
    )
    request_id: RequestId
    tenant: Tenant = "default"
    image: ImageRef | None = Field(None, description="The picture to search by; or give `item_id`")
    item_id: ItemId | None = Field(None, description="Search by an indexed item's main picture; or give `image`")
    crop: Crop | None = Field(None, description="Search by this part of `image` only")
    intent: Intent = Field("similar", description="exact, similar, style or colour: a named weighting")
    weights: Weights | None = Field(None, description="Own weights instead of an intent's")
    filters: Filters = Field(default_factory=Filters, description="What every hit must satisfy")
    top_k: int = Field(10, ge=1, le=100, description="How many items to return at most")
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
        if (self.image is None) == (self.item_id is None):
            raise ValueError("give either `image` or `item_id`, one of the two")
        if self.crop is not None and self.image is None:
            raise ValueError("`crop` needs `image`: an indexed item is searched whole")
        return self

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
    categories: tuple[Likely, ...] = Field(
        (), max_length=3, description="What the picture probably shows, likeliest first"
    )
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
