"""Mutated pictures in short: `python -m tests.fuzz.pictures` runs as many as you like."""

from infra.images.decode import DecodeLimits, decode
from tests.fuzz.pictures import corpus, fuzz, mutated

COUNT = 400


def test_every_file_of_the_corpus_is_a_picture() -> None:
    for name, data in corpus().items():
        assert decode(data, DecodeLimits()).image.mode == "RGB", name


def test_mutations_are_the_same_for_the_same_seed() -> None:
    assert list(mutated(50, 3)) == list(mutated(50, 3))
    assert list(mutated(50, 3)) != list(mutated(50, 4))


def test_nothing_but_a_picture_or_a_named_refusal_comes_of_a_mutated_file() -> None:
    tally = fuzz(COUNT, seed=1)
    assert tally.failures == []
    assert sum(tally.outcomes.values()) == COUNT
    assert tally.most_bytes < 1_000_000_000
