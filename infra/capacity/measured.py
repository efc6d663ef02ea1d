"""What was measured, and all plans rest on: of a worker on two cores, and of a point in the index."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from infra.config.errors import BadInput

DRAWN = ("drawn", "12 megapixels")
"""Sets of the benchmark that it draws; any other is of photos, from a folder."""


@dataclass(frozen=True)
class MeasuredConstants:
    """Constants of one machine; the defaults are of docs/performance.md (AMD EPYC, 2 cores, encoder `best`)."""

    photos_a_second: float = 11.8
    """Photos that one index worker puts in, all at once."""
    searches_a_second: float = 9.8
    """Searches by photo that one query worker answers at saturation."""
    search_p95_ms: float = 169.0
    """Of a search at half of that."""
    fresh_p95_ms: float = 351.0
    """From an event to its item, at one a second."""
    vector_bytes: float = 1_536
    """Originals of a look: 384 float32."""
    code_bytes: float = 400
    """The int8 codes of it, which are kept in memory."""
    graph_bytes: float = 87
    """Its links (research on 100,000 points, one graph of 448 dimensions)."""
    index_bytes: float = 276
    """Its id, and its share of the payload indexes, in memory."""
    payload_bytes: float = 6_500
    """Facts and a thumbnail of 160 pixels, on disk (medians of 4.4 to 7.4 kB of thumbnail)."""
    engine_ms: float = 0.5
    """Of a core, for one search of one shard (100,000 points, recall@10 .999)."""


def read_measured(paths: Sequence[Path]) -> MeasuredConstants:
    """The defaults, with whatever the files of `make bench` say instead; raises BadInput."""
    measured = MeasuredConstants()
    for path in paths:
        try:
            found = json.loads(path.read_text())
            measured = replace(measured, **_of_load(found))
        except OSError as error:
            raise BadInput(f"--measured {path} cannot be read: {(error.strerror or 'unknown').lower()}") from None
        except (ValueError, KeyError, TypeError, IndexError):
            raise BadInput(f"--measured {path} is no bench-load.json of `make bench`") from None
    return measured


def _of_load(found: Mapping[str, object]) -> dict[str, float]:
    """What bench-load.json says of these constants."""
    load = _part(found, "measured")
    sets, alone = _part(load, "sets"), _part(load, "alone")
    photos = [float(str(_part(sets, name)["rate"])) for name in sets if name not in DRAWN]
    told = {
        "searches_a_second": float(str(_part(alone, "saturation")["rate"])),
        "search_p95_ms": _p95(_part(alone, "5 a second")["whole"]),
        "fresh_p95_ms": _p95(_part(load, "low")["fresh"]),
    }
    return told | ({"photos_a_second": photos[0]} if photos else {})


def _p95(percentiles: object) -> float:
    """The middle one of p50, p95, p99."""
    if not isinstance(percentiles, list):
        raise TypeError("percentiles")
    return float(percentiles[1])


def _part(found: Mapping[str, object], name: str) -> Mapping[str, object]:
    part = found[name]
    if not isinstance(part, dict):
        raise TypeError(name)
    return part
