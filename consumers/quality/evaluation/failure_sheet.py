"""Failure sheet: draws the worst failures: query, first hit with its confidences, and what would be correct."""

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
from schemas.results import Hit

MAX_FAILURES = 20
"""The number of failures on a sheet, few enough for people to look at all of them."""
COLUMNS, LINES = 2, 3
"""Failures in a row of the sheet, and lines of text below a picture."""
SIDE, MARGIN, GAP, LINE = 210, 24, 12, 20
TITLES = ("query", "first hit", "correct would have been")
BACKGROUND, CARD, DARK, GREY, RED, GREEN = "#eef1f5", "#ffffff", "#17202e", "#687386", "#b42318", "#1a7f4b"

CellPosition = tuple[int, int]


@dataclass(frozen=True)
class SearchFailure:
    """A query with a wrong first hit; `rank`, from 1, is that of the first relevant hit, None when there is none.

    `relevant` is the picture of that hit, or else another relevant picture. `score` is that of the first hit.
    `captions` are the lines of text below the three pictures.
    """

    query: LabelledImage
    first: LabelledImage
    relevant: LabelledImage
    score: float
    rank: int | None
    captions: tuple[tuple[str, ...], ...]


def name_of(row: LabelledImage) -> str:
    """What a picture shows, and its category if that says more."""
    category = f" ({row.category})" if row.category not in ("", row.label) else ""
    return (row.label or row.image) + category


def _confidences(hit: Hit) -> str:
    item = "" if hit.same_item is None else f", same item {hit.same_item:.0%}"
    return f"confidence {hit.confidence:.0%}{item}"


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
    coverage = results[n].coverage
    captions = (
        (name_of(row), f"coverage {'unknown' if coverage is None else f'{coverage:.0%}'}"),
        (name_of(first), f"score {hits[0].score:.2f}", _confidences(hits[0])),
        (name_of(relevant), *(("not among the hits",) if rank is None else _found(rank, hits[rank - 1]))),
    )
    return SearchFailure(row, first, relevant, hits[0].score, rank, captions)


def _found(rank: int, hit: Hit) -> tuple[str, str]:
    return f"hit {rank}", _confidences(hit)


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
        draw.text((MARGIN, MARGIN), "no failures: every first hit is correct", DARK, ImageFont.load_default(15))
    for n, failure in enumerate(failures):
        _draw_failure(page, draw, failure, (_left(n % COLUMNS), MARGIN + LINE + n // COLUMNS * (_height() + GAP)))
    return page


def _draw_failure(
    page: Image.Image, draw: ImageDraw.ImageDraw, failure: SearchFailure, position: CellPosition
) -> None:
    pictures = zip(
        (failure.query, failure.first, failure.relevant), failure.captions, (DARK, RED, GREEN), strict=True
    )
    for n, (row, lines, colour) in enumerate(pictures):
        left, top = position[0] + n * (SIDE + GAP), position[1]
        draw.rectangle((left, top, left + SIDE, top + SIDE), fill=CARD)
        _paste(page, row.read(), (left, top))
        for line, text in enumerate(lines):
            place = left, top + SIDE + 4 + line * LINE
            draw.text(place, _truncate(text), GREY if line else colour, ImageFont.load_default(13))


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
    return SIDE + LINES * LINE + 4


def _left(column: int) -> int:
    return MARGIN + column * (_width() + MARGIN)
