"""The pages of the service: plain HTML, style sheets and modules, served as they lie here.

Nothing is built, nothing is fetched from elsewhere, and nothing of a page is written in line, so
that the strict policy of :data:`SECURITY_HEADERS` holds: what an item is called can never run.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

FOLDER = Path(__file__).parent

SECURITY_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": (
            "default-src 'self'; img-src 'self' blob: data:; style-src 'self'; script-src 'self'; "
            "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
            "require-trusted-types-for 'script'; trusted-types 'none'"
        ),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
)
"""Headers that belong to each file: only our own scripts run, and they cannot write HTML."""

_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_ADDRESSES = {"index.html": "/", "operator.html": "/operator"}


@dataclass(frozen=True)
class PageFile:
    """One file as it goes over the wire."""

    body: bytes
    media_type: str
    etag: str
    """Changes with the content: with ``Cache-Control: no-cache`` a reload costs one 304."""


def page_files() -> dict[str, PageFile]:
    """Return what is served at which path: the two pages, and what they load under ``/page/``."""
    files = sorted(path for path in FOLDER.iterdir() if path.suffix in _MEDIA_TYPES)
    return {_ADDRESSES.get(path.name, f"/page/{path.name}"): _read(path) for path in files}


def _read(path: Path) -> PageFile:
    body = path.read_bytes()
    digest = hashlib.sha256(body).hexdigest()[:16]
    return PageFile(body, _MEDIA_TYPES[path.suffix], f'"{digest}"')
