"""The recogniser's training: its parts beside naive loops, its pipeline on made drawings."""

from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tagger import sketch_bundle, strokes
from tagger.sketch import SketchRecogniser
from tagger.strokes import Strokes
from tagger.training import cli
from tagger.training.sketch import evaluation, loop, stored
from tagger.training.sketch.augment import StrokeAugmentation, mix, vary
from tagger.training.sketch.data import DIGITS, join, read_digits, read_sketches
from tagger.training.sketch.network import ExportedRecogniser, SketchNetwork, seen_closer
from tagger.training.sketch.pool import Raster, as_bytes, version
from tagger.training.sketch.teacher import SIDE, DoodleNet
from tests.training import made

STILL = StrokeAugmentation(
    partial=0,
    drop=0,
    rotate=0,
    shear=0,
    stretch=0,
    bend=0,
    jitter=0,
    shift=0,
    resize=0,
    flip=0,
    width=(1.7, 1.7),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.drawings(tmp_path_factory.mktemp("drawings"))


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Path:
    argv = ["sketch", "--data", str(folder), "--work", str(folder / "work"), "--env", "smoke"]
    assert cli.main("train", [*argv, "--out", str(folder / "bundle")]) == 0
    return folder / "bundle"


def test_the_bundle_holds_what_its_card_and_its_readers_need(bundle: Path) -> None:
    config = json.loads((bundle / "config.json").read_text())
    facts = json.loads((bundle / "metrics.json").read_text())
    card = (bundle / "README.md").read_text()
    with (bundle / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(r["index"]) for r in rows] == list(range(14))
    assert [r["word"] for r in rows] == ["box", "cross", "line", "zigzag", *DIGITS]
    assert {r["kind"] for r in rows[4:]} == {"digit"} and rows[2]["name_ja"] == "線"
    assert config["task"] == "sketch-recognition" and config["words"] == 14
    assert config["input"]["raster"] == {"width": 1.7, "margin": 2.0, "order": True}
    assert facts["parity"]["float32"]["probabilities"] <= 1e-4
    assert set(facts["test"]["by_share"]) == {"25%", "50%", "75%", "100%"}
    assert f"{100 * facts['test']['by_share']['100%']['top_1']:.1f} %" in card
    assert f"{100 * facts['doodlenet']['by_share']['50%']['top_5']:.1f} %" in card
    assert f"{100 * facts['few_shot']['ours']['5_shot']['accuracy']:.1f} %" in card
    assert {"ours", "pixels", "doodlenet"} <= set(facts["few_shot"])
    assert facts["training"]["epochs"] == 5 and "the last 3 of them a second run" in card
    closer = facts["fitted"]["closer"]
    assert config["network"]["closer"] is closer and ("a tenth closer" in card) is closer
    assert f"the temperature, {facts['fitted']['temperature']:.3f}" in card
    assert facts["digits"]["drawings"] == 30
    assert facts["taught_words"]["characters"] == 11
    assert config["memory"]["scale"] > 0


def test_the_metric_term_is_compared_and_the_card_says_so(folder: Path, bundle: Path) -> None:
    argv = ["--data", str(folder), "--work", str(folder / "work"), "--env", "smoke"]
    assert cli.main("train", ["sketch_comparison", *argv]) == 0
    found = json.loads((folder / "work" / "sketch" / "comparison.json").read_text())
    assert found["epochs"] == 1 and found["drawings"] <= 14 * 10
    assert cli.main("train", ["sketch", *argv, "--out", str(folder / "again")]) == 0
    card = (folder / "again" / "README.md").read_text()
    assert json.loads((folder / "again" / "metrics.json").read_text())["comparison"] == found
    for name in ("with", "without"):
        assert f"{100 * found[name]['5_shot']['accuracy']:.1f} %" in card


def test_without_unseen_characters_there_is_nothing_to_compare(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sketches.parquet").write_bytes((folder / "sketches.parquet").read_bytes())
    argv = ["sketch_comparison", "--data", str(tmp_path), "--work", str(tmp_path / "work")]
    assert cli.main("train", [*argv, "--env", "smoke"]) == 2
    assert "omniglot.parquet" in capsys.readouterr().err


def test_the_head_beside_the_model_is_the_models_own(bundle: Path) -> None:
    import onnxruntime as ort

    session = ort.InferenceSession(str(bundle / "model.onnx"))
    pictures = np.random.default_rng(0).random((3, 2, 24, 24)).astype(np.float32)
    probabilities, embedding = session.run(["probabilities", "embedding"], {"input": pictures})
    assert np.linalg.norm(embedding, axis=1) == pytest.approx([1, 1, 1], abs=1e-4)
    with np.load(bundle / "head.npz") as head:
        z = embedding @ head["weights"].T + head["bias"]
    expected = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, atol=2e-3)


def test_the_network_is_rebuilt_from_the_bundle_alone(bundle: Path) -> None:
    loaded = sketch_bundle.load(bundle)
    network = stored.read_network(loaded)
    drawing = strokes.parse(made.sketch("zigzag", np.random.default_rng(3)))
    expected = SketchRecogniser(loaded).predict([drawing])
    spec = loaded.config.network
    assert spec is not None and spec.channels == (8, 8, 16)
    # The temperature is in the last layer already.
    wrapped = ExportedRecogniser(network, 1.0, spec.closer).eval()
    with torch.inference_mode():
        said, embedding = wrapped(torch.from_numpy(Raster(size=24).draw([drawing])))
    np.testing.assert_allclose(embedding, expected.embedding, atol=2e-3)
    np.testing.assert_allclose(said, expected.probabilities, atol=2e-3)
    assert max(file.stat().st_size for file in bundle.iterdir()) < 10_000_000


def test_weights_of_another_network_are_refused(bundle: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(bundle, other)
    (other / "weights.npz").write_bytes(stored.write_weights(SketchNetwork(14, width=16)))
    with pytest.raises(ValueError, match=r"weights\.npz is not of the network"):
        stored.read_network(sketch_bundle.load(other))
    (other / "weights.npz").unlink()
    with pytest.raises(ValueError, match="cannot be trained on"):
        stored.read_network(sketch_bundle.load(other))


def test_the_frozen_drawings_are_those_of_the_validation_split(bundle: Path, folder: Path) -> None:
    loaded = sketch_bundle.load(bundle)
    frozen = sketch_bundle.read_frozen(loaded)
    sketches = read_sketches(folder / "sketches.parquet")
    drawn = [sketches.strokes[i] for i in sketches.rows("val")]
    assert frozen is not None and len(frozen.labels) == len(drawn) + 30
    np.testing.assert_array_equal(
        frozen.labels[: len(drawn)], sketches.labels[sketches.rows("val")]
    )
    expected = SketchRecogniser(loaded).predict(drawn).embedding
    np.testing.assert_allclose(frozen.embedding[: len(drawn)], expected, atol=2e-3)


def test_only_the_wanted_splits_and_so_many_of_each_are_read(folder: Path) -> None:
    everything = read_sketches(folder / "sketches.parquet")
    some = read_sketches(folder / "sketches.parquet", each={"train": 3, "val": 0})
    assert some.words == everything.words
    assert [(some.splits == s).sum() for s in ("train", "val", "test")] == [12, 16, 0]
    for split, most in (("train", 3), ("val", 99)):
        for label in range(4):
            rows = [i for i in everything.rows(split) if everything.labels[i] == label][:most]
            wanted = [everything.strokes[i][0].x.tolist() for i in rows]
            own = [i for i in some.rows(split) if some.labels[i] == label]
            assert [some.strokes[i][0].x.tolist() for i in own] == wanted
    digits = read_digits(folder / "digits.npz", each={"val": 2})
    assert len(digits) == 20 and set(digits.splits) == {"val"}


def test_the_order_of_the_ink_may_be_left_out(bundle: Path) -> None:
    import onnxruntime as ort

    session = ort.InferenceSession(str(bundle / "model.onnx"))
    both = np.random.default_rng(0).random((3, 2, 24, 24)).astype(np.float32)
    both[:, 1] = 0
    whole, alone = (session.run(None, {"input": x}) for x in (both, both[:, :1]))
    for a, b in zip(whole, alone, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_run_that_was_cut_ends_where_a_whole_one_does(folder: Path, tmp_path: Path) -> None:
    drawings = read_sketches(folder / "sketches.parquet")
    settings = {"channels": (8, 8), "blocks": (1, 0), "width": 8, "batch": 16, "versions": 2}

    def run(where: Path, stop: int) -> loop.TrainedSketch:
        def say(line: str) -> None:
            if f'"epoch": {stop}' in line:
                raise KeyboardInterrupt

        return loop.train(
            drawings,
            loop.SketchRecipe.from_dict({**settings, "epochs": 3, "distil": 0.0}),
            raster=Raster(size=24),
            augmentation=StrokeAugmentation(),
            teacher=None,
            folder=where,
            say=say,
        )

    whole = run(tmp_path / "whole", 9)
    # The second epoch is reported, then lost: only the first is kept.
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", 2)
    resumed = run(tmp_path / "cut", 9)
    for a, b in zip(
        whole.network.state_dict().values(), resumed.network.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(a, b)
    with pytest.raises(ValueError, match="another recipe"):
        loop.train(
            drawings,
            loop.SketchRecipe(epochs=4),
            raster=Raster(size=24),
            augmentation=StrokeAugmentation(),
            teacher=None,
            folder=tmp_path / "cut",
        )
    with pytest.raises(ValueError, match="unknown"):
        loop.SketchRecipe.from_dict({"epoch": 3})


def test_without_variation_a_drawing_stays_as_it_is() -> None:
    drawing = strokes.parse([[[0, 40, 80], [0, 90, 10]], [[5, 6], [70, 3]]])
    same = vary(drawing, STILL, np.random.default_rng(0))
    np.testing.assert_allclose(strokes.rasterise(same), strokes.rasterise(drawing), atol=1e-3)


def test_variation_keeps_strokes_and_is_told_by_its_seed() -> None:
    drawing = strokes.parse([[[0, 40, 80], [0, 90, 10]], [[5, 6], [70, 3]], [[9], [9]]])
    settings = StrokeAugmentation(partial=0, drop=0)
    one, again, other = (vary(drawing, settings, np.random.default_rng(s)) for s in (1, 1, 2))
    assert [len(s) for s in one] == [3, 2, 1]
    assert all((a.x == b.x).all() for a, b in zip(one, again, strict=True))
    assert any((a.x != b.x).any() for a, b in zip(one, other, strict=True))
    assert all(np.isfinite(s.x).all() and np.isfinite(s.y).all() for s in one)


def test_the_lift_makes_a_quiet_group_of_classes_heard() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), (100, 100, 100, 10, 10, 10))
    logits = rng.normal(size=(len(labels), 6)) + 3.0 * np.eye(6)[labels]
    quiet = np.array([True, True, True, False, False, False])
    shifted = logits - 2.5 * quiet

    def cost(temperature: float, lift: float) -> float:
        per_class = []
        for c in range(6):
            rows = [shifted[i] for i in np.flatnonzero(labels == c)]
            z = [(row + lift * quiet) / temperature for row in rows]
            per_class.append(np.mean([math.log(np.exp(r).sum()) - r[c] for r in z]))
        return float(np.mean(per_class))

    temperature, lift, left = evaluation.fit_lift(shifted, labels, quiet)
    assert lift == pytest.approx(2.5, abs=0.5)
    assert left == pytest.approx(cost(temperature, lift), abs=1e-6)
    for other in ((temperature * 1.1, lift), (temperature, lift + 0.2), (temperature, lift - 0.2)):
        assert left < cost(*other)
    # Where there is but one group, there is nothing to lift.
    assert evaluation.fit_lift(logits, labels, np.ones(6, bool))[1] == 0
    assert evaluation.fit_lift(logits[:300], labels[:300], quiet)[1] == 0


def test_a_mix_holds_strokes_of_both_equally_large() -> None:
    small = strokes.parse([[[0, 1, 2], [0, 2, 0]], [[1, 1], [0, 2]]])
    large = strokes.parse([[[0, 900], [0, 450]], [[300, 500], [100, 100]]])
    rng = np.random.default_rng(0)
    made = [mix(small, large, rng) for _ in range(60)]
    assert all(m and all(np.abs(s.x).max() <= 0.5 + 1e-6 for s in m) for m in made)
    assert {len(m) for m in made} == {1, 2, 3, 4}
    # The first drawing is never left out altogether: its strokes come first.
    own = {tuple(np.diff(s.y) / max(np.abs(np.diff(s.y)).max(), 1e-9)) for s in small}
    firsts = [np.diff(m[0].y) / max(np.abs(np.diff(m[0].y)).max(), 1e-9) for m in made]
    assert {tuple(first) for first in firsts} == own


def test_a_run_begins_with_the_weights_of_the_one_before(folder: Path, tmp_path: Path) -> None:
    drawings = read_sketches(folder / "sketches.parquet")
    small = {"channels": (8, 8), "blocks": (1, 0), "width": 8, "batch": 16, "versions": 1}
    recipe = loop.SketchRecipe.from_dict(
        {**small, "epochs": 1, "distil": 0.0, "mixed": 0.5, "rate": 0.0, "start": {"rate": 0.01}}
    )
    first = recipe.first()
    assert (first.name, first.rate, first.mixed, first.start) == ("sketch-start", 0.01, 0.5, {})
    options = {
        "raster": Raster(size=24),
        "augmentation": STILL,
        "teacher": None,
        "folder": tmp_path,
        "say": lambda line: None,
    }
    before = loop.train(drawings, first, **options)
    after = loop.train(drawings, recipe, start=before.network, **options)
    # At a rate of next to nothing, the weights stay where the first run left them.
    for (name, a), b in zip(
        before.network.named_parameters(), after.network.parameters(), strict=True
    ):
        torch.testing.assert_close(a, b, atol=1e-3, rtol=0, msg=name)
    assert len(list(tmp_path.glob("pool-*"))) == 1


def test_a_digit_is_never_mirrored() -> None:
    drawing = strokes.parse([[[0, 100, 100], [0, 0, 30]]])
    settings = StrokeAugmentation(**{**STILL.__dict__, "flip": 1.0})
    (kept,) = vary(drawing, settings, np.random.default_rng(0), mirror=False)
    (turned,) = vary(drawing, settings, np.random.default_rng(0), mirror=True)
    assert kept.x[0] < kept.x[1] and turned.x[0] > turned.x[1]


def test_half_drawn_and_dropped_strokes_are_parts() -> None:
    drawing = strokes.parse([[[0, 10, 20, 30], [0, 0, 5, 9]]] * 4)
    settings = StrokeAugmentation(**{**STILL.__dict__, "partial": 1.0, "drop": 1.0})
    rng = np.random.default_rng(0)
    counts = {sum(map(len, vary(drawing, settings, rng))) for _ in range(60)}
    assert min(counts) >= 1 and max(counts) <= 16 and len(counts) > 5


def test_versions_are_drawn_once_and_answered_by_the_teacher(folder: Path, tmp_path: Path) -> None:
    drawings = read_sketches(folder / "sketches.parquet")
    teacher = DoodleNet(folder / "doodlenet.npz", folder / "doodlenet_classes.txt")
    said: list[str] = []
    options = {"raster": Raster(size=24), "augmentation": STILL, "teacher": teacher}
    first = version(drawings, 0, folder=tmp_path, say=said.append, **options)
    rows = drawings.rows("train")
    drawn = [drawings.strokes[i] for i in rows]
    np.testing.assert_array_equal(first.pictures, as_bytes(Raster(size=24).draw(drawn)))
    assert first.answers is not None
    np.testing.assert_allclose(first.answers, teacher.answers(drawn, drawings.words), atol=1e-3)
    version(drawings, 0, folder=tmp_path, say=said.append, **options)
    assert len(said) == 1


def test_the_teacher_computes_what_its_layers_say(folder: Path) -> None:
    teacher = DoodleNet(folder / "doodlenet.npz", folder / "doodlenet_classes.txt")
    picture = np.random.default_rng(0).random((SIDE, SIDE)).astype(np.float32)
    with np.load(folder / "doodlenet.npz") as file:
        arrays = dict(file)
    x = picture[..., None]
    for i, name in enumerate(("conv2d", *(f"conv2d_{i}" for i in range(1, 6)))):
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        out = np.empty((*x.shape[:2], arrays[f"{name}.bias"].size))
        for row in range(x.shape[0]):
            for column in range(x.shape[1]):
                window = padded[row : row + 3, column : column + 3]
                out[row, column] = np.tensordot(window, arrays[f"{name}.kernel"], 3)
        x = np.maximum(out + arrays[f"{name}.bias"], 0)
        if i % 2:
            side = x.shape[0] // 2
            x = x[: 2 * side, : 2 * side].reshape(side, 2, side, 2, -1).max((1, 3))
    hidden = np.tanh(x.ravel() @ arrays["dense.kernel"] + arrays["dense.bias"])
    expected = hidden @ arrays["dense_1.kernel"] + arrays["dense_1.bias"]
    got = teacher(torch.from_numpy(picture)[None, None])[0].numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)
    assert teacher.columns(["line", "unknown"]).tolist() == [2, -1]


def test_digits_are_traced_and_split(folder: Path) -> None:
    digits = read_digits(folder / "digits.npz", tests=20)
    assert [len(digits.rows(s)) for s in ("train", "val", "test")] == [80, 20, 20]
    assert digits.digits.all() and digits.words == DIGITS
    words = read_sketches(folder / "sketches.parquet", words=["line", "box"], most=3)
    both = join(words, digits)
    assert both.words == ("box", "line", *DIGITS) and len(both) == 18 + 120
    assert both.digits.sum() == 120
    with pytest.raises(ValueError, match="share"):
        join(words, words)


def test_top_k_counts_ties_as_lost() -> None:
    scores = np.array([[0.5, 0.5, 0.0], [0.1, 0.2, 0.7], [0.6, 0.3, 0.1]])
    got = evaluation.top_k(scores, np.array([0, 2, 1]), ks=(1, 2, 3))
    assert got == {"top_1": 0.3333, "top_2": 1.0, "top_3": 1.0}


def test_the_temperature_is_the_best_of_a_grid() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 400)
    logits = rng.normal(0, 1, (400, 5))
    logits[np.arange(400), labels] += 1.0
    logits *= 4

    def cost(t: float) -> float:
        z = logits / t
        return float(np.mean(np.log(np.exp(z).sum(1)) - z[np.arange(400), labels]))

    found = evaluation.fit_temperature(logits, labels)
    assert cost(found) <= min(cost(t) for t in np.geomspace(0.2, 10, 60)) + 1e-6
    assert 2 < found < 6


