"""Learning for good: what is taken and what not, versions, the way back, and who interferes."""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tagger import sketch_bundle
from tagger.drawing import DrawServices, Recognition
from tagger.errors import RequestError, TaggerError
from tagger.gate import stable_part
from tagger.sketch_bundle import SketchBundle
from tagger.strokes import digest, parse
from tagger.tuning import TuningService
from tests import learning, trainer
from tests.learning import ANN, BOB, GOOD, IDLE, KNOWN, WRONG, World, alive, drawn, finished, until


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learning.make_bundle(tmp_path_factory.mktemp("shipped") / "toy-sketch")


@pytest.fixture
def world(tmp_path: Path, shipped: Path) -> Iterator[World]:
    world = World(tmp_path, shipped)
    yield world
    world.close()


def refused(code: str, work: Callable[[], object]) -> TaggerError:
    with pytest.raises(TaggerError) as caught:
        work()
    assert caught.value.code == code
    assert caught.value.message("en") != caught.value.message("ja")
    return caught.value


def learn(tuning: TuningService, kind: str = "refit", **parameters: Any) -> dict[str, Any]:
    return finished(tuning, tuning.start(kind, parameters)["id"])


def first(draw: DrawServices, what: str, visitor: str = BOB) -> tuple[str, bool]:
    word = draw.recognise(drawn(what, 999), visitor=visitor).words[0]
    return word.word, word.learnt


def answers(draw: DrawServices, visitor: str = BOB) -> list[tuple[tuple[str, float], ...]]:
    """All that is said of some drawings, to the last digit."""
    said: list[Recognition] = [
        draw.recognise(drawn(what, 500 + i), top=100, visitor=visitor)
        for what in learning.PLACES
        for i in range(3)
    ]
    return [tuple((word.word, word.probability) for word in one.words) for one in said]


# --- what is taken


def test_a_refit_teaches_everybody_a_new_word(world: World) -> None:
    world.fill(*GOOD)
    draw, tuning = world.start()
    # As if nobody had accepted it: what follows is known by the last layer alone.
    before = {what: first(draw, what) for what in KNOWN}
    run = learn(tuning)
    assert (run["state"], run["verdict"]["reason"]) == ("done", "better"), run
    assert run["data"]["new_words"] == ["bracket"] and run["version"] == run["id"]
    draw.reject("bracket")
    assert draw.live.memory.accepted == frozenset()
    assert first(draw, "bracket") == ("bracket", True)
    assert first(draw, "bracket", "") == ("bracket", True)
    assert first(draw, "box") == ("the corner", False)
    assert {what: first(draw, what) for what in KNOWN} == before
    assert before == {what: (word, False) for what, word in KNOWN.items()}
    assert draw.words("brack")[0].kind == "learnt"
    assert "bracket" not in {word.word for word in draw.prompts}
    shares = draw.recognise(drawn("level", 3), top=100, visitor=BOB).words
    assert sum(word.probability for word in shares) == pytest.approx(1, abs=1e-5)
    # Whoever labels a drawing so means that word.
    assert draw.save(drawn("bracket", 1), "BRACKET", visitor=BOB).label == "bracket"


def test_a_word_that_the_model_knows_is_not_counted_twice(world: World) -> None:
    world.fill(*GOOD)
    draw, tuning = world.start()
    assert draw.live.memory.accepted == {"bracket"}
    learn(tuning)
    assert draw.live.memory.accepted == frozenset() and draw.accepted == ("bracket",)
    tuning.back()
    assert draw.live.memory.accepted == {"bracket"}
    assert first(draw, "bracket") == ("bracket", True)


