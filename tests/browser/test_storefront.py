"""The component of a shop's page, in a real browser, on a page with a strict content policy."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Request, Route, expect

from producers.gateway.static_page import COMPONENT
from tests.browser.site import PageProblems, Site, open_context
from tests.end_to_end.gateway import second_gateway

DOCS = (Path(__file__).parents[2] / "docs/storefront.md").read_text()
POLICY = "default-src 'none'; script-src 'self' 'nonce-a'; connect-src {address}; img-src blob: data:"
"""No styles in the page and none in attributes: the component needs neither."""
SHOP = """<!doctype html><html lang="en"><title>A shop</title><main><h1>A shop</h1>
<script type="module" src="{component}"></script>{tag}</main>
<script nonce="a">window.events = [];
for (const name of ["results", "select", "error"])
  document.addEventListener(`lookstream-${{name}}`, (event) => {{
    events.push([name, name === "select" ? event.detail.hit.item_id : event.detail.status]);
    if (name === "select") event.preventDefault();
  }});</script>"""
FINGER = 44


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    """A page in a fresh context; at the end it must have made no error, and no request to another host."""
    context = open_context(browser, site)
    page = context.new_page()
    problems = PageProblems.over(page, site.address)
    yield page
    context.close()
    assert problems.wrongs == []


def open_shop(page: Page, site: Site, attributes: str = "", address: str | None = None) -> Locator:
    """Open a page of a shop with the component; returns it."""
    address = address or site.address
    body = SHOP.format(component=COMPONENT, tag=f"<lookstream-search {attributes}></lookstream-search>")
    headers = {"Content-Security-Policy": POLICY.format(address=address), "Content-Type": "text/html"}
    page.route(f"{address}/shop", lambda route: route.fulfill(body=body, headers=headers))
    page.goto(f"{address}/shop")
    component = page.locator("lookstream-search")
    expect(component.locator("section")).to_be_attached()
    return component


def choose(component: Locator, picture: Path | dict[str, Any]) -> None:
    """Choose a picture, as by the file dialog, and wait for the answer."""
    component.locator("input").first.set_input_files(picture)  # type: ignore[arg-type]
    wait_for_answer(component)


def wait_for_answer(component: Locator) -> None:
    expect(component.locator("section")).to_have_attribute("aria-busy", "false")


def titles(component: Locator) -> list[str]:
    return component.locator("[part=title]").all_inner_texts()


def events(page: Page) -> list[list[Any]]:
    """The events of the component that the shop's page has received."""
    return page.evaluate("events")  # type: ignore[no-any-return]


def write_noise(path: Path) -> Path:
    """A picture of nothing."""
    Image.fromarray(np.random.default_rng(3).integers(0, 255, (240, 240, 3), np.uint8)).save(path)
    return path


def test_a_photo_finds_what_the_command_line_finds_and_the_shop_gets_events(page: Page, site: Site) -> None:
    component = open_shop(page, site)
    choose(component, site.photo(3))
    expected = site.system.search(site.photo(3), "--top-k", "12")["hits"]
    assert titles(component) == [hit.get("title") or hit["item_id"] for hit in expected] != []
    expect(component.locator("[part=thumbnail]").first).to_have_js_property("naturalWidth", 160)
    component.locator("[part=hit]").first.click()
    assert events(page) == [["results", "ok"], ["select", expected[0]["item_id"]]]
    assert page.url.endswith("/shop"), "the shop has prevented the link"


def test_pictures_can_be_dropped_and_pasted_but_not_into_a_text_field(page: Page, site: Site) -> None:
    put_in = """([bytes, kind, place]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "photo.jpg", {type: "image/jpeg"}));
        const target = place === "field" ? document.body.appendChild(document.createElement("input"))
            : place === "host" ? document.querySelector("lookstream-search") : document;
        target.dispatchEvent(kind === "paste" ? new ClipboardEvent("paste", {clipboardData: data, bubbles: true})
            : new DragEvent("drop", {dataTransfer: data, cancelable: true, bubbles: true}));
    }"""
    picture, found = list(site.photo(4).read_bytes()), []
    for kind, place in (("drop", "host"), ("paste", "document")):
        component = open_shop(page, site)
        page.evaluate(put_in, [picture, kind, place])
        wait_for_answer(component)
        found.append(titles(component))
    assert found[0] == found[1] != []
    component = open_shop(page, site)
    page.evaluate(put_in, [picture, "paste", "field"])
    expect(component.locator("section")).not_to_have_attribute("aria-busy", re.compile("."))


