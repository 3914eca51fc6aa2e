"""A real browser on the pages, a stand-in for the API, and an ear for whatever goes wrong."""

import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("starlette", reason="palate[serve] is not installed")
pytest.importorskip("uvicorn", reason="palate[serve] is not installed")

from fake_api import Shop, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


# Not for the session: while playwright runs, no other test can run an event loop.
@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"no browser here: {CHROMIUM} is missing (apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def address(shop: Shop) -> Iterator[str]:
    with serving(shop) as served:
        yield served


Opened = Callable[..., "Page"]


@pytest.fixture
def opened(browser: "Browser", address: str, heard: list[str]) -> "Iterator[Opened]":
    """Open a path of the server; what the page complains about or asks elsewhere is heard."""
    contexts = []

    def open_page(
        path: str = "/", *, width: int = 1280, theme: str = "light", motion: str = "reduce"
    ) -> "Page":
        context = browser.new_context(
            viewport={"width": width, "height": 900 if width > 600 else 844},
            color_scheme="dark" if theme == "dark" else "light",
            reduced_motion="reduce" if motion == "reduce" else "no-preference",
            has_touch=width < 600,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("request", lambda request: _note_foreign(request.url, address, heard))
        page.goto(address + path)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """Whatever the page complained about; a test that expects something takes it out."""
    said: list[str] = []
    yield said
    assert said == []


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: a temporary folder, or that of PALATE_SCREENSHOTS to keep them."""
    wanted = os.environ.get("PALATE_SCREENSHOTS")
    folder = Path(wanted) if wanted else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of axe-core: the file of PALATE_AXE, else fetched by npm, else a skip."""
    given = os.environ.get("PALATE_AXE")
    if given:
        return Path(given).read_text()
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no axe-core: set PALATE_AXE to its axe.min.js, or install npm")
    folder = tmp_path_factory.mktemp("axe")
    pack = [npm, "pack", "axe-core@4", "--fetch-retries=0", "--fetch-timeout=20000"]
    try:
        done = subprocess.run(pack, cwd=folder, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        pytest.skip("no axe-core: npm does not answer; set PALATE_AXE to its axe.min.js")
    packed = next(folder.glob("*.tgz"), None)
    if done.returncode or packed is None:
        pytest.skip("no axe-core: npm could not fetch it; set PALATE_AXE to its axe.min.js")
    with tarfile.open(packed) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode()


def _note_foreign(url: str, address: str, heard: list[str]) -> None:
    if not url.startswith((f"{address}/", "blob:", "data:")):
        heard.append(url)
