"""Plots: draws the training curves of a fit as a PNG; the only module that imports matplotlib."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from consumers.quality.fitting.fit import HeadReport
from consumers.quality.fitting.head_weight import CHOSEN_BY

DARK, GREY, ACCENT = "#17202e", "#98a2b3", "#2255cc"


def draw_curves(report: HeadReport, file: Path) -> None:
    """Write a PNG of the loss and score over epochs, and of the scores at each share of the head."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_epochs(left, report)
    _draw_shares(right, report)
    figure.savefig(file, dpi=120)


def _draw_epochs(axes: Axes, report: HeadReport) -> None:
    epochs = range(1, len(report.lessons) + 1)
    axes.plot(epochs, [epoch.loss for epoch in report.lessons], color=GREY)
    axes.set(xlabel="epoch", ylabel="loss", title="training of the head")
    score_axes = axes.twinx()
    score_axes.plot(epochs, [epoch.score for epoch in report.lessons], color=ACCENT)
    score_axes.set_ylabel("mAP@10 of held-out pictures", color=ACCENT)
    score_axes.axvline(report.best_epoch, color=DARK, linestyle=":", linewidth=1)


def _draw_shares(axes: Axes, report: HeadReport) -> None:
    comparisons = {
        "labels that the head was trained on": (report.seen, ACCENT),
        "other labels": (report.unseen, GREY),
    }
    for legend, (comparison, colour) in comparisons.items():
        if comparison is not None:
            shares = [float(share) for share in comparison.shares]
            axes.plot(
                shares, [means[CHOSEN_BY] for means in comparison.shares.values()], color=colour, label=legend
            )
    axes.axvline(report.share, color=DARK, linestyle=":", linewidth=1)
    axes.set(xlabel="the head's share of the cosine", ylabel=CHOSEN_BY, title="on held-out pictures")
    axes.legend(frameon=False)
