"""Metrics: all Prometheus metrics of the system, and the HTTP listener that serves them."""

from infra.metrics.canary import CanaryMetrics
from infra.metrics.exposing import serve_metrics
from infra.metrics.gateway import EXPOSITION_TYPE, GatewayMetrics
from infra.metrics.workers import ItemMetrics, SearchMetrics, WorkerMetrics

__all__ = [
    "EXPOSITION_TYPE",
    "CanaryMetrics",
    "GatewayMetrics",
    "ItemMetrics",
    "SearchMetrics",
    "WorkerMetrics",
    "serve_metrics",
]
