"""What the doors call for drawings: recognise, collect, learn, forget, and who may how much."""

from __future__ import annotations

import dataclasses
import io
import json
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tagger import sketch_bundle
from tagger.collection import NewDrawing, Store
from tagger.drawing import DrawServices, build_draw
from tagger.errors import BundleError, LimitError, RequestError, StoreError, TaggerError
from tagger.fewshot import MemorySpec
from tagger.settings import Settings
from tagger.sketch import SketchPrediction, SketchRecogniser
from tagger.strokes import Strokes, parse
from tests import toy
from tests.collection.examples import vote

ANN, BOB = "ann-" * 5, "bob-" * 5
LEVEL = [[[0, 10], [5, 5]]]
Make = Callable[..., DrawServices]


def bracket(seed: int = 0) -> list[list[list[float]]]:
    rng = random.Random(seed)
    return [[[rng.random(), 10, 10], [0, rng.random(), 10]]]


@pytest.fixture
def make(tmp_path: Path, toy_sketch_bundle: Path) -> Iterator[Make]:
    """Services around the toy, whose clock stands still unless it is told."""
    made: list[DrawServices] = []

    def build(clock: Callable[[], float] = lambda: 0.0, **settings: Any) -> DrawServices:
        given = {"data_dir": tmp_path, "threads": 2, "live_rate": 1000, **settings}
        bundle = sketch_bundle.load(toy_sketch_bundle)
        chosen = Settings(**given)
        store = Store.open(chosen.database_url)
        draw = DrawServices(
            chosen,
            SketchRecogniser(bundle),
            bundle.facts,
            store,
            bundle.config.memory,
            clock=clock,
        )
        draw.settle()
        made.append(draw)
        return draw

    yield build
    for draw in made:
        draw.close()


def first(draw: DrawServices, drawing: Any, visitor: str = ANN) -> tuple[str, bool]:
    best = draw.recognise(drawing, visitor=visitor).words[0]
    return best.word, best.learnt


def teach(draw: DrawServices, word: str, visitor: str = ANN, count: int = 5, **more: Any) -> None:
    for seed in range(count):
        draw.save(bracket(seed), word, visitor=visitor, **more)


def refused(code: str, work: Callable[[], object]) -> None:
    with pytest.raises(TaggerError) as caught:
        work()
    assert caught.value.code == code


# --- recognising


def test_a_drawing_is_recognised(make: Make) -> None:
    found = make().recognise(LEVEL, top=3)
    assert next(word.word for word in found.words) == "level"
    assert len(found.words) == 3
    assert found.words[0].label("ja") == "横線"
    assert found.model.name == "toy-sketch" and found.seconds > 0
    data = found.to_dict("ja")
    assert data["words"][0]["label"] == "横線" and json.dumps(data)


def test_all_words_together_are_certain(make: Make) -> None:
    draw = make()
    teach(draw, "bracket")
    words = draw.recognise(bracket(9), top=100, visitor=ANN).words
    assert len(words) == len(toy.SKETCH_WORDS) + 1
    assert sum(word.probability for word in words) == pytest.approx(1, abs=1e-5)
    assert [w.probability for w in words] == sorted((w.probability for w in words), reverse=True)


@pytest.mark.parametrize("data", [None, "x", {}, [], [[]], [[[1], [2, 3]]], [[["a"], [1]]]])
def test_what_is_no_drawing_is_refused(make: Make, data: Any) -> None:
    draw = make()
    for work in (lambda: draw.recognise(data), lambda: draw.save(data, "x", visitor=ANN)):
        with pytest.raises(TaggerError) as caught:
            work()
        assert caught.value.code.startswith("strokes-")


# --- learning


def test_five_drawings_teach_a_word_to_whoever_drew_them(make: Make) -> None:
    draw = make()
    assert first(draw, bracket(9)) != ("bracket", True)
    teach(draw, "bracket")
    assert first(draw, bracket(9)) == ("bracket", True)
    assert first(draw, LEVEL) == ("level", False)  # no other word is disturbed
    assert first(draw, bracket(9), BOB)[0] != "bracket"
    assert [word.word for word in draw.learnt(ANN)] == ["bracket"]
    assert draw.learnt(BOB) == ()


