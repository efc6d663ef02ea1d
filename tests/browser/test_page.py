"""The page: searches of a visitor, screenshots, and accessibility."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.site import PHONE, Site, open_context
from tests.browser.steps import cards, choose, item_ids, search_in_address, show_nearest, wait_for_answer
from tests.end_to_end.gateway import second_gateway

TITLE = '<img src=x onerror=alert(1)> a "find"'
FINGER = 44
"""Shortest side of what a finger can hit, in CSS pixels (WCAG 2.2, 2.5.5)."""
SERIOUS = ("serious", "critical")
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
Step = Callable[[Page, Site], None]


def test_a_photo_finds_what_the_command_line_finds(page: Page, site: Site) -> None:
    choose(page, site.photo(3))
    expected = site.system.search(site.photo(3), "--top-k", "24")
    assert expected["hits"]
    assert item_ids(page) == [hit["item_id"] for hit in expected["hits"]]
    first = cards(page).first
    expect(first.locator(".confidence")).to_have_text(f"{round(expected['hits'][0]['confidence'] * 100)} %")
    expect(first.locator("img")).to_have_js_property("naturalWidth", 160)


def test_pictures_can_be_dropped_and_pasted(page: Page, site: Site) -> None:
    picture = list(site.photo(4).read_bytes())
    put_in = """([bytes, kind]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "photo.jpg", {type: "image/jpeg"}));
        const event = kind === "paste" ? new ClipboardEvent("paste", {clipboardData: data})
            : new DragEvent("drop", {dataTransfer: data, cancelable: true, bubbles: true});
        document.dispatchEvent(event);
    }"""
    found = []
    for kind in ("drop", "paste"):
        page.goto("/")
        page.evaluate(put_in, [picture, kind])
        wait_for_answer(page)
        found.append(item_ids(page))
    assert found[0] == found[1] != []


def test_an_example_begins_a_search_and_the_way_back_leads_to_the_start(page: Page) -> None:
    page.locator("#examples-list button").first.click()
    wait_for_answer(page)
    assert search_in_address(page).startswith("?item=")
    expect(page.locator("#crop-start")).to_be_hidden()  # an indexed item is searched whole
    page.go_back()
    expect(page.locator("#examples")).to_be_visible()


def test_a_part_of_the_picture_can_be_searched_by(page: Page, site: Site) -> None:
    choose(page, site.photo(5))
    page.locator("#crop-start").click()
    expect(page.locator("#crop")).to_be_focused()
    page.wait_for_url("**crop=0.2,0.2,0.6,0.6**")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    page.wait_for_url("**crop=0.24,0.2,0.6,0.64**")
    box = page.locator("#stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.05, box["y"] + box["height"] * 0.05)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.55, box["y"] + box["height"] * 0.15 + 40, steps=4)
    page.mouse.up()
    page.wait_for_url("**crop=0.05,**")
    wait_for_answer(page)
    page.get_by_role("button", name="Whole picture", exact=True).click()
    page.wait_for_url(lambda address: "crop" not in address)
    wait_for_answer(page)


def thing(page: Page, number: int) -> Locator:
    """The box of a thing over the photo; numbers count from 1."""
    return page.locator(f'#boxes [data-region="{number - 1}"]')


def pressed_part(page: Page) -> Locator:
    """The chip of the part of the photo whose hits are shown."""
    return page.locator("#parts [aria-pressed=true]")


def test_each_thing_in_a_photo_has_a_box_whose_click_shows_its_hits(page: Page, site: Site) -> None:
    street = site.catalogue.street_photo
    choose(page, street)
    expected = site.system.search(street, "--objects", "--top-k", "24")
    regions = expected["regions"]
    expect(page.locator("#boxes .box")).to_have_count(len(regions))
    assert len(regions) == len(site.catalogue.street_products)
    expect(pressed_part(page)).to_have_text("Whole picture")
    assert item_ids(page) == [hit["item_id"] for hit in expected["hits"]]
    for number, region in enumerate(regions, 1):
        thing(page, number).click()
        expect(page.locator("#summary")).to_contain_text(f"for thing {number} of {len(regions)}")
        assert item_ids(page) == [hit["item_id"] for hit in region["hits"]] != []
        likely = region["categories"][0]
        text = f"{likely['name']} {round(likely['confidence'] * 100)} %"
        expect(page.locator("#likely li").first).to_have_text(text)
        expect(pressed_part(page)).to_have_accessible_name(f"Thing {number} of 3: {text.replace(' ', ', ', 1)}")
        edges = [thing(page, number).evaluate(f"box => box.style.getPropertyValue('--{side}')") for side in "xywh"]
        assert [float(edge[:-1]) / 100 for edge in edges] == pytest.approx(list(region["box"].values()))
    page.get_by_role("button", name="Whole picture", exact=True).click()
    assert item_ids(page) == [hit["item_id"] for hit in expected["hits"]]


def test_the_things_in_a_photo_are_chosen_by_the_keyboard(page: Page, site: Site) -> None:
    choose(page, site.catalogue.street_photo)
    whole = item_ids(page)
    page.locator("#parts button").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#boxes .marked b")).to_have_text("1")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#summary")).to_contain_text("for thing 2 of 3")
    assert search_in_address(page).endswith("&thing=2")
    assert item_ids(page) != whole
    page.keyboard.press("Escape")
    expect(pressed_part(page)).to_be_focused()
    expect(pressed_part(page)).to_have_text("Whole picture")
    assert item_ids(page) == whole
    assert "thing" not in search_in_address(page)
    page.go_back()
    expect(page.locator("#summary")).to_contain_text("for thing 2 of 3")
    page.reload()
    wait_for_answer(page)
    expect(page.locator("#summary")).to_contain_text("for thing 2 of 3")


def test_a_thing_has_further_hits_and_filters_apply_to_it(page: Page, site: Site) -> None:
    choose(page, site.catalogue.street_photo)
    show_nearest(page)
    thing(page, 1).click()
    expect(cards(page)).to_have_count(24)
    page.mouse.move(900, 600)
    page.mouse.wheel(0, 20_000)
    expect(cards(page).nth(40)).to_be_attached()
    assert len(set(item_ids(page))) == len(item_ids(page))
    page.locator("#likely button").first.click()
    page.wait_for_url("**category=**")
    wait_for_answer(page)
    expect(page.locator("#summary")).to_contain_text("for thing 1 of 3")
    kind = page.locator("#likely button").first.evaluate("chip => chip.firstChild.textContent")
    assert {site.kind_of(item) for item in item_ids(page)} == {kind}


def test_a_picture_of_one_thing_has_no_boxes_and_a_crop_hides_those_of_several(page: Page, site: Site) -> None:
    choose(page, site.catalogue.folder / site.catalogue.products[0].image)
    assert item_ids(page)
    expect(page.locator("#boxes .box, #parts button")).to_have_count(0)
    choose(page, site.catalogue.street_photo)
    box = thing(page, 2).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 5, box["y"] + 5)  # a crop can be drawn from inside a box
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"], box["y"] + box["height"], steps=4)
    page.mouse.up()
    page.wait_for_url("**crop=**")
    wait_for_answer(page)
    assert "thing" not in search_in_address(page)
    expect(page.locator("#boxes .box, #parts button")).to_have_count(0)


def test_on_a_phone_the_boxes_are_wide_enough_for_a_finger(browser: Browser, site: Site) -> None:
    with open_context(browser, site, phone=True) as context:
        page = context.new_page()
        page.goto("/")
        choose(page, site.catalogue.street_photo)
        for number in (1, 2, 3):
            box = thing(page, number).bounding_box()
            assert box is not None
            assert min(box["width"], box["height"]) >= FINGER
            assert 0 <= box["x"] <= PHONE["width"] - box["width"]
            thing(page, number).tap()
            expect(page.locator("#summary")).to_contain_text(f"for thing {number} of 3")


def test_hits_change_places_while_a_slider_moves_and_the_search_follows(page: Page, site: Site) -> None:
    choose(page, site.photo(6))
    show_nearest(page)
    before = item_ids(page)
    slider = page.locator(".slider", has_text="Kind").locator("input")
    slider.evaluate("slider => { slider.value = 0; slider.dispatchEvent(new Event('input')); }")
    moved = item_ids(page)
    assert sorted(moved) == sorted(before)
    assert moved != before
    assert "weights" not in search_in_address(page)
    slider.dispatch_event("change")
    page.wait_for_url("**weights=0,**")
    wait_for_answer(page)
    # Of a post another thing may be the nearest by the new weights, which the page cannot know.
    unchanged = [item for item in item_ids(page) if item in moved and not item.startswith("https:")]
    assert unchanged == [item for item in moved if item in unchanged]


def test_a_filter_chip_holds_for_every_hit_and_its_count_is_true(page: Page, site: Site) -> None:
    choose(page, site.photo(7))
    show_nearest(page)
    chip = page.locator("#facets [data-field=category]").first
    name, count = chip.get_attribute("data-value"), int(chip.locator("i").inner_text())
    chip.click()
    page.wait_for_url("**category=**")
    wait_for_answer(page)
    expect(cards(page)).to_have_count(count)
    best = site.system.search(site.photo(7), "--best-effort", "--top-k", "24", "--filter", f"category={name}")
    assert item_ids(page) == [hit["item_id"] for hit in best["hits"]]
    page.get_by_role("button", name=f"Remove filter: {name}").click()
    wait_for_answer(page)
    assert "category" not in search_in_address(page)


def test_a_price_range_and_what_the_picture_seems_to_be_are_filters(page: Page, site: Site) -> None:
    choose(page, site.photo(8))
    show_nearest(page)
    page.locator("#price-max").fill("20")
    page.locator("#price-max").press("Enter")
    page.wait_for_url("**price_max=20&currency=**")
    wait_for_answer(page)
    assert item_ids(page)
    page.get_by_role("button", name="Clear all filters").click()
    wait_for_answer(page)
    page.locator("#palette button").first.click()
    page.wait_for_url("**colour=**")
    wait_for_answer(page)
    expect(page.locator("#palette button").first).to_have_attribute("aria-pressed", "true")


def words(page: Page, text: str) -> None:
    """Search by words, by the box of the page."""
    page.locator("#words-text").fill(text)
    page.keyboard.press("Enter")
    wait_for_answer(page)


def test_words_alone_find_items_and_each_can_be_undone_by_the_keyboard(page: Page, site: Site) -> None:
    words(page, "blue mug xyzzy")
    assert search_in_address(page) == "?q=blue+mug+xyzzy"
    assert item_ids(page)
    expect(page.locator(".query")).to_be_hidden()
    chips = ["blue: colour \u00d7", "mug: category \u00d7", "xyzzy: not understood"]
    expect(page.locator("#words li > :first-child")).to_have_text(chips)
    before = set(item_ids(page))
    page.get_by_role("button", name="Leave this word out: blue").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**without=blue**")
    wait_for_answer(page)
    assert before < set(item_ids(page))
    page.get_by_role("button", name="Use this word again: blue").click()
    wait_for_answer(page)
    assert set(item_ids(page)) == before
    words(page, "qwxyzt")
    expect(page.locator("#nothing")).to_contain_text("no word of the text is known here")


def test_a_word_can_be_read_as_a_plain_word_and_as_a_fact_again(page: Page, site: Site) -> None:
    words(page, "blue mug")
    by_colour = item_ids(page)
    plain = page.get_by_role("button", name="Read as a plain word: blue")
    plain.click()
    page.wait_for_url("**plain=blue**")
    wait_for_answer(page)
    expect(page.locator("#words li > :first-child").first).to_have_text("blue: in the text \u00d7")
    expect(plain).to_have_attribute("aria-pressed", "true")
    expected = site.system.search("--text", "blue mug", "--plain-word", "blue", "--top-k", "24")
    assert item_ids(page) == [hit["item_id"] for hit in expected["hits"]] != []
    plain.click()
    page.wait_for_url(lambda address: "plain" not in address)
    wait_for_answer(page)
    assert item_ids(page) == by_colour


def variation(page: Page, text: str) -> Locator:
    """The chip of a variation."""
    return page.get_by_role("button", name=re.compile(f"More like this, but {text}: "))


def test_a_hit_is_varied_by_what_differs_in_its_neighbours(page: Page, site: Site) -> None:
    choose(page, site.photo(11))
    show_nearest(page)
    item = next(id for id in item_ids(page) if id.startswith("p"))
    page.locator(f'[data-item="{item}"] .face').click()
    page.wait_for_url(f"**item={item}**")
    wait_for_answer(page)
    expected = site.system.search(f"item:{item}", "--variations", "--top-k", "24")
    texts = [each["text"] for each in expected["variations"]]
    counts = [str(each["count"]) for each in expected["variations"]]
    expect(page.locator("#variations li")).to_have_text([f"{t}{c}" for t, c in zip(texts, counts, strict=True)])
    colour = next(each for each in expected["variations"] if each["kind"] == "colour")
    variation(page, colour["text"]).click()
    wait_for_answer(page)
    expect(page.locator("#words li > :first-child")).to_have_text([f"{colour['value']}: colour \u00d7"])
    changed = site.system.search(f"item:{item}", "--text", colour["text"], "--top-k", "24")
    assert item_ids(page) == [hit["item_id"] for hit in changed["hits"]] != []
    expect(page.locator("#variations [data-kind=colour]")).to_have_count(0)
    variation(page, "more expensive").click()
    wait_for_answer(page)
    assert search_in_address(page).endswith(f"&q={colour['text']},+more+expensive")
    assert 0 < len(item_ids(page)) <= len(changed["hits"])
    page.get_by_role("button", name=re.compile("Leave this word out: more expensive")).click()
    wait_for_answer(page)
    assert item_ids(page) == [hit["item_id"] for hit in changed["hits"]]
    choose(page, site.photo(3))
    expect(page.locator("#variations-line")).to_be_hidden()


def test_words_stand_beside_a_picture(page: Page, site: Site) -> None:
    choose(page, site.photo(4))
    words(page, "red")
    expect(page.locator(".query")).to_be_visible()
    expect(page.locator("#words li > :first-child")).to_have_text(["red: colour \u00d7"])
    red = site.system.search(site.photo(4), "--text", "red", "--top-k", "24")
    assert item_ids(page) == [hit["item_id"] for hit in red["hits"]] != []


def test_more_like_this_and_not_like_this_lead_on(page: Page, site: Site) -> None:
    choose(page, site.photo(9))
    show_nearest(page)
    first, second = item_ids(page)[:2]
    cards(page).nth(0).get_by_role("button", name="Not like this").click()
    page.wait_for_url(f"**unlike={quote(first, safe='')}**")
    wait_for_answer(page)
    assert first not in item_ids(page)
    page.get_by_role("button", name=f"Remove: not like {first}").click()
    wait_for_answer(page)
    page.locator(f'[data-item="{second}"]').get_by_role("button", name="More like this").click()
    page.wait_for_url(f"**item={quote(second, safe='')}")
    wait_for_answer(page)
    assert second not in item_ids(page)


def test_the_page_explains_why_a_hit_was_found(page: Page, site: Site) -> None:
    choose(page, site.photo(10))
    first = cards(page).first
    first.get_by_role("button", name="Why").click()
    why = first.locator(".why")
    expect(why).to_be_visible()
    for part in ("Kind", "Style", "Colour", "Its main picture matched"):
        expect(why).to_contain_text(part)


def test_no_match_is_shown_and_the_nearest_items_only_on_demand(page: Page, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 128), np.uint8)
    Image.fromarray(noise).resize((512, 384), Image.Resampling.NEAREST).save(tmp_path / "noise.jpg")
    choose(page, tmp_path / "noise.jpg")
    expect(page.get_by_role("heading", name="No match")).to_be_visible()
    assert item_ids(page) == []
    page.get_by_role("button", name="Show the nearest items").click()
    page.wait_for_url("**all=**")
    wait_for_answer(page)
    assert set(cards(page).locator(".confidence").all_inner_texts()) == {"no match"}


def test_the_end_of_the_hits_brings_more_of_them(page: Page, site: Site) -> None:
    choose(page, site.photo(11))
    show_nearest(page)
    expect(cards(page)).to_have_count(24)
    page.mouse.move(900, 600)
    page.mouse.wheel(0, 20_000)
    expect(cards(page).nth(47)).to_be_attached()
    assert len(set(item_ids(page))) == len(item_ids(page))


def test_a_picture_that_cannot_be_read_is_refused_in_words(page: Page) -> None:
    page.locator("[data-picture]").first.set_input_files(
        {"name": "broken.jpg", "mimeType": "image/jpeg", "buffer": b"\xff\xd8\xff" + b"nothing" * 100}
    )
    expect(page.get_by_role("heading", name="No answer")).to_be_visible()
    expect(page.locator("#nothing p").first).to_contain_text("picture")
    assert item_ids(page) == []


def test_a_link_shows_the_same_search_in_another_browser(page: Page, site: Site) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    choose(page, site.photo(12))
    show_nearest(page)
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#share")).to_have_text("Copied")
    link = page.evaluate("navigator.clipboard.readText()")
    assert len(link) < 40_000
    browser = page.context.browser
    assert browser is not None
    with browser.new_context(base_url=site.address) as somebody:
        other = somebody.new_page()
        other.goto(link)
        wait_for_answer(other)
        assert len(set(item_ids(other)[:6]) & set(item_ids(page)[:6])) >= 4  # a smaller copy of the picture
        assert "#" not in other.url


def test_an_item_is_added_watched_until_it_can_be_found_and_then_found(page: Page, site: Site) -> None:
    page.get_by_role("button", name="Add an item").click()
    page.locator("#add-picture").set_input_files(site.photo(13))
    page.get_by_label("Title").fill(TITLE)
    page.get_by_role("textbox", name="Price", exact=True).fill("12,50")
    page.get_by_label("Item id").fill("a/find 1")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("#add-outcome")).to_contain_text("The item is searchable")
    page.get_by_role("button", name="Find similar items").click()
    wait_for_answer(page)
    expect(page.locator("#query-name")).to_have_text(TITLE)
    choose(page, site.photo(13))
    assert item_ids(page)[0] == "a/find 1"
    expect(cards(page).first.locator(".caption b")).to_have_text(TITLE)
    expect(cards(page).first.locator(".caption span")).to_contain_text("12.50")
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
        second_gateway(site.system, LOOKSTREAM_GATEWAY_TOKEN=token) as address,
        open_context(browser, site) as context,
    ):
        page = context.new_page()
        page.goto(address)
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        page.get_by_role("textbox", name="Access token").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("textbox", name="Access token")).to_be_visible()
        page.get_by_role("textbox", name="Access token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator("#examples-list img").first).to_be_visible()
        choose(page, site.photo(3))
        assert item_ids(page)


# --- how it looks, and for whom it works ---


def start(page: Page, _site: Site) -> None:
    """The start page."""
    expect(page.locator("#examples-list img").first).to_be_visible()


def hits(page: Page, site: Site) -> None:
    """A search with hits, one of them explained, and its filters open."""
    choose(page, site.photo(1))
    show_nearest(page)
    for details in page.locator(".side details").all():
        details.evaluate("details => { details.open = true; }")
    expect(page.locator("#facets .chip").first).to_be_visible()
    cards(page).nth(1).get_by_role("button", name="Why").click()


def things(page: Page, site: Site) -> None:
    """A photo of a street with several things, and the hits of one of them."""
    choose(page, site.catalogue.street_photo)
    thing(page, 2).click()
    expect(page.locator("#summary")).to_contain_text("for thing 2 of 3")
    page.keyboard.press("ArrowRight")


def varied(page: Page, site: Site) -> None:
    """An item of the index with its variations, one of them in effect."""
    page.goto(f"/?item={site.catalogue.products[11].id}")
    wait_for_answer(page)
    page.locator("#variations [data-kind=colour]").first.click()
    wait_for_answer(page)
    expect(page.locator("#query-picture")).to_have_js_property("complete", True)


def crop(page: Page, site: Site) -> None:
    """A crop on the picture."""
    choose(page, site.photo(1))
    page.locator("#crop-start").click()
    page.wait_for_url("**crop=**")


def nothing(page: Page, site: Site) -> None:
    """No match."""
    choose(page, site.photo(1))
    page.goto(f"{page.url}&price_max=0&currency=EUR")
    expect(page.locator("#nothing")).to_be_visible()


def by_words(page: Page, site: Site) -> None:
    """Hits of words alone."""
    start(page, site)
    words(page, "blue mug under 20 xyzzy")
    expect(cards(page).first).to_be_visible()


def adding(page: Page, site: Site) -> None:
    """The dialog that adds an item."""
    start(page, site)
    page.get_by_role("button", name="Add an item").click()
    page.locator("#add-picture").set_input_files(site.photo(4))
    expect(page.locator("#add-preview")).to_be_visible()


@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
@pytest.mark.parametrize(
    "step", [start, hits, things, varied, crop, nothing, by_words, adding], ids=lambda step: step.__name__
)
def test_the_page_is_accessible_and_looks_as_before(
    browser: Browser, site: Site, screenshots: Path | None, step: Step, phone: bool
) -> None:
    with open_context(browser, site, phone=phone) as context:
        page = context.new_page()
        page.goto("/")
        step(page, site)
        expect(page.locator("[aria-busy=true]")).to_have_count(0)  # meanwhile hits are paler on purpose
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            if screenshots:
                name = f"{step.__name__}-{'phone' if phone else 'desktop'}-{scheme}.png"
                page.screenshot(path=screenshots / name)
            assert serious_findings(page) == []
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), "wider than the window"


def serious_findings(page: Page) -> list[tuple[str, list[str]]]:
    """The serious accessibility problems that axe finds, with their places."""
    found = Axe().run(page).response["violations"]
    return [(one["id"], [node["html"] for node in one["nodes"]]) for one in found if one["impact"] in SERIOUS]


def test_everything_can_be_reached_by_keyboard(page: Page, site: Site) -> None:
    choose(page, site.photo(1))
    reached = set()
    for _ in range(160):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
    assert {"words-text", "crop-start", "strict", "narrow", "share", "add-open", "Why"} <= reached
