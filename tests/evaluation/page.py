"""The page docs/evaluation.md: how good the answers are on every set, with intervals, and what is not known."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from consumers.quality.evaluation.bootstrap import Estimate
from consumers.quality.evaluation.results import EvaluationResult
from tests.evaluation.page_comparison import MEASURES, comparisons
from tests.evaluation.page_set import MARK, SetResult, detail, marked, table, text
from tests.evaluation.sets import CLOTHES, FASHION, ICON, PHOTO

Figure = Callable[[EvaluationResult], Estimate | None]


@dataclass(frozen=True)
class Line:
    """One measure of one set, and its goal in words."""

    measure: str
    set: str
    figure: Figure
    goal: str = ""


def metric(name: str, weighting: str = "similar") -> Figure:
    """A measure of searches without filters."""
    return lambda figures: figures.weightings[weighting].metrics[name]


def _category(part: str) -> Figure:
    return lambda figures: getattr(figures.categories, part) if figures.categories else None


def _same(column: str, weighting: str) -> Figure:
    return lambda figures: figures.same[column].share[weighting] if column in figures.same else None


def _gain(column: str, weighting: str) -> Figure:
    return lambda figures: figures.same[column].gain[weighting] if column in figures.same else None


def _colour_hits(weighting: str) -> Figure:
    return lambda figures: figures.colour_hits.share[weighting] if figures.colour_hits else None


def _colour_name(name: str) -> Figure:
    return lambda figures: figures.colours.share[name] if figures.colours else None


def _colour_gain(figures: EvaluationResult) -> Estimate | None:
    return figures.colours.gain if figures.colours else None


def _engine_recall(figures: EvaluationResult) -> Estimate | None:
    return figures.engine_recall


def _rejection_rate(figures: EvaluationResult) -> Estimate | None:
    return figures.off_topic.rejection_rate if figures.off_topic else None


def _answer_rate(figures: EvaluationResult) -> Estimate | None:
    return figures.strict.answer_rate if figures.strict else None


LINES = (
    Line("recall@1", ICON, metric("recall@1"), "at least .60"),
    Line("recall@5", ICON, metric("recall@5"), "at least .88"),
    Line("precision@1", PHOTO, metric("precision@1"), "at least .76"),
    Line("precision@10", PHOTO, metric("precision@10"), "at least .66"),
    Line("precision@1", CLOTHES, metric("precision@1"), "at least .86"),
    Line("precision@10", CLOTHES, metric("precision@10"), "at least .79"),
    Line("precision@10 of articleType", FASHION, metric("precision@10")),
    Line("... by the object part alone", FASHION, metric("precision@10", "object alone")),
    Line("share of the top 10 of the colour, intent `colour`", FASHION, _colour_hits("colour"), "above the next"),
    Line("... by the object part alone", FASHION, _colour_hits("object alone")),
    Line("first colour name is that of baseColour", FASHION, _colour_name("first"), "at least .75"),
    Line("... any of its names, 1 to 3", FASHION, _colour_name("any")),
    Line("... first name minus that of k-means on all pixels", FASHION, _colour_gain, "at least .15"),
    Line("same usage among other labels, intent `style`", FASHION, _same("usage", "style")),
    Line("... minus that of the object part alone", FASHION, _gain("usage", "style")),
    Line("same season among other labels, intent `style`", FASHION, _same("season", "style")),
    Line("... minus that of the object part alone", FASHION, _gain("season", "style")),
    Line("predicted category is correct", CLOTHES, _category("accuracy"), "at least .95"),
    Line("share of items for which one is predicted", CLOTHES, _category("prediction_rate"), "at least .60"),
    Line("likeliest category of a search is correct", CLOTHES, _category("search_accuracy")),
    Line("clothes among groceries: `no_match`", PHOTO, _rejection_rate, "at least .99"),
    Line("strict searches that have hits", PHOTO, _answer_rate, "at least .97"),
    Line("groceries among clothes: `no_match`", CLOTHES, _rejection_rate, "at least .99"),
    Line("strict searches that have hits", CLOTHES, _answer_rate, "at least .97"),
    Line("exact top 10 among the engine's hits", PHOTO, _engine_recall),
    Line("exact top 10 among the engine's hits", FASHION, _engine_recall),
)


def page(found: Mapping[str, SetResult]) -> str:
    """The page; a line whose set was not evaluated is left out."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Mapping[str, SetResult]) -> Iterator[str]:
    yield from _head(found)
    yield from _summary(found)
    yield from comparisons(found)
    for name, result in found.items():
        title = marked(name, result)
        yield f"\n## {title[0].upper()}{title[1:]}\n"
        yield from detail(result.figures)


def _head(found: Mapping[str, SetResult]) -> Iterator[str]:
    first = next(iter(found.values())).figures
    machine, versions = (
        ", ".join(f"{k} {v}" for k, v in facts.items()) for facts in (first.machine, first.versions)
    )
    yield "# How good it is\n"
    yield f"Written by `make evaluate` on {first.at[:10]}: encoder `{first.encoder}`; {machine}; {versions}."
    yield "Queries are searched for among the pictures of a catalogue, without use of the queries' labels."
    yield "Searches have the intent `similar`, which is the default, if no other one is named. Intervals are 95 %"
    yield "bootstrap intervals over queries.\n"
    yield f"A set with {MARK} is one on which choices were made. Its figures may be better than those on other"
    yield "pictures, by an amount that is not known: read them together with those of sets without a mark.\n"
    for name, result in found.items():
        yield f"- {marked(name, result)}: {result.choices or 'no choice was made on it'}."
    yield ""


def _summary(found: Mapping[str, SetResult]) -> Iterator[str]:
    rows = [(line, line.figure(found[line.set].figures)) for line in LINES if line.set in found]
    cells = [
        (marked(line.set, found[line.set]), line.measure, text(value), line.goal)
        for line, value in rows
        if value is not None
    ]
    further = [
        (name, measure, text(result.figures.weightings["similar"].metrics[measure]), "")
        for name, result in found.items()
        if name not in {line.set for line in LINES}
        for measure in MEASURES
    ]
    yield from table(("set", "measure", "value, 95 % interval", "goal"), [*cells, *further])
