"""A fitted head: it counts for pictures of its domain alone, and all others keep the cosines of the base."""

import numpy as np
import pytest

from infra.array_types import Floats
from infra.encoder.fitted_head import Axes, FittedHead, HeadDomain, parse_head

SHARE, SIMILARITY = 0.64, 0.5
STUDIO = np.array([False, False])


def head(domain: HeadDomain | None) -> FittedHead:
    """A head of 5 dimensions for 4 features."""
    axes = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    return FittedHead(Axes(np.zeros((2, 4), np.float32), axes), SHARE, domain)


def domain() -> HeadDomain:
    """The domain around the first axis of a base of 3 dimensions."""
    return HeadDomain(np.eye(1, 3, dtype=np.float32), SIMILARITY)


def at(cosine: float) -> list[float]:
    """A unit row with this cosine to the first axis."""
    return [cosine, (1 - cosine**2) ** 0.5, 0.0]


def combined(first: float, second: float, fitted: FittedHead) -> tuple[Floats, Floats, Floats]:
    """Two pictures of these cosines to the domain: their base, their features, and their object parts."""
    base = np.array([at(first), at(second)], np.float32)
    features = np.random.default_rng(1).normal(size=(2, 4)).astype(np.float32)
    return base, features, fitted.combine(base, features, STUDIO)


def test_two_pictures_of_the_domain_have_the_heads_share_of_the_cosine() -> None:
    fitted = head(domain())
    base, features, parts = combined(0.9, SIMILARITY, fitted)
    rows = fitted.linear_map(features, STUDIO)
    expected = (1 - SHARE) * base[0] @ base[1] + SHARE * rows[0] @ rows[1]
    assert float(parts[0] @ parts[1]) == pytest.approx(float(expected), abs=1e-6)


def test_pictures_far_from_the_domain_keep_the_cosine_of_the_base() -> None:
    base, _, parts = combined(SIMILARITY / 2, -0.8, head(domain()))
    assert np.array_equal(parts[:, :3], base)
    assert not parts[:, 3:].any()


def test_membership_rises_evenly_and_every_part_is_unit() -> None:
    cosines = np.array([at(value) for value in (0.2, 0.25, 0.375, 0.5, 0.9)], np.float32)
    assert domain().membership(cosines)[:, 0].tolist() == pytest.approx([0, 0, 0.5, 1, 1], abs=1e-6)
    _, _, parts = combined(0.375, 0.3, head(domain()))
    assert np.linalg.norm(parts, axis=1).tolist() == pytest.approx([1, 1])


def test_a_head_of_an_earlier_version_counts_for_every_picture() -> None:
    base, features, parts = combined(-0.9, 0.9, head(None))
    assert np.linalg.norm(parts[:, :3], axis=1).tolist() == pytest.approx([(1 - SHARE) ** 0.5] * 2)
    stored = {
        "head.means": np.zeros((2, 4), np.float32),
        "head.axes": head(None).linear_map.axes,
        "head.share": np.array([SHARE], np.float32),
    }
    parsed = parse_head(stored)
    assert parsed is not None
    assert np.allclose(parsed.combine(base, features, STUDIO), parts)
    assert parsed.reliability == 1


def test_what_is_stored_is_read_and_a_projection_without_a_head_has_none() -> None:
    stored = {
        "head.means": np.zeros((2, 4), np.float32),
        "head.axes": np.ones((4, 5), np.float32),
        "head.share": np.array([SHARE], np.float32),
        "head.centroids": np.eye(1, 3, dtype=np.float32),
        "head.similarity": np.array([SIMILARITY], np.float32),
        "head.reliability": np.array([0.9], np.float32),
    }
    parsed = parse_head(stored)
    assert parsed is not None
    assert parsed.domain is not None
    assert (parsed.domain.similarity, parsed.reliability) == pytest.approx((SIMILARITY, 0.9))
    assert parse_head({}) is None
    with pytest.raises(KeyError):
        parse_head({name: value for name, value in stored.items() if name != "head.similarity"})
