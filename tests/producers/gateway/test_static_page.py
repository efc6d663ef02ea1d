"""The page's files, as the gateway serves them."""

import re

import pytest

from producers.gateway.static_page import COMPONENT, COMPONENT_FILE, FOLDER
from tests.producers.gateway.conftest import MakeClient

MOST_BYTES, MOST_COMPONENT_BYTES = 200_000, 40_000


def test_the_page_is_light_and_every_file_that_it_names_is_there(make_client: MakeClient) -> None:
    client = make_client()
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    named = set(re.findall(r'"(/page/[a-z.]+)"', page.text))
    modules = {
        f"/page/{name}" for path in FOLDER.glob("*.js") for name in re.findall(r'from "\./(.*)"', path.read_text())
    }
    answers = [client.get(path) for path in sorted(named | modules)]
    assert {answer.status_code for answer in answers} == {200}
    assert len(page.content) + sum(len(answer.content) for answer in answers) <= MOST_BYTES
    assert {f"/page/{path.name}" for path in FOLDER.iterdir()} == named | modules | {"/page/index.html"}


def test_a_browser_that_has_a_file_already_gets_304(make_client: MakeClient) -> None:
    client = make_client()
    first = client.get("/page/page.js")
    again = client.get("/page/page.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_page_comes_without_a_token_and_nothing_behind_it_does(make_client: MakeClient) -> None:
    client = make_client(token="a-long-secret")
    assert client.get("/").status_code == client.get("/page/page.js").status_code == 200
    assert client.get("/v1/status").status_code == 401


def test_the_page_runs_no_code_but_its_own(make_client: MakeClient) -> None:
    policy = make_client().get("/").headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy
    for path in FOLDER.iterdir():
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|eval\(|https?://(?!www\.w3\.org)", path.read_text()
        ), path.name


@pytest.mark.parametrize("name", ["..%2f..%2fapp.py", "%2e%2e%2fpage.py", "/etc/passwd", "page.js%00", "page.js/"])
def test_no_path_leads_out_of_the_page(make_client: MakeClient, name: str) -> None:
    response = make_client().get(f"/page/{name}")
    assert response.status_code in (307, 404)
    assert "import" not in response.text


def test_every_site_may_load_the_component_and_its_version_is_in_its_path(make_client: MakeClient) -> None:
    client = make_client(token="a-long-secret")
    component = client.get(COMPONENT)
    assert component.status_code == 200
    assert "/v1/" in COMPONENT
    assert component.headers["content-type"].startswith("text/javascript")
    assert component.headers["access-control-allow-origin"] == "*"
    assert component.headers["cross-origin-resource-policy"] == "cross-origin"
    assert component.headers["cache-control"].startswith("public, max-age=")
    assert component.headers["content-security-policy"].startswith("default-src 'none'")
    assert component.headers["x-content-type-options"] == "nosniff"
    again = client.get(COMPONENT, headers={"If-None-Match": component.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for name in ("lookstream-search.js/", "..%2f..%2fapp.py", "other.js"):
        assert client.get(f"/storefront/v1/{name}").status_code in (307, 401)


def test_the_component_is_light_and_one_file_that_runs_no_text_as_code() -> None:
    text = COMPONENT_FILE.read_text()
    assert len(text.encode()) <= MOST_COMPONENT_BYTES
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|eval\(|\bfrom \"|import\(|https?://[a-z]", text)
    assert [path.name for path in COMPONENT_FILE.parent.iterdir()] == [COMPONENT_FILE.name]
