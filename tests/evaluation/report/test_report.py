"""The report page: its text by reading, its layout and its safety in a real browser."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from palate.errors import DataError
from palate.evaluation.protocol import Evaluation
from palate.evaluation.report.page import (
    CurvePoint,
    Example,
    Recommended,
    ReportEntry,
    render,
    write_report,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
EVIL = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"


@pytest.fixture
def entries(found: Evaluation, perfect: Evaluation) -> list[ReportEntry]:
    curve = [
        CurvePoint(step * 50, step * 9.0, 8 / step, None if step % 3 else 0.1 - 0.1 / step)
        for step in range(1, 40)
    ]
    examples = [
        Example(
            ["Rose water toner", EVIL, "unbroken" * 40],
            [Recommended("Rose hip oil", "Rose water toner"), Recommended(EVIL, EVIL)],
        ),
        Example([], [Recommended("\N{HEBREW LETTER ALEF}\ud800 half a pair")]),
    ]
    facts = {"recipe": "urm", "seed": "1", EVIL: EVIL}
    return [
        ReportEntry("urm", found, curve, examples, facts),
        ReportEntry(EVIL, perfect, curve[:20]),
        ReportEntry("without values per user", replace(found, per_user={})),
    ]


def test_the_page_has_all_measurements(entries: list[ReportEntry], found: Evaluation) -> None:
    page = render(entries)
    assert f"{found.masked['recall@10']:.4f}" in page
    assert "Learning curve" in page
    assert "Rose hip oil" in page
    assert "By activity" in page
    assert "against urm" in page


def test_each_plot_has_its_numbers_beside_it(entries: list[ReportEntry]) -> None:
    for figure in re.findall(r"<figure.*?</figure>", render(entries), re.DOTALL):
        assert 'role="img" aria-label="' in figure
        assert "<figcaption>" in figure
        assert "<table>" in figure


def test_nothing_untrusted_becomes_markup(entries: list[ReportEntry]) -> None:
    page = render(entries)
    assert "<script>document" not in page
    assert "<img" not in page
    assert page.count("<script>") == 1


def test_the_page_makes_no_requests(entries: list[ReportEntry]) -> None:
    page = render(entries)
    assert "http:" not in page
    assert "https:" not in page
    assert not re.findall(r"\b(?:src|href)=", page.replace("&lt;img src=", ""))
    assert "default-src 'none'" in page


def test_the_same_entries_give_the_same_page(entries: list[ReportEntry]) -> None:
    assert render(entries) == render(entries)


def test_a_report_may_have_a_single_model(entries: list[ReportEntry]) -> None:
    page = render([ReportEntry("alone", entries[0].evaluation)])
    assert "The model" in page
    assert "beyond luck" not in page


def test_models_with_other_cases_are_in_another_section(
    entries: list[ReportEntry], found: Evaluation
) -> None:
    page = render([*entries, ReportEntry("elsewhere", replace(found, dataset="b", cases="other"))])
    assert page.count("In pictures") == 2


def test_no_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least one model"):
        write_report([], tmp_path / "report.html")


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """A headless Chromium; the test is skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"no browser here: {CHROMIUM} is missing (apt-get install chromium)")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        chromium.close()


def opened(browser: "Browser", path: Path, width: int, theme: str) -> tuple["Page", list[str]]:
    """Open the page and listen to whatever it complains about or asks for."""
    page = browser.new_page(viewport={"width": width, "height": 844})
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda request: heard.append(request.url))
    page.goto(path.as_uri())
    heard.remove(path.as_uri())
    return page, heard


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_in_a_browser(
    browser: "Browser", entries: list[ReportEntry], tmp_path: Path, width: int, theme: str
) -> None:
    write_report(entries, tmp_path / "report.html")
    page, heard = opened(browser, tmp_path / "report.html", width, theme)
    for detail in page.locator("details").all():
        detail.evaluate("element => element.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.title() == "Palate report"
    assert page.locator("svg.plot").count() >= 8
    smallest = page.evaluate(
        "Math.min(...[...document.querySelectorAll('svg.plot text')]"
        ".map(text => text.getBoundingClientRect().height))"
    )
    assert smallest >= 9, "the text of a plot is too small to read"
    page.screenshot(path=tmp_path / f"report-{width}-{theme}.png", full_page=True)
    assert heard == []
    page.close()


def test_the_switch_changes_the_theme(
    browser: "Browser", entries: list[ReportEntry], tmp_path: Path
) -> None:
    write_report(entries, tmp_path / "report.html")
    page, heard = opened(browser, tmp_path / "report.html", 390, "light")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button").click()
    assert page.evaluate(ground) != light
    page.get_by_role("button").click()
    assert page.evaluate(ground) == light
    assert heard == []
    page.close()
