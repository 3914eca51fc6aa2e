"""The files of the page as they lie: strict policy, no way for text to become markup, light."""

import re
from pathlib import Path

import pytest

from palate.serving.page import DOCS_HEADERS, FOLDER, SECURITY_HEADERS, page_files, swagger_files

SCRIPTS = sorted(FOLDER.glob("*.js"))
PAGES = sorted(FOLDER.glob("*.html"))
WRITES_MARKUP = re.compile(
    r"\.(?:inner|outer)HTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
    r"|DOMParser|createContextualFragment|setHTML|srcdoc|javascript:"
)
RUNS_IN_LINE = re.compile(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", re.IGNORECASE)


def test_all_pages_and_all_they_load_are_served() -> None:
    files = {**page_files(), **swagger_files()}
    assert {"/", "/operator", "/docs"} <= set(files)
    for page in PAGES:
        for name in re.findall(r'(?:src|href)="(page/[^"]+)"', page.read_text()):
            assert f"/{name}" in files
    for script in SCRIPTS:
        for name in re.findall(r'from "\./([^"]+)"', script.read_text()):
            assert f"/page/{name}" in files


def test_only_what_a_browser_reads_is_served() -> None:
    for path, file in page_files().items():
        assert not path.endswith(".py")
        assert file.media_type.split("/")[0] in {"text", "image"}


def test_the_etag_follows_from_the_content() -> None:
    tags = [file.etag for file in page_files().values()]
    assert len(set(tags)) == len(tags)
    assert tags == [file.etag for file in page_files().values()]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_no_script_writes_markup(script: Path) -> None:
    assert WRITES_MARKUP.findall(script.read_text()) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_nothing_runs_in_line(page: Path) -> None:
    assert RUNS_IN_LINE.findall(page.read_text()) == []


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.*")), ids=lambda path: path.name)
def test_no_file_names_another_host(path: Path) -> None:
    assert set(re.findall(r"(?:https?:)?//[\w.]+\.\w+", path.read_text())) <= {"http://www.w3.org"}


def test_the_policy_lets_only_our_own_scripts_run() -> None:
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    for rule in ("default-src 'self'", "script-src 'self'", "require-trusted-types-for 'script'"):
        assert rule in policy


def test_the_docs_differ_in_that_their_own_script_may_write_markup() -> None:
    files = page_files()
    own = DOCS_HEADERS["Content-Security-Policy"]
    assert files["/docs"].headers == DOCS_HEADERS
    assert SECURITY_HEADERS["Content-Security-Policy"].startswith(f"{own}; require-trusted-types")
    assert all(file.headers == SECURITY_HEADERS for path, file in files.items() if path != "/docs")


def test_each_page_weighs_less_than_150_kilobytes() -> None:
    assert sum(len(file.body) for file in page_files().values()) < 150_000
