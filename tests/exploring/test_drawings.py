"""The map of the collected drawings: whose they are, when it is made anew, what is taken back."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tagger import strokes
from tagger.atlas import Atlas, MapParameters, MapWorker
from tagger.drawing import DrawServices
from tagger.errors import RequestError, TaggerError
from tagger.exploring import ExploreServices, exporting, masks
from tagger.exploring.drawings import FEW, SIDE, at_once
from tagger.services import Services, build_services
from tagger.settings import Settings
from tests import toy

ANN, BOB = "ann-" * 5, "bob-" * 5
LEVEL = [[[0, 100], [50, 52]]]
UPRIGHT = [[[50, 48], [0, 100]]]


class Clock:
    """Seconds that pass when a test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class PlainWorker(MapWorker):
    """Makes maps here, and mirrored, so that they can be told from those made at once."""

    available = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked = 0
        self.before: Callable[[], object] | None = None

    def fit(self, embeddings: Any, parameters: Any = None, tags: Any = None) -> Future[Atlas]:
        self.asked += 1
        if self.before is not None:
            self.before()
        plain = at_once(embeddings)
        made: Future[Atlas] = Future()
        made.set_result(replace(plain, positions=-plain.positions, parameters=MapParameters()))
        return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(
    toy_bundle: Path, toy_sketch_bundle: Path, toy_gallery: Path, tmp_path: Path, clock: Clock
) -> Iterator[tuple[ExploreServices, DrawServices]]:
    settings = Settings(
        bundle=str(toy_bundle),
        sketch_bundle=str(toy_sketch_bundle),
        gallery=str(toy_gallery),
        data_dir=tmp_path,
        threads=1,
        live_rate=1000,
    )
    services: Services = build_services(settings)
    assert services.draw is not None
    worker = PlainWorker(tmp_path / "atlas")
    explore = ExploreServices(
        settings,
        services.tag,
        services.tagger.tags,
        services.model,
        draw=services.draw,
        worker=worker,
        clock=clock,
    )
    yield explore, services.draw
    explore.close()
    services.close()


def save(
    draw: DrawServices, word: str, *, consent: bool = True, by: str = ANN, shift: int = 0
) -> Any:
    drawn = LEVEL if word == "level" else UPRIGHT
    moved = [[[x + shift * i for i, x in enumerate(xs)], ys] for xs, ys in drawn]
    said = [(word, 0.75), ("the corner", 0.125)]
    return draw.save(moved, word, visitor=by, consent=consent, predicted=said)


def many(number: int) -> str:
    """One of many visitors, none of whom saves too fast."""
    return f"visitor-{number:010}"


def drawings(explore: ExploreServices) -> dict[str, Any]:
    """The map as it is when all is made that this asking began."""
    explore.about("drawings")
    explore.settle()
    return explore.about("drawings")


def test_there_is_none_before_anybody_draws(
    opened: tuple[ExploreServices, DrawServices],
) -> None:
    explore, draw = opened
    save(draw, "level", consent=False)
    assert drawings(explore)["status"] == "empty"
    with pytest.raises(TaggerError) as caught:
        explore.chart("drawings")
    assert caught.value.code == "explore-empty"
    assert {entry["map"]: entry["status"] for entry in explore.about()["maps"]} == {
        "gallery": "ready",
        "drawings": "empty",
    }


def test_only_what_was_given_with_consent_is_on_it(
    opened: tuple[ExploreServices, DrawServices],
) -> None:
    explore, draw = opened
    for shift in range(6):
        save(draw, "level", shift=shift)
        save(draw, "upright", by=BOB, shift=shift)
    save(draw, "secret", consent=False)
    before = explore.about()["maps"][1]
    assert before == {"map": "drawings", "count": 12, "status": "loading"}
    about = drawings(explore)
    assert (about["status"], about["count"], about["map"]) == ("ready", 12, "drawings")
    assert about["model"]["name"] == "toy-sketch"
    tags = {entry["name"]: entry["count"] for entry in about["tags"]}
    assert tags["level"] == tags["upright"] == 6 and "secret" not in tags
    counts = {entry["name"]: entry["count"] for entry in about["legends"]["category"]}
    assert counts == {"level": 6, "upright": 6}
    assert about["legends"]["source"][0]["label"] == "drawn on the page"
    chart = explore.chart("drawings")
    for number in range(12):
        detail = chart.detail(number, 5, "ja")
        word = toy.SKETCH_WORDS[0 if number % 2 == 0 else 1]
        assert detail["title"] == word[1]
        assert detail["tags"][0] == {
            "tag": 0 if number % 2 == 0 else 1,
            "name": word[0],
            "label": word[1],
            "probability": 1.0,
            "given": True,
            "passes": True,
        }
        assert detail["tags"][1]["name"] == "the corner"
        assert "contributor" not in detail["metadata"]
        # Drawings of a kind are near each other.
        assert {near["number"] % 2 for near in detail["neighbours"]} == {number % 2}


def test_a_picture_is_the_drawing(opened: tuple[ExploreServices, DrawServices]) -> None:
    explore, draw = opened
    saved = save(draw, "level")
    drawings(explore)
    data, media = explore.image(0, map="drawings")
    assert media == "image/webp"
    shown = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
    assert shown.shape == (SIDE, SIDE)
    kept = draw.store.get(saved.id)
    assert kept is not None
    ink = strokes.rasterise(kept.strokes, SIDE, width=3.0, margin=6.0)[0]
    assert np.abs(shown / 255 - (1 - ink)).max() < 0.01