def test_a_known_word_is_corrected_and_stays_itself(make: Make) -> None:
    draw = make()
    teach(draw, "Upright")
    assert first(draw, bracket(9)) == ("upright", False)
    assert draw.counts(ANN)[0].kind == "word"


def test_what_is_deleted_is_forgotten_at_once(make: Make, tmp_path: Path) -> None:
    draw = make()
    teach(draw, "bracket")
    for drawing in draw.gallery(ANN).drawings:
        draw.delete(drawing.id, ANN)
    assert first(draw, bracket(9)) != ("bracket", True)
    assert draw.words("bracket", visitor=ANN) == ()
    assert b"bracket" not in (tmp_path / "drawings-learnt.npz").read_bytes()


def test_whoever_takes_all_back_is_forgotten(make: Make) -> None:
    draw = make()
    teach(draw, "bracket")
    teach(draw, "bracket", BOB)
    ann = draw.store.contributor_of(ANN)
    draw.store.save_vote(vote(contributor=ann))
    assert draw.withdraw(ANN) == 5
    assert draw.store.count_votes(contributor=ann) == 1
    assert first(draw, bracket(9), ANN)[0] != "bracket"
    assert first(draw, bracket(9), BOB)[0] == "bracket"
    assert draw.gallery(ANN).total == 0 and draw.withdraw(ANN) == 0


def test_a_new_label_teaches_anew(make: Make) -> None:
    draw = make()
    teach(draw, "bracket")
    for drawing in draw.gallery(ANN).drawings:
        assert draw.relabel(drawing.id, " Hook ", ANN).label == "Hook"
    assert first(draw, bracket(9)) == ("Hook", True)


def test_a_word_is_for_all_when_the_owner_accepts_it(make: Make) -> None:
    draw = make()
    teach(draw, "bracket", consent=False)
    refused("word-not-drawn", lambda: draw.accept("bracket"))
    for seed in range(5):
        draw.save(bracket(seed), "bracket", visitor=ANN, consent=True)
    assert first(draw, bracket(9), BOB)[0] != "bracket"
    assert draw.accept("bracket") == "bracket" and draw.accepted == ("bracket",)
    assert first(draw, bracket(9), BOB) == ("bracket", True)
    assert first(draw, bracket(9), "") == ("bracket", True)
    draw.reject("bracket")
    assert draw.accepted == () and first(draw, bracket(9), BOB)[0] != "bracket"


@pytest.mark.parametrize("lost", [False, True])
def test_what_was_taught_outlives_the_program(make: Make, tmp_path: Path, lost: bool) -> None:
    draw = make()
    teach(draw, "bracket", consent=True)
    draw.accept("bracket")
    draw.close()
    file = tmp_path / "drawings-learnt.npz"
    assert file.is_file()
    if lost:  # the collection is what counts
        file.write_bytes(b"torn")
    again = make()
    assert first(again, bracket(9)) == ("bracket", True)
    assert first(again, bracket(9), BOB) == ("bracket", True)


def test_at_the_start_it_learns_what_came_and_forgets_what_went(make: Make) -> None:
    draw = make()
    teach(draw, "bracket")
    old = [drawing.id for drawing in draw.gallery(ANN).drawings]
    draw.close()
    with Store.open(draw.settings.database_url) as store:  # meanwhile, another program
        who = store.contributor_of(ANN)
        for id in old[:3]:
            store.delete(id, by=who)
        store.relabel(old[3], "hook", by=who)
        store.save(NewDrawing("hook", parse(bracket(7)), who))
    again = make()
    assert {w.word: w.drawings for w in again.words("", visitor=ANN) if w.drawings} == {
        "hook": 2,
        "bracket": 1,
    }


