"""The rules and the dashboard fit the program: their metrics are those that exist, and each alert is explained."""

import re

import pytest

from infra.local.services import ALLOCATOR
from infra.metrics import CanaryMetrics, GatewayMetrics, ItemMetrics, SearchMetrics, WorkerMetrics
from tests.infra.deploy.deploy_files import DEPLOY, RULES, queries

FROM_PROMETHEUS = {"up"}


def exposed_metrics() -> set[str]:
    """The names of all samples that there can be."""
    worker = WorkerMetrics("index")
    ItemMetrics(worker.registry)
    SearchMetrics(worker.registry)
    text = (worker.registry, CanaryMetrics().registry, GatewayMetrics().registry)
    families = [family for registry in text for family in registry.collect()]
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}
    return {family.name + ending for family in families for ending in endings[family.type]} | FROM_PROMETHEUS


@pytest.mark.parametrize("what", list(queries()))
def test_every_query_uses_existing_metrics(what: str) -> None:
    words = set(re.findall(r"\b((?:lookstream|process)_\w+|up)\b(?=[{\[)\s]|$)", queries()[what]))
    assert words
    assert words - exposed_metrics() == set()


def test_every_alert_is_explained_in_the_docs() -> None:
    page = (DEPLOY.parents[1] / "docs" / "operate.md").read_text()
    for group in RULES["groups"]:
        for rule in group["rules"]:
            assert f"### {rule['alert']}\n" in page, rule["alert"]


def test_the_image_sets_the_allocator_as_the_local_system_does() -> None:
    image = (DEPLOY / "Dockerfile").read_text()
    assert dict(re.findall(r"(MALLOC_\w+)=(\d+)", image)) == ALLOCATOR
