"""The page without a browser: its words, its answers, its endpoint, its files."""

from __future__ import annotations

import base64
import io
import itertools
import json
import re
import string
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from tagger import server, ui
from tagger.errors import LimitError, TaggerError
from tagger.services import PictureFacts, Services, build_services
from tagger.settings import Settings
from tagger.tags import format_tags
from tagger.ui import answers, examples, files, tag_tab, translations
from tests import toy

STATIC = Path(tag_tab.__file__).parent / "static"
ROOT = Path(__file__).resolve().parents[1]


def png(color: tuple[int, ...] = (255, 0, 0), size: tuple[int, int] = (48, 48)) -> bytes:
    file = io.BytesIO()
    Image.new("RGBA" if len(color) == 4 else "RGB", size, color).save(file, "PNG")
    return file.getvalue()


def upload(data: object, name: str = "a.png", **fields: object) -> SimpleNamespace:
    """What Gradio makes of the browser's request."""
    return SimpleNamespace(files=[(name, data)], data=fields)


def visitor(accept_language: str = "en") -> SimpleNamespace:
    return SimpleNamespace(headers={"accept-language": accept_language})


@pytest.fixture(scope="module")
def tag_picture(toy_services: Services):
    return tag_tab.make_tag_picture(toy_services)


# --- words ----------------------------------------------------------------------------------------


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("table", ["PAGE", "TAG_TAB", "NOTES"])
def test_both_languages_have_the_same_words_with_the_same_values(table: str) -> None:
    english, japanese = (getattr(translations, table)[lang] for lang in ("en", "ja"))
    assert english.keys() == japanese.keys()
    for key, text in english.items():
        assert fields(text) == fields(japanese[key]), key
        # English and Japanese agree on what holds no words, such as the name of a format.
        assert (text == "") == (japanese[key] == "") or key == "gap", key


def test_the_script_and_the_markup_use_just_the_words_that_there_are() -> None:
    script = files.text("common.js", "tag.js")
    in_markup = set(re.findall(r'data-(?:word|label)="(\w+)"', tag_tab.TEMPLATE))
    words = set(translations.labels("en"))
    assert in_markup | set(re.findall(r"say\('(\w+)'", script)) <= words
    in_script = {key for key in words if f"'{key}'" in script or f"words.{key}" in script}
    assert words - in_script - in_markup == set()


def test_about_names_the_model_and_its_data(toy_services: Services) -> None:
    text = ui.about(toy_services, "en")
    assert "toy" in text
    assert "24 tags" in text
    assert "24個" in ui.about(toy_services, "ja")


def test_the_page_says_in_one_sentence_what_its_tabs_do() -> None:
    tabs = ("draw", "explore", "compare")
    said = {
        lang: {
            there: ui.lead(
                SimpleNamespace(**dict(zip(tabs, (shown or None for shown in there), strict=True))),
                lang,
            )
            for there in itertools.product((False, True), repeat=len(tabs))
            if there[1] or not there[2]  # who votes has a gallery
        }
        for lang in ("en", "ja")
    }
    signs = [("draw and watch", "描いた"), (" map ", "地図"), ("vote and", "投票で学")]
    for place, sign in enumerate(signs):
        for lang, word in zip(("en", "ja"), sign, strict=True):
            assert all((word in text) == there[place] for there, text in said[lang].items())
    assert all("kept" in text for text in said["en"].values())
    bare = SimpleNamespace(draw=None, explore=None, compare=True)
    assert ui.lead(bare, "en") == said["en"][False, False, False]


def test_those_who_only_list_the_page_are_told_the_same(toy_services: Services) -> None:
    head = ui.launch_options(toy_services)["head"]
    assert f'<meta name="description" content="{ui.lead(toy_services, "en")}">' in head
    assert "{ display: none !important; }" in head


def test_names_of_data_are_read_from_both_forms_and_disarmed() -> None:
    given = [
        "Plain Set 0.1",
        {"name": "With *marks* <b>", "licence": "MIT"},
        "Long Set (example.org/long), Apache-2.0",
        "Other, in two styles, MIT",
        "Long Set (again)",
        "Keywords: example.org, MIT",
        {"licence": "x"},
        3,
        " ",
    ]
    assert ui.data_names(given) == ["Plain Set 0.1", "With marks b", "Long Set", "Other"]


# --- answers --------------------------------------------------------------------------------------