class Other:
    """Another model: it answers the second word to everything, and embeds in three numbers."""

    def __init__(self, like: SketchRecogniser) -> None:
        self.words, self.hash, self.dimension, self.ready = like.words, "f" * 16, 3, True
        self.embedding_hash = "e" * 16
        self.during: Callable[[], object] = lambda: None

    def predict(self, drawings: Sequence[Strokes]) -> SketchPrediction:
        self.during()
        rows = np.zeros((len(drawings), len(self.words)), np.float32)
        rows[:, 1] = 1
        return SketchPrediction(rows, np.tile(np.float32([1, 0, 0]), (len(drawings), 1)))


def test_another_model_takes_over_with_what_was_taught(make: Make, toy_sketch_bundle: Path) -> None:
    draw = make()
    draw.save(LEVEL, "bracket", visitor=ANN)
    bundle = sketch_bundle.load(toy_sketch_bundle)
    other = Other(SketchRecogniser(bundle))
    facts = dataclasses.replace(bundle.facts, hash=other.hash)
    stop, failures = threading.Event(), []

    def ask() -> None:
        while not stop.is_set():
            try:
                draw.recognise(LEVEL)
            except Exception as error:
                failures.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    draw.swap(other, facts, MemorySpec(scale=60, bias=-40))
    stop.set()
    asking.join()
    assert failures == []
    assert draw.model.hash == other.hash
    assert first(draw, LEVEL, BOB)[0] == "upright"
    assert first(draw, LEVEL, ANN) == ("bracket", True)


# --- collecting


def test_a_drawing_is_kept_as_it_was_drawn(make: Make) -> None:
    draw = make()
    drawn = [[[0, 3.25, 9], [1, 2, 3], [0, 16, 33], [0.5, 0.5, 1]]]
    saved = draw.save(
        drawn, "cat", visitor=ANN, consent=True, predicted=[("level", 0.5)], source="game"
    )
    kept = draw.store.get(saved.id)
    assert kept is not None
    assert (kept.label, kept.consent, kept.source) == ("cat", True, "game")
    assert (kept.predicted, kept.model_hash) == ((("level", 0.5),), draw.model.hash)
    assert ANN not in str(kept) and kept.contributor == draw.store.contributor_of(ANN)
    assert kept.strokes[0].t is not None and kept.strokes[0].pressure is not None
    (shown,) = draw.gallery(ANN).drawings
    assert max(max(axis) for stroke in shown.strokes for axis in stroke) == 255
    assert saved.to_dict() == {
        "id": saved.id,
        "label": "cat",
        "created": saved.created,
        "duplicate": False,
        "drawings": 1,
    }


def test_a_save_that_is_sent_again_is_kept_once(make: Make) -> None:
    draw = make()
    one = draw.save(LEVEL, "cat", visitor=ANN, key="k")
    two = draw.save(LEVEL, "cat", visitor=ANN, key="k")
    other = draw.save(LEVEL, "cat", visitor=BOB, key="k")
    assert (one.id, False, 1) == (two.id, not two.duplicate, two.drawings)
    assert other.id != one.id
    draw.delete(one.id, ANN)
    assert draw.save(LEVEL, "cat", visitor=ANN, key="k").duplicate  # a late retry
    assert draw.gallery(ANN).total == 0 and first(draw, LEVEL) == ("level", False)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  LEVEL ", "level"),
        ("横線", "level"),
        ("top-left", "top left"),
        ("数字の０", "0"),
        ("New  Word", "New Word"),
        ("猫", "猫"),
    ],
)
def test_a_word_is_kept_in_its_own_spelling(make: Make, typed: str, kept: str) -> None:
    draw = make()
    assert draw.save(LEVEL, typed, visitor=ANN).label == kept
    assert draw.save(LEVEL, kept.swapcase(), visitor=ANN).label == kept


