"""Measured constants: the figures behind every plan, for a worker on two cores and for a point in the index."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from infra.config.errors import BadInput

SYNTHETIC_SETS = ("drawn", "12 megapixels")
"""Benchmark sets of drawn pictures; any other set consists of photos from a folder."""


@dataclass(frozen=True)
class MeasuredConstants:
    """Constants of one machine; the defaults are from docs/performance.md (AMD EPYC, 2 cores, encoder `best`)."""

    photos_a_second: float = 11.8
    """Photos a second that one index worker indexes from a backlog."""
    searches_a_second: float = 9.8
    """Searches by photo that one query worker answers a second at saturation."""
    search_p95_ms: float = 169.0
    """95th percentile of the search latency at half of the saturation rate."""
    fresh_p95_ms: float = 351.0
    """95th percentile of the time from an event until its item is searchable, at one event a second."""
    vector_bytes: float = 1_536
    """Original vector of a look: 384 float32."""
    code_bytes: float = 400
    """int8 codes of the vector, which stay in memory."""
    graph_bytes: float = 87
    """Graph links of a point (research on 100,000 points, one graph of 448 dimensions)."""
    index_bytes: float = 276
    """Id of a point and its part of the payload indexes, in memory."""
    words_bytes: float = 271
    """Text index of the words of a point, in memory: 12 words of a shop (tests/benchmarks/text_index.py)."""
    words_payload_bytes: float = 102
    """The words themselves, on disk."""
    words_us: float = 0.126
    """Core time that a search by words takes for each point of its tenant (3.8 ms for 30,000 points)."""
    payload_bytes: float = 11_200
    """Attributes, a thumbnail of 160 pixels (median sizes: 4.4 to 7.4 kB), keypoints (4 kB) and the whole view of a
    photo (.7 kB), on disk."""
    engine_ms: float = 0.5
    """Core time of one search in one shard (100,000 points, recall@10 .999)."""


def read_measured(paths: Sequence[Path]) -> MeasuredConstants:
    """Read the constants from the files of `make bench`; those that are missing keep their defaults.

    Raises BadInput when a file cannot be read or is not a bench-load.json.
    """
    measured = MeasuredConstants()
    for path in paths:
        try:
            report = json.loads(path.read_text())
            measured = replace(measured, **_load_constants(report))
        except OSError as error:
            raise BadInput(f"--measured {path} cannot be read: {(error.strerror or 'unknown').lower()}") from None
        except (ValueError, KeyError, TypeError, IndexError):
            raise BadInput(f"--measured {path} is no bench-load.json of `make bench`") from None
    return measured


def _load_constants(report: Mapping[str, object]) -> dict[str, float]:
    """Constants that a bench-load.json contains."""
    load = _section(report, "measured")
    sets, single = _section(load, "sets"), _section(load, "alone")
    photo_rates = [float(str(_section(sets, name)["rate"])) for name in sets if name not in SYNTHETIC_SETS]
    constants = {
        "searches_a_second": float(str(_section(single, "saturation")["rate"])),
        "search_p95_ms": _p95(_section(single, "5 a second")["whole"]),
        "fresh_p95_ms": _p95(_section(load, "low")["fresh"]),
    }
    return constants | ({"photos_a_second": photo_rates[0]} if photo_rates else {})


def _p95(percentiles: object) -> float:
    """Second value of [p50, p95, p99]; raises TypeError when it is not a list."""
    if not isinstance(percentiles, list):
        raise TypeError("percentiles")
    return float(percentiles[1])


def _section(report: Mapping[str, object], name: str) -> Mapping[str, object]:
    section = report[name]
    if not isinstance(section, dict):
        raise TypeError(name)
    return section
