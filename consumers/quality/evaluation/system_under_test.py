"""The system under trial, from outside: items are put in, searches are asked, as events and nothing else."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Protocol, TypeVar

from PIL import Image, ImageOps

from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.ranking_metrics import DEPTH
from schemas.failures import Unavailable
from schemas.filters import Filters
from schemas.items import MAX_INLINE_BYTES, InlineImage, ItemUpserted
from schemas.outcomes import ItemOutcome
from schemas.ranking import Weights
from schemas.results import SearchResult
from schemas.searches import SearchRequest

PATIENT_MS = 60_000
"""Deadline of a search: the longest there is, since here it is quality that is measured."""
INLINE_SIDE = 1_600
"""Longer side in pixels to which a picture is reduced that is too large to travel inside an event."""

Step = TypeVar("Step")


class TrackProgress(Protocol):
    """Passes steps on, with a progress bar or without."""

    def __call__(self, steps: Iterable[Step], what: str, total: int, /) -> Iterable[Step]: ...


class SystemUnderTest(Protocol):
    """Whatever takes item events and answers searches. Raises Unavailable when it does not."""

    @property
    def tenant(self) -> str:
        """Owner of the items of this trial."""

    def put(self, items: Iterable[ItemUpserted]) -> Iterator[ItemOutcome]:
        """What became of each item, in any order; those that are indexed can be found."""

    def settle(self, probe: SearchRequest) -> None:
        """Let it get ready for a new catalogue, if it has to; `probe` is any search."""

    def ask(self, requests: Iterable[SearchRequest]) -> Iterable[SearchResult]:
        """The answers, in the order of the requests."""


@dataclass(frozen=True)
class SearchQuestion:
    """One search: a picture, read when it is asked, and what is wanted of its hits."""

    picture: Callable[[], bytes]
    weights: Weights
    filters: Filters = field(default_factory=Filters)
    strict: bool = False


def catalogue_id(place: int) -> str:
    """The id of the catalogue's picture at a place, from 0."""
    return f"c{place}"


def place_of(item_id: str) -> int:
    """The place of a catalogue's picture, by its id."""
    return int(item_id.removeprefix("c"))


def put_rows(
    system: SystemUnderTest, rows: Iterable[tuple[str, LabelledImage]], track: TrackProgress, total: int
) -> dict[str, ItemOutcome]:
    """Put pictures in under their ids; the outcome of each, by id."""
    items = (_item(system.tenant, id, row) for id, row in rows)
    outcomes = track(system.put(items), "indexing", total)
    return {outcome.item_id: outcome for outcome in outcomes if outcome.item_id is not None}


def settle(system: SystemUnderTest, probe: SearchQuestion) -> None:
    """Let the system get ready, before its answers are judged."""
    system.settle(_request(system.tenant, probe))


def ask_all(
    system: SystemUnderTest, questions: Sequence[SearchQuestion], track: TrackProgress, what: str
) -> list[SearchResult]:
    """The answers, in order; raises Unavailable when one is not in time."""
    requests = (_request(system.tenant, one) for one in track(questions, what, len(questions)))
    results = list(system.ask(requests))
    for result in results:
        if result.status in ("expired", "unavailable"):
            raise Unavailable(f"a search was answered `{result.status}` ({result.message}): evaluate again")
    return results


def _item(tenant: str, item_id: str, row: LabelledImage) -> ItemUpserted:
    image = InlineImage(data=_inline(row.path.read_bytes()))
    return ItemUpserted(
        tenant=tenant, item_id=item_id, revision=1, title=row.image[:200], category=row.category[:200] or None,
        images=(image,),
    )  # fmt: skip


def _request(tenant: str, question: SearchQuestion) -> SearchRequest:
    return SearchRequest(
        request_id=uuid.uuid4().hex, tenant=tenant, image=InlineImage(data=_inline(question.picture())),
        weights=question.weights, filters=question.filters, top_k=DEPTH, strict=question.strict,
        deadline_ms=PATIENT_MS,
    )  # fmt: skip


def _inline(data: bytes) -> bytes:
    """The picture, reduced where it is too large for an event; what cannot be read goes as it is, to be refused."""
    if len(data) <= MAX_INLINE_BYTES:
        return data
    try:
        with Image.open(BytesIO(data)) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return data[:MAX_INLINE_BYTES]
    image.thumbnail((INLINE_SIDE, INLINE_SIDE))
    out = BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()
