"""Soft understanding: what a query shows narrows the search when that is sure, and only leans it when it is not.

What was added is taken back step by step when too little is found: never what the user asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from infra.qdrant.contract import Payload
from schemas.filters import ColourName, Filters
from schemas.results import Likely, Swatch
from schemas.searches import SearchRequest

SURE_CATEGORY, LIKELY_CATEGORY = 0.95, 0.5
"""Shares of the vote from which a category narrows, and leans, a search. Of 341 photos of clothes 41 % had the
first, and 99.3 % of those were told rightly; 89 % had the second, and 88.1 % of those were."""
SURE_COLOUR, LIKELY_COLOUR = 0.8, 0.4
"""The same for a colour, as shares of the picture's foreground."""
LEAN = 0.05
"""What is added to the score of hits of a category or colour that is likely: a quarter of the largest boost."""
FEW = 3
"""Fewer hits than this, or than were asked for, are too few to keep a filter that nobody asked for."""


@dataclass(frozen=True)
class InferredIntent:
    """What a search is taken to mean beside what it says; nothing, unless it asks to be understood."""

    category: str | None = None
    colour: ColourName | None = None
    narrows: tuple[str, ...] = ()
    """Which of them hits must have: `category`, `colour`; the others only move hits up."""
    relaxed: tuple[str, ...] = ()
    """Which of them hits had to have, until too few were found."""

    @property
    def leans(self) -> tuple[str, ...]:
        """Which of them move hits up."""
        known = {"category": self.category, "colour": self.colour}
        return tuple(name for name, value in known.items() if value is not None and name not in self.narrows)

    def narrowed(self, filters: Filters) -> Filters:
        """Filters with what hits must have besides."""
        return filters.model_copy(update=self._fields(self.narrows))

    def added(self) -> Filters:
        """What hits must have besides, alone."""
        return Filters().model_copy(update=self._fields(self.narrows))

    def given_up(self) -> Filters:
        """What hits had to have, until too few were found."""
        return Filters().model_copy(update=self._fields(self.relaxed))

    def lean(self, payload: Payload) -> tuple[float, float]:
        """What is added to the score of a hit with this payload: for its category, and for its colours."""
        colours = payload.get("colours")
        same = payload.get("category") == self.category
        shown = isinstance(colours, list) and self.colour in colours
        return (LEAN * ("category" in self.leans and same), LEAN * ("colour" in self.leans and shown))

    def relax(self) -> "InferredIntent":
        """The same with one filter less: the colour goes first, for light changes it."""
        *kept, last = sorted(self.narrows)
        return replace(self, narrows=tuple(kept), relaxed=(*self.relaxed, last))

    def _fields(self, names: Sequence[str]) -> dict[str, object]:
        fields: dict[str, object] = {}
        if "category" in names:
            fields["category"] = (self.category,)
        if "colour" in names:
            fields["colours"] = (self.colour,)
        return fields


NO_GUESS = InferredIntent()


def infer_intent(request: SearchRequest, likely: Sequence[Likely], palette: Sequence[Swatch]) -> InferredIntent:
    """What a request is taken to mean, by what its picture probably shows and the colours that it has.

    Nothing is guessed about what the request says itself. Colours are looked at only where they were asked for.
    """
    category = likely[0] if likely and likely[0].confidence >= LIKELY_CATEGORY else None
    if request.filters.category:
        category = None
    colour, share = _main_colour(palette)
    if share < LIKELY_COLOUR or request.filters.colours or request.intent not in ("exact", "colour"):
        colour = None
    sure = {
        "category": category is not None and category.confidence >= SURE_CATEGORY,
        "colour": colour is not None and share >= SURE_COLOUR,
    }
    return InferredIntent(
        None if category is None else category.name, colour, tuple(name for name in sure if sure[name])
    )


def too_few(request: SearchRequest, hits: int) -> bool:
    """Whether so few hits were found, with those of the pages before, that what was added to the filters must go.

    The same for every page of a search, so that pages fit together.
    """
    return hits < min(FEW, request.top_k)


def _main_colour(palette: Sequence[Swatch]) -> tuple[ColourName | None, float]:
    """The named colour that covers most of the foreground, and its share."""
    shares: dict[ColourName, float] = {}
    for swatch in palette:
        shares[swatch.name] = shares.get(swatch.name, 0.0) + swatch.share
    best = max(shares, key=lambda name: shares[name], default=None)
    return best, shares[best] if best else 0.0
