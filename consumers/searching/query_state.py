"""A search on its way to its result, and whether there is still time for one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from consumers.searching.query_understanding import NO_GUESS, InferredIntent
from schemas.envelope import Event
from schemas.failures import Failure
from schemas.results import Likely, QueryLook, Swatch
from schemas.searches import REARRANGED, SearchRequest

LAST_CHANCE_SECONDS = 1.0
"""A request with less time left than this is answered `unavailable`, not held."""
INDEX_FAILED = "the index failed at this request: see the query worker's log, and `lookstream index status`"


@dataclass
class QueryState:
    """One request on its way to its result."""

    event: Event
    request: SearchRequest
    look: NDArray[np.float32] | None = None
    studio: bool = False
    palette: tuple[Swatch, ...] = ()
    """Colours of its first picture, largest first; none of items."""
    likely: tuple[Likely, ...] | None = None
    """What it probably shows; none: the hits are asked."""
    guess: InferredIntent = NO_GUESS
    failure: Failure | None = None

    @property
    def is_rearranged(self) -> bool:
        """Whether its hits come in another order than that of their scores."""
        near = self.request.offset + self.request.top_k <= REARRANGED
        return self.request.is_rearranged or (bool(self.guess.leans) and near)

    @property
    def seen(self) -> NDArray[np.float32]:
        """The look; only for searches that have not failed."""
        if self.look is None:
            raise ValueError("a search without a look cannot be planned")
        return self.look

    def look_back(self) -> QueryLook | None:
        """What it looks for, if the request wants to know."""
        if not self.request.look:
            return None
        return QueryLook(vector=self.seen.astype("<f4").tobytes(), studio=self.studio)

    def seconds_left(self, now: datetime) -> float:
        """Until the deadline; negative when it has passed."""
        return self.request.deadline_ms / 1000 - (now - self.event.time).total_seconds()

    def is_late(self, now: datetime, needed: float) -> bool:
        """Whether an answer in `needed` seconds would be too late.

        With half of its time left a request is tried in any case: one slow batch must not end all that follow.
        """
        return self.seconds_left(now) <= min(needed, self.request.deadline_ms / 2000)


def split(
    searches: Sequence[QueryState], now: datetime, needed: float = 0
) -> tuple[list[QueryState], list[QueryState]]:
    """Those that are too late for an answer in `needed` seconds, and those in time."""
    late = [search for search in searches if search.is_late(now, needed)]
    return late, [search for search in searches if not search.is_late(now, needed)]
