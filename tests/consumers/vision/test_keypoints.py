"""Keypoints of a picture, and their packed form."""

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from consumers.vision.keypoints import (
    CODE_BYTES,
    NO_KEYPOINTS,
    POSITION_STEPS,
    QUERY_KEYPOINTS,
    SHORT_SIDE,
    STORED_KEYPOINTS,
    Keypoints,
    find_keypoints,
    unpack_keypoints,
)
from tests.consumers.vision.packages import package

MAX_BYTES = 4_096


def test_a_package_has_as_many_keypoints_as_are_stored_in_less_than_four_kilobytes() -> None:
    found = find_keypoints(package(1), STORED_KEYPOINTS)
    assert len(unpack_keypoints(found.pack())) == STORED_KEYPOINTS
    assert len(base64.b64encode(found.pack())) <= MAX_BYTES
    assert found.codes.shape == (len(found), CODE_BYTES)
    assert np.all((found.positions >= 0) & (found.positions <= 1))
    assert min(found.width, found.height) == SHORT_SIDE


def test_a_query_has_more_keypoints_than_are_stored() -> None:
    assert STORED_KEYPOINTS < len(find_keypoints(package(1))) <= QUERY_KEYPOINTS


@pytest.mark.parametrize("size", [(16, 16), (40, 3000), (3000, 40), (500, 500)])
def test_a_plain_picture_of_any_size_has_none(size: tuple[int, int]) -> None:
    assert len(find_keypoints(Image.new("RGB", size, "#c02020"))) == 0


def test_the_same_picture_has_the_same_keypoints_in_every_thread() -> None:
    first, again = find_keypoints(package(2)), find_keypoints(package(2))
    assert first.pack() == again.pack()


@given(st.integers(0, 20), st.integers(1, 2**16 - 1), st.integers(1, 2**16 - 1), st.integers(0, 2**32 - 1))
def test_packed_keypoints_are_read_as_they_were(count: int, width: int, height: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    positions = rng.uniform(0, 1, (count, 2)).astype(np.float32)
    keypoints = Keypoints(width, height, positions, rng.integers(0, 256, (count, CODE_BYTES), np.uint8))
    read = unpack_keypoints(keypoints.pack())
    assert (read.width, read.height) == (width, height)
    assert np.array_equal(read.codes, keypoints.codes)
    assert np.all(np.abs(read.positions - positions) <= 0.5 / POSITION_STEPS + 1e-6)


@given(st.binary(max_size=100))
def test_other_bytes_are_refused_or_read_as_keypoints(data: bytes) -> None:
    if len(data) >= 4 and (len(data) - 4) % (CODE_BYTES + 2) == 0:
        assert unpack_keypoints(data).pack()[4:] == data[4:]
    else:
        with pytest.raises(ValueError, match="no packed keypoints"):
            unpack_keypoints(data)


def test_no_keypoints_are_packed_too() -> None:
    assert len(unpack_keypoints(NO_KEYPOINTS.pack())) == 0