def test_few_shot_is_the_naive_nearest_mean() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(25, 8))
    labels = np.repeat(np.arange(25), 8)
    features = centres[labels] + rng.normal(0, 0.1, (200, 8))
    assert evaluation.few_shot(features, labels, episodes=20)["accuracy"] > 0.97
    noise = rng.normal(size=(200, 8))
    assert evaluation.few_shot(noise, labels, episodes=200)["accuracy"] == pytest.approx(
        0.05, abs=0.02
    )
    with pytest.raises(ValueError, match="ways"):
        evaluation.few_shot(features, labels, ways=26)


def test_precision_at_1_is_the_naive_nearest_neighbour() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(60, 3)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    labels = rng.integers(0, 3, 60)
    right = 0
    for i in range(60):
        others = [j for j in range(60) if j != i]
        right += labels[max(others, key=lambda j: float(points[i] @ points[j]))] == labels[i]
    assert evaluation.precision_at_1(points, labels) == pytest.approx(right / 60, abs=1e-4)


def test_the_calibration_error_of_honest_and_of_boastful_answers() -> None:
    rng = np.random.default_rng(0)
    p = np.full((4000, 2), 0.5)
    p[:, 0] = rng.uniform(0.5, 1, 4000)
    p[:, 1] = 1 - p[:, 0]
    labels = (rng.random(4000) > p[:, 0]).astype(int)
    assert evaluation.calibration_error(p, labels) < 0.03
    sure = np.tile([0.99, 0.01], (1000, 1))
    half = rng.integers(0, 2, 1000)
    assert evaluation.calibration_error(sure, half) == pytest.approx(0.49, abs=0.05)


