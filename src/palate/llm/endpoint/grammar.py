r"""A schema of answers as a grammar, in the notation of llama.cpp (GBNF).

>>> print(grammar_of({"enum": ["yes", "no"]}))
root ::= ("\"yes\"" | "\"no\"")
"""

import json
from collections.abc import Sequence
from typing import cast

from palate.llm.answer_schema import Schema, kind_of, options_of, properties_of

_RULES = {
    "char": r'char ::= [^"\\\x00-\x1f] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})',
    "integer": r'integer ::= "-"? ("0" | [1-9] [0-9]{0,15})',
    "number": r'number ::= integer ("." [0-9]{1,15})?',
}
_NEEDS = {"char": ("char",), "integer": ("integer",), "number": ("integer", "number")}


def grammar_of(schema: Schema) -> str:
    """Return a grammar whose sentences are the JSON texts that fit ``schema``."""
    needed: set[str] = set()
    root = f"root ::= {_expression(schema, needed)}"
    return "\n".join([root, *(rule for name, rule in _RULES.items() if name in needed)])


def grammar_of_choices(choices: Sequence[str]) -> str:
    """Return a grammar whose only sentences are ``choices``."""
    return "root ::= " + " | ".join(map(_literal, choices))


def _expression(schema: Schema, needed: set[str]) -> str:
    kind = kind_of(schema)
    if kind == "choice":
        return _any_of([json.dumps(each, ensure_ascii=False) for each in options_of(schema)])
    if kind == "boolean":
        return _any_of(["true", "false"])
    if kind == "object":
        return _object(schema, needed)
    if kind == "array":
        return _array(schema, needed)
    name = "char" if kind == "string" else kind
    needed.update(_NEEDS[name])
    return rf'"\"" char{{0,{schema["maxLength"]}}} "\""' if kind == "string" else name


def _object(schema: Schema, needed: set[str]) -> str:
    parts = [
        f"{_literal(json.dumps(name) + ': ')} {_expression(inner, needed)}"
        for name, inner in properties_of(schema).items()
    ]
    return '"{" ' + ' ", " '.join(parts) + ' "}"'


def _array(schema: Schema, needed: set[str]) -> str:
    item = _expression(cast(Schema, schema["items"]), needed)
    low, high = cast(int, schema.get("minItems", 0)), cast(int, schema["maxItems"])
    if high == 0:
        return '"[]"'
    rest = f'{item} (", " {item}){{{max(low - 1, 0)},{high - 1}}}'
    return f'"[" {rest} "]"' if low else f'"[" ({rest})? "]"'


def _any_of(texts: Sequence[str]) -> str:
    return "(" + " | ".join(map(_literal, texts)) + ")"


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped.replace(chr(13), chr(92) + "r")}"'
