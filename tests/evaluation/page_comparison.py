"""The sets side by side, as Markdown: plain average, confidences, coverage, corruptions, and what is not known."""

from collections.abc import Iterator, Mapping

from consumers.quality.evaluation.calibration_check import CATEGORY, ITEM, LABEL
from schemas.results import LOW_COVERAGE
from tests.evaluation.page_set import SetResult, difference, marked, negative, table, text

MEASURES = ("recall@1", "recall@5", "precision@10", "mAP@10")
"""Measures that are compared with those of the plain average."""


def comparisons(found: Mapping[str, SetResult]) -> Iterator[str]:
    """All of it, line by line."""
    yield from _plain_average(found)
    yield from _confidences(found)
    yield from _coverage(found)
    yield from _corruptions(found)
    yield from _unknown(found)


def _plain_average(found: Mapping[str, SetResult]) -> Iterator[str]:
    yield "\n## Against the plain average of the same network\n"
    yield "The measures of a default search minus those of the plain average: the whole picture, the mean of each"
    yield "network's last map, no colours and no metric. The goal: never below it.\n"
    rows = [
        (marked(name, result), *(difference(result.gains[each]) for each in MEASURES), _verdict(result))
        for name, result in found.items()
    ]
    yield from table(("set", *MEASURES, "verdict"), rows)


def _verdict(result: SetResult) -> str:
    gains = [result.gains[measure] for measure in MEASURES]
    if any(gain.high < 0 for gain in gains):
        return "below"
    if any(gain.value < 0 for gain in gains):
        return "below in part, within chance"
    return "never below"


def _confidences(found: Mapping[str, SetResult]) -> Iterator[str]:
    yield "\n## Calibration error of each confidence\n"
    yield "ECE of first hits: of the category (`confidence`), of the item (`same_item`), and of `coverage`. The"
    yield "column of the label says how far `confidence` is off if it is read as that of the label. Goal: .05.\n"
    rows = []
    for name, result in found.items():
        checks, coverage = result.figures.calibration, result.figures.coverage
        cells = [text(checks[each].first.ece) if each in checks else "" for each in (CATEGORY, LABEL, ITEM)]
        scores = coverage.scores if coverage else None
        rows.append((marked(name, result), *cells, text(scores.calibration.ece) if scores else "unknown"))
    yield from table(("set", "category", "label", "item", "coverage"), rows)


def _coverage(found: Mapping[str, SetResult]) -> Iterator[str]:
    yield "\n## Queries whose kind the catalogue does not have\n"
    yield f"Share of queries with a coverage below {LOW_COVERAGE:g}, when the catalogue is indexed without a third"
    yield "of its categories, the query's among them, and when it is whole; the area under the ROC curve; and the"
    yield "share of the first at the threshold that flags a tenth of the others, whose goal is .7.\n"
    rows = [
        (
            marked(name, result), text(scores.flagged_absent), text(scores.flagged_present), text(scores.auc),
            text(scores.recall_at_tenth),
        )
        for name, result in found.items()
        if result.figures.coverage and (scores := result.figures.coverage.scores)
    ]  # fmt: skip
    if rows:
        yield from table(("set", "flagged, kind absent", "flagged, kind there", "ROC AUC", "at a tenth"), rows)
    else:
        yield "No answer has a coverage."


def _corruptions(found: Mapping[str, SetResult]) -> Iterator[str]:
    measured = {name: one.figures.robustness.drops for name, one in found.items() if one.figures.robustness}
    if not measured:
        return
    yield "\n## Recall@1 of corrupted queries, minus that of the same clean ones\n"
    rows = [
        (corruption, *(difference(negative(drops[corruption]["recall@1"])) for drops in measured.values()))
        for corruption in next(iter(measured.values()))
    ]
    yield from table(("corruption", *(marked(name, found[name]) for name in measured)), rows)


def _unknown(found: Mapping[str, SetResult]) -> Iterator[str]:
    yield "\n## What is not known\n"
    if all(result.choices for result in found.values()):
        yield "- How good it is in another domain: on every set here choices were made. Add a folder with a set."
    uncovered = [name for name, one in found.items() if not (one.figures.coverage and one.figures.coverage.scores)]
    if uncovered:
        yield f"- Whether a query's kind is there, for {', '.join(uncovered)}: the answers have no `coverage`."
    unchecked = [name for name, one in found.items() if ITEM not in one.figures.calibration]
    if unchecked:
        yield f"- Whether `same_item` is true, for {', '.join(unchecked)}: no answer states it, or the labels"
        yield "  do not name single items."
    largest = max(result.figures.counts.catalogue for result in found.values())
    yield "- How often the very item is in a catalogue at all: every query here has a correct picture in it."
    yield f"- How the figures change with the size of a catalogue: the largest one here has {largest:,} pictures."
    yield "- How it is for photos of other people: queries and catalogue of a set are of one source."
