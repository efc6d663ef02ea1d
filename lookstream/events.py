"""Events, requests and results of the public API; `lookstream schemas export` writes them as JSON Schema."""

from schemas.facets import FacetsRequest, FacetsResult
from schemas.filters import Filters
from schemas.freshness import RecordPosition, Watermark
from schemas.items import (
    FileImage,
    InlineImage,
    ItemDeleted,
    ItemPatched,
    ItemUpserted,
    S3Image,
    UrlImage,
)
from schemas.outcomes import ItemBlocked, ItemIndexed, ItemRejected, ItemRemoved, ItemSuperseded
from schemas.ranking import Boosts, Weights
from schemas.results import Hit, SearchResult
from schemas.searches import Crop, SearchRequest
from schemas.watches import Watch, WatchMatched

__all__ = [
    "Boosts",
    "Crop",
    "FacetsRequest",
    "FacetsResult",
    "FileImage",
    "Filters",
    "Hit",
    "InlineImage",
    "ItemBlocked",
    "ItemDeleted",
    "ItemIndexed",
    "ItemPatched",
    "ItemRejected",
    "ItemRemoved",
    "ItemSuperseded",
    "ItemUpserted",
    "RecordPosition",
    "S3Image",
    "SearchRequest",
    "SearchResult",
    "UrlImage",
    "Watch",
    "WatchMatched",
    "Watermark",
    "Weights",
]
