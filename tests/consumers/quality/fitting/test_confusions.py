"""Confusions of labels, on made-up rows."""

from pathlib import Path

import numpy as np

from consumers.quality.evaluation.labelled_dataset import LabelledImage
from consumers.quality.fitting.confusions import find_confusions
from consumers.quality.fitting.validation import ValidationSet

ROWS = np.array(
    [
        [1.0, 0.0],  # 0: label 0
        [0.8, 0.6],  # 1: label 1
        [0.0, 1.0],  # 2: label 1
        [0.6, 0.8],  # 3: query of label 1, nearest to row 1
        [0.96, 0.28],  # 4: query of label 1, nearest to row 0
        [0.995, 0.0999],  # 5: query of label 1, still nearer to row 0
        [1.0, 0.0],  # 6: query of label 2, which no candidate has
    ],
    np.float32,
)
LABELS = np.array([0, 1, 1, 1, 1, 1, 2])
SET = ValidationSet(np.array([3, 4, 5, 6]), np.array([0, 1, 2]), LABELS)
IMAGES = [LabelledImage(f"{n}.jpg", Path(f"{n}.jpg"), f"label {label}") for n, label in enumerate(LABELS)]


def test_a_pair_of_labels_is_counted_with_its_most_similar_example() -> None:
    [confusion] = find_confusions(ROWS, SET)
    assert (confusion.count, confusion.queries) == (2, 3)
    assert (confusion.query, confusion.first, confusion.right, confusion.rank) == (5, 0, 1, 2)
    assert confusion.describe(IMAGES) == {
        "label": "label 1", "other": "label 0", "count": 2, "queries": 3,
        "query": "5.jpg", "first": "0.jpg", "right": "1.jpg", "rank": 2,
    }  # fmt: skip
    example = confusion.example(IMAGES)
    assert [image.image for image in (example.query, example.first, example.relevant)] == [
        "5.jpg",
        "0.jpg",
        "1.jpg",
    ]


def test_a_picture_is_no_hit_of_itself_and_right_hits_are_no_confusion() -> None:
    everything = np.arange(3)
    assert (
        find_confusions(np.eye(3, dtype=np.float32), ValidationSet(everything, everything, np.zeros(3, int))) == []
    )
    hits, cosines = ValidationSet(everything, everything, LABELS[:3]).rank(ROWS, 2)
    assert hits.tolist() == [[1, 2], [0, 2], [1, 0]]
    assert np.isfinite(cosines).all()


def test_the_most_frequent_pair_is_first() -> None:
    rows = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0.1], [0, 0.1, 1], [0, 0.2, 1]], np.float32)
    labels = np.array([0, 1, 2, 0, 0, 0])
    found = find_confusions(rows, ValidationSet(np.array([3, 4, 5]), np.array([0, 1, 2]), labels))
    assert [(confusion.count, confusion.first) for confusion in found] == [(2, 2), (1, 1)]
