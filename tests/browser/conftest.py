"""One system and browser for the tests of a file, and a fresh browser context for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.site import PATIENCE_MS, PageProblems, Site, find_browser, launch_browser, open_context, run_site

PRODUCTS = 60


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium. It ends with its file: while it runs, nothing else in the process may have an event loop."""
    path = find_browser()
    if path is None:
        pytest.skip("no Chromium is installed: install Debian's package chromium-headless-shell, or Google Chrome")
    expect.set_options(timeout=PATIENCE_MS)
    with launch_browser(path) as browser:
        yield browser


@pytest.fixture(scope="module")
def site(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A system with a shop in it."""
    with run_site(tmp_path_factory.mktemp("site"), PRODUCTS, "fast") as site:
        yield site


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """The page as a new visitor finds it; at the end it must have made no error and asked no other host."""
    context = open_context(browser, site)
    page = context.new_page()
    problems = PageProblems.over(page, site.address)
    page.goto("/")
    yield page
    context.close()
    assert problems.wrongs == []


@pytest.fixture
def screenshots(request: pytest.FixtureRequest) -> Path | None:
    """The folder that screenshots are kept in; none unless they are asked for."""
    option: str | None = request.config.getoption("--screenshots")
    if option is None:
        return None
    Path(option).mkdir(parents=True, exist_ok=True)
    return Path(option)
