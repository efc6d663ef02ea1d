"""The metrics endpoint of a worker: its address, and who may read it."""

import socket
import threading
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from infra.config.errors import BadInput
from infra.config.observability import MetricsSettings
from infra.local.ports import find_free_port
from infra.metrics import ItemMetrics, WorkerMetrics, serve_metrics

TOKEN = "canary-of-the-metrics"


def read(port: int, path: str = "/metrics", token: str | None = None) -> str:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with urllib.request.urlopen(
        urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    ) as response:
        return str(response.read().decode())


def test_prometheus_reads_what_a_worker_has_counted() -> None:
    metrics, port = WorkerMetrics("index"), find_free_port(0)
    ItemMetrics(metrics.registry).item("indexed", "catalog")
    metrics.records_finished("catalog.items", 3)
    with serve_metrics(MetricsSettings(port=port), metrics.registry):
        found = {s.name: s for f in text_string_to_metric_families(read(port)) for s in f.samples}
    assert found["lookstream_records_total"].labels == {"worker": "index", "topic": "catalog.items"}
    assert found["lookstream_records_total"].value == 3
    assert found["lookstream_items_total"].value == 1
    assert found["process_resident_memory_bytes"].value > 0


@pytest.mark.parametrize(("path", "token", "status"), [
    ("/metrics", None, 401), ("/metrics", "wrong", 401), ("/", TOKEN, 404), ("/metrics/../x", TOKEN, 404),
])  # fmt: skip
def test_metrics_need_the_token_and_their_path(path: str, token: str | None, status: int) -> None:
    port = find_free_port(0)
    with serve_metrics(MetricsSettings(port=port, token=SecretStr(TOKEN)), WorkerMetrics("index").registry):
        with pytest.raises(urllib.error.HTTPError) as refused:
            read(port, path, token)
        assert "lookstream_records" in read(port, token=TOKEN)
    with refused.value:
        assert refused.value.code == status


def test_without_a_port_there_is_no_listener() -> None:
    with serve_metrics(MetricsSettings(), WorkerMetrics("index").registry):
        assert "metrics" not in {thread.name for thread in threading.enumerate()}
    with serve_metrics(MetricsSettings(port=find_free_port(0)), WorkerMetrics("index").registry):
        assert "metrics" in {thread.name for thread in threading.enumerate()}


def test_metrics_that_all_could_read_want_a_token() -> None:
    with (
        pytest.raises(BadInput, match="LOOKSTREAM_METRICS_TOKEN"),
        serve_metrics(MetricsSettings(host="0.0.0.0", port=find_free_port(0)), WorkerMetrics("index").registry),
    ):
        pass


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(BadInput, match=f"LOOKSTREAM_METRICS_PORT {port}"),
            serve_metrics(MetricsSettings(port=port), WorkerMetrics("index").registry),
        ):
            pass