def test_what_a_run_was_about_is_kept(world: World) -> None:
    world.fill(*GOOD)
    _, tuning = world.start()
    run = learn(tuning, penalty=0.1)
    rows = [
        digest(learning.strokes(what, seed)) for what, _, count in GOOD for seed in range(count)
    ]
    held_back = sum(stable_part(id) == "held_back" for id in rows)
    facts = dict(run["data"])
    assert len(facts.pop("hash")) == 16
    assert facts == {
        "drawings": 140,
        "held_back": held_back,
        "words": 2,
        "new_words": ["bracket"],
    }
    assert run["verdict"]["held_back"]["count"] == held_back
    assert run["verdict"]["frozen"]["count"] == 120
    assert run["parameters"] == {"penalty": 0.1} and run["kind"] == "refit"
    assert run["started"] <= run["ended"] and run["seconds"] >= 0 and run["error"] is None
    assert run["progress"]["done"] == 1.0
    assert run["said"].startswith("Better")
    assert tuning.run(run["id"], "ja")["said"].startswith("改善")
    path = world.data / "tuning" / run["id"]
    assert {entry.name for entry in path.iterdir()} == {"run.json"}
    again = learn(tuning)
    assert again["data"]["hash"] == run["data"]["hash"]
    state = tuning.state().to_dict("en")
    assert json.loads(json.dumps(state)) == state
    assert [entry["id"] for entry in state["runs"]] == [again["id"], run["id"]]


def test_what_was_learnt_is_a_whole_bundle(world: World) -> None:
    (world.bundle / "README.md").write_text("# Toy\n\nAbout it.\n")
    world.fill(*GOOD)
    draw, tuning = world.start()
    id = learn(tuning)["version"]
    folder = world.data / "recognisers" / id
    bundle = sketch_bundle.load(folder)
    assert bundle.config.refitted and bundle.config.version == f"1.0+{id}"
    assert bundle.hash == draw.model.hash != sketch_bundle.load(world.bundle).hash
    assert sketch_bundle.read_frozen(bundle) is not None
    assert (folder / "weights.npz").read_bytes() == b"weights"
    assert bundle.metrics["before_refit"]["top_1"] == 1.0
    assert bundle.metrics["refit"]["verdict"]["passes"] is True
    assert bundle.config.training_data[-1]["collected"] is True
    card = (folder / "README.md").read_text()
    assert card.startswith("# Toy") and "New words: bracket." in card
    assert draw.about["words"] == 6 and draw.about["version"] == f"1.0+{id}"


def test_a_refit_goes_on_from_the_last_one(world: World) -> None:
    world.fill(*GOOD)
    draw, tuning = world.start()
    one = learn(tuning)["version"]
    world.fill(("cup", "mug", 120), accepted=["mug"])
    world.fill(("left", "flag", 120), accepted=["flag"])
    run = learn(tuning)
    # The known words are drawn under other names now: that is refused, or else it may go on.
    assert run["state"] == "done" and run["verdict"]["reason"] in ("worse-frozen", "not-better")
    assert run["version"] is None and tuning.live == one
    assert run["data"]["new_words"] == ["flag", "mug"]
    assert first(draw, "bracket") == ("bracket", True)


def test_held_back_drawings_teach_nothing(world: World, shipped: Path, tmp_path: Path) -> None:
    """Whatever they are called, the same layer comes out."""

    def heads(world: World, called: str) -> dict[str, np.ndarray]:
        rows = [(w, word, seed) for w, word, count in GOOD for seed in range(count)]
        held_back = [
            stable_part(digest(learning.strokes(what, seed))) == "held_back"
            for what, _, seed in rows
        ]
        learning.fill_each(
            world.settings().database_url,
            [
                (what, called if held and what == "box" and seed < 40 else word, seed)
                for (what, word, seed), held in zip(rows, held_back, strict=True)
            ],
        )
        id = learn(world.start()[1])["version"]
        with np.load(world.data / "recognisers" / id / "head.npz") as arrays:
            return dict(arrays)

    (tmp_path / "other").mkdir()
    other = World(tmp_path / "other", shipped)
    one, two = heads(world, "the corner"), heads(other, "level")
    other.close()
    np.testing.assert_array_equal(one["weights"], two["weights"])
    np.testing.assert_array_equal(one["bias"], two["bias"])


