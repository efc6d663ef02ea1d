"""Do searches find what words describe? `python -m tests.evaluation.words DATA --json words.json`

Texts and changes are composed of the labels of the fashion products: a text alone names two to four labels of a
product; a change names another value of one label of a reference item, in six phrasings. DATA is the folder that
`make evaluate` takes.
"""

import csv
import json
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from consumers.quality.evaluation.run import EvaluationSetup
from consumers.quality.evaluation.setup import SetupOptions, open_in_process
from consumers.quality.evaluation.system_under_test import SystemUnderTest
from infra.config.settings import read_settings
from infra.encoder import open_encoder
from schemas.items import InlineImage, ItemUpserted
from schemas.results import SearchResult
from schemas.searches import SearchRequest

LABELS = ("baseColour", "gender", "usage", "articleType")
FEWEST, RANKED = 10, 10
"""Items that a text alone must describe, and the hits that count."""
FEWEST_CHANGED = 3
"""Items that fit a change of a reference item."""
VAGUE = {"", "NA", "Multi", "Unisex"}
"""Labels that nobody types."""
NONSENSE = ("qwxyzt", "blorfian", "zzgrumph", "vexquilt", "trumbolo")
POSSESSIVES = {"Men": "men's", "Women": "women's", "Boys": "boys", "Girls": "girls"}
PHRASINGS: Mapping[str, Sequence[str]] = {
    "baseColour": ("but in {}", "the same in {}", "{}", "like this but {}", "in {} instead", "{} colour please"),
    "gender": ("but for {}", "the same for {}", "for {}", "like this but for {}", "for {} instead", "{} version"),
    "usage": ("but {}", "the same but {}", "{}", "like this but {}", "{} instead", "something more {}"),
    "articleType": ("but {}", "as {}", "{}", "like this but {}", "{} instead", "{} in the same style"),
}
TEXTS = (
    "{colour} {person} {usage} {thing}",
    "{usage} {thing} for {people} in {colour}",
    "{colour} {thing} {person}",
)

Product = Mapping[str, str]


@dataclass(frozen=True)
class WordQuery:
    """A text, the labels that hits must have, and the reference item of a change."""

    text: str
    labels: Mapping[str, str]
    item_id: str | None = None
    changed: str = ""


