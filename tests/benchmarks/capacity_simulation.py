"""Compare the simulation of capacity planning with a load test of a real index worker.

`python -m tests.benchmarks.capacity_simulation` measures bursts of several sizes, and fits the constants of the
simulation to their outcomes. Then items arrive at random times, below and above the worker's capacity. Lag and
freshness are compared with the predicted ones.
"""

import json
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from consumers.workers.index_worker import ITEM_FETCH_WAIT_MS
from infra.config.settings import WorkerSettings
from infra.kafka import EventSink, TopicReader
from infra.observability.host_info import describe_machine, installed_versions
from producers.demo.catalogue import draw_catalogue
from schemas.topics import ITEM_OUTCOMES
from tests.benchmarks.fresh_bytes import new
from tests.benchmarks.item_load import indexed, send_item
from tests.benchmarks.simulation import ServiceModel, SimulatedQueue, simulate
from tests.benchmarks.whole_path import kafka_of, run_system
from tests.end_to_end.system import System

SEED = 7
BURSTS = (1, 1, 1, 1, 1, 4, 4, 4, 16, 16, 16, 64)
TENANT = "simulated"
WARM = 600
"""Items that the tenant has before the loads: a tenant whose items double is calibrated again, which takes time."""
LOADS = {"two thirds of what it can do": 2 / 3, "one and a half times that": 1.5}

MORE, PREDICTED = 10, 3_000
"""The factor by which the load is multiplied for the prediction, and the number of predicted items."""

Times = NDArray[np.float64]


@dataclass(frozen=True)
class LoadComparison:
    """One load: seconds from event to item and the longest queue, measured and predicted."""

    measured: dict[str, float]
    predicted: dict[str, float]

    @property
    def errors(self) -> dict[str, float]:
        """The error of each prediction, as a share of the measured value."""
        return {name: round(self.predicted[name] / self.measured[name] - 1, 3) for name in self.measured}


@dataclass(frozen=True)
class ItemChannel:
    """The sink of item events, and the reader of their outcomes."""

    sink: EventSink
    outcomes: TopicReader


def put(
    channel: ItemChannel, pictures: Sequence[bytes], due: Sequence[float] | Times
) -> tuple[Times, Times, Times]:
    """Send an item for each picture when it is due; the times of each one's event, receipt and first search hit."""
    started = time.time()
    for picture, moment in zip(pictures, due, strict=True):
        time.sleep(max(0.0, started + moment - time.time()))
        send_item(channel.sink, new(picture), TENANT)
        channel.sink.producer.poll(0)
    channel.sink.flush()
    times = [one.times for one in indexed(channel.outcomes, TENANT, len(pictures))]
    moments = [(t.event_time, t.received_at, t.searchable_at) for t in times]
    found = np.array([[m.timestamp() for m in three if m] for three in moments])
    assert found.shape == (len(pictures), 3), "every item became searchable"
    found = found[np.argsort(found[:, 0])]
    return found[:, 0], found[:, 1], found[:, 2]


def fit_service_model(channel: ItemChannel, pictures: Sequence[bytes], worker: WorkerSettings) -> ServiceModel:
    """Fit the time of a batch: a straight line through the medians of several sizes, by relative errors."""
    took = defaultdict[int, list[float]](list)
    for burst in BURSTS:
        chosen = list(islice(cycle(pictures), burst))
        _, received, searchable = put(channel, chosen, np.zeros(burst))
        for (began, ended), size in Counter(zip(received, searchable, strict=True)).items():
            took[size].append(ended - began)
    medians = np.array([np.median(times) for times in took.values()])
    each, fixed = np.polyfit(list(took), medians, 1, w=1 / medians)
    return ServiceModel(1, worker.batch_records, worker.batch_ms / 1000, max(0.0, float(fixed)), float(each))


