"""Items that are added on the page, and a gateway that wants its token."""

from playwright.sync_api import Browser, Page, expect

from tests.browser.site import Site, open_context
from tests.browser.steps import cards, choose, item_ids, wait_for_answer
from tests.end_to_end.gateway import gateway_beside

TITLE = '<img src=x onerror=alert(1)> a "find"'


def test_an_item_is_added_watched_until_it_can_be_found_and_then_found(page: Page, site: Site) -> None:
    page.get_by_role("button", name="Add an item").click()
    page.locator("#add-picture").set_input_files(site.photo(13))
    page.get_by_label("Title").fill(TITLE)
    page.get_by_role("textbox", name="Price", exact=True).fill("12,50")
    page.get_by_label("Item id").fill("a/find 1")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("#add-outcome")).to_contain_text("It can be found")
    page.get_by_role("button", name="Find its like").click()
    wait_for_answer(page)
    expect(page.locator("#query-name")).to_have_text(TITLE)
    choose(page, site.photo(13))
    assert item_ids(page)[0] == "a/find 1"
    expect(cards(page).first.locator(".told b")).to_have_text(TITLE)
    expect(cards(page).first.locator(".told span")).to_contain_text("12.50")
    site.system.run("delete", "a/find 1")


def test_an_item_that_is_refused_says_why(page: Page) -> None:
    page.get_by_role("button", name="Add an item").click()
    page.locator("#add-picture").set_input_files(
        {"name": "broken.jpg", "mimeType": "image/jpeg", "buffer": b"\xff\xd8\xff" + b"nothing" * 100}
    )
    page.get_by_role("button", name="Add", exact=True).click()
    outcome = page.locator("#add-outcome")
    expect(outcome).to_have_attribute("data-state", "refused")
    expect(outcome).to_contain_text("picture")


def test_a_gateway_with_a_token_asks_for_it_before_anything_is_shown(browser: Browser, site: Site) -> None:
    token = "a-long-secret"
    with (
        gateway_beside(site.system, LOOKSTREAM_GATEWAY_TOKEN=token) as address,
        open_context(browser, site) as context,
    ):
        page = context.new_page()
        page.goto(address)
        expect(page.get_by_role("heading", name="This gateway wants its token")).to_be_visible()
        page.get_by_role("textbox", name="Token").fill("wrong")
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_role("textbox", name="Token")).to_be_visible()
        page.get_by_role("textbox", name="Token").fill(token)
        page.get_by_role("button", name="Go on").click()
        expect(page.locator("#examples-list img").first).to_be_visible()
        choose(page, site.photo(3))
        assert item_ids(page)
