"""What the tour asks of the system, and what must hold of the answers."""

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

Ask = Callable[[SearchRequest], SearchResult]

PATIENCE_MS = 20_000
CALIBRATED_SECONDS = 180.0
"""The first query worker of an index looks at some 200 pictures when it has time."""
OTHER_COLOUR = "green"
"""Far from the red of the first product, and a shade of it is still called green."""

CATALOG_ONLY = Filters(source=("catalog",))


@dataclass(frozen=True)
class PhotoAnswer:
    """A photo of a product, what came back, and how long that took."""

    product: DemoProduct
    picture: bytes
    result: SearchResult
    milliseconds: float

    @property
    def first(self) -> DemoProduct | None:
        """What is true of the first hit; None without one."""
        return describe_product(self.result.hits[0].item_id) if self.result.hits else None


def sample(catalogue: Catalogue, queries: int) -> list[DemoProduct]:
    """So many of the products, spread over the catalogue, with all kinds as often as can be."""
    turns = -(-len(catalogue.products) // len(KINDS))
    wanted = min(turns, -(-queries // len(KINDS)))
    chosen = {round_ * turns // wanted for round_ in range(wanted)}
    found = [product for n, product in enumerate(catalogue.products) if n // len(KINDS) in chosen]
    return found[:queries]


def search_by_photo(
    ask: Ask, catalogue: Catalogue, product: DemoProduct, filters: Filters = CATALOG_ONLY
) -> PhotoAnswer:
    """Search with the casual photo of a product."""
    return _search(ask, product, (catalogue.folder / product.photo).read_bytes(), filters)


def _search(
    ask: Ask, product: DemoProduct, picture: bytes, filters: Filters, *, strict: bool = True
) -> PhotoAnswer:
    request = SearchRequest(
        request_id=f"demo-{uuid.uuid4()}",
        tenant=TENANT,
        image=InlineImage(data=picture),
        intent="exact",
        filters=filters,
        top_k=6,
        strict=strict,
        thumbnails=True,
        deadline_ms=PATIENCE_MS,
    )
    begun = time.perf_counter()
    result = ask(request)
    return PhotoAnswer(product, picture, result, (time.perf_counter() - begun) * 1000)


def count_first_hits(answers: Sequence[PhotoAnswer]) -> FirstHits:
    """How many of the first hits are right."""
    pairs = [(answer.product, answer.first) for answer in answers]
    kind = [first is not None and first.kind == asked.kind for asked, first in pairs]
    colour = [first is not None and first.colour == asked.colour for asked, first in pairs]
    both = sum(k and c for k, c in zip(kind, colour, strict=True))
    same = sum(first == asked for asked, first in pairs)
    return FirstHits(len(pairs), sum(kind), sum(colour), both, same)


def time_searches(answers: Sequence[PhotoAnswer]) -> SearchFigures:
    """How long the searches took, in all and step by step."""
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
    """A search under a condition: what was wanted, what came back, and whether every hit satisfies it."""

    caption: str
    answer: PhotoAnswer
    promise: PromiseCheck


def try_filters(ask: Ask, catalogue: Catalogue) -> list[FilterTrial]:
    """Searches by look under conditions that fight the picture: every hit must satisfy them.

    They are no strict ones: what looks least unlike is wanted, even if it is no more alike than nothing.
    """
    asked = catalogue.products[0]
    other = next(p for p in catalogue.products if p.kind != asked.kind and p.colour == OTHER_COLOUR)
    kind, colour = other.kind, other.colour
    shop = CATALOG_ONLY.model_copy
    conditions: list[tuple[str, str, Filters, Callable[[Hit], bool]]] = [
        ("a colour filter", colour, shop(update={"colours": (colour,)}), lambda hit: colour in hit.colours),
        ("a category filter", f"a {kind}", shop(update={"category": (kind,)}), lambda hit: hit.category == kind),
        (
            "both filters",
            f"a {colour} {kind}",
            shop(update={"category": (kind,), "colours": (colour,)}),
            lambda hit: hit.category == kind and colour in hit.colours,
        ),
        ("a source filter", "in posts", Filters(source=("social",)), lambda hit: hit.source == "social"),
    ]
    trials = []
    for what, wanted, filters, holds in conditions:
        answer = _search(ask, asked, (catalogue.folder / asked.photo).read_bytes(), filters, strict=False)
        promise = _judge(f"{what} ({wanted})", answer.result, holds)
        trials.append(FilterTrial(f"{asked.colour} {asked.kind}, but {wanted}", answer, promise))
    return trials


def _judge(what: str, result: SearchResult, holds: Callable[[Hit], bool]) -> PromiseCheck:
    wrong = [hit.item_id for hit in result.hits if not holds(hit)]
    detail = f"{len(result.hits)} hits, {len(wrong)} of them wrong" if result.hits else f"no hits ({result.status})"
    return PromiseCheck(what, bool(result.hits) and not wrong, detail)


def try_nothing(ask: Ask, catalogue: Catalogue) -> FilterTrial:
    """A search with a picture of nothing, once the index has learned what unrelated pictures score."""
    picture = _static()
    for _ in Retry(CALIBRATED_SECONDS, first=1).attempts():
        answer = _search(ask, catalogue.products[0], picture, CATALOG_ONLY)
        if answer.result.threshold is not None:
            break
    promise = PromiseCheck("a picture of nothing", answer.result.status == "no_match", _nothing(answer.result))
    return FilterTrial("nothing at all", answer, promise)


def _static() -> bytes:
    """What a television shows that has no channel."""
    grey = np.random.default_rng(0).integers(0, 256, (96, 128), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grey).resize((512, 384), Image.Resampling.NEAREST).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def _nothing(result: SearchResult) -> str:
    if result.threshold is None:
        return "the index did not learn in time what unrelated pictures score"
    return f"{format_count(len(result.hits), 'hit', 'hits')} ({result.status})"


def is_found(ask: Ask, catalogue: Catalogue, product: DemoProduct) -> bool:
    """Whether a product is among the hits for its own studio shot."""
    picture = (catalogue.folder / product.image).read_bytes()
    answer = _search(ask, product, picture, CATALOG_ONLY)
    return any(hit.item_id == product.id for hit in answer.result.hits)
