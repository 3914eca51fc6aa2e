"""The page of the API in a real browser: every route shown and tried, under the strict policy."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fake_api import Shop
from test_page import broken

if TYPE_CHECKING:
    from playwright.sync_api import Page

Opened = Callable[..., "Page"]
RECOMMEND = ".opblock:has([data-path='/v1/recommend'])"


def described(opened: Opened, path: str = "/docs", **look: object) -> "Page":
    page = opened(path, **look)
    page.wait_for_selector(RECOMMEND)
    return page


def tried(page: "Page", body: str) -> str:
    """Ask for recommendations by hand; return what the page shows of the answer."""
    if not page.is_visible(f"{RECOMMEND} .try-out__btn"):
        page.click(f"{RECOMMEND} .opblock-summary-control")
        page.click(f"{RECOMMEND} .try-out__btn")
    page.fill(f"{RECOMMEND} textarea.body-param__text", body)
    with page.expect_response("**/v1/recommend"):
        page.click(f"{RECOMMEND} .execute")
    return page.inner_text(f"{RECOMMEND} .live-responses-table")


def test_every_route_is_shown_with_its_fields(opened: Opened) -> None:
    page = described(opened)
    shown = page.locator("[data-path]").evaluate_all("all => all.map((e) => e.dataset.path)")
    assert {"/v1/recommend", "/v1/items/{item_id}/similar", "/v1/users/{user_id}"} <= set(shown)
    page.click(f"{RECOMMEND} .opblock-summary-control")
    page.click(f"{RECOMMEND} .model-example >> text=Schema")
    assert "history" in page.inner_text(f"{RECOMMEND} .model-example")


def test_a_route_is_tried_with_the_key_of_the_other_pages(opened: Opened, shop: Shop) -> None:
    shop.key = "open sesame"
    page = described(opened)
    page.evaluate("sessionStorage.setItem('palate-key', 'open sesame')")
    page.reload()
    answer = tried(page, '{"user_id": "ada", "n": 2}')
    assert "200" in answer
    assert "item_id" in answer
    assert shop.bodies("/v1/recommend")[-1] == {"user_id": "ada", "n": 2}


def test_a_refusal_is_shown_as_it_came(opened: Opened, shop: Shop, heard: list[str]) -> None:
    shop.key = "open sesame"
    page = described(opened)
    assert "401" in tried(page, "{}")
    assert all("401" in said for said in heard)
    heard.clear()


def test_routes_are_found_behind_a_proxy_with_a_path(opened: Opened, address: str) -> None:
    page = described(opened)
    page.route(
        f"{address}/palate/**",
        lambda route: route.continue_(url=route.request.url.replace("/palate/", "/", 1)),
    )
    page.goto(f"{address}/palate/docs")
    assert "200" in tried(page, '{"user_id": "ada", "n": 2}')
    assert f"{address}/palate/v1/recommend" in page.inner_text(f"{RECOMMEND} .request-url")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_pictures_of_the_docs(opened: Opened, pictures: Path, width: int, theme: str) -> None:
    page = described(opened, width=width, theme=theme)
    page.click(f"{RECOMMEND} .opblock-summary-control")
    page.wait_for_selector(f"{RECOMMEND} .try-out__btn")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    size = "phone" if width == 390 else "desktop"
    page.screenshot(path=pictures / f"docs-{size}-{theme}.png")
    assert (pictures / f"docs-{size}-{theme}.png").stat().st_size > 20_000


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_bars_who_reads_the_docs(opened: Opened, axe: str, theme: str) -> None:
    page = described(opened, theme=theme)
    assert broken(page, axe) == []
    page.click(f"{RECOMMEND} .opblock-summary-control")
    page.wait_for_selector(f"{RECOMMEND} .try-out__btn")
    assert broken(page, axe) == []
