"""Cores: the limit of a container counts, and what cannot be read does not."""

import os
from pathlib import Path

import pytest

from infra.cores import available_cores

ALLOWED = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(("text", "cores"), [
    ("100000 100000\n", 1), ("150000 100000\n", min(2, ALLOWED)), ("1000 100000\n", 1), ("max 100000\n", ALLOWED),
    ("90000000 100000\n", ALLOWED), ("", ALLOWED), ("x y\n", ALLOWED), ("1 0\n", ALLOWED), ("0 100000\n", 1),
])  # fmt: skip
def test_a_container_has_the_cores_of_its_limit(tmp_path: Path, text: str, cores: int) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text(text)
    assert available_cores(quota) == cores


def test_without_a_container_the_affinity_counts(tmp_path: Path) -> None:
    assert available_cores(tmp_path / "none") == ALLOWED
