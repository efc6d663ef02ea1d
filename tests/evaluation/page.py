"""The page that says how good it is: figures of all trials as Markdown."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from consumers.quality.evaluation.bootstrap import Estimate
from consumers.quality.evaluation.claim_checks import CalibrationCheck
from consumers.quality.evaluation.results import EvaluationResult
from consumers.quality.evaluation.robustness import Robustness

ReadFigure = Callable[[EvaluationResult], Estimate | float | None]

ICON, PHOTO, CLOTHES, FASHION = (
    "grocery photo to icon", "grocery photo to photo", "clothing photo to photo", "fashion",
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One measure of one trial, and its goal, as text."""

    what: str
    trial: str
    read_figure: ReadFigure
    reach: str = ""


def metric(name: str, weighting: str = "similar") -> ReadFigure:
    """A measure of the plain searches."""
    return lambda figures: figures.weightings[weighting].metrics[name]


def _category(part: str) -> ReadFigure:
    return lambda figures: getattr(figures.categories, part) if figures.categories else None


def _same(column: str, weighting: str) -> ReadFigure:
    return lambda figures: figures.same[column].share[weighting] if column in figures.same else None


def _gain(column: str, weighting: str) -> ReadFigure:
    return lambda figures: figures.same[column].gain[weighting] if column in figures.same else None


def _rejected(figures: EvaluationResult) -> Estimate | None:
    return figures.off_topic.rejected if figures.off_topic else None


def _true_match_share(figures: EvaluationResult) -> Estimate | None:
    return figures.strict.kept if figures.strict else None


LINES = (
    Line("grocery photo to icon, recall@1", ICON, metric("recall@1"), "at least .48"),
    Line("grocery photo to icon, recall@5", ICON, metric("recall@5"), "at least .82"),
    Line("grocery photo to photo, precision@1", PHOTO, metric("precision@1"), "at least .70"),
    Line("grocery photo to photo, precision@10", PHOTO, metric("precision@10"), "at least .63"),
    Line("clothing photo to photo, precision@1", CLOTHES, metric("precision@1"), "at least .83"),
    Line("clothing photo to photo, precision@10", CLOTHES, metric("precision@10"), "at least .79"),
    Line("fashion, precision@10 of articleType", FASHION, metric("precision@10")),
    Line("... of articleType, object part alone", FASHION, metric("precision@10", "object alone")),
    Line(
        "fashion, share of the top 10 of the colour, intent `colour`", FASHION,
        lambda f: f.colour_hits.share["colour"] if f.colour_hits else None, "above the next line",
    ),
    Line(
        "... object part alone", FASHION, lambda f: f.colour_hits.share["object alone"] if f.colour_hits else None
    ),
    Line(
        "fashion, first named colour agrees with baseColour", FASHION,
        lambda f: f.colours.share["first"] if f.colours else None, "at least .75",
    ),
    Line("... any of its names, 1 to 3, agrees", FASHION, lambda f: f.colours.share["any"] if f.colours else None),
    Line(
        "... gain of the first over k-means on all pixels", FASHION,
        lambda f: f.colours.gain if f.colours else None, "at least .15",
    ),
    Line("fashion, same usage elsewhere, intent `style`", FASHION, _same("usage", "style")),
    Line("... gain over the object part alone", FASHION, _gain("usage", "style")),
    Line("fashion, same season elsewhere, intent `style`", FASHION, _same("season", "style")),
    Line("... gain over the object part alone", FASHION, _gain("season", "style")),
    Line("clothing, category right when written", CLOTHES, _category("right"), "at least .95"),
    Line("clothing, share of items for which one is written", CLOTHES, _category("written"), "at least .60"),
    Line("clothing, likeliest category of a search is right", CLOTHES, _category("first")),
    Line(
        "clothing pictures against grocery: `no_match`", PHOTO,
        _rejected, "at least .99",
    ),
    Line("grocery queries that keep an answer", PHOTO, _true_match_share, "at least .97"),
    Line(
        "grocery pictures against clothing: `no_match`", CLOTHES,
        _rejected, "at least .99",
    ),
    Line(
        "clothing queries that keep an answer", CLOTHES, _true_match_share, "at least .97"
    ),
    Line("engine answers that hold the exact top 10, grocery", PHOTO, lambda f: f.engine_recall),
    Line("... fashion", FASHION, lambda f: f.engine_recall),
)  # fmt: skip


