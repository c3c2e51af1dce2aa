"""The OpenAPI document and the page made from it."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from starlette.testclient import TestClient

from tagger import api_draw_models, api_models
from tests.api.conftest import Serve
from tests.fakes import picture


@pytest.fixture
def openapi(toy_client: TestClient) -> dict[str, Any]:
    document: dict[str, Any] = toy_client.get("/api/openapi.json").json()
    return document


# What answers with files or nothing, of which there are no examples.
FILES = {
    "/v1/drawings/export",
    "/v1/map/columns/{name}",
    "/v1/map/export",
    "/v1/map/pictures/{number}/image",
    "/v1/map/points",
    "/v1/taste/profile",
    "/v1/votes/export",
    "/v1/votes/{id}",
}


class Page(HTMLParser):
    """Collects what a page links to, and checks that every text is well placed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def check_against(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    """Assert that a value has the form of a schema: all that ours use."""
    schema = resolve(document, schema)
    if "anyOf" in schema:
        for option in schema["anyOf"]:
            try:
                check_against(document, option, value)
            except AssertionError:
                continue
            return
        raise AssertionError(value)
    kind = schema.get("type")
    if kind == "object":
        assert isinstance(value, dict)
        assert set(schema.get("required", ())) <= set(value)
        for name, part in value.items():
            if "properties" in schema:
                assert name in schema["properties"], name
                check_against(document, schema["properties"][name], part)
    elif kind == "array":
        assert isinstance(value, list)
        for part in value:
            check_against(document, schema["items"], part)
    elif kind is not None:
        kinds = {"string": str, "integer": int, "number": (int, float), "boolean": bool}
        assert value is None if kind == "null" else isinstance(value, kinds[kind])


def test_every_address_is_described(openapi: dict[str, Any]) -> None:
    assert openapi["openapi"].startswith("3.1")
    assert {path: set(methods) for path, methods in openapi["paths"].items()} == {
        "/v1/tag": {"post"},
        "/v1/tags": {"get"},
        "/v1/models": {"get"},
        "/v1/recognise": {"post"},
        "/v1/drawings": {"get", "post", "delete"},
        "/v1/drawings/export": {"get"},
        "/v1/drawings/{id}": {"patch", "delete"},
        "/v1/words": {"get"},
        "/v1/words/{word}": {"put", "delete"},
        "/v1/tuning": {"get"},
        "/v1/tuning/runs": {"post"},
        "/v1/tuning/runs/{id}": {"get", "delete"},
        "/v1/tuning/versions/{id}": {"post"},
        "/v1/tuning/back": {"post"},
        "/v1/map": {"get"},
        "/v1/map/points": {"get"},
        "/v1/map/columns/{name}": {"get"},
        "/v1/map/pictures": {"get"},
        "/v1/map/pictures/{number}": {"get"},
        "/v1/map/pictures/{number}/image": {"get"},
        "/v1/map/search": {"get"},
        "/v1/map/selection": {"post"},
        "/v1/map/export": {"post"},
        "/v1/map/place": {"post"},
        "/v1/similar": {"post"},
        "/v1/embed": {"post"},
        "/v1/rankers": {"get"},
        "/v1/compare": {"post"},
        "/v1/rank": {"post"},
        "/v1/rank/scores": {"post"},
        "/v1/rank/evaluate": {"post"},
        "/v1/votes/next": {"get"},
        "/v1/votes": {"get", "post", "delete"},
        "/v1/votes/{id}": {"delete"},
        "/v1/votes/export": {"get"},
        "/v1/votes/report": {"get"},
        "/v1/taste": {"get"},
        "/v1/taste/order": {"get"},
        "/v1/taste/words": {"put"},
        "/v1/taste/profile": {"get", "put"},
        "/v1/taste/blend": {"post"},
    }
    assert openapi["servers"] == [{"url": "/api"}]
    for methods in openapi["paths"].values():
        for operation in methods.values():
            assert operation["summary"]
            assert operation["description"]
            default = operation["responses"]["default"]["content"]
            assert list(default) == ["application/problem+json"]


def test_references_lead_somewhere(openapi: dict[str, Any]) -> None:
    references = set(re.findall(r"'\$ref': '#/components/schemas/(\w+)'", str(openapi)))
    assert references
    assert references <= set(openapi["components"]["schemas"])


def test_the_form_of_the_upload_is_described(openapi: dict[str, Any]) -> None:
    operation = openapi["paths"]["/v1/tag"]["post"]
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(form["properties"]) == {"file", "files"}
    parameters = {parameter["name"] for parameter in operation["parameters"]}
    assert parameters == {"top", "lang", "min_probability"}
    assert {"200", "400", "408", "413", "415", "422", "429", "503"} <= set(operation["responses"])


def test_answers_have_the_form_that_is_described(
    openapi: dict[str, Any], toy_client: TestClient
) -> None:
    files = [("file", ("a.png", picture())), ("file", ("b.png", b""))]
    answers = {
        ("/v1/tag", "post"): toy_client.post("/api/v1/tag", files=files).json(),
        ("/v1/tags", "get"): toy_client.get("/api/v1/tags").json(),
        ("/v1/models", "get"): toy_client.get("/api/v1/models").json(),
    }
    for (path, method), answer in answers.items():
        content = openapi["paths"][path][method]["responses"]["200"]["content"]
        check_against(openapi, content["application/json"]["schema"], answer)
    problem = toy_client.get("/api/nothing").json()
    check_against(openapi, {"$ref": "#/components/schemas/Problem"}, problem)


def test_examples_have_the_form_that_is_described(openapi: dict[str, Any]) -> None:
    examples = 0
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            for status, response in operation["responses"].items():
                content = response.get("content", {}).get("application/json", {})
                for example in content.get("examples", {}).values():
                    check_against(openapi, content["schema"], example["value"])
                    examples += 1
                if status.startswith("2") and path not in FILES:
                    assert content.get("examples"), (path, method, status)
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if body is not None:
                check_against(openapi, body["schema"], body["example"])
    assert examples >= 12
    models: dict[tuple[str, str], Any] = {
        ("/v1/tag", "post"): api_models.TagResponse,
        ("/v1/tags", "get"): api_models.TagsResponse,
        ("/v1/models", "get"): api_models.ModelsResponse,
        ("/v1/recognise", "post"): api_draw_models.RecogniseResponse,
        ("/v1/drawings", "get"): api_draw_models.DrawingsResponse,
    }
    for (path, method), model in models.items():
        content = openapi["paths"][path][method]["responses"]["200"]["content"]
        for example in content["application/json"]["examples"].values():
            assert model.model_validate(example["value"])


def test_the_page_loads_nothing_and_runs_nothing(toy_client: TestClient) -> None:
    response = toy_client.get("/api/docs")
    assert response.headers["content-type"].startswith("text/html")
    page = Page(response.text)
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "img", "link", "iframe", "object", "base"}
    for attributes in [attributes for _, attributes in page.tags]:
        assert not [name for name in attributes if name.startswith("on")]
        assert "src" not in attributes
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    (style,) = re.findall(r"<style>(.*?)</style>", response.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy


def test_the_page_shows_every_operation_parameter_and_error(
    toy_client: TestClient, openapi: dict[str, Any]
) -> None:
    text = toy_client.get("/api/docs").text
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            assert f"{method.upper()} {path.lstrip('/')}" in text
            for parameter in operation.get("parameters", []):
                assert f"<code>{parameter['name']}</code>" in text
    for code in ("image-empty", "busy", "request-too-large", "not-found"):
        assert f'id="{code}"' in text
    for code in ("bundle-not-found", "settings-invalid", "tags-invalid"):
        assert code not in text
    # No message shows its placeholders.
    assert "{" not in text[text.index("<h2>Errors</h2>") :]


def test_the_forms_of_the_page_work(toy_client: TestClient) -> None:
    page = Page(toy_client.get("/api/docs").text)
    forms = {(form["method"], form["action"]) for form in page.all("form")}
    assert forms == {
        ("post", "v1/tag"),
        ("get", "v1/tags"),
        ("get", "v1/models"),
        ("get", "v1/words"),
        ("get", "v1/map"),
        ("get", "v1/map/points"),
        ("get", "v1/map/pictures"),
        ("get", "v1/map/search"),
        ("post", "v1/map/place"),
        ("post", "v1/similar"),
        ("post", "v1/embed"),
        ("get", "v1/rankers"),
        ("post", "v1/compare"),
        ("post", "v1/rank"),
    }
    # As a browser sends them: text fields as they are shown, the boxes not ticked.
    fields: dict[str, str | None] = {}
    action: str | None = None
    for tag, attributes in page.tags:
        if tag == "form":
            action = attributes["action"]
        elif tag == "input" and action == "v1/tags" and attributes.get("type") != "checkbox":
            fields[str(attributes["name"])] = attributes.get("value") or ""
    response = toy_client.get("/api/v1/tags", params={**fields, "lang": "en"})
    assert response.status_code == 200
    assert len(response.json()["tags"]) == 24


@pytest.mark.parametrize("path", ["/api", "/api/"])
def test_the_bare_address_leads_to_the_page(serve: Serve, path: str) -> None:
    client = serve()
    answer = client.get(path, follow_redirects=False)
    assert answer.is_redirect
    assert "://" not in answer.headers["location"]
    assert "<h1>" in client.get(path).text


def test_the_document_names_the_path_of_a_proxy(serve: Serve) -> None:
    client = serve()
    client.app = _Prefixed(client.app)
    client._transport.app = client.app
    assert client.get("/api/openapi.json").json()["servers"] == [{"url": "/prefix/api"}]


class _Prefixed:
    """What a server does that is told a root path."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(
            {**scope, "root_path": "/prefix", "path": "/prefix" + scope["path"]}, receive, send
        )
