"""What a preparation tells: how the source was read, what was dropped, what to beware of."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from palate.data.catalog import Catalog
from palate.data.interactions import Interactions
from palate.data.split import Part, Split

_FEWEST_USERS = 5
_LOUD = 0.2
"""One of at least so many users with such a share of all events is reported."""


@dataclass(frozen=True)
class Dropped:
    """Events that were left out, and why; or what the reason says that was."""

    reason: str
    events: int


@dataclass(frozen=True)
class Notes:
    """What one step has to say; notes add up: ``notes_of_step_1 + notes_of_step_2``."""

    read: tuple[str, ...] = ()
    """How the source was understood: columns, time unit, order."""
    dropped: tuple[Dropped, ...] = ()
    warnings: tuple[str, ...] = ()

    def __add__(self, other: "Notes") -> "Notes":
        """Return both, in order."""
        return Notes(
            read=self.read + other.read,
            dropped=self.dropped + other.dropped,
            warnings=self.warnings + other.warnings,
        )


def write_report(
    title: str, catalog: Catalog, interactions: Interactions, split: Split, notes: Notes
) -> str:
    """Return the whole report as Markdown."""
    sections = [
        ("Counts", _table(_counts(catalog, interactions))),
        ("Split", _split_section(split)),
        ("How the source was read", _bullets(notes.read)),
        ("Dropped", _dropped_section(notes.dropped)),
        ("Warnings", _bullets(_warnings(catalog, interactions, notes)) or "None."),
    ]
    body = "\n\n".join(f"## {heading}\n\n{text}" for heading, text in sections)
    return f"# {_printable(title)}\n\n{body}\n"


def _counts(catalog: Catalog, interactions: Interactions) -> list[tuple[str, str]]:
    per_user = np.diff(interactions.offsets)
    per_item = np.bincount(interactions.item_rows, minlength=len(catalog))
    events, pairs = len(interactions), _num_pairs(interactions, len(catalog))
    rows = [
        ("users", f"{interactions.num_users:,}"),
        ("items", f"{len(catalog):,}"),
        ("events", f"{events:,}"),
        ("share of all user-item pairs", f"{pairs / (len(catalog) * len(per_user)):.4%}"),
        ("events per user (least, median, most)", _spread(per_user)),
        ("events per item (least, median, most)", _spread(per_item)),
    ]
    if pairs < events:
        repeats = f"{events - pairs:,} ({(events - pairs) / events:.1%})"
        rows.append(("events that repeat a user-item pair", repeats))
    by_type = np.bincount(interactions.event_codes, minlength=len(interactions.event_types))
    rows += [
        (f"events of type {name}", f"{count:,}")
        for name, count in zip(interactions.event_types, by_type, strict=True)
    ]
    if interactions.scenario_codes is not None:
        rows.append(("scenarios", ", ".join(interactions.scenarios)))
    return rows + _value_counts(interactions)


def _num_pairs(interactions: Interactions, num_items: int) -> int:
    """Return how many different pairs of user and item there are."""
    keys = interactions.user_rows.astype(np.int64) * num_items + interactions.item_rows
    return pl.Series(keys).n_unique()


def _warnings(catalog: Catalog, interactions: Interactions, notes: Notes) -> tuple[str, ...]:
    return notes.warnings + _loud_user(interactions) + _catalog_warnings(catalog)


def _loud_user(interactions: Interactions) -> tuple[str, ...]:
    """Warn of a user with so many events that it may stand for everybody who is not known."""
    counts = np.diff(interactions.offsets)
    most, median = int(counts.max()), float(np.median(counts))
    if len(counts) < _FEWEST_USERS or most < _LOUD * len(interactions) or most < 10 * median:
        return ()
    name = str(interactions.users.ids[int(counts.argmax())])
    return (
        f"User {name[:60]!r} has {most / len(interactions):.0%} of all events:"
        " does it stand for somebody who is not known?",
    )


def _value_counts(interactions: Interactions) -> list[tuple[str, str]]:
    rows = []
    if interactions.ratings is not None:
        given = interactions.ratings[~np.isnan(interactions.ratings)]
        rows.append(
            (
                "ratings (lowest, mean, highest)",
                f"{given.min():g}, {given.mean():.2f}, {given.max():g}",
            )
        )
    if interactions.timestamps is not None:
        known = interactions.timestamps[interactions.timestamps >= 0]
        first, last = (np.datetime64(int(t), "s") for t in (known.min(), known.max()))
        rows.append(("time (UTC)", f"{first} to {last}"))
        if len(known) < len(interactions):
            rows.append(("events without a time", f"{len(interactions) - len(known):,}"))
    return rows


def _spread(counts: np.ndarray) -> str:
    return f"{counts.min():,}, {np.median(counts):,g}, {counts.max():,}"


def _split_section(split: Split) -> str:
    named = {
        Part.TRAIN: "train",
        Part.VALID: "valid",
        Part.TEST: "test",
        Part.CONTEXT: "context (history only)",
    }
    rows = [(name, f"{count:,}") for part, name in named.items() if (count := split.count(part))]
    return f"{split.description[0].upper()}{split.description[1:]}.\n\n{_table(rows)}"


def _dropped_section(dropped: tuple[Dropped, ...]) -> str:
    if not dropped:
        return "Nothing."
    return _table([(drop.reason, f"{drop.events:,}") for drop in dropped])


def _catalog_warnings(catalog: Catalog) -> tuple[str, ...]:
    warnings = []
    without_text = sum(not text for text in catalog.texts())
    if without_text:
        warnings.append(
            f"{without_text:,} of {len(catalog):,} items have no text"
            " (title, brand, categories, description)."
        )
    titles = catalog.table["title"]
    without_title = titles.null_count()
    if without_text < without_title < len(catalog):
        warnings.append(f"{without_title:,} items have no title.")
    shared = titles.drop_nulls()
    repeated = int(shared.is_duplicated().sum())
    if repeated:
        example = shared.filter(shared.is_duplicated())[0]
        warnings.append(
            f"{repeated:,} items share their title with another item, for instance {example!r}."
        )
    return tuple(warnings)


def _bullets(lines: tuple[str, ...]) -> str:
    return "\n".join(f"- {_printable(line)}" for line in lines)


def _printable(text: str) -> str:
    """Return a text without what a terminal would obey: names of columns may hold anything."""
    if text.isprintable():
        return text
    return "".join(x if x.isprintable() else ascii(x)[1:-1] for x in text)


def _table(rows: list[tuple[str, str]]) -> str:
    cells = [f"| {_cell(name)} | {_cell(value)} |" for name, value in rows]
    return "\n".join(["| | |", "|---|---:|", *cells])


def _cell(text: str) -> str:
    return _printable(text).replace("|", r"\|")
