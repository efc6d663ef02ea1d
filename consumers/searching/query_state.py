"""Query state: one search request while it is processed, and whether its deadline can still be met."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from consumers.scoring.calibration import MAX_COSINE
from consumers.scoring.category_vote import VOTE_WEIGHTS, VOTER_COUNT, CategoryVote
from consumers.scoring.metric import DEFAULT_METRIC, Metric
from consumers.scoring.verification import NO_VERIFICATION, Verification
from consumers.searching.query_understanding import NO_INTENT, InferredIntent
from consumers.searching.words.meanings import NO_WORDS, ParsedText, TextMeaning
from consumers.vision.keypoints import Keypoints
from consumers.vision.look import Look, RegionLook
from infra.array_types import Floats
from infra.qdrant.conditions import Condition
from infra.qdrant.contract import Payload, ScoredPoint
from schemas.envelope import Event
from schemas.failures import Failure
from schemas.ranking import Intent, Weights
from schemas.results import Likely, QueryLook, Swatch
from schemas.searches import REARRANGED, SearchRequest
from schemas.words import WordKind

KINDS: tuple[Intent, ...] = ("exact", "similar")
"""Intents that compare kinds of things, which is what a collection fits its metric to."""
MAX_GREY_CHROMA = 1.5
"""Chroma (CIE Lab) below which a swatch is a grey of a picture without colours. Without the colour part, .38 of
grey grocery photos find their product first, not .32; over studio pictures .29, not .25; clothes .74, not .76."""
LAST_CHANCE_SECONDS = 1.0
"""A request with less time left than this is answered `unavailable` rather than retried later."""
INDEX_FAILED = "the index failed at this request: see the query worker's log, and `lookstream index status`"


@dataclass
class QueryState:
    """One search request while it is processed."""

    event: Event
    request: SearchRequest
    look: Floats | None = None
    whole_look: Floats | None = None
    """The look by the whole views of its pictures alone; None if they have one view each."""
    studio: bool = False
    palette: tuple[Swatch, ...] = ()
    """Colours of the first picture, largest first; empty when the search has no picture."""
    vote: CategoryVote | None = None
    """Vote on the category of the query; None until it is known: then the search's own hits vote."""
    coverage: float | None = None
    """How likely the collection has things of the query's kind, 0..1; None if it cannot tell."""
    inferred_intent: InferredIntent = NO_INTENT
    metric: Metric = DEFAULT_METRIC
    """How the collection compares looks."""
    keypoints: Keypoints | None = None
    """Keypoints of the first picture, if they were looked for."""
    verification: Verification = NO_VERIFICATION
    """Whether the collection verifies hits."""
    words: ParsedText = NO_WORDS
    """What the text of the request means."""
    meaning: TextMeaning | None = None
    """What a text tower says of the text; None if it does not count."""
    item: Payload = field(default_factory=dict)
    """Facts of the indexed item that it searches by, if its words or variations need them."""
    neighbours: tuple[Payload, ...] = ()
    """Facts of the items that are nearest to its item, if it asks for variations."""
    failure: Failure | None = None
    regions: tuple["RegionSearch", ...] = ()
    """Searches by the things in the picture, if they are requested."""

    @property
    def is_adapted(self) -> bool:
        """Whether the hits are scored under a metric of the collection."""
        return self.metric.changes_objects and self._is_in_range

    @property
    def is_rearranged(self) -> bool:
        """Whether the hits are ordered by more than the scores of the index."""
        return self.is_boosted or self.has_meaning or (bool(self.words.preferences) and self._is_in_range)

    @property
    def has_meaning(self) -> bool:
        """Whether the hits are ordered by the meaning of the text too; for pages within REARRANGED."""
        return self.meaning is not None and self._is_in_range

    @property
    def largest_score(self) -> float:
        """Bound of the scores of the index; with a larger one, a vector is broken."""
        return MAX_COSINE + (self.meaning.largest if self.meaning is not None and self.has_meaning else 0.0)

    @property
    def is_narrowed(self) -> bool:
        """Whether the text of the request decides which hits are found."""
        return bool(self.word_conditions) or self.has_meaning

    @property
    def is_boosted(self) -> bool:
        """Whether the hits are ordered by boosts, variety or a metric of the collection."""
        has_boosts = bool(self.inferred_intent.boost_fields) and self._is_in_range
        has_boosts = has_boosts or (self.metric.category_weight > 0 and self._is_in_range)
        return self.request.is_rearranged or has_boosts or self.is_adapted

    @property
    def is_verified(self) -> bool:
        """Whether the keypoints of the first hits are compared with those of the query."""
        return self.verification.is_on and self._follows_collection and self._is_in_range

    @property
    def hits_can_vote(self) -> bool:
        """Whether the hits are the nearest of all items, so that those with a given category can vote."""
        request = self.request
        plain = request.is_unfiltered and request.collapse == "item" and not self.is_narrowed
        return plain and request.top_k + request.offset >= VOTER_COUNT and self.weights == VOTE_WEIGHTS

    @property
    def weights(self) -> Weights:
        """The weights of the request, or those of its intent as they suit the collection and the picture."""
        weights = self.request.weights or self.metric.adapt_weights(self.request.weighting())
        if self.compares_kinds and (self._is_monochrome or self.names("colour")):
            return weights.model_copy(update={"colour": 0.0})
        return weights

    @property
    def _is_monochrome(self) -> bool:
        """Whether the picture has no colour at all, so that it says nothing of the colours of the thing."""
        return bool(self.palette) and all(math.hypot(*swatch.lab[1:]) < MAX_GREY_CHROMA for swatch in self.palette)

    @property
    def word_conditions(self) -> tuple[Condition, ...]:
        """The conditions of hits that the text of the request has."""
        return self.words.conditions if self.words.meanings else ()

    def names(self, kind: WordKind) -> bool:
        """Return whether the text of the request names something of this kind that hits must have."""
        return bool(self.words.meanings) and self.words.names(kind)

    @property
    def likely_categories(self) -> tuple[Likely, ...]:
        """The likely categories of the query, best first."""
        return () if self.vote is None else self.vote.likely

    @property
    def compares_kinds(self) -> bool:
        """Whether the search compares kinds of things, and not by weights of its own."""
        return self.request.weights is None and self.request.intent in KINDS

    @property
    def _follows_collection(self) -> bool:
        """Whether the search compares kinds of things as the collection has learnt to."""
        return self.request.metric == "collection" and self.compares_kinds

    @property
    def _is_in_range(self) -> bool:
        return self.request.offset + self.request.top_k <= REARRANGED

    @property
    def query_vector(self) -> Floats:
        """The look by which it searches. Raises ValueError when there is none, as for a search that has failed."""
        if self.look is None:
            raise ValueError("a search without a look cannot be planned")
        return self.whole_look if self.metric.whole_view and self.whole_look is not None else self.look

    def fail(self, failure: Failure) -> None:
        """Set the failure with which the search is answered."""
        self.failure = failure

    def set_look(self, look: Floats, image: Look | None, whole_look: Floats | None = None) -> None:
        """Set the look; whether it is a studio picture and its colours come from the first picture, if any."""
        self.look, self.whole_look = look, whole_look
        if image is not None:
            self.studio, self.palette, self.keypoints = image.studio, image.palette, image.keypoints

    def set_regions(self, regions: Sequence[RegionLook], adjust: Callable[[Floats], Floats]) -> None:
        """Set the searches by things in the picture; `adjust` moves the look of each as that of the picture."""
        request = self.request.model_copy(update={"offset": 0, "look": False})
        searches = [RegionSearch(self.event, request, region=region) for region in regions]
        for search in searches:
            search.set_look(adjust(search.region.look.vector), search.region.look)
        self.regions = tuple(searches)

    def set_metric(self, metric: Metric) -> None:
        """Set how the collection compares looks, unless it is for pictures of another kind, or is overridden."""
        if self._follows_collection and self.studio == metric.studio:
            self.metric = metric

    def set_verification(self, verification: Verification) -> None:
        """Set whether the collection verifies hits."""
        self.verification = verification

    def set_words(self, words: ParsedText) -> None:
        """Set what the text of the request means."""
        self.words = words

    def set_meaning(self, meaning: TextMeaning, words: ParsedText) -> None:
        """Set what a text tower says of the text, and the words without those that it reads."""
        self.meaning, self.words = meaning, words

    def set_item(self, item: Payload) -> None:
        """Set the facts of the indexed item."""
        self.item = item

    def set_neighbours(self, points: Sequence[ScoredPoint]) -> None:
        """Set the items that are nearest to its item."""
        self.neighbours = tuple(point.payload for point in points)

    def set_vote(self, vote: CategoryVote, coverage: float | None) -> None:
        """Set the vote on the category of the query, and the coverage."""
        self.vote, self.coverage = vote, coverage

    def set_inferred_intent(self, intent: InferredIntent) -> None:
        """Set what the query is inferred to mean."""
        self.inferred_intent = intent

    def metric_summary(self) -> str | None:
        """Return how the collection compares looks, in words, if the request asks for explanations."""
        is_own = self.request.explain and self.metric is not DEFAULT_METRIC
        return self.metric.summary() if is_own else None

    def query_look(self) -> QueryLook | None:
        """Return the look for the result, if the request asks for it."""
        if not self.request.look or self.look is None:
            return None
        return QueryLook(vector=self.look.astype("<f4").tobytes(), studio=self.studio)

    def seconds_left(self, now: datetime) -> float:
        """Return the seconds until the deadline; negative after it."""
        return self.request.deadline_ms / 1000 - (now - self.event.time).total_seconds()

    def is_late(self, now: datetime, required_seconds: float) -> bool:
        """Return whether an answer that takes `required_seconds` would miss the deadline.

        A request with more than half of its time left is never late: otherwise one slow batch would make all
        following requests expire.
        """
        return self.seconds_left(now) <= min(required_seconds, self.request.deadline_ms / 2000)


@dataclass(kw_only=True)
class RegionSearch(QueryState):
    """A search by one thing in the picture of a request."""

    region: RegionLook


def split_by_deadline(
    searches: Sequence[QueryState], now: datetime, required_seconds: float = 0
) -> tuple[list[QueryState], list[QueryState]]:
    """Return the searches that are too late for an answer in `required_seconds`, and those in time."""
    late = [search for search in searches if search.is_late(now, required_seconds)]
    return late, [search for search in searches if not search.is_late(now, required_seconds)]
