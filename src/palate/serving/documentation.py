"""The description of the API: OpenAPI, and a page made from it that needs nothing from outside."""

import base64
import hashlib
import html
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from palate import __version__
from palate.serving import schemas

_BODIES: tuple[type[BaseModel], ...] = (
    schemas.RecommendBody,
    schemas.RankBody,
    schemas.SearchBody,
    schemas.ExplainBody,
    schemas.RateBody,
    schemas.EventBody,
    schemas.FeedbackBody,
    schemas.ItemBody,
    schemas.ItemWithId,
    schemas.UserBody,
    schemas.UserWithId,
    schemas.ModelBody,
    schemas.ShareBody,
    schemas.KeyBody,
)

_ABOUT = """\
One language model for every recommendation task, as a service.

Send your key in the header `X-API-Key`. Every refusal has the body
`{"error": {"message", "hint", "request_id"}}`; every answer has the header `X-Request-Id`, which
echoes yours if you send one. A slash within an id in a path travels as `%2F`.
"""

_PROBLEM: Mapping[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "hint", "request_id"],
            "properties": {
                "message": {"type": "string"},
                "hint": {"type": "string"},
                "request_id": {"type": "string"},
            },
        }
    },
}


def openapi_of(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of the application, made once."""
    if app.openapi_schema:
        return app.openapi_schema
    document = get_openapi(
        title="Palate", version=__version__, description=_ABOUT, routes=app.routes
    )
    components = document.setdefault("components", {}).setdefault("schemas", {})
    _, definitions = models_json_schema(
        [(body, "validation") for body in _BODIES], ref_template="#/components/schemas/{model}"
    )
    components.update(definitions["$defs"])
    components["Problem"] = dict(_PROBLEM)
    document["components"]["securitySchemes"] = {
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    }
    refusal = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path, _, operation in _operations(document):
        answers = operation["responses"]
        answers.pop("422", None)
        answers["4XX"] = {"description": "A refusal; the message says why.", "content": refusal}
        answers["503"] = {"description": "Busy: see Retry-After.", "content": refusal}
        if path.startswith("/v1") or path == "/metrics":
            operation["security"] = [{"key": []}]
    app.openapi_schema = document
    return document


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


_STYLE = """
:root { color-scheme: light dark; --line: light-dark(#ddd, #3a3a3a);
  --soft: light-dark(#f6f5f2, #222); --accent: light-dark(#8a3b12, #f0a878); }
body { font: 16px/1.55 system-ui, sans-serif; margin: 0 auto; max-width: 62rem;
  padding: 2rem 1.25rem 6rem; }
h1 { margin: 0 0 .5rem; } h2 { margin: 2.5rem 0 .75rem; text-transform: capitalize; }
code, pre { font: 14px/1.5 ui-monospace, monospace; }
pre { background: var(--soft); padding: .75rem 1rem; overflow-x: auto; border-radius: .4rem; }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .4rem 0; }
summary { cursor: pointer; padding: .55rem .9rem; display: flex; gap: .8rem;
  flex-wrap: wrap; align-items: baseline; }
details > div { padding: .2rem 1rem 1rem; border-top: 1px solid var(--line); }
.method { font-weight: 700; color: var(--accent); min-width: 3.8rem; text-transform: uppercase; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; vertical-align: top;
  border-bottom: 1px solid var(--line); }
.quiet { opacity: .75; }
"""

STYLE_HASH = "sha256-" + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
"""What the content security policy of the page allows beside nothing."""


def page_of(document: Mapping[str, Any]) -> str:
    """Return the document as one plain HTML page, without a script."""
    by_tag: dict[str, list[str]] = {}
    for path, method, operation in _operations(document):
        tag = (operation.get("tags") or ["other"])[0]
        by_tag.setdefault(tag, []).append(_operation(document, path, method, operation))
    sections = "".join(
        f'<section id="{_text(tag)}"><h2>{_text(tag)}</h2>{"".join(parts)}</section>'
        for tag, parts in by_tag.items()
    )
    info = document["info"]
    about = "".join(f"<p>{_text(part)}</p>" for part in info["description"].split("\n\n"))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(info['title'])} API</title><style>{_STYLE}</style></head><body>"
        f"<h1>{_text(info['title'])} {_text(info['version'])}</h1>{about}"
        '<p>As a document for tools: <a href="openapi.json">openapi.json</a>.</p>'
        f"{sections}</body></html>"
    )


def _operation(
    document: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]
) -> str:
    parts = [f"<p>{_text(operation.get('description', ''))}</p>"]
    if parameters := operation.get("parameters"):
        rows = [
            (p["name"], p["in"], p.get("schema", {}), p.get("required", False)) for p in parameters
        ]
        parts.append(
            _table("Parameters", [(n, _kind(s) + f", in the {i}", r, "") for n, i, s, r in rows])
        )
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(_body(document, media, content["schema"]))
    for status, response in operation["responses"].items():
        parts.append(_response(status, response))
    return (
        f'<details><summary><span class="method">{_text(method)}</span>'
        f"<code>{_text(path)}</code><span>{_text(operation.get('summary', ''))}</span></summary>"
        f"<div>{''.join(parts)}</div></details>"
    )


def _body(document: Mapping[str, Any], media: str, schema: Mapping[str, Any]) -> str:
    shown = []
    for part in schema.get("anyOf", [schema]):
        if "$ref" not in part:
            shown.append(f"<p><code>{_text(media)}</code> {_text(part.get('description', ''))}</p>")
            continue
        name = part["$ref"].rpartition("/")[2]
        fields = document["components"]["schemas"][name]
        required = set(fields.get("required", ()))
        rows = [
            (field, _kind(value), field in required, value.get("description", ""))
            for field, value in fields.get("properties", {}).items()
        ]
        shown.append(_table(f"Body ({media}): {fields.get('description', name)}", rows))
    return "".join(shown)


def _response(status: str, response: Mapping[str, Any]) -> str:
    example = response.get("content", {}).get("application/json", {}).get("example")
    shown = "" if example is None else f"<pre>{_text(json.dumps(example, indent=2))}</pre>"
    return f"<p><b>{_text(status)}</b> {_text(response['description'])}</p>{shown}"


def _table(caption: str, rows: Sequence[tuple[str, str, bool, str]]) -> str:
    lines = "".join(
        f"<tr><td><code>{_text(name)}</code></td><td>{_text(kind)}"
        f"{'' if required else ' <span class=quiet>(optional)</span>'}</td>"
        f"<td>{_text(description)}</td></tr>"
        for name, kind, required, description in rows
    )
    return f"<h3>{_text(caption)}</h3><table>{lines}</table>"


def _kind(schema: Mapping[str, Any]) -> str:
    """Return the type of a value in words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_kind(part) for part in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    kind = str(schema.get("type", "anything"))
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    bounds = [
        f"{word} {schema[name]}"
        for name, word in (
            ("minimum", "from"),
            ("maximum", "to"),
            ("maxLength", "length up to"),
            ("default", "default"),
        )
        if name in schema
    ]
    return ", ".join([kind, *bounds])


def _text(value: object) -> str:
    return html.escape(str(value))
