"""From one index to another: every point as it is, made by the same encoder."""

from itertools import islice

from rich.console import Console
from rich.progress import track

from infra.qdrant.contract import Index
from infra.qdrant.points_io import PAGE, points_of


def copy_points(source: Index, target: Index, console: Console) -> int:
    """Copy all points, tombstones included, with progress on the console; how many.

    The target takes only points that it lacks or has older ones of, so that it is safe to run again, after it broke
    off or after the source has changed. Notes are not copied: calibration is measured anew, and how far events were
    indexed belongs to the topics. Raises EncoderDiffers when the target holds another encoder's vectors.
    """
    status, count = source.status(), 0
    target.open(status.fingerprint, status.size)
    points = iter(track(points_of(source), "copying", status.live, console=console))
    while page := list(islice(points, PAGE)):
        target.upsert(page)
        count += len(page)
    target.flush()
    return count
