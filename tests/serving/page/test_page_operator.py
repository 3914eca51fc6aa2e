"""The page of the operator, driven in a real browser."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fake_api import HOSTILE, Shop

if TYPE_CHECKING:
    from playwright.sync_api import Page

Opened = Callable[..., "Page"]


def start(opened: Opened, **look: object) -> "Page":
    page = opened("/operator", **look)
    page.wait_for_selector("#latency svg")
    page.wait_for_selector("#stream li >> nth=7")
    return page


def test_figures_and_what_they_are_of(opened: Opened, shop: Shop) -> None:
    page = start(opened)
    tiles = dict(
        zip(
            page.locator(".tile dt").all_inner_texts(),
            page.locator(".tile dd").all_inner_texts(),
            strict=True,
        )
    )
    assert tiles["Users stored"] == str(len(shop.past))
    assert tiles["Items stored"] == str(len(shop.items))
    assert tiles["Cache hits"] == "93%"
    assert page.locator(".model h3").all_inner_texts() == ["films", "films-wide"]
    assert "80% of the traffic" in page.inner_text("#models")
    assert "8 of 52" in page.inner_text(".check-line.warn")
    assert page.locator(".check-line.ok").count() == 2
    assert "no key" in page.inner_text("#mode")


def test_charts_have_their_numbers_as_tables(opened: Opened) -> None:
    page = start(opened)
    assert page.locator("#latency .line").count() == 3
    assert page.locator("#fallbacks .bar.two").count() > 20
    page.locator("#latency summary").click()
    assert page.locator("#latency tbody tr").count() == 60
    page.locator("#latency svg").hover(position={"x": 200, "y": 80})
    assert page.locator("#latency .readout .key").first.inner_text().startswith("p50 ")


def test_events_come_by_themselves_until_paused(opened: Opened, shop: Shop) -> None:
    page = start(opened)
    assert "live" in page.inner_text("#stream-state")
    _happen(shop, "newcomer", "i1")
    page.wait_for_selector("#stream li:first-child:has-text('newcomer')")
    page.wait_for_selector("#stream li:first-child:has-text('A Quiet Room in Lisbon')")
    page.get_by_role("button", name="Pause").click()
    _happen(shop, "latecomer", "i2")
    page.get_by_role("button", name="Go on (1 waiting)").click()
    assert "latecomer" in page.inner_text("#stream li >> nth=0")


def test_a_user_is_exported(opened: Opened, shop: Shop) -> None:
    page = start(opened)
    page.get_by_label("User id", exact=True).fill("ada")
    page.keyboard.press("Enter")
    page.wait_for_selector("#user h3:has-text('ada')")
    assert "6 events" in page.inner_text("#user")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    assert download.value.suggested_filename == "ada.json"
    assert json.loads(Path(download.value.path()).read_text())["events"] == shop.past["ada"]


def test_a_user_is_deleted_after_asking_and_what_went_is_told(opened: Opened, shop: Shop) -> None:
    page = start(opened)
    page.locator("#stream .link", has_text="onerror").click()
    page.get_by_role("button", name="Delete…").click()
    really = page.get_by_role("button", name="Delete everything")
    assert really.is_disabled()
    page.get_by_label("Type the user id to confirm").fill("somebody else")
    assert really.is_disabled()
    page.get_by_role("button", name="Keep").click()
    assert HOSTILE in shop.past
    page.get_by_role("button", name="Delete…").click()
    page.get_by_label("Type the user id to confirm").fill(HOSTILE)
    really.click()
    page.wait_for_selector("#erase-list li")
    told = page.locator("#erase-list li").all_inner_texts()
    assert told == ["1 event", "3 recommendations", "Profile: deleted"]
    assert HOSTILE not in shop.past
    page.get_by_role("button", name="Done").click()
    assert page.locator("#user").is_hidden()
    assert page.title() == "Palate: operator"


def test_a_refused_deletion_says_why(opened: Opened, shop: Shop, heard: list[str]) -> None:
    page = start(opened)
    page.locator("#stream .link", has_text="ada").click()
    page.get_by_role("button", name="Delete…").click()
    page.get_by_label("Type the user id to confirm").fill("ada")
    shop.refuse["/v1/users/ada"] = [403]
    page.keyboard.press("Enter")
    page.wait_for_selector("#erase-said:not([hidden])")
    assert "scope" in page.inner_text("#erase-said")
    assert "ada" in shop.past
    assert all("403" in said for said in heard)
    heard.clear()


def test_the_key_is_sent_with_the_stream_too(opened: Opened, shop: Shop, heard: list[str]) -> None:
    shop.key = "opensesame"
    page = opened("/operator")
    page.wait_for_selector(".notice")
    page.wait_for_selector("#stream-state:has-text('needs a key')")
    page.get_by_role("button", name="Enter a key").click()
    page.get_by_label("API key").fill("opensesame")
    page.keyboard.press("Enter")
    page.wait_for_selector("#stream li >> nth=7")
    page.wait_for_selector("#latency svg")
    page.wait_for_selector(".notice", state="detached")
    assert all("401" in said for said in heard)
    heard.clear()


@pytest.mark.parametrize(("width", "theme"), [(390, "light"), (1280, "light"), (1280, "dark")])
def test_pictures_of_the_operators_page(
    opened: Opened, pictures: Path, width: int, theme: str
) -> None:
    page = start(opened, width=width, theme=theme)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    size = "phone" if width == 390 else "desktop"
    page.screenshot(path=pictures / f"operator-{size}-{theme}.png", full_page=True)
    assert (pictures / f"operator-{size}-{theme}.png").stat().st_size > 20_000


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_bars_the_operator(opened: Opened, axe: str, theme: str) -> None:
    page = start(opened, theme=theme)
    page.locator("#stream .link", has_text="ada").click()
    page.wait_for_selector("#user h3")
    page.evaluate(axe)
    found = "axe.run(document, { resultTypes: ['violations'] })"
    assert [one["id"] for one in page.evaluate(found)["violations"]] == []
    page.get_by_role("button", name="Delete…").click()
    assert [one["id"] for one in page.evaluate(found)["violations"]] == []


def _happen(shop: Shop, user: str, item: str) -> None:
    now = time.time()
    shop.events.append(
        {
            "sequence": len(shop.events) + 1,
            "user_id": user,
            "item_id": item,
            "event_type": "purchase",
            "timestamp": now,
            "received_at": now,
        }
    )
