"""One system for the tests of a file; a browser, and a context that knows nothing yet for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.site import PATIENCE_MS, Site, Watched, find_browser, open_context, running_browser, running_site

PRODUCTS = 60


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium. It ends with its file: while it runs, nothing else in the process may have an event loop."""
    path = find_browser()
    if path is None:
        pytest.skip("no Chromium is installed: install Debian's package chromium-headless-shell, or Google Chrome")
    expect.set_options(timeout=PATIENCE_MS)
    with running_browser(path) as browser:
        yield browser


@pytest.fixture(scope="module")
def site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A system with a shop in it."""
    with running_site(tmp_path_factory.mktemp("site"), PRODUCTS, "fast") as site:
        yield site


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """The page as a new visitor finds it; at the end it must have made no error and asked no other host."""
    context = open_context(browser, site)
    page = context.new_page()
    watched = Watched.over(page, site.address)
    page.goto("/")
    yield page
    context.close()
    assert watched.wrongs == []


@pytest.fixture
def screenshots(request: pytest.FixtureRequest) -> Path | None:
    """The folder that screenshots are kept in; none unless they are asked for."""
    asked: str | None = request.config.getoption("--screenshots")
    if asked is None:
        return None
    Path(asked).mkdir(parents=True, exist_ok=True)
    return Path(asked)
