"""Texts and changes are made of labels, and figures are those of the hits."""

from tests.evaluation.words import LABELS, PHRASINGS, average_precision, fits, make_changes, make_texts

ROWS = [
    {"id": f"{colour}-{thing}-{n}", "baseColour": colour, "gender": "Men", "usage": "Casual", "articleType": thing}
    for colour in ("Red", "Navy Blue")
    for thing in ("Shirts", "Belts")
    for n in range(10)
]


def test_a_text_describes_ten_products_or_more() -> None:
    queries = make_texts(ROWS, 20, seed=1)
    assert len(queries) == 20
    for query in queries:
        assert sum(fits(row, query.labels) for row in ROWS) >= 10
        assert query.labels["articleType"].lower().removesuffix("s") in query.text
        assert query.labels["baseColour"].lower() in query.text


def test_a_change_replaces_one_label_in_six_phrasings() -> None:
    changes = make_changes(ROWS, 20, seed=2)
    assert len(changes) == 20
    for phrasings in changes:
        assert len({query.text for query in phrasings}) == len(PHRASINGS[phrasings[0].changed]) == 6
        [reference] = [row for row in ROWS if row["id"] == phrasings[0].item_id]
        different = [name for name in LABELS if phrasings[0].labels[name] != reference[name]]
        assert different == [phrasings[0].changed]


def test_average_precision_counts_the_ranks_of_relevant_hits() -> None:
    assert average_precision([True, True, False], 2) == 1.0
    assert average_precision([False, True], 1) == 0.5
    assert average_precision([True] + [False] * 9, 20) == 0.1
    assert average_precision([], 5) == 0.0
