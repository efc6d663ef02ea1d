"""Verification: whether the keypoints of a collection's pictures tell which hit shows the very same thing."""

import math
from dataclasses import asdict, dataclass

from schemas.ranking import MAX_BOOST

VERIFIED_HITS = 5
"""Hits of a search that are verified: the first ones."""
MIN_AGREEING = 12
"""Fewest agreeing keypoints that count: fewer also agree in pictures of different things."""
BOOST_PER_DOUBLING = 0.05
"""Boost of a hit with MIN_AGREEING keypoints, and for each doubling; at most MAX_BOOST, as every boost."""
MIN_SEARCHES, MIN_GAIN = 20, 0.02
"""Fewest searches by which it is judged, and the share by which more of them must find their own picture first."""


@dataclass(frozen=True)
class Verification:
    """What verification changes for searches with a collection's own pictures, augmented to casual photos.

    `before` and `after` are the shares of searches that find their own picture first, without and with it.
    """

    searches: int = 0
    before: float = 0.0
    after: float = 0.0

    @property
    def is_on(self) -> bool:
        """Whether the first hits of searches are verified."""
        return self.searches >= MIN_SEARCHES and self.after - self.before >= MIN_GAIN

    def describe(self) -> str:
        """Return one line for people."""
        if self.searches < MIN_SEARCHES:
            return "off: not tried yet on enough pictures, which need a thumbnail"
        return (
            f"{'on' if self.is_on else 'off'}: of {self.searches} augmented pictures {self.before:.0%} find their "
            f"own picture first without it, {self.after:.0%} with it"
        )

    def note(self) -> dict[str, object]:
        """Return it as plain JSON values."""
        return asdict(self)


NO_VERIFICATION = Verification()


def parse_verification(values: object) -> Verification:
    """Return the verification in a note; NO_VERIFICATION if there is none."""
    match values:
        case {"searches": int(searches), "before": int() | float() as before, "after": int() | float() as after}:
            return Verification(searches, float(before), float(after))
    return NO_VERIFICATION


def verification_boost(agreeing: int) -> float:
    """Return the boost of a hit with this many agreeing keypoints, from 0 to MAX_BOOST."""
    if agreeing < MIN_AGREEING:
        return 0.0
    return min(MAX_BOOST, BOOST_PER_DOUBLING * (1 + math.log2(agreeing / MIN_AGREEING)))
