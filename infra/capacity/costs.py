"""Monthly costs: the cost of a capacity plan at the user's prices, and the number of items that a budget allows."""

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infra.capacity.constants import MeasuredConstants
from infra.capacity.plan import CapacityPlan, CapacityTarget, make_plan
from infra.config.errors import BadInput

BISECTION_STEPS = 60
"""Bisection steps in the search for the number of items: far more than the digits that are needed."""


class Prices(BaseModel):
    """Prices a month, all in the same currency."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    node: float = Field(ge=0, description="A machine of the index: 16 cores and 128 GB of memory")
    disk_gb: float = Field(ge=0, description="A GB of quick local disk")
    worker: float = Field(ge=0, description="Two cores and 4 GB of memory, for a worker of either kind")


@dataclass(frozen=True)
class Costs:
    """Costs of a plan a month, without Kafka: its brokers also hold other topics."""

    index: float
    disk: float
    workers: float

    @property
    def total(self) -> float:
        return self.index + self.disk + self.workers


def read_prices(path: Path) -> Prices:
    """Read prices from a TOML file; raises BadInput when it cannot be read or is not valid."""
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
    """Costs of a plan a month; an embedded index has no node costs, as it shares the machine of the workers."""
    nodes = 0 if plan.embedded else plan.nodes
    workers = plan.index_workers + plan.query_workers
    return Costs(nodes * prices.node, plan.disk_gb * prices.disk_gb, workers * prices.worker)


def items_within(budget: float, target: CapacityTarget, measured: MeasuredConstants, prices: Prices) -> float:
    """Largest number of items whose plan costs at most `budget` a month, or 0.

    The searches a second and the changes of each item stay those of `target`.
    """
    lower, upper = 0.0, max(target.items, 1.0)

    def within_budget(items: float) -> bool:
        changes = target.changes * items / target.items
        return costs_of(make_plan(replace(target, items=items, changes=changes), measured), prices).total <= budget

    while within_budget(upper) and upper < 1e13:
        lower, upper = upper, 2 * upper
    for _ in range(BISECTION_STEPS):
        middle = (lower + upper) / 2
        lower, upper = (middle, upper) if within_budget(middle) else (lower, middle)
    return float(int(lower))