def test_an_answer_holds_what_the_services_say(toy_services: Services, tag_picture) -> None:
    result = toy_services.tag(png(), top=10)
    answer = tag_picture(upload(png(), lang="ja"), visitor("en"))
    assert [entry["name"] for entry in answer["tags"]] == [e.tag.name for e in result.tags]
    for entry, ranked in zip(answer["tags"], result.tags, strict=True):
        assert entry["probability"] == pytest.approx(ranked.probability, abs=1e-4)
        assert entry["passes"] == ranked.passes == (entry["probability"] >= entry["threshold"])
        assert entry["label"] == ranked.tag.display("ja")
        assert entry["precision"] == 0.8
        assert entry["recall"] == 0.7
        assert entry["support"] == 40 + ranked.tag.index
    passing = [entry for entry in result.tags if entry.passes]
    for style in answers.STYLES:
        assert answer["formats"][style]["all"] == format_tags(result.tags, style, "ja")
        assert answer["formats"][style]["passing"] == format_tags(passing, style, "ja")
    assert answer["facts"] == ["48 × 48", "PNG"]
    assert answer["model"] == "toy 1.0"
    assert answer["milliseconds"] >= 1
    assert answer["preview"] is None
    json.dumps(answer)


def test_no_passing_tag_gives_no_text_rather_than_empty_json(tmp_path: Path) -> None:
    bundle = toy.make_bundle(tmp_path / "strict")
    tags = bundle / "selected_tags.csv"
    tags.write_text(tags.read_text(encoding="utf-8").replace(",0.5,", ",0.999,"), encoding="utf-8")
    services = build_services(Settings(bundle=str(bundle), threads=1))
    try:
        answer = tag_tab.make_tag_picture(services)(upload(png()), visitor())
    finally:
        services.close()
    assert len(answer["tags"]) == 10
    assert {entry["passes"] for entry in answer["tags"]} == {False}
    assert {formats["passing"] for formats in answer["formats"].values()} == {""}


def test_tags_without_figures_have_none(tmp_path: Path) -> None:
    services = build_services(Settings(bundle=str(toy.make_wd_bundle(tmp_path / "wd")), threads=1))
    try:
        answer = tag_tab.make_tag_picture(services)(upload(png()), visitor())
    finally:
        services.close()
    assert {(entry["precision"], entry["support"]) for entry in answer["tags"]} == {(None, None)}
    assert {entry["threshold"] for entry in answer["tags"]} == {0.35}


@pytest.mark.parametrize(
    ("format", "had_alpha", "codes", "lang", "notes"),
    [
        ("PNG", False, (), "en", []),
        ("PNG", True, (), "en", ["transparent, seen on white"]),
        ("GIF", False, ("first-frame",), "en", ["animation of 7 frames, the first was read"]),
        ("TIFF", False, ("first-frame",), "en", ["7 pages, the first was read"]),
        ("JPEG", False, ("rotated", "reduced"), "ja", ["正しい向きに回転"]),
        ("JPEG", False, ("something-new",), "ja", []),
    ],
)
def test_notes(
    format: str, had_alpha: bool, codes: tuple[str, ...], lang: str, notes: list[str]
) -> None:
    facts = PictureFacts(30, 20, format, had_alpha, 7, codes)
    assert answers.notes(facts, lang) == notes
    assert answers.facts(facts)[0] == "30 × 20"


def test_a_preview_travels_with_the_answer() -> None:
    rgb = np.zeros((320, 640, 3), np.uint8)
    rgb[:, 320:] = (255, 0, 0)
    url = answers.preview_url(rgb)
    kind, data = url.split(",", 1)
    assert kind == "data:image/webp;base64"
    image = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
    assert image.size == (640, 320)
    np.testing.assert_allclose(image.getpixel((100, 100)), (0, 0, 0), atol=6)
    np.testing.assert_allclose(image.getpixel((600, 300)), (255, 0, 0), atol=6)


@pytest.mark.parametrize(("kind", "has_one"), [("TIFF", True), ("PNG", False), ("AVIF", False)])
def test_what_browsers_do_not_show_gets_a_preview(tag_picture, kind: str, has_one: bool) -> None:
    file = io.BytesIO()
    Image.new("RGB", (1500, 600), (0, 0, 255)).save(file, kind)
    answer = tag_picture(upload(file.getvalue()), visitor())
    assert len(answer["tags"]) == 10
    if not has_one:
        assert answer["preview"] is None
        return
    image = Image.open(io.BytesIO(base64.b64decode(answer["preview"].partition(",")[2])))
    assert image.size == (640, 256)


