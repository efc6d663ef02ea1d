"""The benchmark of feeds reads what it writes."""

from pathlib import Path

import pytest

from tests.benchmarks.feed_reading import FORMS, measure, write


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_written_and_read(tmp_path: Path, form: str) -> None:
    write(tmp_path / "feed", form, 50)
    figures = measure(tmp_path / "feed", form)
    assert (figures["rows read"], figures["items read"]) == (50, 50)
