"""Generations: which index serves, and which of two reports the outcome of an event."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.qdrant.generations import (
    FIRST,
    FileGenerationRegister,
    Generation,
    Generations,
    GenerationSwitch,
    component_name,
    index_folder,
)

MOMENTS = st.lists(st.floats(0, 1e6, allow_nan=False), min_size=1, max_size=5, unique=True).map(sorted)


def begun() -> Generations:
    return FileGenerationRegister(Path("nowhere"), "best").read().with_new("fast")


def test_without_a_file_the_encoder_of_the_settings_serves_alone(tmp_path: Path) -> None:
    found = FileGenerationRegister(tmp_path, "best").read()
    assert found.serving == Generation(FIRST, "best")
    assert found.other is None
    assert found.reports_outcomes(FIRST, 0)


def test_what_is_written_down_is_read_by_others_and_by_those_who_have_read_before(tmp_path: Path) -> None:
    ours, theirs = FileGenerationRegister(tmp_path, "best"), FileGenerationRegister(tmp_path, "another")
    assert theirs.read().serving.encoder == "another"
    ours.write(ours.read().with_new("fast"))
    assert theirs.read() == ours.read()
    assert theirs.read().serving == Generation(1, "best")
    assert theirs.read().other == Generation(2, "fast")
    ours.write(ours.read().with_switch(10).serving_only())
    assert theirs.read() == Generations((Generation(2, "fast"),), (GenerationSwitch(0.0, 2),))


@given(MOMENTS, st.floats(-1, 2e6, allow_nan=False))
def test_of_every_event_exactly_one_generation_reports_the_outcome(switches: list[float], moment: float) -> None:
    found = begun()
    for at in switches:
        found = found.with_switch(at)
    assert [found.reports_outcomes(number, moment) for number in (1, 2)].count(True) == 1


@given(MOMENTS, st.floats(0, 1e6, allow_nan=False))
def test_a_switch_changes_nothing_for_events_before_it(switches: list[float], moment: float) -> None:
    found = begun()
    for at in switches:
        after = found.with_switch(at)
        assert moment >= at or after.reports_outcomes(1, moment) == found.reports_outcomes(1, moment)
        found = after
    assert found.serving.number == (2 if len(switches) % 2 else 1)


def test_after_it_was_dropped_another_gets_a_new_number() -> None:
    again = begun().with_switch(1).serving_only().with_new("balanced")
    assert again.known == (Generation(2, "fast"), Generation(3, "balanced"))
    with pytest.raises(KeyError):
        again.of(1)
    with pytest.raises(ValueError, match="no other"):
        again.serving_only().with_switch(2)


def test_the_first_generation_has_plain_names(tmp_path: Path) -> None:
    assert (component_name("index", 1), component_name("index", 3)) == ("index", "index-3")
    assert (index_folder(tmp_path, 1).name, index_folder(tmp_path, 3).name) == ("index", "index-3")
