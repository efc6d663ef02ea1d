"""Actions of a user on the page, and its visible state."""

import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

SEARCHED = re.compile(r"in \d")
"""How the line above the hits ends once an answer is there."""


def choose(page: Page, picture: Path | dict[str, object]) -> None:
    """Choose a picture, as by the file dialog, and wait for the answer."""
    page.locator("[data-picture]").first.set_input_files(picture)  # type: ignore[arg-type]
    wait_for_answer(page)


def wait_for_answer(page: Page) -> None:
    """Wait until the hits are those of the search in the address bar."""
    expect(page.locator(".found")).to_have_attribute("aria-busy", "false")
    expect(page.locator("#summary")).to_have_text(SEARCHED)


def cards(page: Page) -> Locator:
    """The hits."""
    return page.locator("#hits .card")


def item_ids(page: Page) -> list[str]:
    """The hits by their item ids, as they are shown."""
    ids: list[str] = cards(page).evaluate_all("cards => cards.map(card => card.dataset.item)")
    return ids


def search_in_address(page: Page) -> str:
    """The search in the address bar."""
    return page.evaluate("decodeURIComponent(location.search)")  # type: ignore[no-any-return]


def show_nearest(page: Page) -> None:
    """Have hits shown that are no matches, too."""
    if page.locator("#strict").is_checked():
        page.locator("label", has_text="Matches only").click()
    wait_for_answer(page)
