"""The pages of the service: plain HTML, style sheets and modules, served as they lie here.

Nothing is built, nothing is fetched from elsewhere, and nothing of a page is written in line, so
that the strict policy of :data:`SECURITY_HEADERS` holds: what an item is called can never run. The
page of the API is Swagger UI, whose two files lie in the package fastapi-offline.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType

FOLDER = Path(__file__).parent

_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; style-src 'self'; script-src 'self'; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SECURITY_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": (
            f"{_POLICY}; require-trusted-types-for 'script'; trusted-types 'none'"
        ),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
)
"""Headers that belong to each file: only our own scripts run, and they cannot write HTML."""
DOCS_HEADERS: Mapping[str, str] = MappingProxyType(
    {**SECURITY_HEADERS, "Content-Security-Policy": _POLICY}
)
"""Headers of the page of the API: Swagger UI writes HTML, of our own document alone."""

_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_ADDRESSES = {"index.html": "/", "operator.html": "/operator", "docs.html": "/docs"}
_SWAGGER_UI = ("swagger-ui.css", "swagger-ui-bundle.js")


@dataclass(frozen=True)
class PageFile:
    """One file as it goes over the wire."""

    body: bytes
    media_type: str
    etag: str
    """Changes with the content: with ``Cache-Control: no-cache`` a reload costs one 304."""
    headers: Mapping[str, str]


def page_files() -> dict[str, PageFile]:
    """Return what is served at which path: the pages, and what they load under ``/page/``."""
    found = sorted(path for path in FOLDER.iterdir() if path.suffix in _MEDIA_TYPES)
    return {_ADDRESSES.get(path.name, f"/page/{path.name}"): _read(path) for path in found}


def swagger_files() -> dict[str, PageFile]:
    """Return what the page of the API loads of Swagger UI, 1.7 MB, at which path."""
    folder = files("fastapi_offline") / "static"
    return {f"/page/{name}": _read(folder / name) for name in _SWAGGER_UI}


def _read(path: Traversable) -> PageFile:
    body = path.read_bytes()
    return PageFile(
        body,
        _MEDIA_TYPES[Path(path.name).suffix],
        f'"{hashlib.sha256(body).hexdigest()[:16]}"',
        DOCS_HEADERS if path.name == "docs.html" else SECURITY_HEADERS,
    )
