"""How much processor time the variations of a search by an item take: `python -m tests.benchmarks.variations`.

The facts are made up: 100 neighbours with a category, a brand, five attributes, 40 colour cells and a title.
"""

import random
import time
from typing import Any

from consumers.points.terms import item_terms
from consumers.searching.query_state import QueryState
from consumers.searching.search_plans import NEIGHBOUR_COUNT
from consumers.searching.words.lexicon import read_lexicon
from consumers.searching.words.prices import ItemPrice, PriceBoundsReader
from consumers.searching.words.variations import VariationFinder
from consumers.searching.words.vocabulary import Vocabulary
from consumers.searching.words.word_parser import WordParser
from infra.qdrant.contract import ScoredPoint
from schemas.envelope import Event
from schemas.searches import SearchRequest

SEED, ROUNDS, CALLS = 7, 5, 40
CATEGORIES = [f"Kind {number}" for number in range(60)]
BRANDS = [f"House {number}" for number in range(200)]
COLOURS = (
    "Navy Blue",
    "Red",
    "Maroon",
    "Black",
    "White",
    "Olive",
    "Green",
    "Blue",
    "Grey",
    "Pink",
    "Purple",
    "Teal",
)
PATTERNS = ("Striped", "Printed", "Checked", "Solid", "Floral")
ATTRIBUTES = {"gender": ("Men", "Women"), "season": ("Summer", "Winter"), "usage": ("Casual",), "sleeve": ("Long",)}
SHADES = [f"cell {number}" for number in range(40)]


def draw_facts(rng: random.Random) -> dict[str, Any]:
    """The facts of one item, as a point holds them."""
    attributes = {"color": rng.choice(COLOURS)} | {name: rng.choice(values) for name, values in ATTRIBUTES.items()}
    facts = {
        "title": f"{rng.choice(PATTERNS)} shirt of fine cotton for men and women",
        "category": rng.choice(CATEGORIES),
        "brand": rng.choice(BRANDS),
        "price": round(rng.uniform(5, 100), 2),
        "currency": "EUR",
        "attributes": attributes,
        "attribute_values": [f"{name}={value}" for name, value in attributes.items()],
        "colours": ["blue", "white"],
        "shades": SHADES,
    }
    return facts | {"words": item_terms(facts)}


def make_finder() -> VariationFinder:
    """The finder of a search by an item with its neighbours."""
    rng, lexicon, vocabulary = random.Random(SEED), read_lexicon(), Vocabulary(currencies=("EUR",))
    item, *neighbours = [draw_facts(rng) for _ in range(NEIGHBOUR_COUNT + 1)]
    for facts in (item, *neighbours):
        for name in ("category", "brand"):
            vocabulary.add(name, facts[name])
        for pair in facts["attribute_values"]:
            vocabulary.add_attribute(pair, lexicon)
    request = SearchRequest(request_id="q", item_id="item", variations=True)
    search = QueryState(Event(request), request)
    search.set_item(item)
    search.set_neighbours([ScoredPoint(str(number), 0.5, facts) for number, facts in enumerate(neighbours)])
    prices = PriceBoundsReader(lexicon, "EUR", ItemPrice(item["price"], "EUR"))
    return VariationFinder(WordParser(lexicon, vocabulary, prices), search)


def main() -> None:
    """Print the time of the fastest round, which other processes disturb least."""
    finder = make_finder()
    seconds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(CALLS):
            found = finder.find()
        seconds.append((time.process_time() - began) / CALLS)
    print(
        f"{len(found)} variations of {NEIGHBOUR_COUNT} neighbours: {1000 * min(seconds):.1f} ms of processor time"
    )


if __name__ == "__main__":
    main()
