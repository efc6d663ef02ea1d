"""What the tour asks of the system, and what must hold of the answers."""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from producers.demo.arrivals import TENANT
from producers.demo.catalogue import Catalogue, Product, describe_product
from producers.demo.figures import FirstHits, Promise, Searched, spread
from producers.demo.kinds import KINDS
from schemas.items import InlineImage
from schemas.searches import Filters, Hit, SearchRequest, SearchResult

Ask = Callable[[SearchRequest], SearchResult]

PATIENCE_MS = 20_000
CATALOG_ONLY = Filters(source=("catalog",))


@dataclass(frozen=True)
class Answer:
    """A photo of a product, what came back, and how long that took."""

    product: Product
    picture: bytes
    result: SearchResult
    milliseconds: float

    @property
    def first(self) -> Product | None:
        """What is true of the first hit; None without one."""
        return describe_product(self.result.hits[0].item_id) if self.result.hits else None


def sample(catalogue: Catalogue, queries: int) -> list[Product]:
    """So many of the products, spread over the catalogue, with all kinds as often as can be."""
    turns = -(-len(catalogue.products) // len(KINDS))
    wanted = min(turns, -(-queries // len(KINDS)))
    chosen = {round_ * turns // wanted for round_ in range(wanted)}
    found = [product for n, product in enumerate(catalogue.products) if n // len(KINDS) in chosen]
    return found[:queries]


def search_by_photo(ask: Ask, catalogue: Catalogue, product: Product, filters: Filters = CATALOG_ONLY) -> Answer:
    """Search with the casual photo of a product."""
    return _search(ask, product, (catalogue.folder / product.photo).read_bytes(), filters)


def _search(ask: Ask, product: Product, picture: bytes, filters: Filters) -> Answer:
    request = SearchRequest(
        request_id=f"demo-{uuid.uuid4()}",
        tenant=TENANT,
        image=InlineImage(data=picture),
        intent="exact",
        filters=filters,
        top_k=6,
        thumbnails=True,
        deadline_ms=PATIENCE_MS,
    )
    begun = time.perf_counter()
    result = ask(request)
    return Answer(product, picture, result, (time.perf_counter() - begun) * 1000)


def count_first_hits(answers: Sequence[Answer]) -> FirstHits:
    """How many of the first hits are right."""
    pairs = [(answer.product, answer.first) for answer in answers]
    kind = [first is not None and first.kind == asked.kind for asked, first in pairs]
    colour = [first is not None and first.colour == asked.colour for asked, first in pairs]
    both = sum(k and c for k, c in zip(kind, colour, strict=True))
    same = sum(first == asked for asked, first in pairs)
    return FirstHits(len(pairs), sum(kind), sum(colour), both, same)


def time_searches(answers: Sequence[Answer]) -> Searched:
    """How long the searches took, in all and step by step."""
    times = [answer.result.times for answer in answers]
    return Searched(
        client=spread([answer.milliseconds for answer in answers]),
        queued=spread([t.queued for t in times]),
        fetched=spread([t.fetched for t in times]),
        looked=spread([t.looked for t in times]),
        searched=spread([t.searched for t in times]),
    )


def try_filters(ask: Ask, catalogue: Catalogue) -> list[tuple[Promise, Answer]]:
    """Searches by look under conditions that fight the picture: every hit must satisfy them."""
    asked = catalogue.products[0]
    other = next(p for p in catalogue.products if p.kind != asked.kind and p.colour != asked.colour)
    trials: list[tuple[str, Filters, Callable[[Hit], bool]]] = [
        (
            f"a colour filter ({other.colour})",
            Filters(source=("catalog",), colours=(other.colour,)),
            lambda hit: other.colour in hit.colours,
        ),
        (
            f"a category filter ({other.kind})",
            Filters(source=("catalog",), category=(other.kind,)),
            lambda hit: hit.category == other.kind,
        ),
        (
            f"both filters ({other.colour} {other.kind})",
            Filters(source=("catalog",), category=(other.kind,), colours=(other.colour,)),
            lambda hit: hit.category == other.kind and other.colour in hit.colours,
        ),
        ("social posts only", Filters(source=("social",)), lambda hit: hit.source == "social"),
    ]
    return [_try(what, search_by_photo(ask, catalogue, asked, filters), holds) for what, filters, holds in trials]


def _try(what: str, answer: Answer, holds: Callable[[Hit], bool]) -> tuple[Promise, Answer]:
    hits = answer.result.hits
    wrong = [hit.item_id for hit in hits if not holds(hit)]
    detail = f"{len(hits)} hits, {len(wrong)} of them wrong" if hits else f"no hits ({answer.result.status})"
    return Promise(what, bool(hits) and not wrong, detail), answer


def is_found(ask: Ask, catalogue: Catalogue, product: Product) -> bool:
    """Whether a product is among the hits for its own studio shot."""
    picture = (catalogue.folder / product.image).read_bytes()
    answer = _search(ask, product, picture, CATALOG_ONLY)
    return any(hit.item_id == product.id for hit in answer.result.hits)
