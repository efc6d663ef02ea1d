"""The text index of a small collection takes what the plan of a load says."""

import pytest

from infra.capacity.constants import MeasuredConstants
from tests.benchmarks.text_index import compare


def test_words_take_the_space_that_the_plan_has_for_them() -> None:
    figures, measured = compare(2_000), MeasuredConstants()
    assert figures["disk_bytes_a_point"] == pytest.approx(
        measured.words_bytes + measured.words_payload_bytes, rel=0.1
    )
    assert figures["search_ms"] > 0
