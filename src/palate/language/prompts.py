"""Prompt wordings of all families: loading, a user's own file, and rendering for people."""

import math
import string
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int

from palate.data.catalog import Catalog
from palate.errors import ConfigError
from palate.language.tasks import checked_family, prompt_families
from palate.language.tasks.task import Example, Slots, Task, Wordings
from palate.language.text.plain import one_line, rating_words
from palate.types import History

_LISTS = ("seen", "unseen", "add")
_LONGEST_TITLE = 80
_LONGEST_CONTEXT = 400
_OPEN = "..."
_BLANK = "____"


def load_prompts(path: Path | None = None) -> dict[str, Wordings]:
    """Return the wordings of every family, changed by a user's own file.

    In that file a family with ``seen`` (and ``unseen``) replaces the package's wordings; a family
    with ``add`` keeps them and adds wordings to train on.

    Raises:
        ConfigError: when the file cannot be read, names an unknown family or list, or has a wording
            that its family cannot use.
    """
    families = prompt_families()
    prompts = {name: family.wordings for name, family in families.items()}
    for name, wordings in prompts.items():
        for wording in wordings.seen + wordings.unseen:
            _check_slots(families[name], wording)
    if path is None:
        return prompts
    try:
        own = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"The prompts in {str(path)!r} cannot be read: {error}.",
            hint="Write them as TOML in UTF-8.",
        ) from error
    return _changed(prompts, own)


def render(
    wording: str, slots: Slots, example: Example, catalog: Catalog, *, prediction: int = -1
) -> str:
    """Return a prompt as readable text, one line per input of the model.

    Args:
        wording: one of the family of the task.
        slots: values of its slots.
        example: an example of the task.
        catalog: supplies the titles, which are cut to one short line.
        prediction: which prediction of the example to show, by default the last.
    """
    titles = catalog.titles()
    rows = example.history.item_rows[: example.prefix_lengths[prediction]].tolist()
    lines = [wording.format(**slots)]
    if example.context or example.gap is not None:
        lines.append(f"words: {one_line(_with_gap(example), _LONGEST_CONTEXT)}")
    ratings = _rating_labels(example.history)
    hidden = np.full(len(rows), -1) if example.hidden is None else example.hidden
    lines += [
        f"{number}. {_BLANK}"
        if blank >= 0
        else f"{number}. {one_line(titles[row], _LONGEST_TITLE)}{rated}"
        for number, (row, rated, blank) in enumerate(
            zip(rows, ratings, hidden, strict=False), start=1
        )
    ]
    if example.candidates is not None:
        lines += [f"candidate: {title}" for title in _named(example.candidates[prediction], titles)]
    return "\n".join([*lines, f"answer: {answer_of(example, titles, prediction=prediction)}"])


def answer_of(example: Example, titles: Sequence[str], *, prediction: int = -1) -> str:
    """Return the true answer of an example as readable text, three dots where there is none."""
    if example.target_texts:
        answer = one_line(example.target_texts[prediction], _LONGEST_CONTEXT)
    elif example.hidden is not None:
        answer = " | ".join(_named(example.history.item_rows[example.hidden >= 0], titles))
    else:
        answer = " | ".join(_named(example.targets[prediction], titles))
    return answer or _OPEN


def _with_gap(example: Example) -> str:
    """Return the context with its blank shown."""
    if example.gap is None:
        return example.context
    return f"{example.context[: example.gap]} {_BLANK} {example.context[example.gap :]}"


def _rating_labels(history: History) -> list[str]:
    if history.ratings is None:
        return [""] * len(history)
    return ["" if math.isnan(r) else f" ({rating_words(r)})" for r in history.ratings.tolist()]


def _named(item_rows: Int[np.ndarray, " items"], titles: Sequence[str]) -> list[str]:
    return [one_line(titles[row], _LONGEST_TITLE) for row in item_rows.tolist() if row >= 0]


def _changed(prompts: Mapping[str, Wordings], tables: Mapping[str, object]) -> dict[str, Wordings]:
    """Return the prompts with the changes of a user's file applied."""
    changed = dict(prompts)
    for family, table in tables.items():
        known = checked_family(family)
        wordings = _wordings(family, table, prompts.get(family))
        for wording in wordings.seen + wordings.unseen:
            _check_slots(known, wording)
        changed[family] = wordings
    return changed


def _wordings(family: str, table: object, known: Wordings | None) -> Wordings:
    seen, unseen, more = (_texts(family, table, name) for name in _LISTS)
    _check_lists(family, table)
    if more and known is not None:
        seen, unseen = tuple(dict.fromkeys(known.seen + more)), known.unseen
    if not seen:
        raise ConfigError(
            f"Prompt family {family!r} has no wording.", hint="Add a list `seen`, or `add`."
        )
    both = set(seen) & set(unseen)
    if both:
        raise ConfigError(
            f"The {family!r} wording {min(both)!r} is to be trained on and to be unseen.",
            hint="Leave it out of one of the lists.",
        )
    return Wordings(seen, unseen)


def _check_lists(family: str, table: object) -> None:
    names = set(table) if isinstance(table, dict) else set()
    if unknown := sorted(names.difference(_LISTS)):
        raise ConfigError(
            f"Prompt family {family!r} has an unknown list {unknown[0]!r}.",
            hint=f"The lists are {', '.join(_LISTS)}.",
        )
    if "add" in names and len(names) > 1:
        raise ConfigError(
            f"Prompt family {family!r} both replaces and adds wordings.",
            hint="Write `seen` and `unseen` to replace the family, or `add` alone to keep it.",
        )


def _texts(family: str, table: object, name: str) -> tuple[str, ...]:
    found = table.get(name, []) if isinstance(table, dict) else None
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise ConfigError(
            f"Prompt family {family!r} needs a table whose {name!r} is a list of texts.",
            hint=f'Write [{family}] and below it: {name} = ["..."]',
        )
    return tuple(found)


def _check_slots(family: type[Task], wording: str) -> None:
    wanted = ", ".join(sorted(family.slot_names)) or "none"
    try:
        used = {name for _, name, _, _ in string.Formatter().parse(wording) if name is not None}
    except ValueError as error:
        raise ConfigError(
            f"The {family.name!r} wording {wording!r} has a broken slot: {error}.",
            hint="Slots are written {like_this}; a brace that is none is doubled.",
        ) from error
    if used != family.slot_names:
        raise ConfigError(
            f"The {family.name!r} wording {wording!r} uses the slots {sorted(used)}; "
            f"it must use {wanted}.",
            hint="Slots are written {like_this}.",
        )
