"""A JSON value that fits its schema, asking a model only for what is open.

Braces, names and quotes are written here. Where the schema leaves a choice, the options are scored;
where it leaves a text or a number open, the model writes it. What comes out always fits.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import cast

from palate.llm.answer_schema import Schema, kind_of, options_of, properties_of

_MOST_NUMBERS = 32
"""Integers of a longer range are written, and put into it, instead of scored one by one."""
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


class JsonFilling:
    """A value in the making."""

    def __init__(
        self,
        choose: Callable[[str, Sequence[str]], int],
        write: Callable[[str, str, int], str],
    ) -> None:
        """Begin with nothing.

        Args:
            choose: given the JSON so far and how it may go on, returns the number of the best.
            write: given the JSON so far, the mark that ends it and a length, returns more of it.
        """
        self.text = ""
        """The JSON so far."""
        self._choose, self._write = choose, write

    def fill(self, schema: Schema) -> object:
        """Return the value, after whatever was written before it."""
        kind = kind_of(schema)
        if kind == "choice":
            return self._choice(options_of(schema))
        if kind == "boolean":
            return self._choice([True, False])
        if kind == "object":
            return self._object(schema)
        if kind == "array":
            return self._array(schema)
        return self._string(schema) if kind == "string" else self._number(schema, kind)

    def _choice(self, options: Sequence[object]) -> object:
        texts = [_json(option) for option in options]
        best = self._choose(self.text, texts) if len(texts) > 1 else 0
        self.text += texts[best]
        return options[best]

    def _object(self, schema: Schema) -> dict[str, object]:
        value: dict[str, object] = {}
        for place, (name, inner) in enumerate(properties_of(schema).items()):
            self.text += f"{', ' if place else '{'}{_json(name)}: "
            value[name] = self.fill(inner)
        self.text += "}" if value else "{}"
        return value

    def _array(self, schema: Schema) -> list[object]:
        low, high = cast(int, schema.get("minItems", 0)), cast(int, schema["maxItems"])
        values: list[object] = []
        self.text += "["
        while len(values) < high and (len(values) < low or self._goes_on(bool(values))):
            self.text += ", " if values else ""
            values.append(self.fill(cast(Schema, schema["items"])))
        self.text += "]"
        return values

    def _goes_on(self, is_begun: bool) -> bool:
        return not is_begun or self._choose(self.text, [", ", "]"]) == 0

    def _string(self, schema: Schema) -> str:
        most = cast(int, schema["maxLength"])
        self.text += '"'
        value = _until_quote(self._write(self.text, '"', most))[:most]
        self.text += _json(value)[1:]
        return value

    def _number(self, schema: Schema, kind: str) -> object:
        low, high = schema.get("minimum"), schema.get("maximum")
        has_ends = kind == "integer" and isinstance(low, int) and isinstance(high, int)
        if has_ends and cast(int, high) - cast(int, low) < _MOST_NUMBERS:
            return self._choice(range(cast(int, low), cast(int, high) + 1))
        found = _NUMBER.search(self._write(self.text, ",", 16))
        number = float(found[0]) if found else 0.0
        number = max(number, cast(float, low)) if low is not None else number
        number = min(number, cast(float, high)) if high is not None else number
        value = round(number) if kind == "integer" else number
        self.text += _json(value)
        return value


def most_tokens(schema: Schema, per_text: int) -> int:
    """Return an upper bound of the tokens of a value, of whose texts each has ``per_text``."""
    kind = kind_of(schema)
    if kind == "choice":
        return max(len(_json(option).encode("utf-8", "replace")) for option in options_of(schema))
    if kind == "object":
        inner = properties_of(schema).items()
        names = sum(len(_json(name).encode("utf-8", "replace")) + 4 for name, _ in inner)
        return 2 + names + sum(most_tokens(each, per_text) for _, each in inner)
    if kind == "array":
        item = most_tokens(cast(Schema, schema["items"]), per_text) + 2
        return 2 + cast(int, schema["maxItems"]) * item
    # A quote or a control letter of a text takes more tokens in JSON than it took to write.
    return 2 + 2 * per_text if kind == "string" else _LONGEST_NUMBER


_LONGEST_NUMBER = 24


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _until_quote(text: str) -> str:
    r"""Return the text of a JSON string whose first quote was written already.

    >>> _until_quote(r'a \"b\" c", "next')
    'a "b" c'
    """
    body = re.match(r'(?:[^"\\\n]|\\.)*', text)
    try:
        return str(json.loads(f'"{body[0] if body else ""}"', strict=False))
    except ValueError:
        return re.split(r'["\\\n]', text, maxsplit=1)[0]