def page(found: Mapping[str, EvaluationResult]) -> str:
    """The page; a line whose trial was not run is left out."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Mapping[str, EvaluationResult]) -> Iterator[str]:
    yield from _head(found)
    rows = [(line.what, line.read_figure(found[line.trial]), line.reach) for line in LINES if line.trial in found]
    yield from _table(
        ("measure", "value, 95 % interval", "wanted"),
        [(what, text(value), reach) for what, value, reach in rows if value is not None],
    )
    for name, figures in found.items():
        yield f"\n## {name[0].upper()}{name[1:]}\n"
        yield from _trial(figures)


def _head(found: Mapping[str, EvaluationResult]) -> Iterator[str]:
    first = next(iter(found.values()))
    machine, versions = (
        ", ".join(f"{k} {v}" for k, v in facts.items()) for facts in (first.machine, first.versions)
    )
    yield "# How good it is\n"
    yield f"Written by `make evaluate` on {first.at[:10]}: encoder `{first.encoder}`; {machine}; {versions}."
    yield "Validation pictures are searched for among training and studio pictures, without use of their labels;"
    yield "intervals are 95 % bootstrap intervals over queries.\n"


def _trial(figures: EvaluationResult) -> Iterator[str]:
    counts = figures.counts
    yield f"{counts.queries} queries among {counts.catalogue} pictures.\n"
    yield from _weightings(figures)
    if figures.filtered:
        yield "\nWithin the query's own category, or category and colour:\n"
        yield from _filtered(figures)
    for judge, one in figures.calibration.items():
        yield f"\nConfidence of first hits, right being the same {judge}: ECE {one.top.ece:.3f},"
        yield f"Brier {one.top.brier:.3f} (all hits: {one.all.ece:.3f}, {one.all.brier:.3f}).\n"
        yield from _reliability(one)
    if figures.robustness:
        yield f"\nWhat corruption changes ({figures.robustness.queries} queries):\n"
        yield from _robustness(figures.robustness)


def _weightings(figures: EvaluationResult) -> Iterator[str]:
    scores = figures.weightings
    measures = next(iter(scores.values())).metrics
    rows = [(measure, *(text(one.metrics[measure]) for one in scores.values())) for measure in measures]
    yield from _table(("measure", *scores), rows)


def _filtered(figures: EvaluationResult) -> Iterator[str]:
    measures = list(next(iter(figures.filtered.values())).metrics)
    rows = [
        (name, *(text(one.metrics[measure]) for measure in measures), f"{one.satisfying} of {one.hits}")
        for name, one in figures.filtered.items()
    ]
    yield from _table(("filter", *measures, "hits that satisfy it"), rows)


def _reliability(found: CalibrationCheck) -> Iterator[str]:
    rows = [
        (
            f"{one.low:.1f} to {one.high:.1f}", str(one.count), f"{one.expected:.2f}", f"{one.observed:.2f}",
            f"{sure.left:.3f}", f"{sure.right:.3f}",
        )
        for one, sure in zip(found.top.bins, found.top.threshold_cuts(), strict=True)
    ]  # fmt: skip
    yield from _table(("confidence", "hits", "expected", "observed", "so sure or surer", "right of those"), rows)


def _robustness(found: Robustness) -> Iterator[str]:
    clean = ("(clean)", *map(text, found.clean.values()))
    rows = [(name, *(text(-lost.value) for lost in drops.values())) for name, drops in found.drops.items()]
    yield from _table(("corruption", *found.clean), [clean, *rows])


def text(value: Estimate | float) -> str:
    """A figure as it is printed, with its interval where it has one."""
    if isinstance(value, Estimate):
        return f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"
    return f"{value:+.3f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"
