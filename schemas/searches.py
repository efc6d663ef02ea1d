"""Search requests: find items that look like a picture or like an indexed item, or that words describe."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.filters import Filters
from schemas.freshness import RecordPosition
from schemas.items import ImageRef, ItemId, Objects, Tenant
from schemas.model import KEEP_WHITESPACE, LenientModel, Model, NullElements
from schemas.moderation import Labels
from schemas.ranking import INTENTS, Boosts, Intent, Weights
from schemas.words import LONGEST_TEXT, MOST_WORDS, WordText

Collapse = Literal["item", "duplicates", "brand", "creator"]
MOST_IMAGES = 8
REARRANGED = 100
"""Diversity and boosts rerank this number of hits, those with the best scores."""
RequestId = Annotated[
    str,
    KEEP_WHITESPACE,
    Field(
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="Id of the request, also its Kafka key: 1 to 64 letters, digits, _ . or -",
    ),
]


class Crop(Model):
    """The part of the picture to search by, as fractions of the picture after EXIF rotation."""

    x: float = Field(ge=0, lt=1, description="Left edge, 0 to 1 as a fraction of the picture's width")
    y: float = Field(ge=0, lt=1, description="Top edge, 0 to 1 as a fraction of the picture's height")
    w: float = Field(gt=0, le=1, description="Width, 0 to 1 as a fraction of the picture's width")
    h: float = Field(gt=0, le=1, description="Height, 0 to 1 as a fraction of the picture's height")

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if self.x + self.w > 1 + 1e-6 or self.y + self.h > 1 + 1e-6:
            raise ValueError("the crop exceeds the picture: x+w and y+h must be at most 1")
        return self


class SearchRequest(LenientModel):
    """Find items that look like a picture or like an indexed item, or that words describe."""

    schema_: Literal["search.request/1"] = Field(
        "search.request/1", alias="schema", description="Name and version of this event"
    )
    request_id: RequestId
    tenant: Tenant = "default"
    image: ImageRef | None = Field(
        None, description="Picture to search by; alternatives are `item_id`, `like` and `text`"
    )
    more_images: tuple[ImageRef, ...] = Field(
        (),
        max_length=MOST_IMAGES - 1,
        description="Further pictures of the same thing as `image`; all have equal weight",
    )
    item_id: ItemId | None = Field(None, description="Id of an indexed item, to search by its main picture")
    like: tuple[ItemId, ...] = Field(
        (), max_length=10, description="Ids of indexed items that hits should resemble too"
    )
    unlike: tuple[ItemId, ...] = Field(
        (), max_length=10, description="Ids of indexed items that hits should not resemble"
    )
    text: str | None = Field(
        None,
        min_length=1,
        max_length=LONGEST_TEXT,
        description="Words that describe what to find, alone or beside a picture or an item: colours, categories, "
        "brands, attributes, price bounds, negations, and words of titles and tags. `understood` of the result "
        "tells what became of each",
    )
    ignore_words: tuple[WordText, ...] = Field(
        (), max_length=MOST_WORDS, description="Words of `text` to leave out, as in `understood`"
    )
    plain_words: tuple[WordText, ...] = Field(
        (),
        max_length=MOST_WORDS,
        description="Words of `text`, as in `understood`, that are only matched to titles, tags and attributes",
    )
    crop: Crop | None = Field(None, description="Part of `image` to search by")
    objects: Objects = Field(
        "none",
        description="Search by each thing in `image` too, in `regions` of the result. none: by the whole picture "
        "alone. auto: by each thing if the picture has several. all: by each thing that is found, up to 5",
    )
    intent: Intent = Field("similar", description="Preset of the weights: exact, similar, style or colour")
    weights: Weights | None = Field(None, description="Custom weights, instead of those of `intent`")
    metric: Literal["collection", "default"] = Field(
        "collection",
        description="collection: compare as the collection has learnt from its own categories, unless the request "
        "has `weights`; it applies to the first 100 hits. default: compare as every collection does at first",
    )
    filters: Filters = Field(default_factory=Filters, description="Conditions that every hit must satisfy")
    any_of: tuple[Filters, ...] = Field((), max_length=10, description="Every hit satisfies at least one of these")
    none_of: tuple[Filters, ...] = Field((), max_length=10, description="No hit satisfies any of these")
    top_k: int = Field(10, ge=1, le=100, description="Maximum number of hits, 1 to 100")
    offset: int = Field(0, ge=0, le=900, description="Number of the best hits to skip, for pagination, 0 to 900")
    collapse: Collapse = Field(
        "item",
        description="Group hits by item, duplicates, brand or creator, with at most `group_size` hits per group; "
        "items without a value are not grouped",
    )
    group_size: int = Field(1, ge=1, le=10, description="Maximum number of hits per group of `collapse`, 1 to 10")
    diversity: float = Field(
        0,
        ge=0,
        le=1,
        description="Diversity (maximal marginal relevance), 0 to 1: 0 is the order by score, higher values prefer "
        "hits that differ from those above them",
    )
    boosts: Boosts = Field(default_factory=Boosts, description="Boosts that are added to the score for ranking")
    understand: Literal["off", "auto"] = Field(
        "off",
        description="Query understanding. auto: the predicted category, and for the intents exact and colour also "
        "the main colour, becomes a filter if it is certain, or a boost if it is likely. Added filters are "
        "removed again if too few hits are left",
    )
    min_as_of: tuple[RecordPosition, ...] = Field(
        (),
        max_length=64,
        description="Positions of records, for example your own writes, that the index must have read. The search "
        "waits until then; at its deadline the answer is `unavailable`",
    )
    moderation: Annotated[Labels, NullElements()] = ()
    restricted: bool = Field(
        default=False,
        description="Whether hits and query pictures may have restricted moderation labels; blocked labels "
        "are never allowed",
    )
    explain: bool = Field(default=False, description="Whether hits include the components of their scores")
    min_score: float | None = Field(None, ge=-1, le=1, description="Minimum score of a hit, -1 to 1")
    min_confidence: float = Field(
        0,
        ge=0,
        le=1,
        description="Minimum confidence of a hit, 0 to 1; of hits with a confidence of 0.9, one in ten is wrong",
    )
    strict: bool = Field(
        default=True,
        description="true: exclude hits that score no better than unrelated pictures; if none is left, the status "
        "is `no_match`. false: best effort, return the nearest items",
    )
    look: bool = Field(
        default=False, description="Whether the result includes the embedding of the query, for a standing search"
    )
    variations: bool = Field(
        default=False,
        description="Whether the result has `variations`: the facts by which neighbours of `item_id` differ from "
        "it",
    )
    thumbnails: bool = Field(default=False, description="Whether hits include a small JPEG of the matched picture")
    deadline_ms: int = Field(
        5_000,
        ge=50,
        le=60_000,
        description="Time limit in milliseconds, from the record's time; after it the answer is `expired`",
    )

    @model_validator(mode="after")
    def _validate_query(self) -> Self:
        if self.image is not None and self.item_id is not None:
            raise ValueError(
                "send either `image` or `item_id`, not both: items that hits should resemble too are `like`"
            )
        if not self.has_look and self.text is None:
            raise ValueError("there is nothing to search by: send `image`, `item_id`, `like` or `text`")
        if not self.has_look and (self.look or self.is_rearranged or self.unlike):
            raise ValueError("`look`, `unlike`, `diversity` and `boosts` need `image`, `item_id` or `like`")
        if self.crop is not None and self.image is None:
            raise ValueError("`crop` needs `image`: the picture of an indexed item cannot be cropped")
        if self.more_images and self.image is None:
            raise ValueError("`more_images` needs `image`: put the first picture there")
        if self.objects != "none" and (self.image is None or self.crop is not None):
            raise ValueError("`objects` needs `image`, without `crop`: a crop is already a part to search by")
        if self.variations and self.item_id is None:
            raise ValueError("`variations` needs `item_id`, the item to vary: index a picture first to vary it")
        if both := {*self.like, self.item_id} & set(self.unlike):
            raise ValueError(f"an item of `unlike` cannot be in `like` or `item_id`: {', '.join(map(str, both))}")
        return self

    @model_validator(mode="after")
    def _validate_ranking(self) -> Self:
        if any(filters == Filters() for filters in (*self.any_of, *self.none_of)):
            raise ValueError("a filter of `any_of` or `none_of` is empty, so everything satisfies it: remove it")
        if self.group_size > 1 and self.collapse == "item":
            raise ValueError(
                "`group_size` needs `collapse` by duplicates, brand or creator: an item is always a single hit"
            )
        if self.is_rearranged and self.offset + self.top_k > REARRANGED:
            raise ValueError(
                f"with `diversity` or `boosts`, `offset` + `top_k` is at most {REARRANGED}: lower one of them"
            )
        return self

    @property
    def has_look(self) -> bool:
        """Whether the request has a picture or an item whose look hits should resemble; else it has words alone."""
        return self.image is not None or self.item_id is not None or bool(self.like)

    @property
    def is_rearranged(self) -> bool:
        """Whether diversity or boosts change the order of the hits."""
        return self.diversity > 0 or self.boosts.most > 0

    @property
    def is_unfiltered(self) -> bool:
        """Whether the request has no filter and no minimum score, so that every item may be a hit."""
        return self.filters == Filters() and not self.any_of and not self.none_of and self.min_score is None

    @property
    def named_items(self) -> tuple[str, ...]:
        """Ids of the indexed items that the request searches by; they are excluded from the hits."""
        return (*((self.item_id,) if self.item_id else ()), *self.like, *self.unlike)

    def weighting(self) -> Weights:
        """The weights of the request, or those of its intent if it has none."""
        return self.weights or INTENTS[self.intent]
