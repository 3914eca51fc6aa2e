"""The texts of the prompts: data in one TOML file, checked, filled in once."""

import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from palate.errors import ConfigError

SLOTS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    name: (frozenset(needed), frozenset(needed) | frozenset(allowed))
    for name, needed, allowed in (
        ("recommender", (), ("domain",)),
        ("expert", (), ("domain",)),
        ("customer", (), ("domain",)),
        ("sequential", ("history",), ("last",)),
        ("recency", ("history", "last"), ()),
        ("in-context", ("earlier", "last"), ()),
        ("nobody", (), ()),
        ("known", ("profile",), ()),
        ("wish", ("wish",), ()),
        ("profile", (), ()),
        ("reason", (), ()),
        ("reasoned", (), ()),
        ("choose", ("candidates",), ()),
        ("pair", ("candidates",), ()),
        ("mark", ("candidates",), ()),
        ("rank", ("candidates",), ("top",)),
        ("title", (), ()),
        ("summary", ("review",), ()),
        ("relations", ("item", "relations", "text"), ()),
    )
}
"""The slots that each text must have, and those that it may have. Others of a user's own file say
who is asked."""

_SLOT = re.compile(r"\{([a-z]+)\}")
_OWN = (frozenset[str](), frozenset({"domain"}))
_MAX_TEXT = 4_000


def load_prompt_texts(path: Path | None = None) -> dict[str, str]:
    """Return the texts by name, those of ``path`` in place of the package's.

    Raises:
        ConfigError: when a file cannot be read, or a text lacks a slot or has an unknown one.
    """
    own = files("palate.inference.prompting").joinpath("prompts.toml").read_text(encoding="utf-8")
    texts = _checked(tomllib.loads(own))
    if path is None:
        return texts
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"The prompts in {str(path)!r} cannot be read: {error}.",
            hint="Write them as TOML in UTF-8.",
        ) from error
    return texts | _checked(tables)


def filled(text: str, /, **values: str) -> str:
    """Return a text with its slots filled in, once: what is filled in may hold braces.

    >>> filled("I chose {last}.", last='"{last} Lamp"')
    'I chose "{last} Lamp".'
    """
    return _SLOT.sub(lambda slot: values.get(slot[1], slot[0]), text)


def _checked(tables: Mapping[str, object]) -> dict[str, str]:
    texts = {}
    for name, table in tables.items():
        if name == "version":
            continue
        text = table.get("text") if isinstance(table, dict) and set(table) == {"text"} else None
        if not isinstance(text, str) or not text.strip() or len(text) > _MAX_TEXT:
            raise ConfigError(
                f"The prompt {name!r} needs a text of at most {_MAX_TEXT} characters and no more.",
                hint=f'Write [{name}] and below it: text = "..."',
            )
        texts[name] = text.strip()
        needed, allowed = SLOTS.get(name, _OWN)
        used = frozenset(_SLOT.findall(text))
        if not needed <= used <= allowed:
            raise ConfigError(
                f"The prompt {name!r} uses the slots {sorted(used)}; it must use "
                f"{sorted(needed) or 'none'} and may use {sorted(allowed) or 'none'}.",
                hint="Slots are written {like_this}; every other brace is left as it is.",
            )
    return texts
