"""The embedded engine is killed while it writes, optimises, flushes and loads."""

import os
import random
import time
from pathlib import Path
from uuid import UUID

import numpy as np
import qdrant_edge as edge

from infra.qdrant.conditions import META
from infra.qdrant.contract import VECTOR, Vector
from tests.chaos.engine_writer import FLUSH, LOAD, OPTIMIZE, WRITE, WriterNotes, identity, open_shard, vector_of
from tests.chaos.processes import Process
from tests.chaos.scenario import NO_BROKER, Report, Scenario, Size

ENGINE, NO_WAL = "tests.chaos.engine_writer", "tests.chaos.no_write_ahead_log"
BATCHES = (1, 64, 256, 1, 64, 256)
"""Points in a batch, for each of the shards that are killed in turn."""
LIFE_SECONDS = (0.1, 0.8)
LOAD_SECONDS = 2.0
PHASES = (OPTIMIZE, FLUSH, LOAD)
PHASE_POINTS = 25_000
"""Enough for the optimiser to have something to do."""
PAGE = 1_024
WAIT_SECONDS = 60.0


def write_run(folder: Path, size: Size) -> Report:
    """Kill engines a hundred times, and as often as it takes for 500,000 points to be acknowledged."""
    return _write_run(folder, size, ENGINE)


def write_control(folder: Path, size: Size) -> Report:
    """The same without a write-ahead log."""
    return _write_run(folder, size, NO_WAL)


def phase_run(folder: Path, size: Size) -> Report:
    """Kill one engine ten times each while it optimises, flushes and loads."""
    return _phase_run(folder, size, ENGINE)


def phase_control(folder: Path, size: Size) -> Report:
    """The same without a write-ahead log."""
    return _phase_run(folder, size, NO_WAL)


def _write_run(folder: Path, size: Size, program: str) -> Report:
    report, rng, kills = Report(), random.Random(size.seed), 0
    shards = [folder / f"shard-{n}" for n in range(len(BATCHES))]
    noted = [WriterNotes(shard) for shard in shards]
    with report.timed():
        while kills < size.of(100, len(shards)) or sum(n.acknowledged for n in noted) < size.of(500_000):
            at = kills % len(shards)
            _run_child(program, shards[at], BATCHES[at], WRITE, rng.uniform(*LIFE_SECONDS))
            kills += 1
        _judge(report, shards)
    report.figures["kills"] = kills
    return report


def _phase_run(folder: Path, size: Size, program: str) -> Report:
    report, rng, kills = Report(), random.Random(size.seed), size.of(30, len(PHASES))
    shard = folder / "shard"
    notes = WriterNotes(shard)
    with report.timed():
        while notes.acknowledged < PHASE_POINTS:
            _run_child(program, shard, 256, WRITE, 0.5)
        for n in range(kills):
            phase = PHASES[n % len(PHASES)]
            longest = notes.loads[-1] if phase == LOAD else 1.5
            _run_child(program, shard, 256, phase, rng.uniform(0, longest))
        _judge(report, [shard])
    report.figures["kills"] = kills
    report.expect_at_most("longest load, seconds", max(notes.loads), LOAD_SECONDS)
    return report


def _run_child(program: str, shard: Path, batch: int, phase: str, seconds: float) -> None:
    """Start an engine, wait until it is in that phase, and kill it so many seconds later."""
    notes = WriterNotes(shard)
    engine = Process(program, [str(shard), str(batch), phase], os.environ, shard / "log")
    try:
        until = time.monotonic() + WAIT_SECONDS
        while notes.phase != f"{engine.pid} {phase}":
            if engine.code is not None or time.monotonic() > until:
                raise TimeoutError(f"the engine did not come to `{phase}`\n{engine.log_tail()}")
            time.sleep(0.005)
        time.sleep(seconds)
    finally:
        engine.kill()


def _judge(report: Report, shards: list[Path]) -> None:
    """Every acknowledged point must be there, with its vector, however it is asked for."""
    total = lost = differing = miscounted = 0
    for shard in shards:
        total += (acknowledged := WriterNotes(shard).acknowledged)
        opened = open_shard(shard)
        lost += acknowledged - _there(opened._opened(), acknowledged)
        for first in range(0, acknowledged, PAGE):
            numbers = range(first, min(first + PAGE, acknowledged))
            differing += _differing(opened.vectors([identity(number) for number in numbers]), numbers)
        miscounted += opened.count() != _scrolled(opened._opened())
        opened.close()
    report.figures["points acknowledged"] = total
    report.expect("points lost", lost, 0)
    report.expect("vectors that differ or are zero", differing, 0)
    report.expect("shards whose count is not what a scroll gives", miscounted, 0)


def _there(shard: edge.EdgeShard, acknowledged: int) -> int:
    found = 0
    for first in range(0, acknowledged, PAGE):
        ids: list[int | UUID | str] = [identity(number) for number in range(first, min(first + PAGE, acknowledged))]
        found += len(shard.retrieve(ids, with_payload=False, with_vector=False))
    return found


def _differing(found: dict[str, Vector], numbers: range) -> int:
    """The number of found vectors that differ from the written ones."""
    written = {identity(number): vector_of(number) for number in numbers}
    return sum(not np.allclose(vector, written[id], atol=1e-6) for id, vector in found.items())


def _scrolled(shard: edge.EdgeShard) -> int:
    """How many points a scroll gives, besides the one that describes the collection."""
    scrolled: int = 0
    offset = None
    while True:
        records, offset = shard.scroll(
            edge.ScrollRequest(limit=PAGE, offset=offset, with_payload=["state"], with_vector=[VECTOR])
        )
        scrolled += sum((record.payload or {}).get("state") != META for record in records)
        if offset is None:
            return scrolled


SCENARIOS = (
    Scenario(
        name="engine killed while writing",
        promise="500,000 points acknowledged by the embedded engine over 100 kill -9, in batches of 1, 64 and 256: "
        "none lost, none changed, and counts agree",
        run=write_run,
        control=write_control,
        short=0.02,
        brokers=NO_BROKER,
    ),
    Scenario(
        name="engine killed while busy",
        promise="30 kill -9 of the embedded engine while it optimises, flushes and loads: no point lost, and it "
        "loads in 2 s",
        run=phase_run,
        control=phase_control,
        brokers=NO_BROKER,
    ),
)
