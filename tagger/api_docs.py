"""The API's documentation, one page made from its OpenAPI document.

Swagger UI is a megabyte and a half of script that FastAPI loads from a content delivery network,
and the copies of it on PyPI are years old. This page is a few kilobytes of HTML without script,
works offline, and its plain forms send real requests.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from tagger.messages import MESSAGES

DESCRIPTION = """\
Send pictures, get ranked tags, embeddings, similar pictures and their place on a map; send
drawings, get words for them, and teach new ones; ask which of two pictures is preferred, put sets
in order, vote, and get a taste of your own. No key is
needed; answers are JSON, errors are
`application/problem+json` with a stable `code` and a `detail` that says what to do. Limits are in
`GET v1/models`; when too many requests wait, the answer is 429 with `Retry-After`."""

_STYLE = """\
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{max-width:60rem;margin:0 auto;padding:1rem}
h2{margin-top:2.5rem}h3 code{font-size:1em}
table{border-collapse:collapse;display:block;overflow-x:auto;margin-bottom:.75rem}
th,td{text-align:left;vertical-align:top;padding:.25rem 1rem .25rem 0}
pre,form{padding:.75rem 1rem;border:1px solid #8886;border-radius:.5rem;overflow-x:auto}
label{display:inline-block;margin:0 1rem .5rem 0}input,select{font:inherit;max-width:100%}
code{font:.85em/1.4 ui-monospace,monospace}td:first-child{white-space:nowrap}
:target{background:#fd03}"""

_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS = {
    # Nothing is loaded from anywhere, no script runs, forms go to this server only.
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}

_EXAMPLES = """\
curl -F file=@picture.png 'http://localhost:7860/api/v1/tag?top=5'
curl -F file=@one.png -F file=@two.jpg 'http://localhost:7860/api/v1/tag?lang=ja'

import httpx
with open("picture.png", "rb") as file:
    answer = httpx.post("http://localhost:7860/api/v1/tag", files={"file": file})
print([tag["name"] for tag in answer.json()["results"][0]["tags"]])

curl -H 'Content-Type: application/json' -d '{"strokes": [[[3, 60, 97], [5, 50, 90]]]}' \\
  'http://localhost:7860/api/v1/recognise?top=3'

curl -F file=@picture.png 'http://localhost:7860/api/v1/similar?k=5'
curl -F file=@picture.png 'http://localhost:7860/api/v1/map/place'

curl -F left=@one.png -F right=@two.jpg 'http://localhost:7860/api/v1/compare'
curl -F files=@one.png -F files=@two.jpg 'http://localhost:7860/api/v1/rank'"""


def render(openapi: Mapping[str, Any]) -> str:
    """Make the page. Addresses in it are relative, so that it works wherever it is mounted."""
    info = openapi["info"]
    title = f"{escape(info['title'])} API"
    operations = [
        (path, method, operation)
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    ]
    body = [
        f"<h1>{title} <small>{escape(info['version'])}</small></h1>",
        f"<p>{_prose(info['description'])}</p>",
        '<p>As an <a href="openapi.json">OpenAPI document</a>.</p>',
        f"<pre><code>{escape(_EXAMPLES)}</code></pre>",
        *(_operation(openapi, *operation) for operation in operations),
        "<h2>Errors</h2><table><tr><th>code<th>status<th>detail",
        *_errors(),
        "</table>",
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style>" + "\n".join(body) + "</html>\n"
    )


def _prose(text: str) -> str:
    """Escape a text; what is between backquotes becomes code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(parts))


def _operation(
    openapi: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]
) -> str:
    name = escape(operation["operationId"])
    parameters = operation.get("parameters", [])
    rows = "".join(
        f"<tr><td><code>{escape(p['name'])}</code><td>{escape(_kind(p['schema']))}"
        f"<td>{_prose(p.get('description') or p['schema'].get('description', ''))}"
        for p in parameters
    )
    content = operation.get("requestBody", {}).get("content", {})
    upload, body = "multipart/form-data" in content, content.get("application/json")
    if upload:
        rows = _upload_rows(content["multipart/form-data"]["schema"]) + rows
    if body is not None:
        required = body["schema"].get("required", ())
        rows = (
            "".join(
                f"<tr><td><code>{escape(field)}</code><td>{escape(_kind(schema))}, in the body"
                f"{'' if field in required else ', optional'}<td>{_prose(schema['description'])}"
                if "description" in schema
                else f"<tr><td><code>{escape(field)}</code><td>{escape(_kind(schema))}<td>"
                for field, schema in body["schema"].get("properties", {}).items()
            )
            + rows
        )
    table = f"<table><tr><th>parameter<th>value<th>meaning{rows}</table>" if rows else ""
    examples = "".join(
        f"<details><summary>Example: {escape(label)}</summary>"
        f"<pre><code>{escape(text)}</code></pre></details>"
        for label, text in _examples(operation)
    )
    prose = "".join(
        f"<p>{_prose(part)}</p>" for part in operation.get("description", "").split("\n\n")
    )
    if body is not None:
        sent = json.dumps(body["example"], ensure_ascii=False)
        examples = f"<p>Body, for example:</p><pre><code>{escape(sent)}</code></pre>" + examples
    statuses = ", ".join(sorted(s for s in operation["responses"] if s.isdecimal()))
    return (
        f'<h2 id="{name}">{escape(operation["summary"])}</h2>'
        f"<h3><code>{method.upper()} {escape(path.lstrip('/'))}</code></h3>"
        f"{prose}{table}{examples}"
        f"<p>Answers with {escape(statuses)}.</p>{_form(path, method, operation, upload)}"
    )


def _upload_rows(schema: Mapping[str, Any]) -> str:
    fields = schema["properties"]
    # Most forms hold nothing but pictures, under the same name.
    if set(fields) <= {"file", "files"}:
        if fields["file"].get("type") != "array":
            return "<tr><td><code>file</code><td>form field<td>The picture."
        return (
            "<tr><td><code>file</code><td>form field, may repeat<td>The pictures; "
            "<code>files</code> will do, too."
        )
    required = schema.get("required", ())
    return "".join(
        f"<tr><td><code>{escape(name)}</code><td>form field"
        f"{', may repeat' if field.get('type') == 'array' else ''}"
        f"{'' if name in required else ', optional'}<td>{_prose(field['description'])}"
        for name, field in fields.items()
    )


# Who may not be anybody says who they are in a header, which a form without a script cannot send.
_NEEDS_HEADER = frozenset({"401", "403"})


def _form(path: str, method: str, operation: Mapping[str, Any], upload: bool) -> str:
    """A form that sends a real request, where a form without a script can."""
    parameters = operation.get("parameters", [])
    if _NEEDS_HEADER & set(operation["responses"]):
        return ""
    if upload:
        # A form that posts cannot fill the query as well: it shows the defaults.
        schema = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
        given = dict(schema["properties"])
        if "file" in given:  # `files` is the same under another name
            given.pop("files", None)
        required = {"file", *schema.get("required", ())}
        fields = [_form_field(name, field, name in required) for name, field in given.items()]
    elif method == "get" and "{" not in path:
        fields = [_field(p) for p in parameters if p["in"] == "query"]
    else:
        return ""
    encoding = ' enctype="multipart/form-data"' if upload else ""
    return (
        f'<form method="{method}" action="{escape(path.lstrip("/"))}"{encoding}>'
        f"{''.join(fields)}<button>Try it</button></form>"
    )


def _form_field(name: str, schema: Mapping[str, Any], required: bool) -> str:
    many = schema.get("type") == "array"
    is_file = "contentMediaType" in (schema["items"] if many else schema)
    attributes = ' type="file"' if is_file else ""
    attributes += " multiple" if many else ""
    attributes += " required" if required else ""
    return f'<label>{escape(name)} <input{attributes} name="{escape(name)}"></label>'


def _kind(schema: Mapping[str, Any]) -> str:
    options = [s for s in schema.get("anyOf", [schema]) if s.get("type") != "null"]
    kind = options[0] if options else schema
    text = " or ".join(map(str, kind["enum"])) if "enum" in kind else str(kind.get("type", ""))
    low = kind.get("minimum", kind.get("exclusiveMinimum"))
    high = kind.get("maximum", kind.get("exclusiveMaximum"))
    if low is not None and high is not None:
        text += f" from {low} to {high}"
    default = schema.get("default")
    return text if default in (None, "") else f"{text}, by default {json.dumps(default)}"


def _field(parameter: Mapping[str, Any]) -> str:
    name, schema = escape(parameter["name"]), parameter["schema"]
    if schema.get("type") == "boolean":
        return f'<label>{name} <input type="checkbox" name="{name}" value="true"></label>'
    options = next((s["enum"] for s in schema.get("anyOf", [schema]) if "enum" in s), None)
    if options:
        items = "".join(f"<option>{escape(str(option))}</option>" for option in options)
        return f'<label>{name} <select name="{name}">{items}</select></label>'
    value = escape(str(schema.get("default", "")))
    return f'<label>{name} <input name="{name}" value="{value}"></label>'


def _examples(operation: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    content = operation["responses"].get("200", {}).get("content", {})
    for example in content.get("application/json", {}).get("examples", {}).values():
        text = json.dumps(example["value"], ensure_ascii=False, indent=2)
        yield example["summary"], text


# Of these only whoever starts the server hears, not who sends a request.
_OPERATORS = (
    "bundle-",
    "gallery-",
    "hub-",
    "map-",
    "memory-",
    "model-",
    "push-",
    "settings-",
    "tags-",
)


def _errors() -> Iterator[str]:
    for code, (status, text, _) in sorted(MESSAGES.items()):
        if not code.startswith(_OPERATORS) or code == "model-failed":
            detail = re.sub(r"\{[^}]*\}", "…", text)
            yield (
                f'<tr id="{escape(code)}"><td><code>{escape(code)}</code><td>{status}'
                f"<td>{escape(detail)}"
            )
