"""The service: how maps come to be, what places a picture, how much one may ask for."""

from __future__ import annotations

import json
import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tagger.atlas import Atlas, MapWorker, read_atlas
from tagger.errors import GalleryError, LimitError, TaggerError
from tagger.exploring import ExploreServices, build_explore
from tagger.exploring.drawings import at_once, fit
from tagger.gallery.folder import FACTS, MAP, TAGS, write_gallery
from tagger.services import Services
from tagger.settings import DEFAULT_GALLERY, Settings
from tests import galleries, toy
from tests.fakes import picture

CAT = (150, 100, 60)


class FakeWorker(MapWorker):
    """Stands for the process beside: does as a test says, in this one."""

    available = True

    def __init__(self) -> None:
        super().__init__(None)
        self.warm_for: list[int] = []
        self.is_ready = False
        self.before: Callable[[], object] = lambda: None
        self.answer: Exception | None = None

    @property
    def ready(self) -> bool:
        return self.is_ready

    def fit(self, embeddings: Any, parameters: Any = None, tags: Any = None) -> Future[Atlas]:
        self.before()
        return self._future(lambda: at_once(embeddings))

    def warm(self, embeddings: Any, atlas: Atlas) -> None:
        self.warm_for.append(len(embeddings))

    def transform(self, embeddings: Any) -> Future[Any]:
        assert embeddings.shape == (1, 8)
        return self._future(lambda: np.array([[0.25, -0.5]], np.float32))

    def _future(self, work: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        if self.answer is not None:
            future.set_exception(self.answer)
        else:
            future.set_result(work())
        return future


Make = Callable[..., ExploreServices]


@pytest.fixture
def make(exploring: Services, toy_gallery: Path, tmp_path: Path) -> Iterator[Make]:
    made: list[ExploreServices] = []

    def build(worker: MapWorker | None = None, **given: Any) -> ExploreServices:
        chosen = {"gallery": str(toy_gallery), "data_dir": tmp_path, "live_rate": 1000, **given}
        tags, model = exploring.tagger.tags, exploring.model
        clock = chosen.pop("clock", lambda: 0.0)
        settings = Settings(**chosen)
        explore = ExploreServices(
            settings, exploring.tag, tags, model, worker=worker or FakeWorker(), clock=clock
        )
        made.append(explore)
        return explore

    yield build
    for explore in made:
        explore.close()


def code_of(work: Callable[[], object]) -> str:
    with pytest.raises(TaggerError) as caught:
        work()
    return caught.value.code


# --- opening


def test_nothing_is_read_before_it_is_started(make: Make, tmp_path: Path) -> None:
    explore = make(gallery=str(tmp_path / "comes-later"))
    assert explore.status() == "loading"
    shutil.copytree(Path(str(make().settings.gallery)), tmp_path / "comes-later")
    explore.start()
    explore.settle()
    assert explore.status() == "ready" and len(explore.chart()) == 72


def test_whoever_asks_first_starts_it(make: Make) -> None:
    explore = make()
    about = explore.about()
    assert about["status"] in ("loading", "ready") and about["maps"][0]["map"] == "gallery"
    explore.settle()
    assert explore.about()["status"] == "ready"


def test_until_it_is_open_everything_else_says_so(make: Make, toy_gallery: Path) -> None:
    folder = Path(str(toy_gallery))
    worker, opening, go_on = FakeWorker(), threading.Event(), threading.Event()

    def wait() -> None:
        opening.set()
        go_on.wait(60)

    worker.before = wait
    mapless = folder.parent / "mapless"
    shutil.copytree(folder, mapless, dirs_exist_ok=True)
    (mapless / MAP).unlink()
    explore = make(worker, gallery=str(mapless))
    explore.start()
    assert opening.wait(60)
    assert explore.about()["status"] == "computing" and explore.about()["hash"] is None
    for work in (explore.points, lambda: explore.search("cat"), lambda: explore.place(b"")):
        assert code_of(work) == "explore-loading"
    go_on.set()
    explore.settle()
    assert explore.about()["method"] == "pca" and explore.about()["count"] == 72


@pytest.mark.parametrize("file", [FACTS, TAGS, "pictures-000.zip"])
def test_a_torn_gallery_is_said_to_have_failed(
    make: Make, toy_gallery: Path, tmp_path: Path, file: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "torn"
    shutil.copytree(toy_gallery, folder)
    (folder / file).write_bytes((folder / file).read_bytes()[:-40])
    explore = make(gallery=str(folder))
    with caplog.at_level(logging.ERROR):
        explore.settle()
    assert explore.about()["status"] == "failed"
    assert code_of(explore.points) == "explore-failed"
    assert "cannot be shown" in caplog.text


def test_a_gallery_of_another_model_is_refused(
    make: Make, toy_gallery: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "foreign"
    shutil.copytree(toy_gallery, folder)
    facts = json.loads((folder / FACTS).read_text())
    (folder / FACTS).write_text(json.dumps({**facts, "model": "0" * 16}))
    explore = make(gallery=str(folder))
    with caplog.at_level(logging.ERROR):
        explore.settle()
    assert explore.status() == "failed"
    assert GalleryError("gallery-foreign").message() in caplog.text


def test_where_no_process_can_be_run_the_map_is_made_here(
    make: Make, toy_gallery: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "mapless"
    shutil.copytree(toy_gallery, folder)
    (folder / MAP).unlink()
    worker = FakeWorker()
    worker.answer = GalleryError("map-failed")
    explore = make(worker, gallery=str(folder))
    explore.settle()
    assert explore.about()["method"] == "pca"
    shipped = make()
    shipped.settle()
    assert explore.chart().hash != shipped.chart().hash


def test_no_map_is_made_for_nobody() -> None:
    worker = MapWorker()
    worker.close()
    with pytest.raises(GalleryError):
        fit(worker, np.eye(3, dtype=np.float32))


def test_an_empty_gallery_is_opened_once(
    make: Make, toy_gallery: Path, tmp_path: Path, exploring: Services
) -> None:
    folder = tmp_path / "empty"
    write_gallery(folder, [], name="", model=exploring.hash, dimension=8, tags=len(toy.TAGS))
    explore = make(gallery=str(folder))
    explore.settle()
    assert explore.about()["status"] == "empty" and code_of(explore.points) == "explore-empty"
    # What comes to lie there later is seen by the next server.
    shutil.rmtree(folder)
    shutil.copytree(toy_gallery, folder)
    assert explore.about()["status"] == "empty"
    explore.settle()
    assert explore.about()["status"] == "empty"


def test_a_map_with_depth_has_one_more_column(
    make: Make, toy_gallery: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "deep"
    shutil.copytree(toy_gallery, folder)
    galleries.add_map(folder, 3)
    explore = make(gallery=str(folder))
    explore.settle()
    about = explore.about()
    assert about["dimensions"] == 3 and set(about["bounds"]) == {"x", "y", "z"}
    depth = np.frombuffer(explore.column("z"), "<u2")
    low, high = about["bounds"]["z"]
    expected = read_atlas(folder / MAP).positions[:, 2]
    np.testing.assert_allclose(low + depth / 65_535 * (high - low), expected, atol=1e-4)
    assert len(explore.place(picture(CAT))["position"]) == 3


@pytest.mark.parametrize("search", ["exact", "hnsw", "auto"])
def test_neighbours_are_found_as_the_settings_say(make: Make, search: str) -> None:
    explore = make(search=search)
    explore.settle()
    stats = explore.chart().index.stats()
    assert stats.search == ("hnsw" if search == "hnsw" else "exact")
    found = explore.similar(id="animals/picture-12.png", k=3)["neighbours"]
    assert found[0]["number"] == 36


def test_without_a_folder_there_is_nothing_to_explore(exploring: Services) -> None:
    tags, model = exploring.tagger.tags, exploring.model
    for folder in ("none", ""):
        settings = Settings(gallery=folder) if folder else Settings.model_construct(gallery="")
        assert build_explore(settings, exploring.tag, tags, model) is None
    default = Settings(gallery=DEFAULT_GALLERY)
    made = build_explore(default, exploring.tag, tags, model)
    assert (made is not None) == Path(DEFAULT_GALLERY).is_dir()
    # A folder that somebody set and that is not there is not passed over in silence.
    explicit = build_explore(Settings(gallery="/nowhere"), exploring.tag, tags, model)
    assert explicit is not None
    explicit.settle()
    assert explicit.status() == "failed"
    explicit.close()


# --- placing


def test_the_first_picture_is_placed_by_its_neighbours_and_umap_is_prepared(make: Make) -> None:
    worker = FakeWorker()
    explore = make(worker)
    explore.settle()
    assert explore.about()["placement"] == "neighbours"
    first = explore.place(picture(CAT, (24, 24)))
    assert first["by"] == "neighbours" and worker.warm_for == [72]
    # The weighted middle of where its neighbours are.
    chart = explore.chart()
    places = chart.atlas.positions[[near["number"] for near in first["neighbours"]]]
    for value, low, high in zip(
        first["position"], places.min(axis=0), places.max(axis=0), strict=True
    ):
        assert low - 1e-4 <= value <= high + 1e-4
    worker.is_ready = True
    assert explore.about()["placement"] == "umap"
    second = explore.place(picture(CAT, (24, 24)))
    assert (second["by"], second["position"]) == ("umap", [0.25, -0.5])
    assert second["neighbours"] == first["neighbours"]
    assert worker.warm_for == [72]
    worker.answer = GalleryError("map-failed")
    third = explore.place(picture(CAT, (24, 24)))
    assert (third["by"], third["position"]) == ("neighbours", first["position"])


def test_the_tags_of_a_placed_picture_are_the_models(make: Make, exploring: Services) -> None:
    explore = make()
    explore.settle()
    file = picture(CAT, (24, 24))
    answer = explore.place(file, lang="ja")
    expected = [entry.to_dict("ja") for entry in exploring.tag(file).tags]
    assert [{k: v for k, v in tag.items() if k != "tag"} for tag in answer["tags"]] == expected
    for tag in answer["tags"]:
        assert toy.NAMES[tag["tag"]] == tag["name"]
    passing = {tag["tag"] for tag in answer["tags"] if tag["passes"]}
    for near in answer["neighbours"]:
        held = set(explore.chart().held(near["number"]))
        assert {tag["tag"] for tag in near["shared"]} == held & passing


# --- how much one may ask for


def test_who_asks_too_fast_is_turned_away_and_nobody_else(make: Make) -> None:
    time = [0.0]
    explore = make(live_rate=1, clock=lambda: time[0])
    explore.settle()

    def ask(client: str) -> bool:
        try:
            explore.detail(1, client=client)
        except LimitError as error:
            assert error.code == "too-fast"
            return False
        return True

    granted = 0
    while ask("192.0.2.1"):
        granted += 1
        assert granted < 1000
    assert granted >= 3
    assert ask("192.0.2.2") and ask("")
    assert code_of(lambda: explore.briefs([1], client="192.0.2.1")) == "too-fast"
    time[0] += 60
    assert ask("192.0.2.1")


def test_at_most_two_hundred_at_once(make: Make) -> None:
    explore = make()
    explore.settle()
    assert len(explore.briefs([1] * 200)["pictures"]) == 200
    assert code_of(lambda: explore.briefs([1] * 201)) == "explore-too-many"


def test_after_the_end_nothing_is_begun(make: Make) -> None:
    explore = make()
    explore.close()
    explore.start()
    assert explore.status() == "loading"