# --- what is not taken


HARD = {"penalty": 0.001, "anchor": 0, "most": 1e6}


@pytest.mark.parametrize(
    ("lessons", "parameters", "reason"),
    [
        (WRONG, HARD, "worse-frozen"),
        (IDLE, {}, "not-better"),
        ((("box", "the corner", 30),), {}, "too-few"),
    ],
)
def test_what_is_not_better_is_not_taken(
    world: World, lessons: Any, parameters: dict[str, float], reason: str
) -> None:
    world.fill(*lessons)
    draw, tuning = world.start()
    before, hash = answers(draw), draw.model.hash
    run = learn(tuning, **parameters)
    assert (run["state"], run["verdict"]["reason"]) == ("done", reason), run["said"]
    assert run["version"] is None and run["said"]
    assert draw.model.hash == hash and answers(draw) == before
    assert tuning.live == "shipped" and not (world.data / "recognisers").exists()


def test_what_was_given_without_consent_teaches_nobody(world: World) -> None:
    draw, tuning = world.start()
    for seed in range(8):
        draw.save(drawn("bracket", seed), "bracket", visitor=ANN)
    state = tuning.state().to_dict("ja")
    assert state["collected"] == {"shared": 0, "held_back": 0, "words": 0}
    assert state["words"] == [] and state["can"]["why_refit"] == "nothing-given"
    assert "同意" in state["can"]["why_refit_said"]
    error = refused("tuning-unavailable", lambda: tuning.start("refit"))
    assert "consent" in error.message("en")


def test_new_words_teach_when_they_are_accepted_and_drawn_enough(world: World) -> None:
    world.fill(*GOOD, ("left", "flag", 3), ("cup", "mug", 40), accepted=["bracket", "flag"])
    _, tuning = world.start()
    words = tuning.state().to_dict("en")["words"]
    assert [(w["word"], w["drawings"], w["accepted"]) for w in words] == [
        ("bracket", 60, True),
        ("mug", 40, False),
        ("flag", 3, True),
    ]
    run = learn(tuning)
    assert run["data"]["new_words"] == ["bracket"]
    # What is known now is no new word.
    assert [w["word"] for w in tuning.state().to_dict("en")["words"]] == ["mug", "flag"]


def test_a_word_that_no_list_can_hold_is_left_to_the_memory(world: World) -> None:
    world.fill(*GOOD, ("left", "a\u200db", 40), accepted=["bracket", "a\u200db"])
    draw, tuning = world.start()
    run = learn(tuning)
    assert run["data"]["new_words"] == ["bracket"] and run["version"]
    assert draw.live.memory.accepted == {"a\u200db"}


@pytest.mark.parametrize(
    ("file", "why"), [("head.npz", "head-missing"), ("frozen.npz", "frozen-missing")]
)
def test_without_what_it_needs_it_cannot_be_refitted(world: World, file: str, why: str) -> None:
    (world.bundle / file).unlink()
    world.fill(*GOOD)
    _, tuning = world.start()
    assert tuning.state().to_dict("en")["can"]["why_refit"] == why
    assert refused("tuning-unavailable", lambda: tuning.start("refit")).params == {"why": why}


