"""The worst failures as a picture: what was asked, what came first, and what would have been right."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from consumers.quality.evaluation.ground_truth import GroundTruth
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.ranking_metrics import Relevance
from consumers.quality.evaluation.retrieval_scores import Results
from consumers.quality.evaluation.system_under_test import place_of

MOST = 24
"""How many failures fit on a sheet that people still look at."""
COLUMNS = 3
SIDE, MARGIN, GAP, LINE = 168, 24, 12, 20
TITLES = ("asked", "came first", "would have been right")
PAGE, CARD, INK, SOFT, WRONG, RIGHT = "#eef1f5", "#ffffff", "#17202e", "#687386", "#b42318", "#1a7f4b"

CellPosition = tuple[int, int]


@dataclass(frozen=True)
class SearchFailure:
    """A query whose first hit is wrong; `rank` is that of its first right hit, from 1, None beyond the answer."""

    asked: LabelledImage
    first: LabelledImage
    right: LabelledImage
    score: float
    rank: int | None


def worst(trial: GroundTruth, results: Results, judged: Relevance, limit: int = MOST) -> list[SearchFailure]:
    """The failures, first those without any right hit, and the surest mistakes first among equals."""
    failures = [
        _failure(trial, row, n, results, judged)
        for n, row in enumerate(trial.queries)
        if results[n].hits and not judged.right[n, 0]
    ]
    return sorted(failures, key=lambda one: (one.rank is not None, -one.score))[:limit]


def _failure(trial: GroundTruth, row: LabelledImage, n: int, results: Results, judged: Relevance) -> SearchFailure:
    hits, right = results[n].hits, judged.right[n]
    rank = int(right.argmax()) + 1 if right.any() else None
    own = trial.itself(row)
    others = (other for place, other in enumerate(trial.catalogue) if other.label == row.label and place != own)
    answer = next(others) if rank is None else trial.catalogue[place_of(hits[rank - 1].item_id)]
    return SearchFailure(row, trial.catalogue[place_of(hits[0].item_id)], answer, hits[0].score, rank)


def draw_failures(failures: Sequence[SearchFailure]) -> Image.Image:
    """The sheet, RGB; says so when there is nothing to show."""
    lines = max(1, -(-len(failures) // COLUMNS))
    width = MARGIN + COLUMNS * (_width() + MARGIN)
    page = Image.new("RGB", (width, MARGIN + LINE + lines * (_height() + GAP) + MARGIN), PAGE)
    draw = ImageDraw.Draw(page)
    for column in range(COLUMNS if failures else 0):
        for n, title in enumerate(TITLES):
            draw.text((_left(column) + n * (SIDE + GAP), MARGIN - 6), title, SOFT, ImageFont.load_default(13))
    if not failures:
        draw.text((MARGIN, MARGIN), "no failures: every first hit is right", INK, ImageFont.load_default(15))
    for n, one in enumerate(failures):
        _draw_failure(page, draw, one, (_left(n % COLUMNS), MARGIN + LINE + n // COLUMNS * (_height() + GAP)))
    return page


def _draw_failure(page: Image.Image, draw: ImageDraw.ImageDraw, one: SearchFailure, place: CellPosition) -> None:
    found = "not found" if one.rank is None else f"came {one.rank}."
    captions = (one.asked.label, f"{one.score:.2f} {one.first.label}", f"{found} {one.right.label}")
    rows = zip((one.asked, one.first, one.right), captions, (INK, WRONG, RIGHT), strict=True)
    for n, (row, caption, colour) in enumerate(rows):
        left, top = place[0] + n * (SIDE + GAP), place[1]
        draw.rectangle((left, top, left + SIDE, top + SIDE), fill=CARD)
        _paste(page, row.path, (left, top))
        draw.text((left, top + SIDE + 4), _fit(caption), colour, ImageFont.load_default(13))


def _paste(page: Image.Image, path: Path, place: CellPosition) -> None:
    """The picture, whole and in the middle of its card; an empty card when it cannot be read."""
    try:
        with Image.open(path) as opened:
            fitted = ImageOps.contain(ImageOps.exif_transpose(opened).convert("RGB"), (SIDE, SIDE))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return
    page.paste(fitted, (place[0] + (SIDE - fitted.width) // 2, place[1] + (SIDE - fitted.height) // 2))


def _fit(text: str) -> str:
    font = ImageFont.load_default(13)
    while font.getlength(text) > SIDE:
        text = text.removesuffix("…")[:-1] + "…"
    return text


def _width() -> int:
    return len(TITLES) * SIDE + (len(TITLES) - 1) * GAP


def _height() -> int:
    return SIDE + LINE + 4


def _left(column: int) -> int:
    return MARGIN + column * (_width() + MARGIN)
