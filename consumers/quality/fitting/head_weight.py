"""How much of the cosine is the head's: chosen on pictures held back and on labels that a trial head never saw."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consumers.quality.fitting.validation import Floats, Scores, ValidationSet

SHARES = tuple(round(tenths / 10, 1) for tenths in range(11))
CHOSEN_BY = "mAP@10"
"""Precision at 1 says little here: catalogues have twins, which find each other under any head (.98 of grocery)."""
SURE = 2.0
"""Standard errors by which a head must beat the base, to be used at all."""
MOST = 0.8
"""A fifth is always the base's: labels held back are still of the catalogue's kinds, and a head is blinder to all
else (fitted on clothes, the icons of groceries fell from .46 to .33 at .8, to .30 at 1)."""

WeightCurve = dict[float, Scores]
"""The scores at each share."""


@dataclass(frozen=True, eq=False)
class HeadWeightTrial:
    """A base and a head before a quiz: unit rows of all pictures, [N, k] and [N, h]."""

    quiz: ValidationSet
    base: Floats
    head: Floats

    def curve(self) -> WeightCurve:
        """The scores at each share of the head; 0 is the base alone, 1 the head alone."""
        return {share: self.quiz.judge(mix(self.base, self.head, share)) for share in SHARES}


def mix(base: Floats, head: Floats, share: float) -> Floats:
    """Unit rows of both to rows whose cosines are (1 - share) of the base's plus share of the head's."""
    return np.concatenate([base * np.float32((1 - share) ** 0.5), head * np.float32(share**0.5)], axis=1)


def choose_share(seen: WeightCurve, unseen: WeightCurve | None) -> float:
    """The best share for labels seen and never seen, each counting half; 0 unless it surely beats the base."""
    shares = [share for share in SHARES if share <= MOST]
    curves = [seen] if unseen is None else [seen, unseen]
    worth = {share: sum(float(curve[share][CHOSEN_BY].mean()) for curve in curves) for share in shares}
    best = max(shares, key=lambda share: (worth[share], -share))
    return best if _gain(seen[best][CHOSEN_BY], seen[0.0][CHOSEN_BY]) > SURE else 0.0


def _gain(better: NDArray[np.float64], worse: NDArray[np.float64]) -> float:
    """Mean difference of paired values in its standard errors; 0 where there is none."""
    difference = better - worse
    mean, error = float(difference.mean()), float(difference.std()) / len(difference) ** 0.5
    return float(mean / max(error, 1e-9))
