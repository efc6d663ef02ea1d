"""All points of an index: write them to a file, or copy them to another index with the same encoder."""

import base64
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from infra.qdrant.contract import Index, Point

PAGE = 256


def write_points(index: Index, path: Path, console: Console) -> int:
    """Write all points, including tombstones, atomically and with progress on the console; return their number."""
    draft, status = path.with_name(f"{path.name}.part"), index.status()
    count = 0
    try:
        with draft.open("w") as file:
            file.write(json.dumps({"fingerprint": status.fingerprint, "size": status.size}) + "\n")
            for point in track(iterate_points(index), "exporting", status.live + status.regions, console=console):
                file.write(json.dumps(_line(point)) + "\n")
                count += 1
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
    return count


def copy_points(source: Index, target: Index, console: Console) -> int:
    """Copy all points, including tombstones, and show progress on the console; return the number copied.

    The target accepts only points that it lacks or has in an older version, so a repeated run is safe, after an
    interruption or after changes to the source. Notes are not copied: calibration is measured again, and the
    indexing progress of events belongs to the topics. Raises EncoderDiffers if the target has another encoder's
    vectors.
    """
    status, count = source.status(), 0
    target.open(status.fingerprint, status.size)
    size = status.live + status.regions
    points = iter(track(iterate_points(source), "copying", size, console=console))
    while page := list(islice(points, PAGE)):
        target.upsert(page)
        count += len(page)
    target.flush()
    return count


def iterate_points(index: Index) -> Iterator[Point]:
    """Yield every point, including tombstones, fetched page by page."""
    page, after = index.page(None, PAGE)
    yield from page
    while after is not None:
        page, after = index.page(after, PAGE)
        yield from page


def _line(point: Point) -> dict[str, object]:
    vector = None if point.vector is None else np.asarray(point.vector, "<f4").tobytes()
    return {
        "id": point.id,
        "payload": point.payload,
        "vector": None if vector is None else base64.b64encode(vector).decode(),
    }
