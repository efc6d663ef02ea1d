"""How the page looks, and how it is for those who do not look: screenshots, and what axe finds."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.site import Site, open_context
from tests.browser.steps import cards, choose, show_nearest

SERIOUS = ("serious", "critical")
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
Step = Callable[[Page, Site], None]


def start(page: Page, _site: Site) -> None:
    """The first sight."""
    expect(page.locator("#examples-list img").first).to_be_visible()


def hits(page: Page, site: Site) -> None:
    """A search with hits, one of them explained, and its filters open."""
    choose(page, site.photo(2))
    show_nearest(page)
    for details in page.locator(".side details").all():
        details.evaluate("details => { details.open = true; }")
    expect(page.locator("#facets .chip").first).to_be_visible()
    cards(page).nth(1).get_by_role("button", name="Why").click()


def crop(page: Page, site: Site) -> None:
    """A crop on the picture."""
    choose(page, site.photo(2))
    page.locator("#crop-start").click()
    page.wait_for_url("**crop=**")


def nothing(page: Page, site: Site) -> None:
    """No match."""
    choose(page, site.photo(2))
    page.goto(f"{page.url}&price_max=0&currency=EUR")
    expect(page.locator("#nothing")).to_be_visible()


def adding(page: Page, site: Site) -> None:
    """The dialog that adds an item."""
    start(page, site)
    page.get_by_role("button", name="Add an item").click()
    page.locator("#add-picture").set_input_files(site.photo(4))
    expect(page.locator("#add-preview")).to_be_visible()


@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
@pytest.mark.parametrize("step", [start, hits, crop, nothing, adding], ids=lambda step: step.__name__)
def test_nobody_is_kept_out_and_the_sight_is_kept(
    browser: Browser, site: Site, screenshots: Path, step: Step, phone: bool
) -> None:
    with open_context(browser, site, phone=phone) as context:
        page = context.new_page()
        page.goto("/")
        step(page, site)
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=screenshots / f"{step.__name__}-{'phone' if phone else 'desktop'}-{scheme}.png")
            assert serious_findings(page) == []
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), "wider than the window"


def serious_findings(page: Page) -> list[tuple[str, list[str]]]:
    """What axe finds that keeps somebody out, and where."""
    found = Axe().run(page).response["violations"]
    return [(one["id"], [node["html"] for node in one["nodes"]]) for one in found if one["impact"] in SERIOUS]


def test_everything_can_be_reached_by_keyboard(page: Page, site: Site) -> None:
    choose(page, site.photo(2))
    reached = set()
    for _ in range(160):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
    assert {"crop-start", "strict", "narrow", "share", "add-open", "Why"} <= reached
