"""The server as it really runs: Gradio's, on a free port, over HTTP."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tagger.cli import main
from tagger.errors import SettingsError, TaggerError
from tagger.server import Server, beside, free_port, launch, serve
from tagger.services import Services, build_services
from tagger.settings import Settings, load_settings
from tests import learning
from tests.api.checks import check_problem
from tests.dataset_hub import REPOSITORY, TOKEN, serving
from tests.fakes import make_services, picture

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def server(toy_bundle: Path) -> Iterator[Server]:
    services: Services = build_services(Settings(bundle=str(toy_bundle), threads=1))
    server = launch(services)
    yield server
    server.close()
    services.close()


@pytest.fixture(scope="module")
def web(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client:
        yield client


def test_page_api_and_health_are_one_server(web: httpx.Client) -> None:
    page = web.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert web.get("/healthz").json() == {"status": "ok"}
    assert web.get("/readyz").json()["model"]["name"] == "toy"
    assert "<h1>" in web.get("/api/docs").text
    assert web.get("/api/openapi.json").json()["servers"] == [{"url": "/api"}]
    assert web.get("/api/v1/models").json()["models"][0]["name"] == "toy"
    check_problem(web.get("/api/nothing"), 404, "not-found")


def test_a_picture_is_tagged_over_http(web: httpx.Client) -> None:
    files = [("file", ("a.png", picture((255, 0, 0), (32, 32)))), ("file", ("b.png", b""))]
    good, bad = web.post("/api/v1/tag?top=1", files=files).json()["results"]
    assert good["tags"][0]["name"] == "red"
    assert bad["error"]["code"] == "image-empty"


def test_a_body_without_a_length_is_refused_where_it_grows_too_large(web: httpx.Client) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(120):
            yield bytes(2**20)

    headers = {"content-type": "multipart/form-data; boundary=x"}
    response = web.post("/api/v1/tag", content=chunks(), headers=headers)
    check_problem(response, 413, "request-too-large")
    assert web.get("/healthz").status_code == 200


def test_gradios_own_doors_are_closed(web: httpx.Client) -> None:
    assert web.get("/monitoring").status_code in (403, 404)
    assert web.post("/gradio_api/run/tag", json={"data": [None]}).status_code == 404
    for path in ("/etc/passwd", str(ROOT / "pyproject.toml")):
        assert web.get(f"/gradio_api/file={path}").status_code in (403, 404)


def test_a_server_path_given_as_an_upload_is_refused(web: httpx.Client) -> None:
    data = {"path": str(ROOT / "pyproject.toml"), "meta": {"_type": "gradio.FileData"}}
    call = web.post("/gradio_api/call/tag", json={"data": [data, 10]})
    assert call.status_code == 200
    with web.stream("GET", f"/gradio_api/call/tag/{call.json()['event_id']}") as stream:
        said = "".join(stream.iter_text())
    assert "event: error" in said
    assert "build-system" not in said
    assert str(ROOT) not in said


def test_an_uploaded_file_that_is_too_large_for_the_page_is_refused(web: httpx.Client) -> None:
    files = {"files": ("a.png", bytes(20 * 2**20 + 1))}
    assert web.post("/gradio_api/upload", files=files).status_code == 413


def test_scripts_of_other_pages_may_not_read_a_local_server(web: httpx.Client) -> None:
    for origin in ("https://elsewhere.example", "null"):
        response = web.get("/api/v1/models", headers={"origin": origin})
        assert "access-control-allow-origin" not in response.headers


def test_a_port_that_is_taken_is_said_to_be() -> None:
    services = make_services()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError) as caught:
            launch(services, port=port)
    assert str(port) in str(caught.value)
    services.close()


class SlowBlocks:
    """A page whose server misses its start a few times."""

    def __init__(self, misses: int) -> None:
        self.misses = misses
        self.queued: dict[str, object] = {}
        self.launched: list[dict[str, object]] = []

    def queue(self, **options: object) -> None:
        self.queued = options

    def launch(self, **options: object) -> tuple[None, str, None]:
        self.launched.append(options)
        if len(self.launched) <= self.misses:
            raise OSError("Cannot find empty port")
        return None, "http://here/", None


def test_a_server_that_misses_its_start_is_tried_on_another_port(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tagger import ui

    services = make_services()
    blocks = SlowBlocks(misses=2)
    monkeypatch.setattr(ui, "build_app", lambda services: blocks)
    assert launch(services).url == "http://here/"
    ports = [options["server_port"] for options in blocks.launched]
    assert len(ports) == 3
    assert 0 not in ports
    blocks = SlowBlocks(misses=9)
    with pytest.raises(SettingsError) as caught:
        launch(services)
    assert "in time" in str(caught.value)
    with pytest.raises(SettingsError):
        launch(services, port=free_port())
    assert len(blocks.launched) == 4
    services.close()


def test_the_page_is_launched_closed_and_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    from tagger import ui

    services = make_services(queue_size=5, max_bytes=1234, root_path="/tagger")
    blocks = SlowBlocks(misses=0)
    monkeypatch.setattr(ui, "build_app", lambda services: blocks)
    launch(services, host="::1")
    assert blocks.queued == {"max_size": 5, "api_open": False}
    (options,) = blocks.launched
    expected = {
        "server_name": "[::1]",
        "root_path": "/tagger",
        "max_file_size": 1234,
        "show_error": False,
        "run_history": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "share": False,
        "allowed_paths": [],
    }
    assert {name: options[name] for name in expected} == expected
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    services.close()


@pytest.mark.parametrize(
    "start",
    [lambda: main(["serve"]), lambda: serve(load_settings())],
    ids=["command-line", "function"],
)
def test_misspelt_settings_are_warned_of_at_the_start(
    start: Callable[[], object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("TAGGER_BUNDLE", str(tmp_path))  # no model: the start ends there
    monkeypatch.setenv("TAGGER_BUNDEL", "a-secret")
    monkeypatch.setenv("TAGGER_MAX_BITES", "1")
    with contextlib.suppress(TaggerError):
        start()
    warned = [r.getMessage() for r in caplog.records if r.name == "tagger.server"]
    assert warned == [
        "there is no setting TAGGER_BUNDEL; it is ignored",
        "there is no setting TAGGER_MAX_BITES; it is ignored",
    ]
    assert {r.levelname for r in caplog.records if r.name == "tagger.server"} == {"WARNING"}
    assert "a-secret" not in caplog.text


# --- behind reverse proxies

STROKES = [[[0, 10], [5, 5]]]


@contextlib.contextmanager
def drawing(folder: Path, toy_bundle: Path, sketch: Path, **more: object) -> Iterator[Services]:
    """Services with a recogniser, of which one address may ask a little."""
    given = {"bundle": str(toy_bundle), "sketch_bundle": str(sketch), "data_dir": folder}
    given |= {"threads": 1, "live_rate": 0.01, **more}
    services = build_services(Settings(**given))
    try:
        yield services
    finally:
        services.close()


def asked(web: httpx.Client, door: str, *forwarded: str) -> bool:
    """Whether somebody is answered at a door, or told that they ask too often."""
    headers = [("X-Forwarded-For", value) for value in forwarded]
    if door == "rest":
        answer = web.post("/api/v1/recognise", json={"strokes": STROKES}, headers=headers)
        assert answer.status_code in (200, 429)
        return answer.status_code == 200
    call = web.post("/gradio_api/call/recognise", json={"data": [STROKES, 1, ""]}, headers=headers)
    with web.stream("GET", f"/gradio_api/call/recognise/{call.json()['event_id']}") as stream:
        return "event: complete" in "".join(stream.iter_text())


def test_visitors_behind_a_proxy_have_a_rate_each(
    tmp_path: Path, toy_bundle: Path, toy_sketch_bundle: Path
) -> None:
    with drawing(tmp_path, toy_bundle, toy_sketch_bundle, proxies=1) as services:
        server = launch(services)
        try:
            with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as web:
                for door, start in (("rest", 10), ("page", 20)):
                    one, two = f"192.0.2.{start}", f"192.0.2.{start + 1}"
                    other = "page" if door == "rest" else "rest"
                    assert asked(web, door, one)
                    assert not asked(web, door, one)
                    assert not asked(web, other, one)  # the same rate behind either door
                    assert asked(web, door, two)
                    # Whoever writes a header of their own gains nothing.
                    assert not asked(web, door, f"203.0.113.1, {one}")
                    assert not asked(web, door, "203.0.113.1", one)
        finally:
            server.close()


def test_without_a_trusted_proxy_no_header_is_believed(
    tmp_path: Path, toy_bundle: Path, toy_sketch_bundle: Path
) -> None:
    with drawing(tmp_path, toy_bundle, toy_sketch_bundle) as services:
        server = launch(services)
        try:
            with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as web:
                assert asked(web, "rest", "192.0.2.1")
                for number in range(2, 5):
                    assert not asked(web, "rest", f"192.0.2.{number}")
                    assert not asked(web, "page", f"192.0.2.{number}")
        finally:
            server.close()


# --- beside answering


def test_drawings_are_pushed_while_it_serves_and_at_its_end(
    tmp_path: Path, toy_bundle: Path, toy_sketch_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    setup = {"hub_dataset": REPOSITORY, "hub_token": TOKEN, "live_rate": 100}
    with serving() as remote:
        monkeypatch.setattr(constants, "ENDPOINT", remote.url)
        with drawing(tmp_path, toy_bundle, toy_sketch_bundle, **setup) as services:
            assert services.draw is not None
            with beside(services):
                services.draw.save(STROKES, "cat", visitor=learning.ANN, consent=True)
                services.draw.save(STROKES, "mine", visitor=learning.ANN)
                assert remote.commits == []  # not with every drawing
            assert [line["word"] for line in remote.lines("data")] == ["cat"]
        for off in ({"hub_dataset": ""}, {"hub_token": ""}):
            with drawing(tmp_path, toy_bundle, toy_sketch_bundle, **(setup | off)) as services:
                assert services.draw is not None
                with beside(services):
                    services.draw.save(STROKES, "dog", visitor=learning.ANN, consent=True)
        assert len(remote.commits) == 1


def test_a_server_follows_what_another_process_makes_live(tmp_path: Path, toy_bundle: Path) -> None:
    world = learning.World(tmp_path, learning.make_bundle(tmp_path / "toy-sketch"))
    world.fill(*learning.GOOD)
    shipped = world.bundle
    with drawing(world.data, toy_bundle, shipped, live_rate=100) as services, beside(services):
        _, tuning = world.start()
        run = learning.finished(tuning, tuning.start("refit")["id"])
        draw = services.draw
        assert run["version"] and draw is not None and draw.tuning is not None
        learning.until(lambda: draw.tuning.live == run["version"])
        assert draw.about["words"] == 6
        world.close()


def test_free_ports_can_be_listened_on() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as listening:
        assert listening.getsockname()[1] == port


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_the_process_ends_well_when_told_to(
    toy_bundle: Path, toy_sketch_bundle: Path, tmp_path: Path, stop: signal.Signals
) -> None:
    with serving() as remote:
        check_process(toy_bundle, toy_sketch_bundle, tmp_path, stop, remote.url)
        # What was given with consent was pushed before the end.
        assert [line["word"] for line in remote.lines("data")] == ["cat"]


def check_process(
    toy_bundle: Path, toy_sketch_bundle: Path, data: Path, stop: signal.Signals, hub: str
) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TAGGER_", "GRADIO_"))}
    process = subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env={
            **kept,
            "TAGGER_BUNDLE": str(toy_bundle),
            "TAGGER_PORT": "0",
            "TAGGER_THREADS": "1",
            "TAGGER_THREDS": "2",
            "TAGGER_SKETCH_BUNDLE": str(toy_sketch_bundle),
            "TAGGER_DATA_DIR": str(data),
            "TAGGER_HUB_DATASET": REPOSITORY,
            "TAGGER_HUB_TOKEN": TOKEN,
            "HF_ENDPOINT": hub,
            # A proxy that is not there must not keep the server from starting.
            "http_proxy": "http://127.0.0.1:9",
            "HTTP_PROXY": "http://127.0.0.1:9",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = ""
        while "Page:" not in said:
            line = process.stdout.readline()
            assert line, process.communicate()
            said += line
        (url,) = re.findall(r"Page: (\S+)", said)
        with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
            assert client.get("/readyz").status_code == 200
            drawing = {"strokes": STROKES, "label": "cat", "consent": True}
            visitor = {"X-Visitor": learning.ANN}
            saved = client.post("/api/v1/drawings", json=drawing, headers=visitor)
            assert saved.status_code == 201, saved.text
        process.send_signal(stop)
        _, problems = process.communicate(timeout=60)
        assert process.returncode == 0, problems
        assert "Traceback" not in problems
        assert "WARNING tagger.server: there is no setting TAGGER_THREDS" in problems
    finally:
        process.kill()
        process.wait()
