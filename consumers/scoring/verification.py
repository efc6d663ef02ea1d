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
MIN_COPIES, MIN_GAIN = 20, 0.02
"""Fewest copies by which it is judged, and how many more of them, as a share, must find their own picture first."""


@dataclass(frozen=True)
class Verification:
    """What verification changes for copies of a collection's pictures, as a phone takes them.

    `before` and `after` are the shares of copies that find their own picture first, without and with it.
    """

    copies: int = 0
    before: float = 0.0
    after: float = 0.0

    @property
    def is_on(self) -> bool:
        """Whether the first hits of searches are verified."""
        return self.copies >= MIN_COPIES and self.after - self.before >= MIN_GAIN

    def describe(self) -> str:
        """Return one line for people."""
        if self.copies < MIN_COPIES:
            return "off: not tried yet on enough pictures, which need a thumbnail"
        return (
            f"{'on' if self.is_on else 'off'}: of {self.copies} copies {self.before:.0%} find their own picture "
            f"first without it, {self.after:.0%} with it"
        )

    def note(self) -> dict[str, object]:
        """Return it as plain JSON values."""
        return asdict(self)


NO_VERIFICATION = Verification()


def parse_verification(values: object) -> Verification:
    """Return the verification in a note; NO_VERIFICATION if there is none."""
    match values:
        case {"copies": int(copies), "before": int() | float() as before, "after": int() | float() as after}:
            return Verification(copies, float(before), float(after))
    return NO_VERIFICATION


def verification_boost(agreeing: int) -> float:
    """Return the boost of a hit with this many agreeing keypoints, from 0 to MAX_BOOST."""
    if agreeing < MIN_AGREEING:
        return 0.0
    return min(MAX_BOOST, BOOST_PER_DOUBLING * (1 + math.log2(agreeing / MIN_AGREEING)))
