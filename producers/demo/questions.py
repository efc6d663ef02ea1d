"""Demo searches: send the searches of the tour, and check the conditions that their answers must satisfy."""

import io
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from infra.console import format_count
from infra.retry import Retry
from producers.demo.arrivals import TENANT
from producers.demo.catalogue import Catalogue, DemoProduct, describe_product
from producers.demo.figures import FirstHits, PromiseCheck, SearchFigures, spread
from producers.demo.kinds import KINDS
from schemas.filters import Filters
from schemas.items import InlineImage
from schemas.results import Hit, SearchResult
from schemas.searches import SearchRequest

SearchFunction = Callable[[SearchRequest], SearchResult]

DEADLINE_MS = 20_000
CALIBRATION_SECONDS = 180.0
"""The first query worker of an index calibrates it when idle, with about 200 pictures."""
OTHER_COLOUR = "green"
"""Far from the red of the first product, and shades of it are still classified as green."""

CATALOG_ONLY = Filters(source=("catalog",))


@dataclass(frozen=True)
class PhotoAnswer:
    """A photo of a product, the result of the search with it, and the duration."""

    product: DemoProduct
    picture: bytes
    result: SearchResult
    milliseconds: float

    @property
    def first(self) -> DemoProduct | None:
        """Ground truth of the first hit; None if there is no hit or the hit is not a product."""
        return describe_product(self.result.hits[0].item_id) if self.result.hits else None


