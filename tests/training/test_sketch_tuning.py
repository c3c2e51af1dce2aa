"""Tuning on collected drawings: what is learnt, what is kept, what is refused."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tagger import gate, sketch_bundle, strokes
from tagger.collection import NewDrawing, Store, formats
from tagger.gate import Verdict
from tagger.head import Head, extend
from tagger.sketch import SketchRecogniser
from tagger.strokes import Stroke, Strokes
from tagger.training import cli
from tagger.training.pipelines.sketch_tuning import nodes
from tagger.training.sketch import stored, tuning
from tagger.training.sketch.collected import read_collection, read_known
from tagger.training.sketch.data import DIGITS
from tagger.training.sketch.network import ExportedRecogniser
from tagger.training.sketch.pool import Raster
from tagger.training.sketch.tuning import TuningRecipe
from tests.training import made

WORDS = ("box", "cross", "line", "zigzag")
KNOWN = (*WORDS, *DIGITS)
FILES = {
    "README.md",
    "config.json",
    "frozen.npz",
    "head.npz",
    "labels.csv",
    "metrics.json",
    "model.onnx",
    "weights.npz",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.drawings(tmp_path_factory.mktemp("drawings"))


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Path:
    """A recogniser that knows its words."""
    argv = ["sketch", "--data", str(folder), "--work", str(folder / "work"), "--env", "smoke"]
    # The made teacher knows nothing.
    for change in (
        "teacher=",
        "omniglot=",
        "recipe.epochs=25",
        "recipe.rate=0.01",
        "recipe.ema=0.9",
    ):
        argv += ["--set", f"sketch.{change}"]
    assert cli.main("train", [*argv, "--out", str(folder / "bundle")]) == 0
    return folder / "bundle"


def drawn(word: str, count: int, seed: int) -> list[Strokes]:
    rng = np.random.default_rng(seed)
    return [strokes.parse(made.sketch(word, rng)) for _ in range(count)]


def turned(drawings: list[Strokes]) -> list[Strokes]:
    """On their side: as somebody draws who sees it otherwise."""
    return [tuple(Stroke(s.y, s.x) for s in drawing) for drawing in drawings]


def given(store: Store, label: str, drawings: list[Strokes], *, consent: bool = True) -> None:
    store.save_many([NewDrawing(label, d, consent=consent) for d in drawings])


@pytest.fixture(scope="module")
def collection(folder: Path) -> str:
    """A new word that the owner accepted, one that is not, a known one drawn in another way."""
    url = f"sqlite:///{folder / 'collection.sqlite3'}"
    with Store.open(url) as store:
        given(store, "fork", drawn("fork", 50, 1))
        given(store, "spoon", drawn("fork", 12, 2))
        given(store, "zigzag", turned(drawn("zigzag", 80, 3)))
        store.accept_word("fork")
    return url


def tune(bundle: Path, collection: str, where: Path, *extra: str, data: Path | None = None) -> int:
    argv = ["sketch_tuning", "--env", "smoke", "--bundle", str(bundle), "--work", str(where)]
    argv += ["--out", str(where / "candidate"), "--run", str(where / "run")]
    argv += ["--collection", collection] if collection else []
    argv += ["--data", str(data)] if data else []
    return cli.main("train", [*argv, *extra])


def report_of(where: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((where / "run" / "report.json").read_text("utf-8"))
    return report


@pytest.fixture(scope="module")
def tuned(folder: Path, bundle: Path, collection: str) -> Path:
    where = folder / "tuned"
    assert tune(bundle, collection, where, "--set", "layers=all", data=folder) == 0
    return where


def recogniser(folder: Path) -> SketchRecogniser:
    return SketchRecogniser(sketch_bundle.load(folder))


def share_right(model: SketchRecogniser, word: str, drawings: list[Strokes]) -> float:
    known = model.words.get(word)
    assert known is not None
    said = model.predict(drawings).probabilities.argmax(1)
    return float((said == known.index).mean())


# --- a run that is accepted ----------------------------------------------------------------------


def test_a_new_word_is_learnt_and_none_is_lost(tuned: Path, bundle: Path) -> None:
    before, after = recogniser(bundle), recogniser(tuned / "candidate")
    assert [w.word for w in after.words] == [*KNOWN, "fork"]
    assert after.words[-1].kind == "learnt"
    assert share_right(after, "fork", drawn("fork", 40, 99)) >= 0.9
    other = turned(drawn("zigzag", 40, 98))
    assert share_right(after, "zigzag", other) >= share_right(before, "zigzag", other) + 0.3
    for seed, word in enumerate(WORDS):
        fresh = drawn(word, 40, 200 + seed)
        assert share_right(after, word, fresh) >= share_right(before, word, fresh) - 0.05


def test_the_report_says_what_was_decided_and_on_what(tuned: Path, bundle: Path) -> None:
    report = report_of(tuned)
    verdict = Verdict.from_dict(report["verdict"])
    assert verdict.passes and verdict.frozen is not None and verdict.held_back is not None
    assert verdict.frozen.count == 16 + 30
    assert report["data"]["new_words"] == ["fork"] and report["data"]["words"] == 2
    assert report["data"]["held_back"] == verdict.held_back.count >= 20
    assert [point["epoch"] for point in report["curve"]] == [1, 2, 3, 4]
    assert report["parameters"]["layers"] == "all" and report["seconds"] > 0
    assert report["bundle"]["began_as"] == sketch_bundle.load(bundle).hash
    progress = json.loads((tuned / "run" / "progress.json").read_text())
    assert progress == {"done": 1.0, "step": "writing", "curve": report["curve"]}


def test_the_candidate_is_whole_and_carries_its_own_judges(tuned: Path, folder: Path) -> None:
    out = tuned / "candidate"
    assert {file.name for file in out.iterdir()} == FILES
    candidate = sketch_bundle.load(out)
    assert candidate.hash == report_of(tuned)["bundle"]["hash"]
    facts = json.loads((out / "metrics.json").read_text())
    card = (out / "README.md").read_text()
    assert facts["parity"]["float32"]["probabilities"] <= 1e-4
    assert Verdict.from_dict(facts["verdict"]).sentence() in card
    assert "| fork | " in card and "--collection URL" in card
    assert str(folder) not in card + (out / "metrics.json").read_text()
    frozen = sketch_bundle.read_frozen(candidate)
    known = read_known(str(folder), KNOWN, settings())
    assert frozen is not None and known is not None and candidate.head is not None
    rows = known.rows("val")
    np.testing.assert_array_equal(frozen.labels, known.labels[rows])
    seen = recogniser(out).predict([known.strokes[i] for i in rows])
    np.testing.assert_allclose(frozen.embedding, seen.embedding, atol=2e-3)


def test_what_was_tuned_can_be_tuned_again(tuned: Path) -> None:
    candidate = sketch_bundle.load(tuned / "candidate")
    assert_rebuilt(candidate)
    left = [path for path in tuned.rglob("*") if path.is_file() and ".candidate" in str(path)]
    assert not left and not list(tuned.rglob("checkpoint*"))


def assert_rebuilt(bundle: sketch_bundle.SketchBundle) -> None:
    """The network of the files says what the recogniser does."""
    network, spec = stored.read_network(bundle), bundle.config.network
    assert spec is not None
    some = [d for word in (*WORDS, "fork") for d in drawn(word, 2, 5)]
    expected = SketchRecogniser(bundle).predict(some)
    with torch.inference_mode():
        wrapped = ExportedRecogniser(network, 1.0, spec.closer).eval()
        said, embedding = wrapped(torch.from_numpy(Raster(size=24).draw(some)))
    np.testing.assert_allclose(embedding, expected.embedding, atol=5e-3)
    np.testing.assert_allclose(said, expected.probabilities, atol=5e-3)


def test_a_refitted_recogniser_is_rebuilt_with_its_refitted_layer(
    bundle: Path, tmp_path: Path
) -> None:
    refitted = tmp_path / "refitted"
    shutil.copytree(bundle, refitted)
    live = recogniser(bundle)
    assert live.bundle.head is not None
    head = extend(live.bundle.head, live.predict(drawn("fork", 5, 3)).embedding.mean(0)[None])
    # Rows of different lengths, as a fit leaves them.
    lengths = np.linspace(0.5, 2.0, len(head.bias))[:, None].astype(np.float32)
    head = Head(head.weights * lengths, head.bias)
    np.savez(refitted / "head.npz", weights=head.weights, bias=head.bias)
    config = json.loads((refitted / "config.json").read_text())
    (refitted / "config.json").write_text(
        json.dumps(config | {"refitted": True, "words": len(KNOWN) + 1})
    )
    with (refitted / "labels.csv").open("a") as file:
        file.write(f"{len(KNOWN)},fork,,learnt\n")
    assert_rebuilt(sketch_bundle.load(refitted))


# --- runs that are refused ------------------------------------------------------------------------


def test_a_harmful_run_is_refused(folder: Path, bundle: Path, tmp_path: Path) -> None:
    """Boxes are called crosses, and the other way round; nothing holds the network back."""
    with Store.open(f"sqlite:///{tmp_path / 'wrong.sqlite3'}") as store:
        given(store, "cross", drawn("box", 60, 1))
        given(store, "box", drawn("cross", 60, 2))
        with (tmp_path / "wrong.parquet").open("wb") as file:
            formats.write(store.iterate(), file, "parquet")
    extra = ["--set", "replay=0.0", "--set", "distil=0.0", "--set", "rate=0.05"]
    extra += ["--set", "layers=all"]
    assert tune(bundle, str(tmp_path / "wrong.parquet"), tmp_path, *extra, data=folder) == 0
    verdict = Verdict.from_dict(report_of(tmp_path)["verdict"])
    assert not verdict.passes and verdict.reason == "worse-frozen"
    # Those who call boxes crosses are better served: it is the frozen drawings that refuse it.
    assert verdict.held_back is not None and verdict.held_back.low > 0
    assert {file.name for file in (tmp_path / "candidate").iterdir()} == FILES
    card = (tmp_path / "candidate" / "README.md").read_text()
    assert verdict.sentence() in card and "wrong.parquet" in card


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--set", "layers=all"], "layers=all needs --data"),
        (["--set", "layers=some"], "layers must be one of head, embed, last_stage, all"),
        (["--set", "layers=head", "--set", "epoch=3"], "unknown settings of a tuning: epoch"),
        (["--set", "layers=head", "--set", "least=500"], "nothing to learn from"),
        (["--set", "layers=head", "--set", "rate=-1"], "rate must be a number, 0 or more"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is(
    bundle: Path,
    collection: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    extra: list[str],
    said: str,
) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'forks.sqlite3'}") as store:
        given(store, "fork", drawn("fork", 9, 1))
        store.accept_word("fork")
    assert tune(bundle, f"sqlite:///{tmp_path / 'forks.sqlite3'}", tmp_path, *extra) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "candidate").exists()


def test_a_bundle_without_its_network_and_a_taken_folder_are_refused(
    bundle: Path, collection: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(bundle, bare)
    (bare / "weights.npz").unlink()
    assert tune(bare, collection, tmp_path, "--set", "layers=head") == 2
    assert "its folder needs weights.npz" in capsys.readouterr().err
    (tmp_path / "candidate").mkdir()
    (tmp_path / "candidate" / "mine.txt").write_text("mine")
    assert tune(bundle, collection, tmp_path, "--set", "layers=head") == 2
    assert "is there already" in capsys.readouterr().err
    assert (tmp_path / "candidate" / "mine.txt").read_text() == "mine"


# --- without the first training's drawings --------------------------------------------------------


def test_the_last_layer_learns_without_data(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'forks.sqlite3'}"
    with Store.open(url) as store:
        given(store, "fork", drawn("fork", 40, 1))
        store.accept_word("fork")
    # Not named, the collection is the app's own.
    monkeypatch.setenv("TAGGER_DATABASE", url)
    extra = ["--set", "layers=head", "--set", "epochs=6", "--set", "rate=0.01"]
    assert tune(bundle, "", tmp_path, *extra) == 0
    verdict = Verdict.from_dict(report_of(tmp_path)["verdict"])
    assert verdict.frozen is not None and verdict.frozen.count == 16 + 30
    before, after = recogniser(bundle), recogniser(tmp_path / "candidate")
    fresh = drawn("fork", 40, 99)
    assert share_right(after, "fork", fresh) >= 0.9
    # A network as small takes some of its digits for forks, trained or not.
    assert verdict.frozen.after >= verdict.frozen.before - 0.2
    # All but the last layer is what it was.
    np.testing.assert_allclose(
        before.predict(fresh).embedding, after.predict(fresh).embedding, atol=1e-3
    )
    judges = [
        sketch_bundle.read_frozen(sketch_bundle.load(f)) for f in (bundle, tmp_path / "candidate")
    ]
    assert judges[0] is not None and judges[1] is not None
    np.testing.assert_allclose(judges[0].embedding, judges[1].embedding, atol=1e-3)


def test_without_any_judge_nothing_passes(bundle: Path, collection: str, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(bundle, bare)
    (bare / "frozen.npz").unlink()
    assert tune(bare, collection, tmp_path, "--set", "layers=head", "--set", "epochs=1") == 0
    report = report_of(tmp_path)
    assert report["verdict"]["reason"] == "no-frozen-set" and not report["verdict"]["passes"]
    assert report["curve"][0]["frozen"] is None


# --- which drawings teach -------------------------------------------------------------------------


def test_only_consenting_drawings_of_accepted_words_teach(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'c.sqlite3'}"
    forks, boxes = drawn("fork", 40, 1), drawn("box", 12, 2)
    with Store.open(url) as store:
        given(store, "fork", forks[:30])
        given(store, "fork", forks[30:], consent=False)
        given(store, "box", boxes)
        given(store, "rare", drawn("line", 4, 3))
        for word in ("fork", "rare"):
            store.accept_word(word)
    found = read_collection(url, KNOWN, None, least=5)
    assert found.new_words == ("fork",) and found.drawings.words == (*KNOWN, "fork")
    assert found.facts()["drawings"] == len(found.drawings) == 30 + 12
    pairs = [(strokes.digest(d), "fork") for d in forks[:30]]
    pairs += [(strokes.digest(d), "box") for d in boxes]
    assert found.hash == gate.data_hash(pairs)
    for drawing, split in zip(found.drawings.strokes, found.drawings.splits, strict=True):
        assert gate.stable_part(strokes.digest(drawing)) == split
    # Whoever runs it may name the words instead.
    assert read_collection(url, KNOWN, ["nothing"], least=5).new_words == ()
    with Store.open(url) as store, (tmp_path / "c.ndjson").open("wb") as file:
        formats.write(store.iterate(), file, "ndjson")
    exported = read_collection(str(tmp_path / "c.ndjson"), KNOWN, ["fork", "rare"], least=5)
    assert exported.hash == found.hash and exported.new_words == found.new_words
    with pytest.raises(ValueError, match="nothing to learn from"):
        read_collection(url, ("whale",), [], least=5)
    with pytest.raises(ValueError, match=r"there is no gone\.ndjson"):
        read_collection(str(tmp_path / "gone.ndjson"), KNOWN, [], least=5)
    with pytest.raises(ValueError, match="cannot be read"):
        read_collection("mysql://somewhere/else", KNOWN, [], least=5)


def settings(**changes: Any) -> dict[str, Any]:
    """Parameters as Kedro hands them to the steps."""
    places = {
        "bundle": "",
        "collection": "",
        "words": None,
        "run": "",
        "out": "",
        "sketches": "sketches.parquet",
        "digits": "digits.npz",
        "replayed": 40,
        "watched": 1000,
        "augmentation": {},
    }
    return {**places, "epochs": 1, "repeat": 1, "batch": 16, "threads": 1, **changes}


def trained(
    folder: Path, bundle: Path, collection: str, work: Path, **changes: Any
) -> tuple[stored.FreeNetwork, stored.FreeNetwork, tuning.Tuned]:
    """The network as it was, grown, and tuned, by the steps that lead there."""
    values = settings(bundle=bundle, collection=collection, out=str(work / "out"), **changes)
    live = nodes.open_live(str(folder), values, str(work))
    collected = nodes.read_lessons(live, values)
    known = nodes.read_first_training(str(folder), live, values)
    prepared = nodes.prepare(live, collected, known, values, str(work))
    grown = live.network.with_head(extend(live.network.as_head(), prepared.means))
    after = nodes.tune_network(live, collected, prepared, str(folder), values, str(work))
    return live.network, grown, after


def test_what_is_held_back_never_trains(
    folder: Path, bundle: Path, collection: str, tmp_path: Path
) -> None:
    fewer = f"sqlite:///{tmp_path / 'fewer.sqlite3'}"
    with Store.open(collection) as source, Store.open(fewer) as store:
        for drawing in source.iterate():
            if gate.stable_part(drawing.digest) == "train":
                given(store, drawing.label, [drawing.strokes])
        store.accept_word("fork")
    _, _, one = trained(folder, bundle, collection, tmp_path / "1", layers="embed")
    _, _, other = trained(folder, bundle, fewer, tmp_path / "2", layers="embed")
    assert one.curve[0]["held_back"] is not None and other.curve[0]["held_back"] is None
    for (name, a), b in zip(
        one.network.state_dict().items(), other.network.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=0, atol=0, msg=name)


@pytest.mark.parametrize(
    ("layers", "free"),
    [
        ("head", ("weight", "bias")),
        ("embed", ("weight", "bias", "embed.")),
        ("last_stage", ("weight", "bias", "embed.", "body.7.", "body.8.")),
        ("all", ("weight", "bias", "embed.", "body.")),
    ],
)
def test_only_the_chosen_layers_learn_and_statistics_never(
    folder: Path,
    bundle: Path,
    collection: str,
    tmp_path: Path,
    layers: str,
    free: tuple[str, ...],
) -> None:
    _, grown, after = trained(folder, bundle, collection, tmp_path, layers=layers)
    changed = {
        name
        for (name, a), b in zip(
            grown.state_dict().items(), after.network.state_dict().values(), strict=True
        )
        if not torch.equal(a, b)
    }
    expected = {
        name
        for name, _ in grown.named_parameters()
        if name.startswith(free) and name != "log_scale"
    }
    assert changed == expected


def test_the_loss_is_what_its_text_says() -> None:
    rng = np.random.default_rng(0)
    logits, before = rng.normal(0, 2, (5, 6)), rng.normal(0, 2, (5, 4))
    labels = [1, 5, 2, 0, 4]
    total = 0.0
    for z, old, label in zip(logits, before, labels, strict=True):
        taught = -z[label] + math.log(sum(math.exp(v) for v in z))
        # What was said before, of the words that were known before.
        known = math.log(sum(math.exp(v) for v in z[:4]))
        said = [math.exp(v) / sum(math.exp(w) for w in old) for v in old]
        follow = -sum(p * (v - known) for p, v in zip(said, z[:4], strict=True))
        total += 0.7 * taught + 0.3 * follow
    found = tuning.lesson_loss(
        torch.from_numpy(logits), torch.from_numpy(before), torch.tensor(labels), 0.3
    )
    assert float(found) == pytest.approx(total / 5)


# --- interrupted ----------------------------------------------------------------------------------


def test_a_tuning_that_was_cut_ends_where_a_whole_one_does(
    folder: Path, bundle: Path, collection: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"layers": "all", "epochs": 3}
    _, _, whole = trained(folder, bundle, collection, tmp_path / "whole", **changes)
    tell = nodes.tell

    def cut(where: Path, step: str, done: float, curve: tuning.Curve | None = None) -> None:
        if len(curve or []) == 2:
            raise KeyboardInterrupt
        tell(where, step, done, curve)

    with monkeypatch.context() as patch:
        patch.setattr(nodes, "tell", cut)
        with pytest.raises(KeyboardInterrupt):
            trained(folder, bundle, collection, tmp_path / "cut", **changes)
    _, _, resumed = trained(folder, bundle, collection, tmp_path / "cut", **changes)
    assert resumed.curve == whole.curve
    for a, b in zip(
        whole.network.state_dict().values(), resumed.network.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(a, b)
    # Other settings are another run: it does not go on with this one's.
    _, _, other = trained(folder, bundle, collection, tmp_path / "cut", **changes, seed=2)
    assert other.curve[0] != whole.curve[0] and len(other.curve) == 3


def wait_for(what: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.05)


def test_a_request_to_end_leaves_nothing_half_written(
    folder: Path, bundle: Path, collection: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "tagger", "train", "sketch_tuning", "--env", "smoke"]
    command += ["--data", str(folder), "--bundle", str(bundle), "--collection", collection]
    command += ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "candidate")]
    command += ["--run", str(tmp_path / "run"), "--set", "epochs=10000"]
    root = Path(cli.__file__).parents[2]
    progress = tmp_path / "run" / "progress.json"
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:

        def learning() -> bool:
            return progress.exists() and bool(json.loads(progress.read_text())["curve"])

        wait_for(learning, process, 120)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
    said = json.loads(progress.read_text())
    assert said["step"] == "training" and 0.1 < said["done"] < 0.2
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left <= {"progress.json", "checkpoint.pt"}
    torch.load(tmp_path / "work" / "sketch_tuning" / "checkpoint.pt", weights_only=True)


# --- settings -------------------------------------------------------------------------------------


def test_settings_that_make_no_sense_are_refused() -> None:
    recipe = TuningRecipe.from_dict({"layers": "embed", "rate": 1})
    assert replace(recipe, layers="head").rate == 1
    for wrong in (
        {"epochs": 0},
        {"epochs": True},
        {"batch": 2.5},
        {"replay": 1.0},
        {"distil": 1.5},
        {"rate": math.nan},
        {"rate": "fast"},
        {"layers": ["head"]},
    ):
        with pytest.raises(ValueError, match=r"must be|shares"):
            TuningRecipe.from_dict(wrong)


def test_numbers_that_leave_all_bounds_end_the_run(
    folder: Path, bundle: Path, collection: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="smaller rate"):
        trained(folder, bundle, collection, tmp_path, layers="all", rate=1e30)


def test_variation_mirrors_no_word_that_people_taught(
    folder: Path, bundle: Path, collection: str, tmp_path: Path
) -> None:
    values = settings(bundle=bundle, collection=collection, out=str(tmp_path / "out"))
    live = nodes.open_live(str(folder), values, str(tmp_path))
    collected = nodes.read_lessons(live, values)
    known = nodes.read_first_training(str(folder), live, values)
    prepared = nodes.prepare(live, collected, known, values, str(tmp_path))
    assert prepared.lessons.mirrorable.tolist() == [True] * 4 + [False] * 11
