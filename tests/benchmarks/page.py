"""How long the page takes from a picture to painted hits, and how the gateway serves fifty callers at once.

`python -m tests.benchmarks.page`: a system with the default encoder and a drawn shop of 240, a real Chromium.
"""

import json
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import httpx
import numpy as np
import typer
from playwright.sync_api import Browser, Page
from rich.console import Console
from rich.progress import track

from infra.observability.host_info import describe_machine, installed_versions
from tests.benchmarks.fresh_bytes import new
from tests.browser.site import Site, find_browser, launch_browser, open_context, run_site
from tests.browser.steps import choose

PRODUCTS = 240
ENCODING = ("decoded", "encoded")
NO_LIMIT = {"LOOKSTREAM_GATEWAY_PER_MINUTE": "1000000"}
"""All callers have one address here."""
PAINTED = "performance.getEntriesByName('painted').length > 0"
MEASURED = """() => {
    const [begun] = performance.getEntriesByName("picture").slice(-1);
    const [done] = performance.getEntriesByName("painted").slice(-1);
    return {ms: done.startTime - begun.startTime, times: done.detail};
}"""


def main(
    encoder: Annotated[str, typer.Option(help="The encoder.")] = "best",
    uploads: Annotated[int, typer.Option(help="Pictures to search by on the page.")] = 60,
    callers: Annotated[int, typer.Option(help="Who ask the gateway at once.")] = 50,
    seconds: Annotated[float, typer.Option(help="How long they do.")] = 60,
    json_file: Annotated[Path | None, typer.Option("--json", help="Where to write the figures.")] = None,
) -> None:
    """Measure, and print the figures."""
    path = find_browser()
    if path is None:
        raise typer.BadParameter("no Chromium is installed")
    with tempfile.TemporaryDirectory() as folder, run_site(Path(folder), PRODUCTS, encoder, **NO_LIMIT) as site:
        with launch_browser(path) as browser:
            figures: dict[str, Any] = {"page": time_uploads(browser, site, uploads)}
        figures["gateway"] = ask_at_once(site, callers, seconds)
    figures |= {"machine": describe_machine(), "versions": installed_versions()}
    Console().print_json(json.dumps(figures))
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2))


def time_uploads(browser: Browser, site: Site, uploads: int) -> dict[str, Any]:
    """Milliseconds from a chosen picture to the frame that shows its hits, and how much of them is not encoding."""
    with open_context(browser, site) as context:
        page = context.new_page()
        page.goto("/")
        choose(page, site.photo(0))  # connections open, code is compiled
        found = [_time_one(page, site.photo(n % PRODUCTS)) for n in track(range(1, uploads + 1), "pictures")]
    rest = [ms - sum(steps[step] for step in ENCODING) for ms, steps in found]
    return {
        "uploads": uploads,
        "painted_ms": spread([ms for ms, _ in found]),
        "beside_decode_and_encode_ms": spread(rest),
        "steps_ms": {step: spread([steps[step] for _, steps in found]) for step in found[0][1]},
    }


def _time_one(page: Page, photo: Path) -> tuple[float, dict[str, float]]:
    photo.write_bytes(new(photo.read_bytes()))
    page.evaluate("performance.clearMarks()")
    choose(page, photo)
    while not page.evaluate(PAINTED):  # Playwright's own way to wait is an eval, which the page does not allow
        page.wait_for_timeout(5)
    measured = page.evaluate(MEASURED)
    return measured["ms"], measured["times"]


def ask_at_once(site: Site, callers: int, seconds: float) -> dict[str, Any]:
    """The answers to so many callers at once, and the gateway's memory."""
    before = _resident_mb(site)
    answers: Counter[int] = Counter()
    took: list[float] = []
    grown: list[float] = []
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=_ask, args=(site, n, until, answers, took)) for n in range(callers)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(1)
        grown.append(_resident_mb(site))
    third = len(grown) // 3
    return {
        "callers": callers,
        "seconds": seconds,
        "answers": {str(status): count for status, count in sorted(answers.items())},
        "answered_ms": spread(took),
        "resident_mb": {"before": before, "first_third": max(grown[:third]), "last_third": max(grown[-third:])},
    }


def _ask(site: Site, number: int, until: float, answers: "Counter[int]", took: list[float]) -> None:
    picture = site.photo(number % PRODUCTS).read_bytes()
    with httpx.Client(base_url=site.address, timeout=60, trust_env=False) as client:
        while time.monotonic() < until:
            begun = time.perf_counter()
            response = client.post(
                "/v1/search", files={"picture": new(picture)}, data={"request": '{"thumbnails": true}'}
            )
            answers[response.status_code] += 1
            if response.status_code == 200:
                took.append((time.perf_counter() - begun) * 1000)
            else:
                time.sleep(0.2)  # as Retry-After asks, but sooner


def _resident_mb(site: Site) -> float:
    pid = site.system.children()["gateway"]
    return round(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6, 1)


def spread(values: list[float]) -> dict[str, float]:
    """Median and tail."""
    return {f"p{p}": round(float(np.percentile(values, p)), 1) for p in (50, 95)} if values else {}


if __name__ == "__main__":
    typer.run(main)