def sample(catalogue: Catalogue, queries: int) -> list[DemoProduct]:
    """Choose `queries` products that are spread over the catalogue, with all kinds equally often where possible."""
    cycles = -(-len(catalogue.products) // len(KINDS))
    count = min(cycles, -(-queries // len(KINDS)))
    chosen = {number * cycles // count for number in range(count)}
    products = [product for n, product in enumerate(catalogue.products) if n // len(KINDS) in chosen]
    return products[:queries]


def search_by_photo(search: SearchFunction, catalogue: Catalogue, product: DemoProduct) -> PhotoAnswer:
    """Search with the casual photo of a product."""
    return _search(search, product, (catalogue.folder / product.photo).read_bytes(), CATALOG_ONLY)


def _photo_request(picture: bytes, filters: Filters) -> SearchRequest:
    return SearchRequest(
        request_id=f"demo-{uuid.uuid4()}",
        tenant=TENANT,
        image=InlineImage(data=picture),
        intent="exact",
        filters=filters,
        top_k=6,
        thumbnails=True,
        deadline_ms=DEADLINE_MS,
    )


def _search(
    search: SearchFunction, product: DemoProduct, picture: bytes, filters: Filters, *, strict: bool = True
) -> PhotoAnswer:
    return _ask(search, product, _photo_request(picture, filters).model_copy(update={"strict": strict}))


def _ask(search: SearchFunction, product: DemoProduct, request: SearchRequest) -> PhotoAnswer:
    picture = request.image.data if isinstance(request.image, InlineImage) else b""
    start = time.perf_counter()
    result = search(request)
    return PhotoAnswer(product, picture, result, (time.perf_counter() - start) * 1000)


def count_first_hits(answers: Sequence[PhotoAnswer]) -> FirstHits:
    """Count the first hits with the right kind, the right colour, both, and the same product."""
    pairs = [(answer.product, answer.first) for answer in answers]
    kind = [first is not None and first.kind == query_product.kind for query_product, first in pairs]
    colour = [first is not None and first.colour == query_product.colour for query_product, first in pairs]
    both = sum(k and c for k, c in zip(kind, colour, strict=True))
    same = sum(first == query_product for query_product, first in pairs)
    return FirstHits(len(pairs), sum(kind), sum(colour), both, same)


def time_searches(answers: Sequence[PhotoAnswer]) -> SearchFigures:
    """Durations of the searches, in total and for each step."""
    times = [answer.result.times for answer in answers]
    return SearchFigures(
        client=spread([answer.milliseconds for answer in answers]),
        queued=spread([t.queued for t in times]),
        fetched=spread([t.fetched for t in times]),
        decoded=spread([t.decoded for t in times]),
        encoded=spread([t.encoded for t in times]),
        searched=spread([t.searched for t in times]),
    )


@dataclass(frozen=True)
class FilterTrial:
    """A search with a condition: its caption, its answer, and whether the hits satisfy the condition."""

    caption: str
    answer: PhotoAnswer
    promise: PromiseCheck


def try_street(search: SearchFunction, catalogue: Catalogue) -> FilterTrial:
    """Search by each thing in the photo of a street; each must find its kind first."""
    request = _photo_request(catalogue.street_photo.read_bytes(), CATALOG_ONLY)
    answer = _ask(search, catalogue.street_products[0], request.model_copy(update={"objects": "auto"}))
    regions = sorted(answer.result.regions, key=lambda region: region.box.x)
    kinds = [region.hits[0].category if region.hits else None for region in regions]
    expected = [product.kind for product in catalogue.street_products]
    detail = f"{', '.join(map(str, kinds)) or 'nothing'} first, of {', '.join(expected)} from left to right"
    return FilterTrial("a street", answer, PromiseCheck("each thing of a photo", kinds == expected, detail))


def try_filters(search: SearchFunction, catalogue: Catalogue) -> list[FilterTrial]:
    """Search with filters that contradict the picture, and check that every hit satisfies them.

    The searches are not strict: they return the most similar items even if these are below the threshold.
    """
    query_product = catalogue.products[0]
    other = next(p for p in catalogue.products if p.kind != query_product.kind and p.colour == OTHER_COLOUR)
    kind, colour = other.kind, other.colour
    narrow = CATALOG_ONLY.model_copy
    conditions: list[tuple[str, str, Filters, Callable[[Hit], bool]]] = [
        ("a colour filter", colour, narrow(update={"colours": (colour,)}), lambda hit: colour in hit.colours),
        ("a category filter", f"a {kind}", narrow(update={"category": (kind,)}), lambda hit: hit.category == kind),
        (
            "both filters",
            f"a {colour} {kind}",
            narrow(update={"category": (kind,), "colours": (colour,)}),
            lambda hit: hit.category == kind and colour in hit.colours,
        ),
        ("a source filter", "in posts", Filters(source=("social",)), lambda hit: hit.source == "social"),
    ]
    trials = []
    for name, expected, filters, is_satisfied in conditions:
        answer = _search(
            search, query_product, (catalogue.folder / query_product.photo).read_bytes(), filters, strict=False
        )
        promise = _check_hits(f"{name} ({expected})", answer.result, is_satisfied)
        trials.append(FilterTrial(f"{query_product.colour} {query_product.kind}, but {expected}", answer, promise))
    return trials


def _check_hits(name: str, result: SearchResult, is_satisfied: Callable[[Hit], bool]) -> PromiseCheck:
    wrong = [hit.item_id for hit in result.hits if not is_satisfied(hit)]
    detail = f"{len(result.hits)} hits, {len(wrong)} of them wrong" if result.hits else f"no hits ({result.status})"
    return PromiseCheck(name, bool(result.hits) and not wrong, detail)


def try_nothing(search: SearchFunction, catalogue: Catalogue) -> FilterTrial:
    """Search with a noise picture once the index is calibrated; the answer must be `no_match`."""
    picture = _noise_picture()
    for _ in Retry(CALIBRATION_SECONDS, first_pause=1).attempts():
        answer = _search(search, catalogue.products[0], picture, CATALOG_ONLY)
        if answer.result.threshold is not None:
            break
    promise = PromiseCheck(
        "a picture of noise", answer.result.status == "no_match", _describe_no_match(answer.result)
    )
    return FilterTrial("nothing at all", answer, promise)


def _noise_picture() -> bytes:
    """A JPEG of random grey noise."""
    grey = np.random.default_rng(0).integers(0, 256, (96, 128), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grey).resize((512, 384), Image.Resampling.NEAREST).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def _describe_no_match(result: SearchResult) -> str:
    if result.threshold is None:
        return "the index did not learn in time what unrelated pictures score"
    return f"{format_count(len(result.hits), 'hit', 'hits')} ({result.status})"


def is_found(search: SearchFunction, catalogue: Catalogue, product: DemoProduct) -> bool:
    """Whether a product is among the hits for its own studio shot."""
    picture = (catalogue.folder / product.image).read_bytes()
    answer = _search(search, product, picture, CATALOG_ONLY)
    return any(hit.item_id == product.id for hit in answer.result.hits)