def test_tags_without_a_preview_are_better_than_none(
    toy_services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Services, source: bytes, *, side: int) -> None:
        raise LimitError("out-of-memory")

    monkeypatch.setattr(Services, "preview", fail)
    file = io.BytesIO()
    Image.new("RGB", (48, 48), (0, 0, 255)).save(file, "TIFF")
    answer = tag_tab.make_tag_picture(toy_services)(upload(file.getvalue()), visitor())
    assert answer["preview"] is None
    assert answer["tags"][0]["name"] == "blue"


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_what_cannot_be_read_is_said_as_the_services_say_it(
    toy_services: Services, tag_picture, lang: str
) -> None:
    for data in (b"", b"hello", png()[:50]):
        with pytest.raises(TaggerError) as refused:
            toy_services.tag(data)
        answer = tag_picture(upload(data, lang=lang), visitor())
        assert answer == {"problem": refused.value.message(lang), "again": False}


@pytest.mark.parametrize(
    "hostile",
    [
        None,
        "",
        "/etc/passwd",
        {"path": "/etc/passwd"},
        [],
        {"files": [["a", "/etc/passwd"]]},
        SimpleNamespace(files=[], data={}),
        SimpleNamespace(files=[("a.png", "/etc/passwd")], data=None),
        SimpleNamespace(files=[("a.png", None)], data={"lang": ["ja"]}),
        SimpleNamespace(files=[()], data={}),
        SimpleNamespace(files=3, data={}),
        SimpleNamespace(files="ab", data={}),
    ],
)
def test_whatever_a_client_sends_ends_in_a_message(tag_picture, hostile: object) -> None:
    answer = tag_picture(hostile, visitor())
    assert answer["problem"] == TaggerError("request-no-file").message("en")


@pytest.mark.parametrize("lang", ["xx", None, ["ja"], {"a": 1}, "ja" * 10_000])
def test_an_unknown_language_falls_back_to_the_browsers(tag_picture, lang: object) -> None:
    answer = tag_picture(upload(png(), lang=lang), visitor("ja"))
    assert answer["tags"][0]["label"] == "赤"


def test_an_unforeseen_failure_leaks_nothing(toy_services: Services, caplog) -> None:
    class Broken:
        settings = toy_services.settings

        def tag(self, *args: object, **kwargs: object) -> None:
            raise RuntimeError("secret /path/to/model")

    answer = tag_tab.make_tag_picture(Broken())(upload(png()), visitor())
    assert answer == {"problem": TaggerError("internal").message("en"), "again": True}
    assert "secret" in caplog.text


