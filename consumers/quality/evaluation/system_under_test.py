"""System under test: the interface to the evaluated system, which is used only through item and search events."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Literal, Protocol, TypeVar

from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.picture_source import FULL_SIZE
from consumers.quality.evaluation.ranking_metrics import DEPTH
from infra.console import printable
from infra.images.decode import decode
from schemas.failures import Rejected, Unavailable
from schemas.filters import Filters
from schemas.items import MAX_INLINE_BYTES, InlineImage, ItemUpserted
from schemas.outcomes import ItemOutcome
from schemas.ranking import INTENTS, Weights
from schemas.results import SearchResult
from schemas.searches import SearchRequest

PATIENT_MS = 60_000
"""Deadline of a search: the longest allowed, because quality is measured here and not speed."""
INLINE_SIDE = 1_600
"""Longer side in pixels to which a picture is resized when it is too large for an event."""

Step = TypeVar("Step")


class TrackProgress(Protocol):
    """Yields the steps unchanged, and may show a progress bar meanwhile."""

    def __call__(self, steps: Iterable[Step], description: str, total: int, /) -> Iterable[Step]: ...


class SystemUnderTest(Protocol):
    """A system that indexes item events and answers searches. Its methods raise Unavailable when it does not."""

    @property
    def tenant(self) -> str:
        """The tenant that owns the items of this evaluation."""

    def for_tenant(self, name: str) -> "SystemUnderTest":
        """The same system for another tenant, which has no items yet; `name` is part of the tenant's."""

    def put(self, items: Iterable[ItemUpserted]) -> Iterator[ItemOutcome]:
        """Index items; yield the outcome of each, in any order. Items that are indexed can be found at once."""

    def calibrate(self, probe: SearchRequest) -> None:
        """Let the system calibrate its scores for a new catalogue, where it does so; `probe` is any search."""

    def search(self, requests: Iterable[SearchRequest]) -> Iterable[SearchResult]:
        """The search results, in the order of the requests."""


@dataclass(frozen=True)
class SearchQuestion:
    """One search: a picture, which is read when the search is sent, and the weights and filters of its hits.

    `offset`, `top_k` and `metric` are those of schemas.searches.SearchRequest.
    """

    picture: Callable[[], bytes]
    weights: Weights
    filters: Filters = field(default_factory=Filters)
    strict: bool = False
    offset: int = 0
    metric: Literal["collection", "default"] = "collection"
    top_k: int = DEPTH


def catalogue_id(position: int) -> str:
    """The item id of the picture at a position of the catalogue, from 0."""
    return f"c{position}"


def catalogue_position(item_id: str) -> int:
    """The position in the catalogue of the picture with an item id; the inverse of catalogue_id."""
    return int(item_id.removeprefix("c"))


def index_rows(
    system: SystemUnderTest, rows: Iterable[tuple[str, LabelledImage]], track: TrackProgress, total: int
) -> dict[str, ItemOutcome]:
    """Index pictures with their item ids; return the outcome of each that can be read, by id."""
    read = ((item_id, row, row.read()) for item_id, row in rows)
    items = (_item(system.tenant, item_id, row, picture) for item_id, row, picture in read if picture)
    outcomes = track(system.put(items), "indexing", total)
    return {outcome.item_id: outcome for outcome in outcomes if outcome.item_id is not None}


def calibrate(system: SystemUnderTest, probe: SearchQuestion) -> None:
    """Let the system calibrate its scores, before its results are judged."""
    system.calibrate(_request(system.tenant, probe))


def search_all(
    system: SystemUnderTest, questions: Sequence[SearchQuestion], track: TrackProgress, description: str
) -> list[SearchResult]:
    """The search results, in order; raises Unavailable when one has the status `expired` or `unavailable`."""
    return list(search_each(system, questions, track, description))


def search_each(
    system: SystemUnderTest, questions: Sequence[SearchQuestion], track: TrackProgress, description: str
) -> Iterator[SearchResult]:
    """As search_all, but one result after the other, so that not all are in memory; palettes are left out."""
    requests = (_request(system.tenant, question) for question in track(questions, description, len(questions)))
    for result in system.search(requests):
        if result.status in ("expired", "unavailable"):
            raise Unavailable(f"a search was answered `{result.status}` ({result.message}): evaluate again")
        hits = tuple(hit.model_copy(update={"palette": ()}) for hit in result.hits)
        yield result.model_copy(update={"hits": hits, "palette": ()})


def _item(tenant: str, item_id: str, row: LabelledImage, picture: bytes) -> ItemUpserted:
    image = InlineImage(data=_inline(picture))
    title, category = printable(row.image)[:200].strip(), row.category[:200]
    return ItemUpserted(
        tenant=tenant, item_id=item_id, revision=1, title=title or None, category=category or None, images=(image,)
    )


def _request(tenant: str, question: SearchQuestion) -> SearchRequest:
    """A search by the intent that has these weights, as users search; by the weights if no intent has them."""
    intent = next((intent for intent, weights in INTENTS.items() if weights == question.weights), None)
    return SearchRequest(
        request_id=uuid.uuid4().hex, tenant=tenant, image=InlineImage(data=_inline(question.picture())),
        intent=intent or "similar", weights=None if intent else question.weights, filters=question.filters,
        offset=question.offset, top_k=question.top_k, strict=question.strict, metric=question.metric,
        deadline_ms=PATIENT_MS,
    )  # fmt: skip


def _inline(data: bytes) -> bytes:
    """The picture, resized where it is too large for an event.

    A large picture that cannot be read is cut at the size limit: the system is to reject it.
    """
    if len(data) <= MAX_INLINE_BYTES:
        return data
    try:
        image = decode(data, FULL_SIZE).image
    except Rejected:
        return data[:MAX_INLINE_BYTES]
    image.thumbnail((INLINE_SIDE, INLINE_SIDE))
    out = BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()