def test_it_is_made_anew_when_there_are_more(
    opened: tuple[ExploreServices, DrawServices], clock: Clock
) -> None:
    explore, draw = opened
    save(draw, "level")
    first = drawings(explore)
    save(draw, "new word")
    assert drawings(explore)["hash"] == first["hash"]  # asked again too soon
    clock.now += 60
    explore.about("drawings")
    explore.settle()
    second = explore.about("drawings")
    assert second["count"] == 2 and second["hash"] != first["hash"]
    assert {tag["name"]: tag["group"] for tag in second["tags"]}["new word"] == "learnt"
    with pytest.raises(RequestError) as caught:
        explore.points("drawings", first["hash"])
    assert caught.value.code == "explore-stale"
    clock.now += 60
    assert drawings(explore)["hash"] == second["hash"]


def test_what_is_taken_back_is_gone_at_once(
    opened: tuple[ExploreServices, DrawServices], clock: Clock
) -> None:
    explore, draw = opened
    save(draw, "level", by=BOB)
    gone = save(draw, "upright")
    assert drawings(explore)["count"] == 2
    draw.delete(gone.id, ANN)
    with pytest.raises(TaggerError) as caught:
        explore.image(1, map="drawings")
    assert caught.value.code == "explore-no-picture"
    clock.now += 60
    # Already the first who asks does not see it any more.
    assert gone.id not in str(explore.about("drawings"))
    with pytest.raises(TaggerError):
        explore.briefs([1], map="drawings")
    assert drawings(explore)["count"] == 1
    draw.withdraw(BOB)
    clock.now += 60
    assert drawings(explore)["status"] == "empty"


@pytest.mark.parametrize("format", ["csv", "json", "zip"])
def test_no_file_tells_of_what_is_taken_back(
    opened: tuple[ExploreServices, DrawServices], format: str
) -> None:
    explore, draw = opened
    save(draw, "level", by=BOB)
    gone = save(draw, "upright")
    mask = masks.encode(np.ones(2, np.bool_))
    about = drawings(explore)
    draw.delete(gone.id, ANN)  # and no time passes
    file = io.BytesIO()
    with pytest.raises(TaggerError):
        explore.export(file, mask, format, map="drawings", hash=about["hash"])
    assert file.getvalue() == b""


def test_an_archive_tells_of_nothing_that_is_taken_back_while_it_is_written(
    opened: tuple[ExploreServices, DrawServices],
) -> None:
    explore, draw = opened
    save(draw, "level", by=BOB)
    gone = save(draw, "upright")
    drawings(explore)
    chart = explore.chart("drawings")
    draw.delete(gone.id, ANN)
    file = io.BytesIO()
    exporting.write(file, chart, np.ones(2, np.bool_), "zip", exporting.Edits())
    with zipfile.ZipFile(file) as archive:
        assert len(archive.namelist()) == 4
        for name in archive.namelist():
            assert "upright" not in name and b"upright" not in archive.read(name)
        assert ": 1" in archive.read("credits.txt").decode()


def test_a_picture_of_a_drawing_is_placed_among_drawings(
    opened: tuple[ExploreServices, DrawServices],
) -> None:
    explore, draw = opened
    for shift in range(5):
        save(draw, "level", shift=shift)
        save(draw, "upright", shift=shift)
    drawings(explore)
    page = np.full((200, 200, 3), 255, np.uint8)
    page[98:103, 30:170] = 0
    answer = explore.place(Image.fromarray(page), map="drawings", lang="ja")
    assert answer["tags"][0]["label"] == "横線"
    assert answer["by"] == "neighbours" and answer["picture"] is None
    assert {near["number"] % 2 for near in answer["neighbours"][:4]} == {0}
    blank = Image.new("RGB", (50, 50), "white")
    with pytest.raises(TaggerError):
        explore.place(blank, map="drawings")


def test_many_are_mapped_by_umap_after_a_first_look(
    opened: tuple[ExploreServices, DrawServices], clock: Clock
) -> None:
    explore, draw = opened
    worker = explore.worker
    assert isinstance(worker, PlainWorker)
    seen: list[dict[str, Any]] = []
    worker.before = lambda: seen.append(explore.about("drawings"))
    for shift in range(FEW):
        save(draw, "level", by=many(shift), shift=shift)
    after = drawings(explore)
    assert (seen[0]["method"], seen[0]["status"], seen[0]["count"]) == ("pca", "ready", FEW)
    assert (after["method"], after["count"]) == ("umap", FEW)
    assert after["hash"] != seen[0]["hash"]
    # What is there stays until the new one is made.
    save(draw, "upright")
    clock.now += 60
    assert drawings(explore)["count"] == FEW + 1
    assert seen[1]["hash"] == after["hash"] and worker.asked == 2


def test_what_is_taken_back_while_a_map_is_made_does_not_come_back(
    opened: tuple[ExploreServices, DrawServices], clock: Clock
) -> None:
    explore, draw = opened
    worker = explore.worker
    assert isinstance(worker, PlainWorker)
    saved = [save(draw, "level", by=many(shift), shift=shift) for shift in range(FEW + 1)]
    worker.before = lambda: draw.delete(saved[0].id, many(0))
    drawings(explore)
    clock.now += 60
    worker.before = None
    about = drawings(explore)
    assert about["count"] == FEW
    ids = {item.id for item in explore.chart("drawings").index.snapshot().items}
    assert saved[0].id not in ids
