"""Head weight: chooses the head's share of the cosine, on held-out pictures and on held-out labels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consumers.quality.fitting.validation import Scores, ValidationSet
from infra.array_types import Floats

SHARES = tuple(round(tenths / 10, 1) for tenths in range(11))
CHOSEN_BY = "mAP@10"
"""Not precision@1, which differs little between heads: catalogues have near-duplicates, which find each other with
any head (.98 of grocery)."""
MIN_GAIN = 2.0
"""Standard errors by which a head must beat the base to be used at all."""
MAX_SHARE = 0.8
"""The base always keeps a fifth: held-out labels are still of the catalogue's kinds, and a catalogue gets new ones.
Pictures of other kinds are no members of the head's domain (head_domain.py)."""

WeightCurve = dict[float, Scores]
"""The scores at each share."""


@dataclass(frozen=True, eq=False)
class HeadWeightTrial:
    """A base and a head on a validation set: unit rows of all pictures, [N, k] and [N, h]."""

    validation_set: ValidationSet
    base: Floats
    head: Floats

    def curve(self) -> WeightCurve:
        """The scores at each share of the head; 0 is the base alone, 1 the head alone."""
        return {share: self.validation_set.score(mix(self.base, self.head, share)) for share in SHARES}


def mix(base: Floats, head: Floats, share: float) -> Floats:
    """Concatenate unit rows so that a cosine is (1 - share) times the base's plus share times the head's."""
    return np.concatenate([base * np.float32((1 - share) ** 0.5), head * np.float32(share**0.5)], axis=1)


def choose_share(known: WeightCurve, novel: WeightCurve | None) -> float:
    """The best share for labels in (`known`) and not in (`novel`) the training set, each weighted half.

    0 unless it beats the base by more than MIN_GAIN standard errors on the known labels.
    """
    shares = [share for share in SHARES if share <= MAX_SHARE]
    curves = [known] if novel is None else [known, novel]
    totals = {share: sum(float(curve[share][CHOSEN_BY].mean()) for curve in curves) for share in shares}
    best = max(shares, key=lambda share: (totals[share], -share))
    return best if _gain(known[best][CHOSEN_BY], known[0.0][CHOSEN_BY]) > MIN_GAIN else 0.0


def _gain(better: NDArray[np.float64], worse: NDArray[np.float64]) -> float:
    """The mean difference of paired values, in standard errors of that mean; 0 where the values are equal."""
    difference = better - worse
    mean, error = float(difference.mean()), float(difference.std()) / len(difference) ** 0.5
    return float(mean / max(error, 1e-9))