@pytest.mark.parametrize("label", ["", "  ", "a" * 65, "a\x00b", "\u202eabc", "\ud800"])
def test_what_is_no_word_is_refused(make: Make, label: str) -> None:
    draw = make()
    with pytest.raises(StoreError):
        draw.save(LEVEL, label, visitor=ANN)
    assert draw.counts(ANN) == ()


def test_nobody_touches_what_is_others(make: Make) -> None:
    draw = make()
    id = draw.save(LEVEL, "cat", visitor=ANN).id
    refused("drawing-not-found", lambda: draw.delete(id, BOB))
    refused("drawing-not-found", lambda: draw.relabel(id, "dog", BOB))
    refused("drawing-not-found", lambda: draw.delete("x" * 1000, ANN))
    assert draw.gallery(BOB).total == 0 and draw.counts(BOB) == ()
    for work in (
        lambda: draw.save(LEVEL, "cat", visitor=""),
        lambda: draw.gallery(""),
        lambda: draw.withdraw(""),
        lambda: draw.delete(id, ""),
        lambda: draw.counts(""),
    ):
        with pytest.raises(RequestError):
            work()
    assert draw.gallery(ANN).total == 1


def test_pages_of_the_gallery(make: Make) -> None:
    draw = make()
    for index in range(5):
        draw.save(LEVEL, "cat" if index % 2 else "dog", visitor=ANN)
    page = draw.gallery(ANN, offset=1, limit=2)
    assert (page.total, [d.label for d in page.drawings]) == (5, ["cat", "dog"])
    page = draw.gallery(ANN, label="cat", limit=10_000)
    assert (page.total, len(page.drawings)) == (2, 2)
    assert draw.gallery(ANN, label="none") == draw.gallery(ANN, label="none", offset=-1, limit=-1)


def test_new_words_are_counted_for_all_only_with_consent(make: Make) -> None:
    draw = make()
    draw.save(LEVEL, "my secret", visitor=ANN)
    draw.save(LEVEL, "my gift", visitor=ANN, consent=True)
    draw.save(LEVEL, "level", visitor=ANN)
    assert {(w.word, w.drawings) for w in draw.counts()} == {("my gift", 1), ("level", 1)}
    assert len(draw.counts(ANN)) == 3


def test_words_complete_a_label(make: Make) -> None:
    draw = make()
    draw.save(LEVEL, "lever", visitor=ANN)
    assert [w.word for w in draw.words("LEV", visitor=ANN)] == ["lever", "level"]
    assert [w.word for w in draw.words("LEV", visitor=BOB)] == ["level"]
    assert [w.word for w in draw.words("線")] == ["level", "upright"]
    assert [w.word for w in draw.words("corner")] == ["the corner"]
    assert [w.word for w in draw.words("", visitor=ANN, limit=2)] == ["lever", "level"]
    assert draw.words("nothing like it") == ()
    assert [w.word for w in draw.prompts] == [w[0] for w in toy.SKETCH_WORDS if w[2] == "word"]


def test_a_file_holds_ones_own_or_what_all_may_have(make: Make) -> None:
    draw = make()
    draw.save(LEVEL, "mine", visitor=ANN)
    draw.save(LEVEL, "given", visitor=ANN, consent=True)
    draw.save(LEVEL, "hers", visitor=BOB, consent=True)

    def words(visitor: str | None) -> set[str]:
        file = io.BytesIO()
        count = draw.export(file, "ndjson", visitor=visitor)
        lines = [json.loads(line) for line in file.getvalue().splitlines()]
        assert len(lines) == count
        return {line["word"] for line in lines}

    assert words(ANN) == {"mine", "given"}
    assert words(None) == {"given", "hers"}
    refused("drawings-format-unknown", lambda: draw.export(io.BytesIO(), "exe"))


def test_the_owner_is_who_has_the_token(make: Make) -> None:
    assert make(owner_token="a secret").is_owner("a secret")
    for token in ("", "a secre", "a secret ", "Ａ secret", "\ud800"):
        assert not make(owner_token="a secret").is_owner(token)
    assert not make().is_owner("")


