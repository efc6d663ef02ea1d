"""The parts of looks: which of them come from a fitted head, and what a vote on them is worth."""

from dataclasses import dataclass

import numpy as np
import pytest

from consumers.scoring.look_parts import NO_HEAD, HeadPart, LookParts, parts_of
from infra.array_types import Floats
from infra.encoder.grid import GridEncoder

PARTS = LookParts(5, 1, HeadPart(2, 0.8, 0.9))


@dataclass(frozen=True)
class HeadedGrid(GridEncoder):
    """The encoder of fast tests, as if the last dimensions of its object part were a head."""

    head_size: int = 2
    head_share: float = 0.8
    head_reliability: float = 0.9


def look(head: float) -> Floats:
    """A look whose head has this squared length."""
    part = [0.0, 0.0, (1 - head) ** 0.5, head**0.5, 0.0]
    return np.array([*part, 1.0, 0.5], np.float32)


def test_a_vote_is_worth_less_the_more_of_the_look_is_from_the_head() -> None:
    assert PARTS.vote_reliability(look(0.0)) == 1
    assert PARTS.vote_reliability(look(0.4)) == pytest.approx(0.95)
    assert PARTS.vote_reliability(look(0.8)) == pytest.approx(0.9)
    assert PARTS.vote_reliability(look(0.9)) == pytest.approx(0.9)
    assert LookParts(5, 1).vote_reliability(look(0.8)) == 1


def test_an_encoder_names_its_parts() -> None:
    grid = GridEncoder()
    assert parts_of(grid) == LookParts(grid.object_size, grid.style_size, NO_HEAD)
    assert parts_of(HeadedGrid()).head == HeadPart(2, 0.8, 0.9)
