"""The index by itself: recall and latency of its calls under writes, and how it stalls while it is optimised."""

import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from consumers.points.payload import HIT_KEYS
from consumers.searching.search_plans import HNSW_EF
from infra.array_types import Floats
from infra.qdrant.contract import Point, SearchPlan
from infra.qdrant.embedded.client import EmbeddedIndex
from producers.demo.figures import LatencySpread, spread
from schemas.filters import Filters
from schemas.ranking import INTENTS, Weights
from tests.benchmarks.synthetic_points import SHARES, TENANT, EncodedPictures, SyntheticPoints, noisy

WEIGHTS = INTENTS["similar"]
TOP, WARM_UP = 10, 100
WRITES_PER_SECOND, WRITE_BATCH = 200, 20
PAUSE_SECONDS = 0.005
"""Between two searches while the index is optimised."""


@dataclass(frozen=True)
class Calls:
    """The result of some searches: recall@10 against exact search, and milliseconds."""

    recall: float
    times: LatencySpread
    worst_score: float
    """The largest difference between a hit's score and the weighted sum of its cosines."""


@dataclass
class Load:
    """Writes to another tenant at a steady rate while searches are measured; the milliseconds of each."""

    index: EmbeddedIndex
    size: int
    times: list[float] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator["Load"]:
        """Write until the block ends."""
        stop = threading.Event()
        thread = threading.Thread(target=self._write, args=(stop,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            stop.set()
            thread.join()

    def _write(self, stop: threading.Event) -> None:
        rng, due = np.random.default_rng(1), time.monotonic()
        while not stop.is_set():
            points = [_stranger(rng.standard_normal(self.size).astype(np.float32)) for _ in range(WRITE_BATCH)]
            started = time.perf_counter()
            self.index.upsert(points)
            self.index.flush()
            self.times.append((time.perf_counter() - started) * 1000)
            due += WRITE_BATCH / WRITES_PER_SECOND
            stop.wait(max(0.0, due - time.monotonic()))


def _stranger(vector: Floats) -> Point:
    name = uuid.uuid4().hex
    payload = {"item": f"others:{name}", "item_id": name, "tenant": "others", "n": 0, "version": 1, "state": "live"}
    return Point(str(uuid.UUID(name)), payload, vector / np.linalg.norm(vector))


@dataclass(frozen=True)
class Bench:
    """Synthetic points in an index, and queries that are similar to some of them."""

    synthetic: SyntheticPoints
    encoded: EncodedPictures
    index: EmbeddedIndex
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(2))

    def measure(self, queries: int, query_kind: "QueryKind", weights: Weights = WEIGHTS) -> Calls:
        """Search `queries` times; recall is against exact search among the points that pass the filter."""
        passing = np.flatnonzero(query_kind.passes)
        query_vectors = [self.encoded.parts.apply_weights(self.look(query_kind), weights) for _ in range(queries)]
        recalls, times, worst, answers = list[float](), list[float](), 0.0, []
        self.index.search(
            [
                SearchPlan(query, TENANT, query_kind.filters, included_keys=HIT_KEYS)
                for query in query_vectors[:WARM_UP]
            ]
        )
        for query in query_vectors:  # exact search takes all of the memory bandwidth, so it comes afterwards
            plan = SearchPlan(query, TENANT, query_kind.filters, limit=TOP, hnsw_ef=HNSW_EF, included_keys=HIT_KEYS)
            started = time.perf_counter()
            answers += self.index.search([plan])
            times.append((time.perf_counter() - started) * 1000)
        for query, hits in zip(query_vectors, answers, strict=True):
            scores = self.synthetic.vectors[passing] @ query
            best = np.partition(scores, -TOP)[-TOP:] if len(scores) > TOP else scores
            found = np.array([hit.score for hit in hits])
            own = self.synthetic.vectors[[int(str(hit.payload["item_id"])[1:]) for hit in hits]] @ query
            worst = max(worst, float(np.abs(own - found).max(initial=0.0)))
            recalls.append(float((own >= best.min() - 1e-5).sum() / len(best)) if len(best) else 1.0)
        return Calls(round(float(np.mean(recalls)), 4), spread(times), worst)

    def look(self, query_kind: "QueryKind") -> Floats:
        """A vector similar to a picture of the query's kind."""
        of = [at for at, kind in enumerate(self.encoded.kinds) if query_kind.kind in (None, kind)]
        return noisy(self.encoded.looks[int(self.rng.choice(of))].vector, self.encoded.parts, self.rng)


@dataclass(frozen=True)
class QueryKind:
    """A kind of query: a filter, and the kind of thing that the query pictures show, if it is limited."""

    what: str
    filters: Filters
    passes: Sequence[bool]
    """Which points pass it."""
    kind: str | None = None


def query_kinds(synthetic: SyntheticPoints) -> list[QueryKind]:
    """No filter, filters that a random 10, 1 and 0.1 % pass, and one that excludes the query's own kind."""
    everything = QueryKind("no filter", Filters(), [True] * len(synthetic.kinds))
    return [everything, *(_by_lot(synthetic, tag, share) for tag, share in SHARES.items()), _against(synthetic)]


def _by_lot(synthetic: SyntheticPoints, tag: str, share: float) -> QueryKind:
    return QueryKind(f"filter of {share:.1%}", Filters(tags=(tag,)), [tag in tags for tags in synthetic.tags])


def _against(synthetic: SyntheticPoints) -> QueryKind:
    """Query pictures of the most frequent kind, with a filter for other kinds that make up a tenth."""
    [(query_vectors, _), *others] = Counter(synthetic.kinds).most_common()
    kinds, share = list[str](), 0
    for kind, count in reversed(others):
        if share < 0.1 * len(synthetic.kinds):
            kinds.append(kind)
            share += count
    category_names = frozenset(kinds[-20:])
    return QueryKind(
        "filter of 10 % against the query",
        Filters(category=tuple(sorted(category_names))),
        [kind in category_names for kind in synthetic.kinds],
        kind=query_vectors,
    )


@dataclass(frozen=True)
class Stalls:
    """The longest search and write while the index was optimised, in milliseconds, and how long that was."""

    search: float
    write: float
    seconds: float


def wait_until_optimised(index: EmbeddedIndex) -> None:
    """Wait until the index is not being optimised."""
    while (now := index.status()).wanted or now.optimising:
        time.sleep(0.5)


def optimise(bench: Bench, load: Load, patience: float = 1_800) -> Stalls:
    """Optimise the index while searches and writes go on."""
    times, started = list[float](), time.monotonic()
    everything = query_kinds(bench.synthetic)[0]
    with load.running():
        bench.index.optimise()
        while (now := bench.index.status()).wanted or now.optimising:
            assert time.monotonic() - started < patience, "the index is optimised in time"
            query = SearchPlan(
                bench.encoded.parts.apply_weights(bench.look(everything), WEIGHTS), TENANT, limit=TOP
            )
            begun = time.perf_counter()
            bench.index.search([query])
            times.append((time.perf_counter() - begun) * 1000)
            time.sleep(PAUSE_SECONDS)
    return Stalls(round(max(times), 1), round(max(load.times), 1), round(time.monotonic() - started, 1))