def test_the_interval_of_a_difference_holds_it() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 500)
    good = rng.random((500, 4))
    good[np.arange(500), labels] += 0.5
    bad = rng.random((500, 4))
    low, high = evaluation.bootstrap_difference(good, bad, labels)["top_1"]
    gain = (good.argmax(1) == labels).mean() - (bad.argmax(1) == labels).mean()
    assert 0 < low < gain < high


def test_a_closer_view_is_the_middle_enlarged() -> None:
    ramp = torch.arange(20.0).expand(1, 1, 20, 20)
    larger = seen_closer(ramp)[0, 0]
    for column in range(2, 18):
        # A column's centre lies at this place of the original, whose columns are linear.
        place = (column + 1 + 0.5) * 20 / 22 - 0.5
        assert float(larger[10, column]) == pytest.approx(place, abs=1e-4)


def test_two_views_are_joined_in_the_embedding() -> None:
    network = SketchNetwork(5, channels=(8, 8), blocks=(1, 0), width=8).eval()
    pictures = torch.rand(2, 2, 16, 16)
    with torch.inference_mode():
        one, two = network(pictures), network(seen_closer(pictures))
        both = ExportedRecogniser(network, temperature=2.0, closer=True).eval()(pictures)
        plain = ExportedRecogniser(network, temperature=2.0, closer=False).eval()(pictures)
        mean = one.embedding + two.embedding
        mean = mean / mean.norm(dim=1, keepdim=True)
        weight, bias = network.head()
    torch.testing.assert_close(both[1], mean)
    torch.testing.assert_close(both[0], ((mean @ weight.T + bias) / 2).softmax(1))
    torch.testing.assert_close(plain[0], (one.logits / 2).softmax(1))


