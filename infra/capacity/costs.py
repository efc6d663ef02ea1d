"""What a plan costs a month, by the prices of whoever asks; and how many items a budget holds."""

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infra.capacity.measured import MeasuredConstants
from infra.capacity.plan import CapacityPlan, CapacityTarget, make_plan
from infra.config.errors import BadInput

HALVINGS = 60
"""Steps in which the number of items is narrowed down: far more than its digits."""


class Prices(BaseModel):
    """What things cost a month, in one currency."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    node: float = Field(ge=0, description="A machine of the index: 16 cores and 128 GB of memory")
    disk_gb: float = Field(ge=0, description="A GB of quick local disk")
    worker: float = Field(ge=0, description="Two cores and 4 GB of memory, for a worker of either kind")


@dataclass(frozen=True)
class Costs:
    """A month of a plan. Kafka is not in it: its brokers hold more than these topics."""

    index: float
    disk: float
    workers: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.index + self.disk + self.workers


def read_prices(path: Path) -> Prices:
    """The prices of a TOML file; raises BadInput when they are none."""
    try:
        with path.open("rb") as file:
            return Prices.model_validate(tomllib.load(file))
    except OSError as error:
        raise BadInput(f"--prices {path} cannot be read: {(error.strerror or 'unknown').lower()}") from None
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"--prices {path} is not TOML: {error}") from None
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = ".".join(map(str, problem["loc"]))
        text = f"--prices {path}: {name}: {problem['msg'].lower()}; it names node, disk_gb and worker, a month each"
        raise BadInput(text) from None


def costs_of(plan: CapacityPlan, prices: Prices) -> Costs:
    """What a plan costs a month; the embedded index shares the machine of a worker of each kind."""
    nodes = 0 if plan.embedded else plan.nodes
    workers = plan.index_workers + plan.query_workers
    return Costs(nodes * prices.node, plan.disk_gb * prices.disk_gb, workers * prices.worker)


def items_within(budget: float, wanted: CapacityTarget, measured: MeasuredConstants, prices: Prices) -> float:
    """The most items whose plan costs no more, with the same searches and as many changes of each item; or 0."""
    least, most = 0.0, max(wanted.items, 1.0)

    def fits(items: float) -> bool:
        changes = wanted.changes * items / wanted.items
        return costs_of(make_plan(replace(wanted, items=items, changes=changes), measured), prices).total <= budget

    while fits(most) and most < 1e13:
        least, most = most, 2 * most
    for _ in range(HALVINGS):
        middle = (least + most) / 2
        least, most = (middle, most) if fits(middle) else (least, middle)
    return float(int(least))