def test_frozen_drawings_that_are_torn_end_the_run(world: World) -> None:
    (world.bundle / "frozen.npz").write_bytes(b"torn")
    world.fill(*GOOD)
    draw, tuning = world.start()
    run = learn(tuning)
    assert (run["state"], run["error"]) == ("failed", "bundle-file-invalid")
    assert "frozen.npz" in run["detail"] and run["said"] and run["version"] is None
    assert first(draw, "level") == ("level", False)


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("", {}),
        ("other", {}),
        ("refit", {"penalty": -1}),
        ("refit", {"penalty": float("nan")}),
        ("refit", {"iterations": 1.5}),
        ("refit", {"epochs": 3}),
        ("tuning", {"epochs": 0}),
        ("tuning", {"epochs": True}),
        ("tuning", {"epochs": "3"}),
        ("tuning", {"layers": "none"}),
        ("tuning", {"layers": ["head"]}),
        ("tuning", {"rate": None}),
        ("tuning", {"out": "/tmp/x"}),
        ("tuning", {"words": ["x"]}),
    ],
)
def test_parameters_that_make_no_sense(world: World, kind: str, parameters: Any) -> None:
    world.fill(*GOOD)
    _, tuning = world.start()
    refused("request-invalid", lambda: tuning.start(kind, parameters))
    assert tuning.state().runs == ()


# --- while people draw


def test_no_request_is_dropped_while_versions_are_exchanged(world: World) -> None:
    world.fill(*GOOD)
    draw, tuning = world.start()
    stop, failures = threading.Event(), []
    said: set[tuple[str, int]] = set()
    counts = [0] * 4

    def ask(number: int) -> None:
        while not stop.is_set():
            try:
                found = draw.recognise(drawn("bracket", number), top=100, visitor=f"v{number}")
                said.add((found.model.hash, len(found.words)))
                if abs(sum(word.probability for word in found.words) - 1) > 1e-4:
                    failures.append(found)
                counts[number] += 1
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    hashes = [draw.model.hash]
    for _ in range(3):
        learn(tuning)
        hashes.append(draw.model.hash)
        reached = list(counts)
        until(lambda reached=reached: all(c > r for c, r in zip(counts, reached, strict=True)))
        tuning.back()
    tuning.activate(tuning.state().runs[-1].version or "")
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert {hash for hash, _ in said} >= set(hashes)
    # Six words either way: from the network, or from the network and the memory.
    assert {count for _, count in said} == {6}


def test_nothing_that_happens_during_an_exchange_is_missed(world: World) -> None:
    """A recogniser that embeds otherwise learns the drawings anew: people go on meanwhile."""
    world.fill(*GOOD)
    draw, tuning = world.start()
    taken = [draw.save(drawn("cup", seed), "mug", visitor=BOB).id for seed in range(4)]
    stop, saved, rounds = threading.Event(), [], []

    def save() -> None:
        seed = 0
        while not stop.is_set():
            saved.append(draw.save(drawn("left", seed), "flag", visitor=f"w{seed}").id)
            seed += 1

    thread = threading.Thread(target=save)
    thread.start()
    run = tuning.start("tuning", {"seed": trainer.BETTER})
    for id in taken[:2]:
        draw.delete(id, BOB)
    assert finished(tuning, run["id"])["version"]
    draw.delete(taken[2], BOB)
    tuning.back()
    rounds.append(len(saved))
    until(lambda: len(saved) > rounds[0])
    stop.set()
    thread.join()
    kept = {lesson.id for lesson in draw.live.memory.lessons()}
    assert kept == {drawing.id for drawing in draw.store.iterate(consented_only=False)}
    assert set(saved) <= kept and kept.isdisjoint(taken[:3])


# --- versions


def test_back_brings_exactly_the_earlier_answers(world: World) -> None:
    world.fill(*GOOD)
    draw, tuning = world.start()
    before, ours = answers(draw), answers(draw, ANN)
    learn(tuning)
    assert answers(draw) != before
    assert tuning.state().previous == "shipped"
    assert tuning.back() == "shipped"
    assert (answers(draw), answers(draw, ANN)) == (before, ours)
    assert tuning.state().previous is None
    refused("tuning-no-previous", tuning.back)
    assert answers(draw) == before