def test_tokens_cannot_be_tried_one_after_the_other(make: Make) -> None:
    now = [0.0]
    draw = make(clock=lambda: now[0], owner_token="a secret")
    for _ in range(100):  # the owner may ask as often as they like
        draw.check_owner("a secret", "192.0.2.1")
    for i in range(20):
        refused("owner-only", lambda i=i: draw.check_owner(f"secret {i}", "192.0.2.1"))
    # From there not even the right one is heard, so that what is answered tells nothing.
    refused("too-fast", lambda: draw.check_owner("a secret", "192.0.2.1"))
    draw.check_owner("a secret", "192.0.2.2")
    draw.save(LEVEL, "level", visitor=ANN, client="192.0.2.1")
    now[0] += 1.0
    draw.check_owner("a secret", "192.0.2.1")


def test_a_picture_becomes_strokes(make: Make) -> None:
    image = Image.new("L", (300, 200), 240)
    ImageDraw.Draw(image).line([40, 100, 260, 100], fill=20, width=6)
    file = io.BytesIO()
    image.save(file, "JPEG")
    draw = make()
    traced = draw.trace(file.getvalue())
    assert len(traced) == 1 and parse(traced)
    assert first(draw, traced) == ("level", False)
    refused("image-no-lines", lambda: draw.trace(Image.new("L", (50, 50), 255)))
    refused("image-empty", lambda: draw.trace(b""))


# --- how much


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_flood_slows_only_whoever_sends_it(make: Make) -> None:
    clock = Clock()
    draw = make(clock, live_rate=10)
    for _ in range(10):
        draw.recognise(LEVEL, visitor=ANN, client="1.1.1.1")
    refused("too-fast", lambda: draw.recognise(LEVEL, visitor=ANN, client="1.1.1.1"))
    for _ in range(200):
        refused("too-fast", lambda: draw.recognise(LEVEL, visitor=ANN, client="1.1.1.1"))
    draw.recognise(LEVEL, visitor=BOB, client="1.1.1.1")
    draw.recognise(LEVEL, client="2.2.2.2")
    clock.now += 1
    draw.recognise(LEVEL, visitor=ANN, client="1.1.1.1")


def test_one_address_cannot_be_a_thousand_visitors(make: Make) -> None:
    draw = make(live_rate=10)
    with pytest.raises(LimitError):
        for index in range(1000):
            draw.recognise(LEVEL, visitor=f"visitor-{index}", client="1.1.1.1")
    draw.recognise(LEVEL, visitor=ANN, client="2.2.2.2")


def test_large_drawings_count_for_more(make: Make) -> None:
    draw = make(live_rate=10)
    large = [[list(range(40_000)), [0] * 40_000]]
    draw.recognise(large, visitor=ANN)
    refused("too-fast", lambda: draw.recognise(LEVEL, visitor=ANN))


def test_saving_has_a_rate_of_its_own(make: Make) -> None:
    clock = Clock()
    draw = make(clock)
    teach(draw, "bracket", count=20)
    refused("too-fast", lambda: draw.save(LEVEL, "x", visitor=ANN))
    draw.save(LEVEL, "x", visitor=BOB)
    clock.now += 1
    draw.save(LEVEL, "x", visitor=ANN)


# --- from settings


def test_it_is_built_from_settings(tmp_path: Path, toy_sketch_bundle: Path) -> None:
    draw = build_draw(Settings(sketch_bundle=str(toy_sketch_bundle), data_dir=tmp_path))
    assert draw is not None and draw.ready
    assert draw.about["words"] == 5 and draw.about["licence"] == "Apache-2.0"
    draw.close()
    for off in ("none", ""):
        assert build_draw(Settings(sketch_bundle=off, data_dir=tmp_path)) is None
    with pytest.raises(BundleError):
        build_draw(Settings(sketch_bundle=str(tmp_path / "nothing"), data_dir=tmp_path))