def read_products(data: Path, count: int, seed: int) -> list[Product]:
    """A sample of the products that have all labels."""
    with (data / "fashion" / "products.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if not VAGUE.intersection(row[name] for name in LABELS)]
    return random.Random(seed).sample(rows, min(count, len(rows)))


def fits(product: Product, labels: Mapping[str, str]) -> bool:
    return all(product[name] == value for name, value in labels.items())


def make_texts(products: Sequence[Product], count: int, seed: int) -> list[WordQuery]:
    """Texts that describe ten products or more, by the labels of one of them."""
    rng, queries = random.Random(seed), list[WordQuery]()
    for _ in range(count * 100):
        product, template = rng.choice(products), rng.choice(TEXTS)
        labels = dict(product)
        words = {
            "colour": labels["baseColour"].lower(),
            "person": POSSESSIVES[labels["gender"]],
            "people": labels["gender"].lower(),
            "usage": labels["usage"].lower(),
            "thing": rng.choice((labels["articleType"].lower(), labels["articleType"].lower().removesuffix("s"))),
        }
        used = {"articleType", "baseColour", "gender", *(("usage",) if "{usage}" in template else ())}
        described = {name: labels[name] for name in LABELS if name in used}
        if sum(fits(each, described) for each in products) >= FEWEST:
            queries.append(WordQuery(template.format(**words), described))
        if len(queries) == count:
            break
    return queries


def make_changes(products: Sequence[Product], count: int, seed: int) -> list[list[WordQuery]]:
    """Changes of one label of a reference item, each in six phrasings, that three other items fit."""
    by_labels = defaultdict[tuple[str, ...], int](int)
    for product in products:
        by_labels[tuple(product[name] for name in LABELS)] += 1
    values = {name: sorted({product[name] for product in products}) for name in LABELS}
    rng, changes = random.Random(seed), list[list[WordQuery]]()
    for _ in range(count * 1000):
        product, name = rng.choice(products), rng.choice(LABELS)
        labels = {label: product[label] for label in LABELS} | {name: rng.choice(values[name])}
        is_new = labels[name] != product[name]
        if is_new and by_labels[tuple(labels[label] for label in LABELS)] >= FEWEST_CHANGED:
            value = labels[name].lower()
            changes.append([WordQuery(p.format(value), labels, product["id"], name) for p in PHRASINGS[name]])
        if len(changes) == count:
            break
    return changes


def make_item(tenant: str, product: Product, folder: Path, *, has_colour: bool) -> ItemUpserted:
    """The item of a product; its colour is a fact of the merchant, or only in its picture."""
    attributes = {name: product[name] for name in ("gender", "usage", "season")}
    return ItemUpserted.model_validate(
        {
            "tenant": tenant,
            "item_id": product["id"],
            "revision": 1,
            "images": (InlineImage(data=(folder / product["image"]).read_bytes()),),
            "category": product["articleType"],
            "attributes": attributes | ({"color": product["baseColour"]} if has_colour else {}),
        }
    )


def average_precision(relevant: Sequence[bool], total: int) -> float:
    """Average precision of the first ten hits, of `total` relevant items."""
    found = [sum(relevant[: at + 1]) / (at + 1) for at, is_relevant in enumerate(relevant[:RANKED]) if is_relevant]
    return sum(found) / min(RANKED, total) if total else 0.0


@dataclass
class Shop:
    """The system under test with the products that it holds, by id."""

    system: SystemUnderTest
    products: Mapping[str, Product]

    def ask(self, requests: Sequence[Mapping[str, object]]) -> list[SearchResult]:
        fields = {"tenant": self.system.tenant, "strict": False, "top_k": RANKED}
        made = [
            SearchRequest.model_validate({"request_id": f"w{number}", **fields, **each})
            for number, each in enumerate(requests)
        ]
        return list(self.system.search(made))

    def matches(self, result: SearchResult, labels: Mapping[str, str]) -> list[bool]:
        return [fits(self.products[hit.item_id], labels) for hit in result.hits]


def score_texts(shop: Shop, queries: Sequence[WordQuery]) -> dict[str, float]:
    """Precision of the first ten hits of texts alone, and the share of queries that had to drop a word."""
    results = shop.ask([{"text": query.text} for query in queries])
    hits = [sum(shop.matches(result, query.labels)) for query, result in zip(queries, results, strict=True)]
    dropped = [any(word.dropped for word in result.understood) for result in results]
    unknown = [any(word.kind == "unknown" for word in result.understood) for result in results]
    return {
        "texts": len(queries),
        "precision_at_10": statistics.fmean(hits) / RANKED,
        "with_dropped_words": statistics.fmean(dropped),
        "with_unknown_words": statistics.fmean(unknown),
    }


def score_changes(shop: Shop, changes: Sequence[Sequence[WordQuery]]) -> dict[str, float]:
    """Mean average precision of changes, how much it differs over phrasings, and what stayed unchanged."""
    scores = list[list[float]]()
    unchanged, references, by_label = list[float](), list[bool](), defaultdict[str, list[float]](list)
    for phrasings in changes:
        results = shop.ask([{"item_id": query.item_id, "text": query.text} for query in phrasings])
        own = list[float]()
        for query, result in zip(phrasings, results, strict=True):
            total = sum(fits(product, query.labels) for product in shop.products.values())
            own.append(average_precision(shop.matches(result, query.labels), total))
            reference = shop.products[str(query.item_id)]
            same = [shop.products[hit.item_id][query.changed] == reference[query.changed] for hit in result.hits]
            unchanged.append(statistics.fmean(same) if same else 0.0)
            references.append(any(hit.item_id == query.item_id for hit in result.hits))
            by_label[query.changed].append(own[-1])
        scores.append(own)
    return {
        "changes": len(changes),
        "map_at_10": statistics.fmean(score for own in scores for score in own),
        **{f"map_at_10_{name}": statistics.fmean(own) for name, own in sorted(by_label.items())},
        "difference_of_phrasings": statistics.fmean(max(own) - min(own) for own in scores),
        "hits_with_the_old_value": statistics.fmean(unchanged),
        "reference_found": statistics.fmean(references),
    }


def score_nonsense(shop: Shop, queries: Sequence[WordQuery]) -> dict[str, float]:
    """Whether a made-up word in a text is reported, and the hits are those without it."""
    words = [NONSENSE[number % len(NONSENSE)] for number in range(len(queries))]
    plain = shop.ask([{"text": query.text} for query in queries])
    mixed = shop.ask([{"text": f"{word} {query.text}"} for word, query in zip(words, queries, strict=True)])
    reported = [result.understood[0].kind == "unknown" for result in mixed]
    same = [
        [hit.item_id for hit in a.hits] == [hit.item_id for hit in b.hits]
        for a, b in zip(plain, mixed, strict=True)
    ]
    return {"nonsense_reported": statistics.fmean(reported), "same_hits": statistics.fmean(same)}


def measure_cost(shop: Shop, changes: Sequence[Sequence[WordQuery]]) -> dict[str, float]:
    """Median time of searches by an item, without words and with them, one at a time, in milliseconds.

    Processor time (`cpu`) is also right on a machine that others use.
    """
    figures = dict[str, float]()
    for name, has_words in (("without_words", False), ("with_words", True)):
        clocks = list[tuple[float, float]]()
        for phrasings in changes:
            fields = {"item_id": phrasings[0].item_id} | ({"text": phrasings[0].text} if has_words else {})
            started = time.perf_counter(), time.process_time()
            shop.ask([fields])
            clocks.append((time.perf_counter() - started[0], time.process_time() - started[1]))
        for kind, seconds in zip(("ms", "cpu_ms"), zip(*clocks, strict=True), strict=True):
            figures[f"p50_{kind}_{name}"] = statistics.median(seconds) * 1000
    return figures


def open_shop(setup: EvaluationSetup, products: Sequence[Product], folder: Path, *, has_colour: bool) -> Shop:
    """Index the products for a tenant of their own."""
    system = setup.system.for_tenant("colours" if has_colour else "pictures")
    items = (make_item(system.tenant, product, folder, has_colour=has_colour) for product in products)
    for _ in setup.track(system.put(items), "indexing", len(products)):
        pass
    return Shop(system, {product["id"]: product for product in products})


def main(
    data: Annotated[Path, typer.Argument(help="The folder of `make evaluate`.")],
    json_file: Annotated[Path, typer.Option("--json", help="Write the figures here.")] = Path("words.json"),
    cache: Annotated[Path, typer.Option(help="Folder of cached looks.")] = Path(".lookstream/looks"),
    encoder: Annotated[str, typer.Option(help="The encoder.")] = "best",
    count: Annotated[int, typer.Option(help="Products of the shop.")] = 4_000,
    texts: Annotated[int, typer.Option(help="Texts alone.")] = 500,
    changes: Annotated[int, typer.Option(help="Changes of a reference item, each in six phrasings.")] = 1_000,
) -> None:
    """Measure searches by words on a shop of fashion products."""
    settings, console = read_settings(), Console()
    products = read_products(data, count, seed=0)
    text_queries, change_queries = make_texts(products, texts, seed=1), make_changes(products, changes, seed=2)
    figures: dict[str, dict[str, float]] = {}
    options = SetupOptions(encoder, cache, console)
    with open_in_process(settings, open_encoder(encoder, settings.torch), options) as setup:
        for name, has_colour in (("colours are facts", True), ("colours are in the pictures", False)):
            shop = open_shop(setup, products, data / "fashion", has_colour=has_colour)
            figures[name] = (
                score_texts(shop, text_queries)
                | score_nonsense(shop, text_queries[:100])
                | score_changes(shop, change_queries)
                | measure_cost(shop, change_queries[:200])
            )
            console.print(name, figures[name])
    json_file.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
