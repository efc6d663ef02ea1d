"""Evaluation setup: builds the system under test and its helpers, in this process or over Kafka."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from consumers.quality.evaluation.colours import ColourNamers, colour_namer, dominant_by_kmeans
from consumers.quality.evaluation.embedding_store import open_embedding_store
from consumers.quality.evaluation.in_process import open_direct
from consumers.quality.evaluation.over_kafka import open_over_kafka
from consumers.quality.evaluation.run import EvaluationSetup
from consumers.quality.evaluation.system_under_test import Step, TrackProgress
from consumers.scoring.null_embeddings import NullEmbeddings, null_embeddings_path
from consumers.vision.colour import make_colour_extractor
from consumers.vision.contracts import Encoder
from consumers.vision.embedder import ImageEmbedder
from infra.config.settings import Settings
from infra.cores import available_cores
from infra.encoder import open_encoder
from infra.images.decode import DecodeLimits
from infra.local_state import resolve_kafka_settings
from infra.observability.logging import configure_logs
from infra.observability.redaction import redaction


@dataclass(frozen=True)
class SetupOptions:
    """The encoder, the folder of cached looks, and the console for progress."""

    encoder: str
    cache: Path
    console: Console


@contextmanager
def open_setup(settings: Settings, through: str, options: SetupOptions) -> Iterator[EvaluationSetup]:
    """The setup for `direct` or `kafka`, closed at the end; raises EncoderUnavailable, BadInput or Unavailable."""
    with ExitStack() as stack:
        if through == "kafka":
            _configure_logs(settings)
            system = stack.enter_context(open_over_kafka(resolve_kafka_settings(settings)))
            yield EvaluationSetup(system, through, _colour_namers(settings), progress_on(options.console), None)
            return
        encoder = open_encoder(options.encoder, settings.torch)
        yield stack.enter_context(open_in_process(settings, encoder, options))


@contextmanager
def open_in_process(settings: Settings, encoder: Encoder, options: SetupOptions) -> Iterator[EvaluationSetup]:
    """The setup with this encoder in this process, closed at the end; raises BadInput."""
    _configure_logs(settings)
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(available_cores()))
        embedder = ImageEmbedder(encoder, make_colour_extractor(), _decode_limits(settings), pool)
        store = stack.enter_context(open_embedding_store(options.cache, embedder))
        nulls = NullEmbeddings(file=null_embeddings_path(settings.cache, encoder.fingerprint))
        system = stack.enter_context(open_direct(store, nulls))
        yield EvaluationSetup(system, "direct", _colour_namers(settings), progress_on(options.console), store)
        options.console.print(
            f"{store.cache_hits} of {store.requested} looks were read from the cache in {options.cache}",
            markup=False,
        )


def _configure_logs(settings: Settings) -> None:
    """Log warnings only: the jobs log every batch, which would break up the progress bars."""
    configure_logs(settings.logs.model_copy(update={"level": "warning"}), "evaluate", redaction(settings))


def _decode_limits(settings: Settings) -> DecodeLimits:
    return DecodeLimits(settings.images.max_bytes, settings.images.max_pixels, thumbnail=settings.images.thumbnails)


def _colour_namers(settings: Settings) -> ColourNamers:
    colours, limits = make_colour_extractor(), _decode_limits(settings)
    return ColourNamers(
        colour_namer(lambda image: colours.extract(image).names, limits),
        colour_namer(lambda image: (dominant_by_kmeans(image, colours),), limits),
    )


def progress_on(console: Console) -> TrackProgress:
    """A tracker that shows a progress bar, on a terminal only, and removes it when the step is complete."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())

    def track(steps: Iterable[Step], description: str, total: int) -> Iterator[Step]:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            yield from bar.track(steps, total, description=description)

    return track