def test_any_version_can_be_made_live(world: World) -> None:
    world.fill(*GOOD)
    draw, tuning = world.start()
    one = learn(tuning)["version"]
    learnt = answers(draw)
    two = learn(tuning, "tuning")["version"]
    assert one and two
    trained = answers(draw)
    state = tuning.state().to_dict("en")
    kinds = [(v["id"], v["kind"], v["current"]) for v in state["versions"]]
    assert kinds == [(two, "tuning", True), (one, "refit", False), ("shipped", "shipped", False)]
    assert [v["words"] for v in state["versions"]] == [6, 6, 5]
    assert state["previous"] == one and state["versions"][0]["run"] == two
    tuning.activate("shipped")
    tuning.activate(one)
    assert answers(draw) == learnt
    tuning.activate(one)  # again changes nothing
    assert [tuning.back(), tuning.back(), tuning.back()] == ["shipped", two, one]
    tuning.activate(two)
    assert answers(draw) == trained
    refused("tuning-version-not-found", lambda: tuning.activate("nothing"))
    refused("tuning-version-not-found", lambda: tuning.activate("../shipped"))
    assert tuning.live == two


def test_a_restart_keeps_the_version(world: World) -> None:
    world.fill(*GOOD)
    draw, tuning = world.start()
    id = learn(tuning)["version"]
    said, hash = answers(draw), draw.model.hash
    world.close()
    draw, tuning = world.start()
    assert (tuning.live, draw.model.hash) == (id, hash)
    assert answers(draw) == said
    assert tuning.back() == "shipped"
    world.close()
    assert world.start()[1].live == "shipped"