def test_pictures_move_a_little_and_lose_their_order_sometimes() -> None:
    drawing: Strokes = strokes.parse([[[0, 100, 100], [0, 0, 60]]])
    pictures = torch.from_numpy(Raster().draw([drawing] * 200))
    torch.manual_seed(0)
    moved = loop.move(pictures, torch.zeros(200, dtype=torch.bool), blind=0.25)
    assert moved.shape == pictures.shape
    hidden = int((moved[:, 1].amax((1, 2)) == 0).sum())
    assert 25 < hidden < 75
    # None was mirrored: the corner stays on the right.
    assert bool((moved[:, 0, :, 20:].sum((1, 2)) > moved[:, 0, :, :20].sum((1, 2))).all())
    assert math.isclose(float(moved[:, 0].sum()), float(pictures[:, 0].sum()), rel_tol=0.15)


def test_digits_alone_are_trained_tested_and_reported(folder: Path) -> None:
    argv = ["digits", "--data", str(folder), "--work", str(folder / "work"), "--env", "smoke"]
    assert cli.main("train", argv) == 0
    report = json.loads((folder / "work" / "digits.json").read_text())
    assert (report["train"], report["test"]) == (90, 30)
    assert np.sum(report["confusion"]) == 30
    assert report["accuracy"] == pytest.approx(np.trace(report["confusion"]) / 30, abs=1e-3)
    assert report["precision_at_1"] > 0.9
