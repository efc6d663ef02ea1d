"""Composition: builds what a trial is tried on, in this process or over Kafka."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from consumers.quality.evaluation.colours import ColourNamers, colour_namer
from consumers.quality.evaluation.embedding_store import open_embedding_store
from consumers.quality.evaluation.in_process import open_direct
from consumers.quality.evaluation.kmeans import dominant_by_kmeans
from consumers.quality.evaluation.over_kafka import open_over_kafka
from consumers.quality.evaluation.run import EvaluationSetup
from consumers.quality.evaluation.system_under_test import Step, TrackProgress
from consumers.scoring.null_embeddings import NullEmbeddings, null_file
from consumers.vision.colour import make_colours
from consumers.vision.decode import DecodeLimits
from consumers.vision.embedder import ImageEmbedder
from infra.config.settings import Settings
from infra.encoder import open_encoder
from infra.local_state import reach_kafka
from infra.observability.logging import configure_logs
from infra.observability.redaction import redaction


@dataclass(frozen=True)
class SetupOptions:
    """What to look with, where looks are kept, and where progress is shown."""

    encoder: str
    cache: Path
    console: Console


@contextmanager
def open_setup(settings: Settings, through: str, means: SetupOptions) -> Iterator[EvaluationSetup]:
    """A bench, `direct` or over `kafka`, closed at the end; raises EncoderUnavailable, BadInput or Unavailable."""
    # The jobs tell of every batch, which nobody wants to read between progress bars.
    configure_logs(settings.logs.model_copy(update={"level": "warning"}), "evaluate", redaction(settings))
    given, colours = settings.images, make_colours()
    limits = DecodeLimits(given.max_bytes, given.max_pixels, thumbnail=0)
    namers = ColourNamers(
        colour_namer(lambda image: colours.of(image).names, limits),
        colour_namer(lambda image: (dominant_by_kmeans(image, colours),), limits),
    )
    track = progress_on(means.console)
    with ExitStack() as stack:
        if through == "kafka":
            system = stack.enter_context(open_over_kafka(reach_kafka(settings)))
            yield EvaluationSetup(system, through, namers, track, None)
            return
        pool = stack.enter_context(ThreadPoolExecutor(os.cpu_count() or 1))
        eyes = ImageEmbedder(open_encoder(means.encoder, settings.torch), colours, limits, pool)
        looks = stack.enter_context(open_embedding_store(means.cache, eyes))
        nulls = NullEmbeddings(file=null_file(settings.cache, eyes.encoder.fingerprint))
        yield EvaluationSetup(stack.enter_context(open_direct(looks, nulls)), through, namers, track, looks)
        means.console.print(
            f"{looks.kept} of {looks.seen} looks were kept from before, in {means.cache}", markup=False
        )


def progress_on(console: Console) -> TrackProgress:
    """A bar for each step that is tracked, gone when it is done; on a terminal alone."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())

    def track(steps: Iterable[Step], what: str, total: int) -> Iterator[Step]:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            yield from bar.track(steps, total, description=what)

    return track
