"""The curves of a fit as a picture; matplotlib lives here."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from consumers.quality.fitting.fit import HeadReport
from consumers.quality.fitting.head_weight import CHOSEN_BY

INK, SOFT, ACCENT = "#17202e", "#98a2b3", "#2255cc"


def draw_curves(story: HeadReport, file: Path) -> None:
    """Loss and score over epochs, and the answers at each share, as a PNG."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_lessons(left, story)
    _draw_shares(right, story)
    figure.savefig(file, dpi=120)


def _draw_lessons(axes: Axes, story: HeadReport) -> None:
    epochs = range(1, len(story.lessons) + 1)
    axes.plot(epochs, [lesson.loss for lesson in story.lessons], color=SOFT)
    axes.set(xlabel="epoch", ylabel="loss", title="a head in training")
    score = axes.twinx()
    score.plot(epochs, [lesson.score for lesson in story.lessons], color=ACCENT)
    score.set_ylabel("mAP@10 of pictures held back", color=ACCENT)
    score.axvline(story.best_epoch, color=INK, linestyle=":", linewidth=1)


def _draw_shares(axes: Axes, story: HeadReport) -> None:
    verdicts = {"labels that the head saw": (story.seen, ACCENT), "labels that it never saw": (story.unseen, SOFT)}
    for name, (verdict, colour) in verdicts.items():
        if verdict is not None:
            shares = [float(share) for share in verdict.shares]
            axes.plot(shares, [one[CHOSEN_BY] for one in verdict.shares.values()], color=colour, label=name)
    axes.axvline(story.share, color=INK, linestyle=":", linewidth=1)
    axes.set(xlabel="the head's share of the cosine", ylabel=CHOSEN_BY, title="on pictures held back")
    axes.legend(frameon=False)
