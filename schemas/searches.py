"""Search requests: find items that look like a picture or like an indexed item."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.filters import Filters
from schemas.freshness import RecordPosition
from schemas.items import ImageRef, ItemId, Tenant
from schemas.model import KEEP_WHITESPACE, Model
from schemas.moderation import Labels
from schemas.ranking import INTENTS, Boosts, Intent, Weights

Collapse = Literal["item", "duplicates", "brand", "creator"]
MOST_IMAGES = 8
REARRANGED = 100
"""Number of hits, the best by score, that diversity and boosts rerank."""
RequestId = Annotated[
    str,
    KEEP_WHITESPACE,
    Field(
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="Correlation id, the request's Kafka key: 1 to 64 letters, digits, _ . or -",
    ),
]


class Crop(Model):
    """The part of the picture to search by, as fractions of the picture after EXIF rotation."""

    x: float = Field(ge=0, lt=1, description="Left edge, fraction of the width")
    y: float = Field(ge=0, lt=1, description="Top edge, fraction of the height")
    w: float = Field(gt=0, le=1, description="Width, fraction of the width")
    h: float = Field(gt=0, le=1, description="Height, fraction of the height")

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if self.x + self.w > 1 + 1e-6 or self.y + self.h > 1 + 1e-6:
            raise ValueError("the crop reaches outside the picture: x+w and y+h must be at most 1")
        return self


class SearchRequest(Model):
    """Find items that look like a picture or like an indexed item."""

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
        "item",
        description="item, duplicates, brand or creator: of each that many hits at most; who has none stands alone",
    )
    group_size: int = Field(
        1, ge=1, le=10, description="Hits of one brand, creator or group of duplicates at most, when collapsed"
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
    min_as_of: tuple[RecordPosition, ...] = Field(
        (),
        max_length=64,
        description="Records that the index must have passed, as one's own writes: until then the request waits; "
        "at its deadline it is answered `unavailable`",
    )
    moderation: Labels = ()
    restricted: bool = Field(
        default=False,
        description="Whether hits, and what is searched by, may bear labels that restrict; blocked ones never may",
    )
    explain: bool = Field(default=False, description="Whether hits tell what their scores are made of")
    min_score: float | None = Field(None, ge=-1, le=1, description="Return nothing that scores below this")
    min_confidence: float = Field(
        0, ge=0, le=1, description="Return nothing of less confidence: of hits with just .9, one in ten is wrong"
    )
    strict: bool = Field(
        default=True,
        description="Leave out hits that score no better than unrelated pictures do; nothing left is `no_match`. "
        "False: best effort, whatever is nearest",
    )
    look: bool = Field(default=False, description="Whether the result carries what was looked for, for a watch")
    thumbnails: bool = Field(default=False, description="Whether hits carry a small JPEG of the matched picture")
    deadline_ms: int = Field(
        5_000, ge=50, le=60_000, description="Milliseconds after the record's time; later it is answered `expired`"
    )

    @model_validator(mode="after")
    def _validate_query(self) -> Self:
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
    def _validate_ranking(self) -> Self:
        if any(filters == Filters() for filters in (*self.any_of, *self.none_of)):
            raise ValueError("a filter of `any_of` or `none_of` is empty, so everything satisfies it: leave it out")
        if self.group_size > 1 and self.collapse == "item":
            raise ValueError(
                "`group_size` needs `collapse` by duplicates, brand or creator: an item is one hit in any case"
            )
        if self.is_rearranged and self.offset + self.top_k > REARRANGED:
            raise ValueError(f"with `diversity` or `boosts` pages end at {REARRANGED}: lower `offset` or `top_k`")
        return self

    @property
    def is_rearranged(self) -> bool:
        """Whether diversity or boosts change the order of the hits."""
        return self.diversity > 0 or self.boosts.most > 0

    @property
    def named_items(self) -> tuple[str, ...]:
        """Ids of the indexed items that the request searches by; they are excluded from the hits."""
        return (*((self.item_id,) if self.item_id else ()), *self.like, *self.unlike)

    def weighting(self) -> Weights:
        """The weights of the request, or those of its intent if it has none."""
        return self.weights or INTENTS[self.intent]