def test_more_than_may_wait_are_told_to_come_back(toy_services: Services) -> None:
    entered, leave = threading.Semaphore(0), threading.Event()

    class Slow:
        settings = toy_services.settings.model_copy(update={"queue_size": 2})

        def tag(self, *args: object, **kwargs: object) -> object:
            entered.release()
            leave.wait(60)
            return toy_services.tag(*args, **kwargs)

    tag_picture = tag_tab.make_tag_picture(Slow())
    kept: list[dict] = []
    threads = [
        threading.Thread(target=lambda: kept.append(tag_picture(upload(png()), visitor())))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
        assert entered.acquire(timeout=60)
    refused = tag_picture(upload(png()), visitor("ja"))
    assert refused == {"problem": TaggerError("busy").message("ja"), "again": True}
    leave.set()
    for thread in threads:
        thread.join(60)
    assert [len(answer["tags"]) for answer in kept] == [10, 10]
    # A place that was given back can be taken again, after a failure too.
    assert "problem" in tag_picture(upload(b"bad"), visitor())
    assert len(tag_picture(upload(png()), visitor())["tags"]) == 10


# --- files ----------------------------------------------------------------------------------------


def test_nothing_in_the_templates_is_evaluated() -> None:
    # Gradio makes both a Handlebars template and a JavaScript template literal of them.
    for text in (tag_tab.TEMPLATE, files.text("common.css", "tag.css")):
        for mark in ("${", "{{", "`", "\\"):
            assert mark not in text


def test_the_script_writes_no_markup() -> None:
    script = "".join(path.read_text(encoding="utf-8") for path in STATIC.glob("*.js"))
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert way not in script


def test_no_file_of_the_page_names_another_site() -> None:
    for path in STATIC.iterdir():
        found = re.findall(r"(?:https?:)?//[\w.-]+\.\w+", path.read_text(encoding="utf-8"))
        assert set(found) <= {"http://www.w3.org"}, path.name
    theme = ui.launch_options(
        SimpleNamespace(
            settings=Settings(),
            config=SimpleNamespace(name="x", training_data=()),
            tagger=SimpleNamespace(tags=()),
            draw=None,
            explore=None,
            compare=None,
        )
    )["theme"]
    assert theme._stylesheets == []
    assert re.findall(r"url\((?![\"']?data:)", theme._get_theme_css()) == []


def test_examples_are_public_domain_and_credited() -> None:
    credits = json.loads((examples.FOLDER / examples.CREDITS_FILE).read_text(encoding="utf-8"))
    assert 8 <= len(credits) <= 12
    assert {entry["file"] for entry in credits} == {
        path.name for path in examples.FOLDER.glob("*.webp")
    }
    for entry in credits:
        assert entry["license"] == "public domain"
        assert entry["author"].strip()
        assert entry["seen_in_training"] is False
        assert entry["label"].keys() == {"en", "ja"}
        path = examples.FOLDER / entry["file"]
        assert path.stat().st_size < 60_000
        with Image.open(path) as image:
            assert max(image.size) == 512


def test_without_the_folder_there_are_no_examples(tmp_path: Path) -> None:
    assert examples.load_examples(tmp_path / "none") == ()


def test_examples_are_served_by_name_and_nothing_else_is() -> None:
    client = TestClient(Starlette(routes=[examples.example_route(examples.load_examples())]))
    answer = client.get("/examples/house.webp")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/webp"
    assert answer.content == (examples.FOLDER / "house.webp").read_bytes()
    for name in ("credits.json", "../../app.py", "..%2f..%2fapp.py", "house", "%00", ""):
        assert client.get(f"/examples/{name}").status_code == 404


# --- served ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(toy_services: Services) -> Iterator[server.Server]:
    served = server.launch(toy_services)
    yield served
    served.close()


@pytest.fixture(scope="module")
def client(served: server.Server) -> Client:
    return Client(served.url, verbose=False)


def test_the_endpoint_answers_programs(
    client: Client, toy_services: Services, tmp_path: Path
) -> None:
    path = tmp_path / "red.png"
    path.write_bytes(png())
    answer = client.predict(handle_file(str(path)), api_name="/tag")
    expected = toy_services.tag(png()).to_dict()
    assert answer["tags"] == expected["tags"]
    assert answer["picture"] == expected["picture"]
    assert answer["model"] == expected["model"]
    three = client.predict(picture=handle_file(str(path)), top=3, api_name="/tag")
    assert three["tags"] == expected["tags"][:3]


def test_the_endpoint_says_what_is_wrong(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(b"hello")
    with pytest.raises(AppError, match=r"PNG, JPEG(,| or) WebP"):
        client.predict(handle_file(str(path)), api_name="/tag")
    path.write_bytes(png())
    with pytest.raises(AppError):
        client.predict(handle_file(str(path)), top=10_000, api_name="/tag")


def test_the_endpoint_reads_only_what_was_uploaded(served: server.Server) -> None:
    # Asked for over plain HTTP, since Gradio's client would upload the file first.
    on_server = examples.FOLDER / "house.webp"
    file = {"path": str(on_server), "meta": {"_type": "gradio.FileData"}}
    with httpx.Client(base_url=served.url, timeout=60) as http:
        started = http.post("gradio_api/call/tag", json={"data": [file, 10]})
        event = started.json()["event_id"]
        events = http.get(f"gradio_api/call/tag/{event}").text
    assert "event: error" in events
    assert "probability" not in events
    assert str(ROOT) not in events


def test_the_page_offers_its_endpoints_and_tells_no_path(served: server.Server) -> None:
    client = Client(served.url, verbose=False)
    named = client.view_api(return_format="dict")["named_endpoints"]
    assert named.keys() == {"/tag", "/compare", "/rank"}
    config = json.dumps(served.blocks.get_config_file(), default=str)
    assert str(ROOT) not in config
    assert "/tmp/" not in config


def test_the_page_is_built_around_fakes(toy_services: Services) -> None:
    app = ui.build_app(toy_services)
    assert isinstance(app, gr.Blocks)
    html = next(block for block in app.blocks.values() if isinstance(block, gr.HTML))
    assert html.props["max_bytes"] == toy_services.settings.max_bytes
    assert html.props["max_files"] == toy_services.settings.max_files
