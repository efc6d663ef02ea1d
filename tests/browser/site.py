"""A running system with a drawn shop in it, and the browser that looks at its page."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from infra.local_state import read_local_state
from producers.demo.catalogue import Catalogue, draw_catalogue
from tests.end_to_end.system import System, make_environment

SEED = 7
CALIBRATED_SECONDS = 180.0
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""The first that is there: without a window's machinery the tests of the page take .6 of the processor time."""
QUIET = tuple(f"--disable-{what}" for what in ("gpu", "quic", "background-networking", "component-update", "sync"))
"""Without these Chromium asks hosts of its maker's at every start."""
PATIENCE_MS = 30_000
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@dataclass(frozen=True)
class Site:
    """A system with its page, and the catalogue in it."""

    system: System
    catalogue: Catalogue
    address: str

    def photo(self, number: int) -> Path:
        """The casual photo of a product."""
        return self.catalogue.folder / self.catalogue.products[number].photo

    def kind_of(self, item: str) -> str:
        """The kind of a product, or of the product in a post."""
        posts = {post.id: post.product.kind for post in self.catalogue.posts}
        return posts.get(item) or {product.id: product.kind for product in self.catalogue.products}[item]

    def is_calibrated(self) -> bool:
        """Whether the index can tell how sure a hit is."""
        answer = httpx.post(f"{self.address}/v1/search", files={"picture": self.photo(0).read_bytes()}, timeout=10)
        return "threshold" in answer.json()


@contextmanager
def run_site(folder: Path, products: int, encoder: str, **settings: str) -> Iterator[Site]:
    """A system with a shop of so many products, indexed, calibrated and ready."""
    catalogue = draw_catalogue(folder / "shop", products, SEED)
    data = folder / "data"
    system = System(data, make_environment(data, {"LOOKSTREAM_ENCODER": encoder, **settings}), gateway=True).start()
    try:
        place = ("--image-root", catalogue.folder)
        system.run("ingest", "catalog", catalogue.products_file, *place)
        system.run("ingest", "social", catalogue.posts_file, *place)
        items = [product.id for product in catalogue.products] + [post.id for post in catalogue.posts]
        system.wait_for(lambda: system.indexed(items) == len(items), "the shop to be indexed")
        running = read_local_state(data)
        assert running is not None
        assert running.page is not None
        site = Site(system, catalogue, running.page)
        reason = "the index to learn what unrelated pictures score, which it does while nobody asks"
        system.wait_for(site.is_calibrated, reason, CALIBRATED_SECONDS, every=1)
        yield site
    finally:
        system.stop()


def find_browser() -> str | None:
    """The path of a Chromium on this machine."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@contextmanager
def launch_browser(path: str) -> Iterator[Browser]:
    """A Chromium without a window."""
    unconfined = ["--no-sandbox"] if os.geteuid() == 0 else []  # which Chromium wants of root, as in containers
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*QUIET, *unconfined])
        try:
            yield browser
        finally:
            browser.close()


@dataclass(frozen=True)
class PageProblems:
    """Errors of a page, and requests that it must not make."""

    wrongs: list[str]

    @classmethod
    def over(cls, page: Page, address: str) -> "PageProblems":
        """Record the errors of a page, violations of its content policy, and requests to other hosts."""
        problems = cls([])
        own = (address, "blob:", "data:")
        page.on("pageerror", lambda error: problems.note(f"error: {error}", wrong=True))
        page.on("request", lambda sent: problems.note(f"asks {sent.url}", wrong=not sent.url.startswith(own)))
        page.on("console", lambda line: problems.note(line.text, wrong="Content Security Policy" in line.text))
        return problems

    def note(self, what: str, *, wrong: bool) -> None:
        """Record a problem if it is one."""
        if wrong:
            self.wrongs.append(what)


def open_context(browser: Browser, site: Site, *, phone: bool = False) -> BrowserContext:
    """A fresh browser context, of a desktop or a phone."""
    context = browser.new_context(
        base_url=site.address,
        viewport=PHONE if phone else DESKTOP,  # type: ignore[arg-type]
        device_scale_factor=2 if phone else 1,
        has_touch=phone,
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE_MS)
    return context
