"""Hostile records and hostile requests beside healthy work: nothing stops, and each is told why it is refused."""

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from infra.kafka import read_to_end
from schemas.envelope import CORRELATION_ID
from schemas.topics import ITEM_OUTCOMES, SEARCH_RESULTS
from tests.chaos.asking import searchable
from tests.chaos.busy import Busy, busy_items, busy_searches, paces
from tests.chaos.fleet import Fleet
from tests.chaos.hostile_senders import HostileSender
from tests.chaos.item_storm import index_fleet
from tests.chaos.parts import LOOKSTREAM, World
from tests.chaos.raw_errors import count_raw_errors, first_raw_errors
from tests.chaos.scenario import Report, Scenario, Size
from tests.chaos.storm import query_fleet
from tests.hostile.records import HostileRecord, hostile_records
from tests.hostile.requests import hostile_requests

COUNT, ROUNDS = 10_000, 10
"""Hostile ones in all, and in how many rounds."""
A_SECOND = 25.0
"""Hostile ones in a second: about an eighth of what two cores do. Each costs nearly what a healthy one does, and
nobody is set aside here."""
ALONE_SECONDS = 10.0
"""How long healthy work is alone between two rounds."""
LEAST_SHARE = 0.8
OPEN_LIMIT = {"LOOKSTREAM_WORKER_DEAD_SHARE": "1", "LOOKSTREAM_WORKER_DEAD_IN_A_ROW": "1000000"}
"""Their tenant would be set aside after fifty of them, as it should: here each one is to be refused."""
DEATHS = 3
"""Of one record, at most."""
TELL_SECONDS = 60.0
"""How long after the last record all must have been told."""
WORKER_KILLED = "worker_killed"


def run_records(folder: Path, size: Size) -> Report:
    """Hostile records for the index worker."""
    return _run(folder, size, LOOKSTREAM, hostile_records, busy_items(), index_fleet, _outcomes)


def control_records(folder: Path, size: Size) -> Report:
    """The same with a worker that expects every record to be an event."""
    return _run(folder, size, "tests.chaos.trusting", hostile_records, busy_items(), index_fleet, _outcomes)


def run_requests(folder: Path, size: Size) -> Report:
    """Hostile requests for the query worker."""
    return _run(folder, size, LOOKSTREAM, hostile_requests, busy_searches(), query_fleet, _results)


def control_requests(folder: Path, size: Size) -> Report:
    """The same with a worker that expects every record to be a request."""
    return _run(folder, size, "tests.chaos.trusting", hostile_requests, busy_searches(), query_fleet, _results)


Told = dict[str, set[str]]
"""By the name of a record the codes with which it was refused."""


def _run(
    folder: Path,
    size: Size,
    program: str,
    make: Callable[[int, int], object],
    busy: Busy,
    fleet_of: Callable[[World, str], Fleet],
    told_of: Callable[[World], Told],
) -> Report:
    report, count = Report(), size.of(COUNT, least=300)
    records: list[HostileRecord] = list(make(size.seed, count))  # type: ignore[call-overload]
    rounds = max(2, round(ROUNDS * size.share))
    each = -(-count // rounds)
    with report.timed(), searchable(folder, **OPEN_LIMIT) as world:
        fleet, sender = fleet_of(world, program), HostileSender(world.kafka)
        fleet.arrive()
        fleet.wait_until_ready()

        def disturb(number: int) -> None:
            sender.send(records[number * each : (number + 1) * each], each / A_SECOND)
            fleet.look_after()

        with busy.kept_up(world.kafka):
            alone, beside = paces(busy, rounds, ALONE_SECONDS, disturb)
        taken = sender.taken(records)
        told = _wait_until_told(taken, lambda: told_of(world))
        deaths = list(fleet.ended_alone)
        fleet.end()
        report.figures |= {"hostile": count, "of these refused by the broker itself": count - len(taken)}
        _judge(report, taken, told, deaths)
    report.figures |= {"healthy in a second, alone": round(alone), "among hostile ones": round(beside)}
    report.figures["share of the pace"] = round(beside / max(alone, 0.01), 2)
    if size.is_timed:
        report.expect_at_least("share of the pace", round(beside / max(alone, 0.01), 2), LEAST_SHARE)
    report.expect("raw errors in the logs", count_raw_errors(folder), 0)
    report.figures["where raw errors are"] = first_raw_errors(folder) or "nowhere"
    return report


def _judge(report: Report, taken: Sequence[HostileRecord], told: Told, deaths: Sequence[str]) -> None:
    """Note how the workers fared, and which hostile ones were not told by their code."""
    killers = sum(WORKER_KILLED in codes for codes in told.values())
    report.expect_at_most("deaths of the worker, of records that are told so", len(deaths), DEATHS * killers)
    wrong = Counter(
        f"{record.kind}: {', '.join(sorted(told.get(_name(record), {'nothing'})))}, not {record.code}"
        for record in _untold(taken, told)
    )
    report.expect("hostile ones that were not told by their code", sum(wrong.values()), 0)
    report.figures["to be told by a code"] = sum(record.code is not None for record in taken)
    if wrong:
        report.figures["which"] = "; ".join(f"{count} x {what}" for what, count in wrong.most_common(8))
        report.figures["names of the first"] = ", ".join(_name(record) for record in _untold(taken, told)[:8])


def _untold(taken: Sequence[HostileRecord], told: Told) -> list[HostileRecord]:
    """Those that have not been refused with their code."""
    named = [record for record in taken if record.code is not None and _name(record)]
    return [record for record in named if str(record.code) not in told.get(_name(record), set())]


def _wait_until_told(taken: Sequence[HostileRecord], read: Callable[[], Told]) -> Told:
    """What was told when the last of them was, or after a minute."""
    until = time.monotonic() + TELL_SECONDS
    while _untold(taken, told := read()) and time.monotonic() < until:
        time.sleep(1)
    return told


def _name(record: HostileRecord) -> str:
    """The name under which a record's end is told: none when its headers are what is wrong with it."""
    headers = dict(record.headers)
    name = headers.get(CORRELATION_ID) or headers.get("ce_id") or b""
    return "" if record.kind == "headers" else name.decode("utf-8", "replace")


def _outcomes(world: World) -> Told:
    told: Told = {}
    for record in read_to_end(world.kafka, [ITEM_OUTCOMES]):
        body = json.loads(record.value or b"{}")
        if body["schema"] == "item.rejected/1":
            told.setdefault(body["event_id"], set()).add(body["code"])
    return told


def _results(world: World) -> Told:
    told: Told = {}
    for record in read_to_end(world.kafka, [SEARCH_RESULTS]):
        name = (record.headers.get(CORRELATION_ID) or b"").decode("utf-8", "replace")
        body = json.loads(record.value or b"{}")
        if body.get("code"):
            told.setdefault(name, set()).add(body["code"])
    return told


SCENARIOS = (
    Scenario(
        name="hostile records",
        promise="10,000 generated hostile records beside healthy items: the worker dies of none but for one "
        "record's three deaths, healthy items go on at .8 of their pace, each hostile one is refused with its code",
        run=run_records,
        control=control_records,
    ),
    Scenario(
        name="hostile requests",
        promise="10,000 generated hostile requests beside healthy searches: the same",
        run=run_requests,
        control=control_requests,
    ),
)
