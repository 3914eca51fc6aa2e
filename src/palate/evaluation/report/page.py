"""One self-contained HTML page about one or several models, without requests or plot libraries.

Names, facts and titles are untrusted: the template escapes everything, and the only script that the
content security policy allows is the page's own switch between light and dark.
"""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from palate.errors import DataError
from palate.evaluation.report.entries import CurvePoint, Example, Recommended, ReportEntry
from palate.evaluation.report.figures import cohorts, details
from palate.evaluation.report.templates import render_template
from palate.storage import write_whole

__all__ = ["CurvePoint", "Example", "Recommended", "ReportEntry", "render", "write_report"]

_SCRIPT = Markup("""
const root = document.documentElement;
const button = document.getElementById("theme");
const dark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
const name = () => { button.textContent = isDark() ? "Light" : "Dark"; };
button.hidden = false;
button.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  name();
});
dark.addEventListener("change", name);
name();
""")
"""The switch between light and dark, the only script that the page's policy allows."""


def write_report(entries: Sequence[ReportEntry], path: Path | str) -> None:
    """Write one HTML page about ``entries``; each is compared with the first with the same cases.

    Raises:
        DataError: when there is no entry.
        ArtifactError: when the page cannot be written.
    """
    if not entries:
        raise DataError("A report needs at least one model; none was given.")
    write_whole(path, render(entries))


def render(entries: Sequence[ReportEntry]) -> str:
    """Return the HTML of :func:`write_report`."""
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    return render_template(
        "report.html.jinja",
        cohorts=cohorts(entries),
        names=[entry.name for entry in entries],
        details={place: details(entry) for place, entry in enumerate(entries)},
        script=_SCRIPT,
        script_hash=digest,
    )
