"""Failure sheet: draws the worst failures: the query, its wrong first hit, and a relevant picture."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont, ImageOps

from consumers.quality.evaluation.ground_truth import GroundTruth
from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.evaluation.ranking_metrics import Relevance
from consumers.quality.evaluation.retrieval_scores import Results
from consumers.quality.evaluation.system_under_test import catalogue_position
from infra.images.decode import DecodeLimits, decode
from schemas.failures import Rejected

MAX_FAILURES = 24
"""The number of failures on a sheet, few enough for people to look at all of them."""
COLUMNS = 3
SIDE, MARGIN, GAP, LINE = 168, 24, 12, 20
TITLES = ("asked", "came first", "would have been right")
BACKGROUND, CARD, DARK, GREY, RED, GREEN = "#eef1f5", "#ffffff", "#17202e", "#687386", "#b42318", "#1a7f4b"

CellPosition = tuple[int, int]


@dataclass(frozen=True)
class SearchFailure:
    """A query with a wrong first hit; `rank`, from 1, is that of the first relevant hit, None when there is none.

    `relevant` is the picture of that hit, or else another relevant picture; `score` is that of the first hit.
    """

    query: LabelledImage
    first: LabelledImage
    relevant: LabelledImage
    score: float
    rank: int | None


def worst_failures(
    truth: GroundTruth, results: Results, relevance: Relevance, limit: int = MAX_FAILURES
) -> list[SearchFailure]:
    """At most `limit` failures: first those without a relevant hit, and among equals the highest scores first."""
    failures = [
        _failure(truth, row, n, results, relevance)
        for n, row in enumerate(truth.queries)
        if results[n].hits and relevance.relevant[n] and not relevance.right[n, 0]
    ]
    return sorted(failures, key=lambda failure: (failure.rank is not None, -failure.score))[:limit]


def _failure(
    truth: GroundTruth, row: LabelledImage, n: int, results: Results, relevance: Relevance
) -> SearchFailure:
    hits, correct = results[n].hits, relevance.right[n]
    rank = int(correct.argmax()) + 1 if correct.any() else None
    position = int(truth.qrels_of(row)[0][0]) if rank is None else catalogue_position(hits[rank - 1].item_id)
    relevant = truth.catalogue[position]
    first = truth.catalogue[catalogue_position(hits[0].item_id)]
    return SearchFailure(row, first, relevant, hits[0].score, rank)


def draw_failures(failures: Sequence[SearchFailure]) -> Image.Image:
    """The sheet as an RGB picture; without failures it has one line of text that says so."""
    rows = max(1, -(-len(failures) // COLUMNS))
    width = MARGIN + COLUMNS * (_width() + MARGIN)
    page = Image.new("RGB", (width, MARGIN + LINE + rows * (_height() + GAP) + MARGIN), BACKGROUND)
    draw = ImageDraw.Draw(page)
    for column in range(COLUMNS if failures else 0):
        for n, title in enumerate(TITLES):
            draw.text((_left(column) + n * (SIDE + GAP), MARGIN - 6), title, GREY, ImageFont.load_default(13))
    if not failures:
        draw.text((MARGIN, MARGIN), "no failures: every first hit is right", DARK, ImageFont.load_default(15))
    for n, failure in enumerate(failures):
        _draw_failure(page, draw, failure, (_left(n % COLUMNS), MARGIN + LINE + n // COLUMNS * (_height() + GAP)))
    return page


def _draw_failure(
    page: Image.Image, draw: ImageDraw.ImageDraw, failure: SearchFailure, position: CellPosition
) -> None:
    rank = "not found" if failure.rank is None else f"came {failure.rank}."
    pictures = (failure.query, failure.first, failure.relevant)
    query, first, relevant = (row.label or row.image for row in pictures)
    captions = (query, f"{failure.score:.2f} {first}", f"{rank} {relevant}")
    for n, (row, caption, colour) in enumerate(zip(pictures, captions, (DARK, RED, GREEN), strict=True)):
        left, top = position[0] + n * (SIDE + GAP), position[1]
        draw.rectangle((left, top, left + SIDE, top + SIDE), fill=CARD)
        _paste(page, row.read(), (left, top))
        draw.text((left, top + SIDE + 4), _truncate(caption), colour, ImageFont.load_default(13))


def _paste(page: Image.Image, picture: bytes, position: CellPosition) -> None:
    """Paste the whole picture, centred on its card; leave the card empty when the picture cannot be read."""
    try:
        fitted = ImageOps.contain(decode(picture, DecodeLimits(min_side=1)).image, (SIDE, SIDE))
    except Rejected:
        return
    page.paste(fitted, (position[0] + (SIDE - fitted.width) // 2, position[1] + (SIDE - fitted.height) // 2))


def _truncate(text: str) -> str:
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