@pytest.mark.parametrize("damage", ["deleted", "torn", "not a model"])
def test_a_version_that_is_gone_falls_back_with_a_warning(
    world: World, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    world.fill(*GOOD)
    draw, tuning = world.start()
    before = answers(draw)
    one = learn(tuning)["version"]
    learnt = answers(draw)
    two = learn(tuning, "tuning")["version"]
    world.close()
    folder = world.data / "recognisers" / two
    if damage == "deleted":
        shutil.rmtree(folder)
    elif damage == "torn":
        (folder / "head.npz").write_bytes(b"torn")
    else:
        (folder / "model.onnx").write_bytes(b"torn")
    with caplog.at_level(logging.WARNING):
        draw, tuning = world.start()
    assert two in caplog.text and "cannot be used" in caplog.text
    assert tuning.live == one and answers(draw) == learnt
    state = tuning.state().to_dict("en")
    assert [v["id"] for v in state["versions"] if v["current"]] == [one]
    assert state["previous"] == "shipped"
    if damage != "deleted":
        refused("tuning-version-damaged", lambda: tuning.activate(two))
        assert tuning.live == one and answers(draw) == learnt
    tuning.activate(one)  # that is how it shall be
    caplog.clear()
    world.close()
    draw, tuning = world.start()
    assert tuning.live == one and two not in caplog.text
    shutil.rmtree(world.data / "recognisers" / one)
    assert first(draw, "bracket") == ("bracket", True)  # in memory it still answers
    assert tuning.back() == "shipped" and answers(draw) == before


def test_a_torn_version_is_skipped_on_the_way_back(world: World) -> None:
    world.fill(*GOOD)
    draw, tuning = world.start()
    before = answers(draw)
    one = learn(tuning)["version"]
    learn(tuning, "tuning")
    (world.data / "recognisers" / one / "labels.csv").write_text("torn")
    assert tuning.back() == "shipped" and answers(draw) == before


def test_a_folder_that_cannot_be_written_changes_nothing(world: World) -> None:
    world.fill(*GOOD)
    draw, tuning = world.start()
    (world.data / "recognisers").write_text("a file stands in the way")
    run = learn(tuning)
    assert (run["state"], run["version"], tuning.live) == ("failed", None, "shipped")
    (world.data / "recognisers").unlink()
    one = learn(tuning)["version"]
    shutil.rmtree(world.data / "tuning")
    (world.data / "tuning").write_text("a file stands in the way")
    refused("tuning-not-written", lambda: tuning.start("refit"))
    assert tuning.live == one
    (world.data / "tuning").unlink()
    assert learn(tuning)["state"] == "done"
    assert first(draw, "bracket") == ("bracket", True)


def test_other_processes_follow(world: World) -> None:
    world.fill(*GOOD)
    draw, tuning = world.start()
    other, following = world.start()
    assert not following.follow()
    id = learn(tuning)["version"]
    assert following.follow() and following.live == id
    assert answers(other) == answers(draw)
    assert not following.follow()
    following.back()
    assert tuning.follow() and draw.model.hash == other.model.hash
    # A version that only the other one can open does not disturb this one.
    (world.data / "recognisers" / id / "labels.csv").write_text("torn")
    tuning._versions.write_chain(["shipped", id])
    assert not following.follow() and following.live == "shipped"
    assert first(other, "level") == ("level", False)


def test_a_watcher_follows_by_itself(world: World) -> None:
    world.fill(*GOOD)
    _, tuning = world.start()
    _, following = world.start()
    following.watch(0.01)
    id = learn(tuning)["version"]
    until(lambda: following.live == id)
    following.close()
    following.close()
    assert following.live == id


# --- training


def test_a_training_is_a_program_of_its_own(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    url = world.settings().database_url
    for name, value in zip(trainer.SECRETS, ("a secret", "a secret", url), strict=True):
        monkeypatch.setenv(name, value)
    world.fill(*GOOD, ("left", "flag", 9))
    draw, tuning = world.start()
    for seed in range(5):  # what this visitor taught outlives the exchange
        draw.save(drawn("cup", seed), "mug", visitor=BOB)
    run = learn(tuning, "tuning", layers="embed", epochs=3)
    assert run["state"] == "done" and run["version"] == tuning.live == run["id"]
    assert run["progress"] == {
        "done": 1.0,
        "step": "training",
        "curve": [{"epoch": 1, "loss": 2.5, "frozen": 0.5, "held_back": 0.25}],
    }
    folder = world.data / "tuning" / run["id"]
    seen = json.loads((folder / "seen.json").read_text())
    assert seen["parameters"] == {"layers": "embed", "epochs": 3, "words": ["bracket"]}
    assert (seen["drawings"], seen["secrets"], seen["data"]) == (149, [], True)
    assert seen["mode"] == "0o600" and seen["nice"] >= 10
    left = {entry.name for entry in folder.iterdir()}
    assert left == {"run.json", "report.json", "log.txt", "seen.json"}
    assert draw.model.version == "2.0"
    assert first(draw, "cup") == ("mug", True)


def test_a_training_that_is_refused(world: World) -> None:
    world.fill(*GOOD)
    draw, tuning = world.start()
    before = answers(draw)
    run = learn(tuning, "tuning", seed=trainer.WORSE)
    assert (run["state"], run["version"], run["error"]) == ("done", None, None)
    assert run["verdict"]["reason"] == "worse-frozen" and "Refused" in run["said"]
    assert answers(draw) == before and tuning.live == "shipped"


@pytest.mark.parametrize(
    ("way", "error"),
    [
        (trainer.FAILS, "failed"),
        (trainer.SILENT, "candidate-invalid"),
        (trainer.LYING, "candidate-invalid"),
        (trainer.TORN, "candidate-invalid"),
    ],
)
def test_a_training_that_fails(world: World, way: int, error: str) -> None:
    world.fill(*GOOD)
    draw, tuning = world.start()
    before = answers(draw)
    run = learn(tuning, "tuning", seed=way)
    assert (run["state"], run["error"], run["version"]) == ("failed", error, None)
    assert run["said"] == refused_text(error)
    if way == trainer.FAILS:
        assert run["progress"]["curve"] and "loss is no longer a number" in run["detail"]
        assert "\x1b" not in run["detail"]
    assert answers(draw) == before and tuning.live == "shipped"
    assert [v.id for v in tuning.state().versions] == ["shipped"]
    assert not (world.data / "tuning" / run["id"] / "drawings.ndjson").exists()


def refused_text(error: str) -> str:
    return RequestError(f"tuning-{error}").message("en")


@pytest.mark.parametrize(
    ("missing", "why"),
    [
        ("libraries", "training-missing"),
        ("data", "data-missing"),
        ("weights", "weights-missing"),
        ("drawings", "nothing-given"),
    ],
)
def test_what_a_training_needs(world: World, missing: str, why: str) -> None:
    if missing != "drawings":
        world.fill(*GOOD)
    if missing == "data":
        (world.training / "sketches.parquet").unlink()
    if missing == "weights":
        (world.bundle / "weights.npz").unlink()
    draw, tuning = world.start()
    if missing == "libraries":
        tuning = TuningService(world.settings(), draw, installed=lambda: False)
    can = tuning.state().to_dict("en")["can"]
    assert (can["tune"], can["why"]) == (False, why) and can["why_said"]
    assert refused("tuning-unavailable", lambda: tuning.start("tuning")).params == {"why": why}
    assert can["refit"] is (missing != "drawings")


# --- ending what is running


def running(world: World, tuning: TuningService, way: int) -> tuple[str, list[int]]:
    """Start a training that does not end; its id, and the numbers of its processes."""
    id = tuning.start("tuning", {"seed": way})["id"]
    file = world.data / "tuning" / id / "pids"
    pids = [int(pid) for pid in until(lambda: file.exists() and file.read_text()).split()]
    assert all(map(alive, pids)) and len(pids) == 2
    return id, pids


@pytest.mark.parametrize("way", [trainer.PATIENT, trainer.STUBBORN])
def test_a_cancelled_training_ends_with_its_children(world: World, way: int) -> None:
    world.fill(*GOOD)
    draw, tuning = world.start()
    id, pids = running(world, tuning, way)
    run = tuning.run(id)
    assert (run["state"], run["progress"]["step"]) == ("running", "training")
    assert run["progress"]["curve"] and run["seconds"] > 0
    assert tuning.state().running == id
    tuning.cancel(id)
    run = finished(tuning, id)
    assert (run["state"], run["version"], run["error"]) == ("cancelled", None, None)
    until(lambda: not any(map(alive, pids)))
    assert tuning.cancel(id)["state"] == "cancelled"
    assert learn(tuning)["state"] == "done"
    assert first(draw, "level") == ("level", False)
    refused("tuning-run-not-found", lambda: tuning.cancel("20200101-000000-abcd"))
    refused("tuning-run-not-found", lambda: tuning.run("../x"))


def test_a_run_can_be_cancelled_by_another_process(world: World) -> None:
    world.fill(*GOOD)
    _, tuning = world.start()
    _, other = world.start()
    id, pids = running(world, tuning, trainer.PATIENT)
    assert other.run(id)["state"] == "running" and other.state().running == id
    refused("tuning-busy", lambda: other.start("refit"))
    other.cancel(id)
    assert finished(other, id)["state"] == "cancelled"
    until(lambda: not any(map(alive, pids)))


def test_a_second_run_is_told_to_wait(world: World) -> None:
    world.fill(*GOOD)
    _, tuning = world.start()
    id, _ = running(world, tuning, trainer.PATIENT)
    refused("tuning-busy", lambda: tuning.start("refit"))
    refused("tuning-busy", lambda: tuning.start("tuning"))
    assert len(tuning.state().runs) == 1
    tuning.cancel(id)
    finished(tuning, id)
    assert tuning.start("refit")["id"]


def test_of_many_starts_at_once_one_is_taken(world: World) -> None:
    world.fill(*GOOD)
    services = [world.start()[1] for _ in range(3)]
    ready, codes = threading.Barrier(6), []

    def start(tuning: TuningService) -> None:
        ready.wait()
        try:
            tuning.start("tuning", {"seed": trainer.PATIENT})
            codes.append("started")
        except TaggerError as error:
            codes.append(error.code)

    threads = [threading.Thread(target=start, args=(services[i % 3],)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == ["started", *["tuning-busy"] * 5]
    assert len(services[0].state().runs) == 1


def test_a_refit_can_be_cancelled(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.fill(*GOOD)
    draw, tuning = world.start()
    begun, go_on = threading.Event(), threading.Event()
    real = sketch_bundle.read_frozen

    def read_frozen(bundle: SketchBundle) -> Any:
        begun.set()
        go_on.wait()
        return real(bundle)

    monkeypatch.setattr("tagger.refitting.read_frozen", read_frozen)
    id = tuning.start("refit")["id"]
    begun.wait()
    tuning.cancel(id)
    go_on.set()
    assert finished(tuning, id)["state"] == "cancelled"
    assert tuning.live == "shipped" and first(draw, "bracket")[0] == "bracket"


def test_a_server_that_ends_ends_its_run(world: World) -> None:
    world.fill(*GOOD)
    _, tuning = world.start()
    id, pids = running(world, tuning, trainer.STUBBORN)
    world.close()
    until(lambda: not any(map(alive, pids)))
    _, tuning = world.start()
    run = tuning.run(id)
    assert (run["state"], run["error"]) == ("failed", "stopped")
    assert "server stopped" in run["said"]


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_run_whose_server_died_has_failed(world: World, cancelled: bool) -> None:
    world.fill(*GOOD)
    _, tuning = world.start()
    id = learn(tuning)["id"]
    world.close()
    folder = world.data / "tuning" / id
    run = json.loads((folder / "run.json").read_text())
    run |= {"state": "running", "ended": None, "verdict": None, "version": None}
    (folder / "run.json").write_text(json.dumps(run))
    (folder / "drawings.ndjson").write_text("what people drew")
    (folder / "candidate").mkdir()
    if cancelled:
        (folder / "cancel").touch()
    _, tuning = world.start()
    (shown,) = tuning.state().to_dict("en")["runs"]
    expected = ("cancelled", None) if cancelled else ("failed", "stopped")
    assert (shown["state"], shown["error"]) == expected
    assert tuning.state().running is None
    assert {entry.name for entry in folder.iterdir()} == {"run.json"}
    assert learn(tuning)["state"] == "done"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"id": 3}', '{"id": "x", "kind": "refit"}'])
def test_what_else_lies_among_the_runs_is_passed_over(world: World, content: str) -> None:
    world.fill(*IDLE)
    _, tuning = world.start()
    id = learn(tuning)["id"]
    folder = world.data / "tuning" / "20200101-000000-abcd"
    folder.mkdir()
    (folder / "run.json").write_text(content)
    (world.data / "tuning" / "notes.txt").write_text("x")
    assert [run.id for run in tuning.state().runs] == [id]
    refused("tuning-run-not-found", lambda: tuning.run(folder.name))


def test_the_state_is_that_of_the_collection_at_any_time(world: World) -> None:
    draw, tuning = world.start()
    saved = [
        draw.save(drawn("cup", seed), "mug", visitor=ANN, consent=True).id for seed in range(6)
    ]
    held_back = sum(
        stable_part(digest(parse(drawn("cup", seed)))) == "held_back" for seed in range(6)
    )
    state = tuning.state().to_dict("en")
    assert state["collected"] == {"shared": 6, "held_back": held_back, "words": 1}
    assert state["words"] == [{"word": "mug", "drawings": 6, "accepted": False}]
    draw.accept("mug")
    assert tuning.state().to_dict("en")["words"][0]["accepted"] is True
    draw.relabel(saved[0], "jar", ANN)
    draw.delete(saved[1], ANN)
    words = tuning.state().to_dict("en")["words"]
    assert [(w["word"], w["drawings"]) for w in words] == [("mug", 4), ("jar", 1)]
    assert os.listdir(world.data).count("tuning") == 0
