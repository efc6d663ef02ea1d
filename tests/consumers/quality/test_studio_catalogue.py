"""A catalogue of studio pictures, searched with casual photos: what it learns of itself does not harm them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from consumers.quality.evaluation.embedding_store import open_embedding_store
from consumers.quality.evaluation.in_process import TENANT, InProcessSystem, open_direct
from consumers.scoring.null_embeddings import NullEmbeddings
from consumers.vision.colour import make_colour_extractor
from consumers.vision.embedder import ImageEmbedder
from infra.config.settings import TorchSettings
from infra.encoder import open_encoder
from infra.images.decode import DecodeLimits
from producers.demo.catalogue import Catalogue, draw_catalogue
from schemas.items import InlineImage, ItemUpserted
from schemas.searches import SearchRequest

PRODUCTS, QUERIES = 126, 36
"""More products than a collection needs for a metric of its own: seven of each kind, and two photos of each."""


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return draw_catalogue(tmp_path_factory.mktemp("shop"), PRODUCTS, seed=3)


@pytest.fixture(scope="module")
def system(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcessSystem]:
    """The products, indexed and calibrated."""
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(2))
        encoder, limits = open_encoder("fast", TorchSettings()), DecodeLimits(thumbnail=160)
        embedder = ImageEmbedder(encoder, make_colour_extractor(), limits, pool)
        store = stack.enter_context(open_embedding_store(tmp_path_factory.mktemp("looks"), embedder))
        found = stack.enter_context(open_direct(store, NullEmbeddings(64)))
        items = (
            ItemUpserted(
                tenant=TENANT,
                item_id=product.id,
                revision=1,
                category=product.kind,
                images=(InlineImage(data=(catalogue.folder / product.image).read_bytes()),),
            )
            for product in catalogue.products
        )
        assert len(list(found.put(items))) == PRODUCTS
        found.confidence.calibrate(TENANT)
        yield found


def first_hits(system: InProcessSystem, catalogue: Catalogue, metric: str) -> list[tuple[bool, float]]:
    """Whether the first hit of each photo is its product, and the likelihood that it claims."""
    products = catalogue.products[:QUERIES]
    requests = [
        SearchRequest.model_validate(
            {
                "request_id": product.id, "tenant": TENANT, "intent": "exact", "strict": False, "metric": metric,
                "image": InlineImage(data=(catalogue.folder / product.photo).read_bytes()),
            },
            strict=False,
        )
        for product in products
    ]  # fmt: skip
    results = list(system.search(requests))
    assert all(result.hits for result in results)
    return [(r.hits[0].item_id == p.id, r.hits[0].same_item or 0.0) for r, p in zip(results, products, strict=True)]


def test_what_the_collection_learns_does_not_cost_photos_their_product(
    system: InProcessSystem, catalogue: Catalogue
) -> None:
    own, default = (first_hits(system, catalogue, metric) for metric in ("collection", "default"))
    assert sum(right for right, _ in own) >= sum(right for right, _ in default)
    assert sum(right for right, _ in own) > QUERIES / 2


def test_the_likelihood_of_the_very_item_is_about_as_high_as_the_share_that_is_right(
    system: InProcessSystem, catalogue: Catalogue
) -> None:
    hits = first_hits(system, catalogue, "collection")
    right, claimed = (sum(values) / QUERIES for values in zip(*hits, strict=True))
    assert claimed == pytest.approx(right, abs=0.25)