def compare_load(
    channel: ItemChannel, pictures: Sequence[bytes], rate: float, service: ServiceModel
) -> LoadComparison:
    """Send items at random times, `rate` a second on average, and simulate the same events."""
    rng = np.random.default_rng(SEED)
    due = np.cumsum(rng.exponential(1 / rate, len(pictures)))
    event, _, searchable = put(channel, pictures, due)
    # The local broker returns an empty fetch after its whole wait: a record may arrive at any moment within it.
    held = rng.uniform(0, ITEM_FETCH_WAIT_MS / 1000, len(event))
    arrived = np.sort(event + held)
    prediction = simulate(arrived, service)
    predicted = SimulatedQueue(event, prediction.done)
    return LoadComparison(_figures(SimulatedQueue(event, searchable)), _figures(predicted))


def predict(service: ServiceModel, times: float) -> dict[str, dict[str, float]]:
    """Predict the lower load and `times` this load: for the same workers, and for `times` as many."""
    rate = min(LOADS.values()) / _seconds_each(service)
    due = np.cumsum(np.random.default_rng(SEED).exponential(1, PREDICTED))
    many = replace(service, workers=round(service.workers * times))
    cases = {
        f"{rate:.1f} items/s, one worker": (rate, service),
        f"{times * rate:.0f} items/s, one worker": (times * rate, service),
        f"{times * rate:.0f} items/s, {many.workers} workers": (times * rate, many),
    }
    return {name: _figures(simulate(due / pace, one)) for name, (pace, one) in cases.items()}


def _seconds_each(service: ServiceModel) -> float:
    """The least seconds for a record."""
    return service.each + service.fixed / service.batch


def _figures(course: SimulatedQueue) -> dict[str, float]:
    p50, p95 = np.percentile(course.took, [50, 95])
    return {"p50_s": round(float(p50), 3), "p95_s": round(float(p95), 3), "longest_line": course.longest_line}


def measure(
    system: System, pictures: Sequence[bytes], warm: int, count: int
) -> tuple[ServiceModel, dict[str, LoadComparison]]:
    """The fitted constants of a running system, and the comparison of each load."""
    kafka = kafka_of(system)
    with closing(EventSink(kafka)) as sink, closing(TopicReader(kafka, ITEM_OUTCOMES)) as outcomes:
        channel = ItemChannel(sink, outcomes)
        put(channel, list(islice(cycle(pictures), warm)), np.zeros(warm))
        service = fit_service_model(channel, pictures, WorkerSettings())
        chosen, most = list(islice(cycle(pictures), count)), 1 / _seconds_each(service)
        return service, {
            name: compare_load(channel, chosen, share * most, service) for name, share in LOADS.items()
        }


def main(
    encoder: Annotated[str, typer.Option(help="As LOOKSTREAM_ENCODER")] = "best",
    pictures: Annotated[int, typer.Option(help="Pictures that are drawn", min=8)] = 64,
    warm: Annotated[int, typer.Option(help="Items that the tenant has before", min=8)] = WARM,
    items: Annotated[int, typer.Option(help="Items of each load", min=8)] = 192,
    path: Annotated[Path | None, typer.Option("--json", help="Write the figures here too")] = None,
) -> None:
    """Compare the simulation with a system of its own."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="lookstream-simulated-") as temporary:
        folder = Path(temporary)
        catalogue = draw_catalogue(folder / "shop", pictures, SEED)
        shots = [(catalogue.folder / product.image).read_bytes() for product in catalogue.products]
        with run_system(folder / "data", encoder) as system, console.status("loading"):
            service, loads = measure(system, shots, warm, items)
    table = Table(
        "load",
        "what",
        "measured",
        "predicted",
        "error",
        title=f"batch: {service.fixed:.3f} s + {service.each:.4f} s each",
    )
    for name, comparison in loads.items():
        for what, measured in comparison.measured.items():
            table.add_row(
                name, what, f"{measured:g}", f"{comparison.predicted[what]:g}", f"{comparison.errors[what]:+.0%}"
            )
    console.print(table)
    grown = predict(service, MORE)
    for name, prediction in grown.items():
        console.print(f"predicted, {name}: {prediction}", markup=False)
    if path:
        figures = {name: asdict(one) | {"errors": one.errors} for name, one in loads.items()}
        about = {"service": asdict(service), "machine": describe_machine(), "versions": installed_versions()}
        path.write_text(json.dumps(about | {"loads": figures, "grown": grown}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
