"""Vocabularies are read from the facets of a tenant, and again when they are old."""

from dataclasses import dataclass

import numpy as np

from consumers.searching.words.lexicon import NamedColour, read_lexicon
from consumers.searching.words.vocabulary import (
    MAX_AGE_SECONDS,
    MAX_TENANTS,
    TenantCache,
    Vocabulary,
    read_vocabulary,
)
from consumers.vision.embedder import ImageEmbedder
from consumers.vision.look_vector import look_size
from infra.qdrant.contract import Point
from infra.qdrant.embedded.shard import Shard
from infra.qdrant.point_ids import point_id

LEXICON = read_lexicon()


@dataclass
class HandClock:
    """A clock that a test moves."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


def vocabularies(shard: Shard, clock: HandClock) -> TenantCache[Vocabulary]:
    return TenantCache(lambda tenant: read_vocabulary(shard, tenant, LEXICON), clock)


def write(shard: Shard, embedder: ImageEmbedder, tenant: str, item: str, **facts: object) -> None:
    """Index an item with these facts."""
    names = {"item": f"{tenant}:{item}", "item_id": item, "tenant": tenant, "n": 0, "state": "live", "version": 1}
    vector = np.ones(look_size(embedder.encoder), np.float32)
    shard.upsert([Point(point_id(tenant, item, 0), names | facts, vector)])


def test_the_values_of_a_tenants_facts_are_its_words(shard: Shard, embedder: ImageEmbedder) -> None:
    pairs = ["color=Navy Blue", "material=Felt"]
    write(shard, embedder, "ana", "a", category="Hats", brand="Öko", tags=["warm"], attribute_values=pairs)
    write(shard, embedder, "ana", "b", currency="EUR", words="hat")
    write(shard, embedder, "bo", "c", category="Lamps")
    ana = vocabularies(shard, HandClock()).get("ana")
    assert ana.find(("hat",)) == {"category": ("Hats",)}
    assert ana.find(("oko",)) == {"brand": ("Öko",)}
    assert ana.find(("felt",)) == {"attribute_values": ("material=Felt",)}
    assert ana.find(("navyblue", "lamp")) == {}
    assert ana.colours == {NamedColour("navy", "navy"): ("color=Navy Blue",)}
    assert ana.currencies == ("EUR",)
    assert not ana.all_have_words, "item a has a category and no words"


def test_it_is_known_whether_the_merchant_gives_every_colour(shard: Shard, embedder: ImageEmbedder) -> None:
    clock = HandClock()
    cache = vocabularies(shard, clock)
    assert not cache.get("ana").all_have_colours
    for item, colour in (("a", "Red"), ("b", "Puce")):
        write(shard, embedder, "ana", item, attribute_values=[f"Color={colour}", f"main colour={colour}"])
    clock.advance(MAX_AGE_SECONDS)
    assert cache.get("ana").all_have_colours
    write(shard, embedder, "ana", "c", attribute_values=["size=M"])
    clock.advance(MAX_AGE_SECONDS)
    assert not cache.get("ana").all_have_colours


def test_a_vocabulary_is_read_again_when_it_is_old(shard: Shard, embedder: ImageEmbedder) -> None:
    clock = HandClock()
    cache = vocabularies(shard, clock)
    assert cache.get("ana").find(("lamp",)) == {}
    write(shard, embedder, "ana", "a", category="Lamp")
    clock.advance(MAX_AGE_SECONDS - 1)
    assert cache.get("ana").find(("lamp",)) == {}
    clock.advance(1)
    assert cache.get("ana").find(("lamp",)) == {"category": ("Lamp",)}


def test_the_vocabularies_of_many_tenants_take_a_bounded_space(shard: Shard) -> None:
    cache = vocabularies(shard, HandClock())
    first = cache.get("t0")
    for number in range(1, MAX_TENANTS):
        cache.get(f"t{number}")
    assert cache.get("t0") is first, "it was used last"
    cache.get("one more")
    assert cache.get("t0") is first
    second = cache.get("t1")
    assert cache.get("t1") is second
