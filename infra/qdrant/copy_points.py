"""Index copy: copy every point unchanged from one index to another with the same encoder."""

from itertools import islice

from rich.console import Console
from rich.progress import track

from infra.qdrant.contract import Index
from infra.qdrant.points_io import PAGE, iterate_points


def copy_points(source: Index, target: Index, console: Console) -> int:
    """Copy all points, including tombstones, and show progress on the console; return the number copied.

    The target accepts only points that it lacks or has in an older version, so a repeated run is safe, after an
    interruption or after changes to the source. Notes are not copied: calibration is measured again, and the
    indexing progress of events belongs to the topics. Raises EncoderDiffers if the target has another encoder's
    vectors.
    """
    status, count = source.status(), 0
    target.open(status.fingerprint, status.size)
    points = iter(track(iterate_points(source), "copying", status.live, console=console))
    while page := list(islice(points, PAGE)):
        target.upsert(page)
        count += len(page)
    target.flush()
    return count