def test_a_picture_of_nothing_finds_nothing_and_the_nearest_items_on_request(
    page: Page, site: Site, tmp_path: Path
) -> None:
    component = open_shop(page, site)
    choose(component, write_noise(tmp_path / "noise.png"))
    expect(component.get_by_role("status")).to_contain_text("We have nothing that looks like this.")
    assert titles(component) == []
    component.get_by_role("button", name="Show the nearest items").click()
    expect(component.get_by_role("status")).to_have_text("We may not have this. The nearest items:")
    expect(component.locator("[part=hit]")).to_have_count(12)


def test_each_thing_in_a_photo_has_a_box_and_hits_by_pointer_and_keyboard(page: Page, site: Site) -> None:
    component = open_shop(page, site)
    choose(component, site.catalogue.street_photo)
    regions = site.system.search(site.catalogue.street_photo, "--objects", "--top-k", "12")["regions"]
    expect(component.locator("[part=box]")).to_have_count(len(regions))
    whole = titles(component)
    component.locator("[part=box]").nth(1).click()
    expect(component.locator("[aria-pressed=true]")).to_have_text(re.compile("^Thing 2"))
    assert titles(component) == [hit.get("title") or hit["item_id"] for hit in regions[1]["hits"]]
    expect(component.locator("[aria-pressed=true]")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(component.locator("[aria-pressed=true]")).to_have_text("Whole picture")
    assert titles(component) == whole


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_component_is_accessible_in_each_state(browser: Browser, site: Site, scheme: Any) -> None:
    context = open_context(browser, site)
    page = context.new_page()
    page.emulate_media(color_scheme=scheme)
    component = open_shop(page, site)
    for picture in (
        None,
        site.catalogue.street_photo,
        {"name": "a.png", "mimeType": "image/png", "buffer": b"none"},
    ):
        if picture is not None:
            choose(component, picture)
        found = Axe().run(page, options={"resultTypes": ["violations"]})
        assert [each["id"] for each in found.response["violations"]] == []
    heights = component.locator("label:visible, button:visible").evaluate_all("all => all.map(e => e.offsetHeight)")
    assert min(heights) >= FINGER
    context.close()


def test_the_picture_is_chosen_by_the_keyboard(page: Page, site: Site) -> None:
    open_shop(page, site)
    page.keyboard.press("Tab")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files(site.photo(3))
    wait_for_answer(page.locator("lookstream-search"))
    assert titles(page.locator("lookstream-search"))


def test_nothing_moves_for_those_who_want_no_motion(page: Page, site: Site) -> None:
    component = open_shop(page, site)
    choose(component, site.photo(3))
    moves = "image => getComputedStyle(image).transitionDuration"
    assert component.locator("[part=thumbnail]").first.evaluate(moves) == "0s"
    page.emulate_media(reduced_motion="no-preference")
    assert component.locator("[part=thumbnail]").first.evaluate(moves) == "0.2s"


def test_texts_follow_the_locale_and_so_do_prices(page: Page, site: Site) -> None:
    component = open_shop(page, site, 'locale="de-DE"')
    choose(component, site.photo(3))
    expect(component.get_by_role("status")).to_have_text(re.compile("ähnliche"))
    expect(component.locator("[part=price]").first).to_have_text(re.compile(r"\d,\d\d\s€|\d,\d\d\s"))
    component.evaluate("element => element.setAttribute('locale', 'fr')")
    expect(component.get_by_role("status")).to_have_text(re.compile("similaire"))


def test_the_key_is_sent_and_a_wrong_one_is_named_in_plain_words(page: Page, site: Site) -> None:
    tokens = '[{"token": "a-public-key", "uses": ["search"]}]'
    with second_gateway(site.system, LOOKSTREAM_GATEWAY_TOKENS=tokens) as address:
        sent = list[Request]()
        page.on("request", lambda request: sent.append(request) if "/v1/search" in request.url else None)
        page.route(f"{site.address}/**", lambda route: route.abort())
        context = page.context.browser.new_context() if page.context.browser else page.context
        shop = context.new_page()
        shop.on("request", lambda request: sent.append(request) if "/v1/search" in request.url else None)
        component = open_shop(shop, site, 'key="a-public-key"', address)
        choose(component, site.photo(3))
        assert titles(component)
        assert sent[-1].headers["authorization"] == "Bearer a-public-key"
        assert "cookie" not in sent[-1].headers
        component = open_shop(shop, site, 'key="another-key"', address)
        choose(component, site.photo(3))
        expect(component.get_by_role("status")).to_have_text(re.compile("not available on this page"))
        assert events(shop) == [["error", 401]]
        context.close()


def test_a_page_of_another_site_loads_the_component_and_asks_its_gateway(browser: Browser, site: Site) -> None:
    context, shop, sent = browser.new_context(), "https://shop.test", list[Request]()
    page = context.new_page()
    gateway = "https://search.test"
    tag = (
        f'<lookstream-search key="a-public-key"></lookstream-search><script type=module src="{gateway}{COMPONENT}">'
    )
    body = f"<!doctype html><html lang=en>{tag}</script></html>"
    page.route(f"{shop}/", lambda route: route.fulfill(body=body, content_type="text/html"))
    answer = {"status": "no_match", "hits": []}
    allowed = {"Access-Control-Allow-Origin": shop, "Access-Control-Allow-Headers": "authorization"}

    def serve(route: Route) -> None:
        if route.request.url == gateway + COMPONENT:
            served = httpx.get(site.address + COMPONENT)
            route.fulfill(body=served.content, headers=dict(served.headers))
        else:
            sent.append(route.request)
            route.fulfill(json=answer, headers=allowed)

    page.route(f"{gateway}/**", serve)
    page.goto(f"{shop}/")
    choose(page.locator("lookstream-search"), site.photo(3))
    expect(page.get_by_role("status")).to_contain_text("We have nothing that looks like this.")
    posts = [request for request in sent if request.method == "POST"]
    assert [request.headers["authorization"] for request in posts] == ["Bearer a-public-key"]
    assert posts[0].headers["origin"] == shop
    context.close()


def test_the_look_of_the_component_follows_the_shops_properties(page: Page, site: Site) -> None:
    component = open_shop(page, site)
    component.evaluate("element => element.style.setProperty('--lookstream-accent', 'rgb(1, 2, 3)')")
    assert component.locator("label").first.evaluate("e => getComputedStyle(e).backgroundColor") == "rgb(1, 2, 3)"
    for name in re.findall(r"`(--lookstream-[a-z-]+)`", DOCS):
        assert name in (Path(__file__).parents[2] / "producers/gateway/storefront/lookstream-search.js").read_text()


def test_the_example_of_the_page_runs(page: Page, site: Site) -> None:
    [example] = re.findall(r"```html\n(.*?)```", DOCS, re.DOTALL)
    example = example.replace("https://search.shop.example", site.address).replace(
        'key="pk_shop_1" tenant="shop"', ""
    )
    scripts = f"script-src {site.address} 'unsafe-inline'"
    policy = f"default-src 'none'; {scripts}; connect-src {site.address}; img-src blob: data:"
    headers = {"Content-Security-Policy": policy, "Content-Type": "text/html"}
    page.route(f"{site.address}/shop", lambda route: route.fulfill(body=example, headers=headers))
    page.goto(f"{site.address}/shop")
    component = page.locator("lookstream-search")
    with page.expect_console_message(lambda line: line.text.startswith("ok")):
        choose(component, site.photo(3))


def test_a_picture_of_another_page_is_data_and_never_code(page: Page, site: Site) -> None:
    component = open_shop(page, site)
    answer = {
        "status": "ok",
        "hits": [
            {"item_id": "one", "title": "<img src=x onerror=alert(1)>", "url": "javascript:alert(1)"},
            {
                "item_id": "two",
                "title": "b",
                "url": "https://shop.example/b",
                "thumbnail": base64.b64encode(b"x").decode(),
            },
        ],
    }
    page.route("**/v1/search", lambda route: route.fulfill(json=answer))
    choose(component, site.photo(3))
    assert titles(component) == ["<img src=x onerror=alert(1)>", "b"]
    expect(component.locator("button[part=hit]")).to_have_count(1)
    expect(component.locator("a[part=hit]")).to_have_attribute("href", "https://shop.example/b")
