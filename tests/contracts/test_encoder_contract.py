"""The contract of encoders: the default, the one for fast tests, and models in transformers' own format."""

import pytest

from consumers.vision.contracts import Encoder
from infra.config.settings import TorchSettings
from infra.encoder import open_encoder
from lookstream.contracts.test_encoders import (
    pictures,
    test_a_batch_of_both_kinds_gives_each_the_vector_that_it_gets_alone,
    test_a_box_is_seen_as_a_picture_of_its_own,
    test_a_thing_is_encoded_like_a_picture_of_it,
    test_both_parts_have_unit_length,
    test_no_pictures_give_no_vectors,
    test_pictures_can_be_prepared_in_many_threads,
    test_prepared_pictures_have_one_shape,
    test_the_fingerprint_is_short_and_readable,
    test_the_order_of_a_batch_changes_nothing,
    test_things_and_pictures_in_one_batch_get_the_vectors_that_they_get_alone,
    test_unlike_pictures_get_unlike_vectors,
)
from tests.contracts.families import FAMILIES, save

__all__ = [
    "pictures",
    "test_a_batch_of_both_kinds_gives_each_the_vector_that_it_gets_alone",
    "test_a_box_is_seen_as_a_picture_of_its_own",
    "test_a_thing_is_encoded_like_a_picture_of_it",
    "test_both_parts_have_unit_length",
    "test_no_pictures_give_no_vectors",
    "test_pictures_can_be_prepared_in_many_threads",
    "test_prepared_pictures_have_one_shape",
    "test_the_fingerprint_is_short_and_readable",
    "test_the_order_of_a_batch_changes_nothing",
    "test_things_and_pictures_in_one_batch_get_the_vectors_that_they_get_alone",
    "test_unlike_pictures_get_unlike_vectors",
]


@pytest.fixture(scope="module", params=["fast", "fake", *FAMILIES])
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    name = request.param
    if name in FAMILIES:
        name = str(save(name, tmp_path_factory.mktemp("models") / name))
    return open_encoder(name, TorchSettings(threads=2))
