"""Hostile records and requests beside valid ones: nothing stops, and each is refused with the reason."""

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from infra.kafka import read_to_end
from schemas.envelope import CORRELATION_ID
from schemas.topics import ITEM_OUTCOMES, SEARCH_RESULTS
from tests.chaos.fleet import Fleet
from tests.chaos.hostile_senders import HostileSender
from tests.chaos.item_storm import index_fleet
from tests.chaos.raw_errors import count_raw_errors, first_raw_errors
from tests.chaos.scenario import Report, Scenario, Size
from tests.chaos.search_requests import searchable
from tests.chaos.steady_load import SteadyLoad, item_load, paces, search_load
from tests.chaos.storm import query_fleet
from tests.chaos.testbed import LOOKSTREAM, Testbed
from tests.hostile.records import HostileRecord, hostile_records
from tests.hostile.requests import hostile_requests

COUNT, ROUNDS = 10_000, 10
"""Hostile ones in all, and in how many rounds."""
A_SECOND = 25.0
"""Hostile records a second: about an eighth of what two cores process. Each costs nearly as much as a valid one,
and the limit of dead letters is off here."""
ALONE_SECONDS = 10.0
"""How long healthy work is alone between two rounds."""
LEAST_SHARE = 0.8
OPEN_LIMIT = {"LOOKSTREAM_WORKER_DEAD_SHARE": "1", "LOOKSTREAM_WORKER_DEAD_IN_A_ROW": "1000000"}
"""By default the limit would delay their tenant after fifty of them; here each one must be refused."""
DEATHS = 3
"""The most deaths of the worker for one record."""
REFUSAL_SECONDS = 60.0
"""How long after the last record all refusals must be published."""
WORKER_KILLED = "worker_killed"


def run_records(folder: Path, size: Size) -> Report:
    """Hostile records for the index worker."""
    return _run(folder, size, LOOKSTREAM, hostile_records, item_load(), index_fleet, _outcomes)


def control_records(folder: Path, size: Size) -> Report:
    """The same with a worker that crashes at a record that is no event."""
    return _run(folder, size, "tests.chaos.no_validation", hostile_records, item_load(), index_fleet, _outcomes)


def run_requests(folder: Path, size: Size) -> Report:
    """Hostile requests for the query worker."""
    return _run(folder, size, LOOKSTREAM, hostile_requests, search_load(), query_fleet, _results)


def control_requests(folder: Path, size: Size) -> Report:
    """The same with a worker that crashes at a record that is no request."""
    return _run(folder, size, "tests.chaos.no_validation", hostile_requests, search_load(), query_fleet, _results)


RefusalCodes = dict[str, set[str]]
"""The codes with which each record was refused, by its name."""


def _run(
    folder: Path,
    size: Size,
    program: str,
    make: Callable[[int, int], object],
    load: SteadyLoad,
    fleet_of: Callable[[Testbed, str], Fleet],
    read_codes: Callable[[Testbed], RefusalCodes],
) -> Report:
    report, count = Report(), size.of(COUNT, least=300)
    records: list[HostileRecord] = list(make(size.seed, count))  # type: ignore[call-overload]
    rounds = max(2, round(ROUNDS * size.share))
    each = -(-count // rounds)
    with report.timed(), searchable(folder, **OPEN_LIMIT) as testbed:
        fleet, sender = fleet_of(testbed, program), HostileSender(testbed.kafka)
        fleet.arrive()
        fleet.wait_until_ready()

        def disturb(number: int) -> None:
            sender.send(records[number * each : (number + 1) * each], each / A_SECOND)
            fleet.restart_ended_workers()

        with load.sustain(testbed.kafka):
            alone, disturbed = paces(load, rounds, ALONE_SECONDS, disturb)
        accepted = sender.accepted(records)
        codes_by_name = _wait_for_codes(accepted, lambda: read_codes(testbed))
        deaths = list(fleet.unexpected_ends)
        fleet.end()
        report.figures |= {"hostile": count, "of these refused by the broker itself": count - len(accepted)}
        _judge(report, accepted, codes_by_name, deaths)
    report.figures |= {"healthy in a second, alone": round(alone), "among hostile ones": round(disturbed)}
    report.figures["share of the pace"] = round(disturbed / max(alone, 0.01), 2)
    if size.is_timed:
        report.expect_at_least("share of the pace", round(disturbed / max(alone, 0.01), 2), LEAST_SHARE)
    report.expect("raw errors in the logs", count_raw_errors(folder), 0)
    report.figures["where raw errors are"] = first_raw_errors(folder) or "nowhere"
    return report


def _judge(
    report: Report, accepted: Sequence[HostileRecord], codes_by_name: RefusalCodes, deaths: Sequence[str]
) -> None:
    """Note the deaths of the workers, and the hostile records that were not refused with their code."""
    killers = sum(WORKER_KILLED in codes for codes in codes_by_name.values())
    report.expect_at_most("deaths of the worker, of records that are told so", len(deaths), DEATHS * killers)
    wrong = Counter(
        f"{record.kind}: {', '.join(sorted(codes_by_name.get(_name(record), {'nothing'})))}, not {record.code}"
        for record in _unrefused(accepted, codes_by_name)
    )
    report.expect("hostile ones that were not told by their code", sum(wrong.values()), 0)
    report.figures["to be told by a code"] = sum(record.code is not None for record in accepted)
    if wrong:
        report.figures["which"] = "; ".join(f"{count} x {what}" for what, count in wrong.most_common(8))
        report.figures["names of the first"] = ", ".join(
            _name(record) for record in _unrefused(accepted, codes_by_name)[:8]
        )


def _unrefused(accepted: Sequence[HostileRecord], codes_by_name: RefusalCodes) -> list[HostileRecord]:
    """Those that have not been refused with their code."""
    named = [record for record in accepted if record.code is not None and _name(record)]
    return [record for record in named if str(record.code) not in codes_by_name.get(_name(record), set())]


def _wait_for_codes(accepted: Sequence[HostileRecord], read: Callable[[], RefusalCodes]) -> RefusalCodes:
    """The refusals, once all are published, or after REFUSAL_SECONDS."""
    until = time.monotonic() + REFUSAL_SECONDS
    while _unrefused(accepted, codes_by_name := read()) and time.monotonic() < until:
        time.sleep(1)
    return codes_by_name


def _name(record: HostileRecord) -> str:
    """The name under which a record's refusal is published: "" when its headers are bad."""
    headers = dict(record.headers)
    name = headers.get(CORRELATION_ID) or headers.get("ce_id") or b""
    return "" if record.kind == "headers" else name.decode("utf-8", "replace")


def _outcomes(testbed: Testbed) -> RefusalCodes:
    codes_by_name: RefusalCodes = {}
    for record in read_to_end(testbed.kafka, [ITEM_OUTCOMES]):
        body = json.loads(record.value or b"{}")
        if body["schema"] == "item.rejected/1":
            codes_by_name.setdefault(body["event_id"], set()).add(body["code"])
    return codes_by_name


def _results(testbed: Testbed) -> RefusalCodes:
    codes_by_name: RefusalCodes = {}
    for record in read_to_end(testbed.kafka, [SEARCH_RESULTS]):
        name = (record.headers.get(CORRELATION_ID) or b"").decode("utf-8", "replace")
        body = json.loads(record.value or b"{}")
        if body.get("code"):
            codes_by_name.setdefault(name, set()).add(body["code"])
    return codes_by_name


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
