"""What of the chaos tests is for Apache Kafka alone."""

from pathlib import Path

import pytest

from tests.chaos.short_forms import kind_of_run


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A file none of whose tests is for the brokers of the run is not collected."""
    return True if collection_path.name == "test_storms.py" and kind_of_run(config) == "local" else None
