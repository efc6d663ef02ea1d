"""Acceptance gate: limits that a new index must meet before it serves searches."""

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from consumers.operations.reindex.shadow_queries import ShadowMeasures
from infra.config.errors import BadInput


class AcceptanceGate(BaseModel):
    """Limits of the gate. A measure without data passes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    first_hit_rate: float = Field(
        0.9, ge=0, le=1, description="Minimum share of items that their own look finds first"
    )
    first_hit_loss: float = Field(0.02, ge=0, le=1, description="Maximum loss of that share against the old index")
    category_loss: float = Field(
        0.02, ge=0, le=1, description="Maximum loss of hits of the right category in the top 10"
    )
    missing: int = Field(0, ge=0, description="Maximum number of items whose pictures are missing")


def read_gate(path: Path) -> AcceptanceGate:
    """Read a gate from a TOML file; raises BadInput that names the problem."""
    try:
        return AcceptanceGate.model_validate(tomllib.loads(path.read_text()))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"--gate: {path} cannot be read ({error})") from None
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"--gate: {path} is not TOML: {error}") from None
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        field, known_fields = ".".join(map(str, problem["loc"])), ", ".join(AcceptanceGate.model_fields)
        raise BadInput(f"--gate: {path}, {field}: {problem['msg']}; there are {known_fields}") from None


def gate_violations(gate: AcceptanceGate, old: ShadowMeasures, new: ShadowMeasures, missing: int) -> list[str]:
    """One sentence for each limit that the new index violates; empty when it may serve."""
    reasons = []
    if new.first_hit_rate is not None and new.first_hit_rate < gate.first_hit_rate:
        reasons.append(f"first_hit_rate is {new.first_hit_rate:.3f}, the gate requires {gate.first_hit_rate:.3f}")
    losses = (
        ("first_hit_loss", _loss(old.first_hit_rate, new.first_hit_rate), gate.first_hit_loss),
        ("category_loss", _loss(old.category_share, new.category_share), gate.category_loss),
    )
    reasons += [f"{name} is {loss:.3f}, the gate allows {cap:.3f}" for name, loss, cap in losses if loss > cap]
    if missing > gate.missing:
        reasons.append(f"{missing} items are missing, the gate allows {gate.missing}")
    return reasons


def _loss(old: float | None, new: float | None) -> float:
    return 0.0 if old is None or new is None else round(old - new, 6)  # rounded to drop floating-point noise
