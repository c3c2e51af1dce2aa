"""Rankers: what is learnt from, how it is judged, and the whole of it on made pictures."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image, ImageDraw

from tagger import bundles, images
from tagger.errors import PreferenceError
from tagger.illustration import IllustrationTagger
from tagger.preference import Ranker, describe, metrics
from tagger.training import cli
from tagger.training.preference import judge, networks
from tagger.training.preference.alike import joined, near_duplicates
from tagger.training.preference.lessons import Batch, Lessons, outcomes, pair_loss
from tagger.training.preference.ratings import (
    Pairs,
    Rated,
    pairs_of,
    read_ratings,
    read_sentiment,
    rows_of,
    sentiment,
)
from tagger.training.sources import DataError, Record, split_of
from tests import toy


def picture(redness: float, shape: int, size: int = 40) -> bytes:
    """A circle or square between blue and red, as PNG; where it lies differs from all others."""
    image = Image.new("RGBA", (size, size))
    colour = (round(255 * redness), 40, round(255 * (1 - redness)), 255)
    draw = ImageDraw.Draw(image)
    left = 2 + shape % 7
    box = (left, 3 + shape % 5, left + 26, 29 + shape % 5)
    (draw.ellipse if shape % 2 else draw.rectangle)(box, fill=colour)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def liked(number: int) -> float:
    """How red the thing of this number is: people like red."""
    return (number * 7 % 40) / 39


def emoji(root: Path, things: int = 40) -> tuple[Path, Path]:
    """A table of things in two styles each, and what people felt who used them."""
    rows, moods = [], []
    for number in range(things):
        split = ("train", "train", "train", "val", "test")[number % 5]
        for style in ("flat", "soft"):
            data = picture(liked(number), number + (style == "soft"))
            name = f"{number}-{style}"
            rows.append(
                {"id": name, "concept": f"T{number}", "source": style, "split": split}
                | {"tags": ["thing"], "image": data}
            )
        count = 20 + 30 * (number % 3)
        positive = round(liked(number) * count)
        moods.append([f"T{number}", count, count - positive, 5, positive])
    pq.write_table(pa.Table.from_pylist(rows), root / "made.parquet")
    with (root / "moods.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["concept", "occurrences", "negative", "neutral", "positive"])
        writer.writerows([*moods, ["nobody drew it", 9, 3, 3, 3]])
    return root / "made.parquet", root / "moods.csv"


def own(root: Path, count: int = 60) -> Path:
    """A folder of pictures of one's own."""
    (root / "pictures" / "more").mkdir(parents=True)
    for number in range(count):
        name = f"more/p{number}.png" if number % 2 else f"p{number}.png"
        (root / "pictures" / name).write_bytes(picture((number * 7 % count) / count, number))
    return root / "pictures"


def write(path: Path, rows: list[list[Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


# --- the whole -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the smoke configuration has run."""
    root = tmp_path_factory.mktemp("preference")
    toy.make_bundle(root / "toy")
    data, moods = emoji(root)
    argv = ["preference", "--data", str(data), "--work", str(root / "work"), "--env", "smoke"]
    argv += ["--bundle", str(root / "toy"), "--out", str(root / "out")]
    argv += ["--set", f"preference.sentiment={moods.name}"]
    assert cli.main("train", argv) == 0
    return root


def test_the_ranker_puts_things_it_never_saw_in_order(ran: Path) -> None:
    bundle = bundles.load(ran / "toy")
    ranker = Ranker.load(ran / "out" / "ranker.json", model=bundle.hash)
    tagger = IllustrationTagger(bundle)
    unseen = [number for number in range(40) if number % 5 == 4]
    rgbs = [images.read(picture(liked(number), number)).rgb for number in unseen]
    seen = tagger.predict(rgbs)
    assert seen.embedding is not None
    scores = ranker.scores(describe(seen.embedding, seen.probabilities))
    assert metrics.pairwise_accuracy(scores, [liked(n) for n in unseen]) > 0.85
    best, worst = int(np.argmax(scores)), int(np.argmin(scores))
    assert ranker.probability(scores[best], scores[worst]) > 0.8
    assert (ran / "out" / "ranker.json").stat().st_size < 8_000


def test_a_ranker_of_another_tagger_is_refused(ran: Path) -> None:
    with pytest.raises(PreferenceError) as caught:
        Ranker.load(ran / "out" / "ranker.json", model="0" * 16)
    assert caught.value.code == "ranker-foreign"


def test_figures_card_and_file_agree(ran: Path) -> None:
    facts = json.loads((ran / "out" / "metrics.json").read_text())
    config = json.loads((ran / "out" / "config.json").read_text())
    card = (ran / "out" / "README.md").read_text()
    ranker = Ranker.load(ran / "out" / "ranker.json")
    assert config["task"] == "preference" and config["model"] == ranker.model
    assert (config["kind"], config["dimension"]) == (ranker.kind, ranker.dimension)
    assert facts["slope"] == ranker.slope
    test = facts["test"]
    assert list(test) == ["ours", "published", "difference", "ceiling"]
    for name in judge.MEASURES:
        ours, published = test["ours"][name], test["published"][name]
        assert ours["low"] <= ours["high"] and ours["count"] == 8
        gap = ours["value"] - published["value"]
        assert test["difference"][name]["value"] == pytest.approx(gap, abs=2e-5)
        assert f"{ours['value']:.3f} [{ours['low']:.3f}, {ours['high']:.3f}]" in card
        assert ranker.facts["test"][name] == ours["value"]
    assert test["ceiling"]["pairs"]["value"] < 1
    assert set(facts["test_by_source"]) == {"flat", "soft"}
    assert facts["data"]["things"] == {"train": 24, "val": 8, "test": 8}
    losses = {row["name"]: row["log_loss"] for row in facts["heads"]}
    assert facts["chosen"] == min(losses, key=lambda name: losses[name])
    assert "moods.csv" in facts["command"] and str(ran) not in facts["command"]


def test_the_same_command_again_finds_what_was_seen_and_trained(ran: Path) -> None:
    kept = sorted((ran / "work" / "preference").iterdir())
    before = [path.stat().st_mtime_ns for path in kept]
    argv = ["preference", "--data", str(ran / "made.parquet"), "--work", str(ran / "work")]
    argv += ["--env", "smoke", "--bundle", str(ran / "toy"), "--out", str(ran / "again")]
    assert cli.main("train", [*argv, "--set", "preference.sentiment=moods.csv"]) == 0
    assert [path.stat().st_mtime_ns for path in kept] == before and len(kept) == 2
    first, second = (Ranker.load(ran / name / "ranker.json") for name in ("out", "again"))
    assert (first.weights == second.weights).all() and first.slope == second.slope


def test_somebodys_ratings_and_pairs_teach_and_pictures_get_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    toy.make_bundle(tmp_path / "toy")
    folder = own(tmp_path)
    (folder / "more" / "p60.png").write_bytes((folder / "p0.png").read_bytes())
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.png"))
    red = {name: (int(Path(name).stem[1:]) * 7 % 60) / 60 for name in files}
    ratings = write(
        tmp_path / "stars.csv",
        [["file", "rating"], *[[name, round(5 * red[name], 1)] for name in files]],
    )
    rng = np.random.default_rng(0)
    judged = []
    for _ in range(300):
        a, b = rng.choice(len(files), 2, replace=False)
        left, right = files[a], files[b]
        far = abs(red[left] - red[right]) > 0.05
        winner = ("left" if red[left] > red[right] else right) if far else "tie"
        judged.append([left, right, winner])
    pairs = write(tmp_path / "pairs.csv", [["left", "right", "winner"], *judged])
    common = ["--data", str(folder), "--work", str(tmp_path / "w"), "--env", "smoke"]
    common += ["--bundle", str(tmp_path / "toy")]
    # Made pictures are much alike: only the copy is to be found.
    alike = [
        "--set",
        "preference.alike.same_pixels=1e-4",
        "--set",
        "preference.alike.same_cosine=2",
    ]
    for table in (ratings, pairs):
        out = tmp_path / table.stem
        argv = ["preference", *common, "--ratings", str(table), "--out", str(out), *alike]
        monkeypatch.setattr(networks.log, "info", lambda line, *of: said.append(line % of))
        assert cli.main("train", argv) == 0
        assert "epoch 6" in said[-1] and "NDCG@10" in said[-1]
        ranker = Ranker.load(out / "ranker.json")
        assert ranker.name == table.stem
        facts = json.loads((out / "metrics.json").read_text())
        assert facts["test"]["ours"]["pairs"]["value"] > 0.8 and "published" not in facts["test"]
        assert facts["data"]["kept_together"] == 1
        assert table.name in (out / "README.md").read_text()
        scores = tmp_path / f"{table.stem}-scores.csv"
        argv = ["preference_scores", *common, "--ranker", str(out), "--out", str(scores)]
        assert cli.main("train", argv) == 0
        with scores.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert sorted(row["file"] for row in rows) == files
        assert [int(row["rank"]) for row in rows] == list(range(1, 62))
        found = [float(row["score"]) for row in rows]
        assert found == sorted(found, reverse=True)
        assert metrics.kendall_tau(found, [red[row["file"]] for row in rows]) > 0.7
    toy_of_another = toy.make_bundle(tmp_path / "other")
    (toy_of_another / "selected_tags.csv").write_text(
        (toy_of_another / "selected_tags.csv").read_text().replace("cyan", "teal")
    )
    argv = ["preference_scores", "--data", str(folder), "--bundle", str(toy_of_another)]
    argv += ["--work", str(tmp_path / "w"), "--ranker", str(tmp_path / "stars"), "--out", "x.csv"]
    assert cli.main("train", argv) == 2
    assert not Path("x.csv").exists()


def test_options_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    for argv in (
        ["preference", "--data", "x", "--ratings", "y"],
        ["tagging", "--data", "x", "--ratings", "y", "--out", "z"],
        ["preference", "--data", "x", "--ranker", "y"],
    ):
        with pytest.raises(SystemExit):
            cli.main("train", argv)


# --- what people think ---------------------------------------------------------------------------


def test_sentiment_is_that_of_the_posterior() -> None:
    counts = np.array([[3, 4, 9], [0, 0, 1], [200, 10, 0]])
    target, variance, weight = sentiment(counts)
    rng = np.random.default_rng(0)
    for row, (m, v, w) in zip(counts, zip(target, variance, weight, strict=True), strict=True):
        n = sum(row)
        assert m == pytest.approx((row[2] - row[0]) / n * (n / (n + 3)))
        assert w == pytest.approx(n / (n + 3))
        drawn = rng.dirichlet(row + 1, 200_000)
        assert v == pytest.approx((drawn[:, 2] - drawn[:, 0]).var(), rel=0.02)


def test_moods_are_joined_by_what_is_drawn(tmp_path: Path) -> None:
    rated = read_sentiment(*emoji(tmp_path))
    assert len(rated.records) == 80 and rated.counts is not None
    for record, counts in zip(rated.records, rated.counts, strict=True):
        number = int(record.concept[1:])
        assert counts[2] == round(liked(number) * (20 + 30 * (number % 3)))
    write(tmp_path / "none.csv", [["concept", "negative", "neutral", "positive"], ["?", 1, 1, 1]])
    with pytest.raises(DataError, match="shows what"):
        read_sentiment(tmp_path / "made.parquet", tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([["file", "rating"]], "no row"),
        ([["file", "stars"], ["p0.png", 3]], "needs columns"),
        ([["file", "rating"], ["p0.png", "good"]], "line 2: 'good' is no number"),
        ([["file", "rating"], ["p0.png", "nan"]], "is no number"),
        ([["file", "rating"], ["../stars.csv", 3]], "no picture"),
        ([["file", "rating"], ["p0.png", 3], ["p2.png", 3]], "the same rating"),
        ([["file", "rating"], ["p0.png"]], "number of columns"),
        ([["left", "right", "winner"], ["p0.png", "p0.png", "tie"]], "two pictures"),
        ([["left", "right", "winner"], ["p0.png", "p2.png", "both"]], "the winner is"),
    ],
)
def test_tables_that_cannot_be_used_are_refused(
    tmp_path: Path, rows: list[list[Any]], words: str
) -> None:
    folder = own(tmp_path, 4)
    with pytest.raises(DataError, match=words):
        read_ratings(folder, write(tmp_path / "stars.csv", rows))


def test_several_ratings_of_a_picture_count_as_their_mean(tmp_path: Path) -> None:
    rows = [["file", "rating"], ["p0.png", 1], ["p2.png", 5], ["p0.png", 4], ["more/p1.png", 2]]
    rated = read_ratings(own(tmp_path, 4), write(tmp_path / "stars.csv", rows))
    assert [record.id for record in rated.records] == ["p0.png", "p2.png", "more/p1.png"]
    assert rated.target.tolist() == [2.5, 5, 2] and rated.bounds == (2, 5)
    assert not rated.fixed


def _rated(splits: list[str], **given: Any) -> Rated:
    count = len(splits)
    records = tuple(
        Record(str(n), str(n), "own", "", (), (), split, b"") for n, split in enumerate(splits)
    )
    target = np.linspace(0, 1, count)
    return Rated(records, target, 0 * target, 0 * target + 1, (0.0, 1.0), **given)


def test_pairs_are_judged_where_a_picture_was_not_trained_on() -> None:
    splits = ["train", "val", "test", "train"]
    left, right = np.array([0, 0, 1, 2, 1]), np.array([3, 1, 3, 1, 2])
    rated = _rated(splits, pairs=Pairs(left, right, np.array([1, 0, 0.5, 1, 0])))
    found = {s: pairs_of(rated, s) for s in ("train", "val", "test")}
    both = {s: list(zip(p.left.tolist(), p.right.tolist(), strict=True)) for s, p in found.items()}
    assert both == {"train": [(0, 3)], "val": [(0, 1), (1, 3)], "test": [(2, 1), (1, 2)]}
    assert rows_of(rated, "val").tolist() == [0, 1, 3]
    seen = judge.view(rated, "test", certainty=0.95, most=9, seed=0)
    assert seen.rows.tolist() == [1, 2] and seen.count.tolist() == [[0, 2], [2, 0]]
    assert seen.outcome[1, 0] == 1 and seen.outcome[0, 1] == 0


# --- near-duplicates -----------------------------------------------------------------------------


def test_near_duplicates_are_those_that_plain_loops_find() -> None:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (300, 24, 24, 3)).astype(np.uint8)
    small[100:140] = np.clip(small[:40].astype(int) + 2, 0, 255)
    small[140:180] = np.clip(small[:40].astype(int) + 10, 0, 255)
    rows = rng.normal(size=(300, 8)).astype(np.float32)
    rows[140:160] = rows[:20]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    bounds = {"same_pixels": 0.01, "same_cosine": 0.98, "alike_pixels": 0.05}
    expected = []
    for a in range(300):
        for b in range(a + 1, 300):
            apart = np.abs(small[a].astype(float) - small[b]).mean() / 255
            if apart < 0.01 or (rows[a] @ rows[b] > 0.98 and apart < 0.05):
                expected.append((a, b))
    assert near_duplicates(small, rows, **bounds) == expected and len(expected) >= 60


def test_what_is_joined_even_by_others_gets_one_name() -> None:
    names = ["a", "b", "c", "a", "d", "e"]
    assert joined(names, [(2, 3), (5, 4)]) == ["a", "b", "a", "a", "d", "d"]
    moved = _rated(["train"] * 3).moved(["x", "y", "x"])
    assert moved.splits.tolist() == [split_of(name) for name in "xyx"]


# --- pairs and loss ------------------------------------------------------------------------------


def test_outcomes_are_shares_of_draws_and_certain_where_nothing_varies() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.3, 0.4, 400_000), rng.normal(0.1, 0.3, 400_000)
    found = outcomes(np.array(0.3), np.array(0.1), 0.16, 0.09)
    assert float(found) == pytest.approx((a > b).mean(), abs=3e-3)
    left, right = np.array([1.0, 1.0, 2.0]), np.array([2.0, 1.0, 1.0])
    assert outcomes(left, right, 0.0, 0.0).tolist() == [0, 0.5, 1]


def test_an_epoch_shows_every_picture_once_and_no_pair_of_one_thing() -> None:
    target = np.linspace(0, 1, 30)
    concepts = np.array([str(n // 2) for n in range(30)])
    rows = np.arange(3, 29)
    lessons = Lessons(rows, target, 0 * target, np.full(30, 0.5), concepts)
    batches = list(lessons.epoch(np.random.default_rng(0), 8))
    assert sorted(np.concatenate([b.rows for b in batches])) == rows.tolist()
    for batch in batches:
        left, right = batch.rows[batch.left], batch.rows[batch.right]
        assert (concepts[left] != concepts[right]).all()
        expected = {
            (i, j)
            for i in range(len(batch.rows))
            for j in range(i + 1, len(batch.rows))
            if concepts[batch.rows[i]] != concepts[batch.rows[j]]
        }
        assert set(zip(batch.left.tolist(), batch.right.tolist(), strict=True)) == expected
        assert (batch.outcome == (target[left] > target[right])).all()
        assert (batch.weight == 0.25).all()
    with pytest.raises(ValueError, match="too few pairs"):
        Lessons(rows[:1], target, target, target, concepts)


def test_the_loss_is_that_of_plain_loops() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(size=6)
    left, right = np.array([0, 2, 4, 1]), np.array([1, 3, 5, 5])
    batch = Batch(np.arange(6), left, right, np.array([1, 0.5, 0.2, 0.9]), rng.uniform(size=4))
    losses, certain = [], []
    for a, b, y in zip(left, right, batch.outcome, strict=True):
        p = 1 / (1 + math.exp(scores[b] - scores[a]))
        losses.append(-(y * math.log(p) + (1 - y) * math.log(1 - p)))
        if y != 0.5:
            certain.append(-math.log(p if y > 0.5 else 1 - p))
    found = float(pair_loss(torch.tensor(scores), batch))
    assert found == pytest.approx(np.average(losses, weights=batch.weight))
    assert float(pair_loss(torch.tensor(scores), batch.certain())) == pytest.approx(
        np.mean(certain)
    )


# --- judging -------------------------------------------------------------------------------------


def _view(count: int = 24, seed: int = 0) -> tuple[judge.View, np.ndarray]:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 30, (count // 2, 3)).repeat(2, axis=0)
    target, variance, weight = sentiment(counts)
    records = tuple(
        Record(str(n), str(n // 2), "own", "", (), (), "test", b"") for n in range(count)
    )
    rated = Rated(records, target, variance, weight, (-1.0, 1.0), counts=counts)
    seen = judge.view(rated, "test", certainty=0.9, most=999, seed=0)
    return seen, np.round(target + rng.normal(0, 0.3, count), 1)


def _naive(seen: judge.View, scores: np.ndarray, slope: float, rows: Any) -> dict[str, float]:
    """All figures of a sample, by loops over its pairs."""
    right, sure, brier = [], [], []
    for i in rows:
        for j in rows:
            if seen.concepts[i] == seen.concepts[j]:
                continue
            y = seen.outcome[i, j]
            p = 1 / (1 + math.exp(-slope * (scores[i] - scores[j])))
            brier.append(y * (1 - p) ** 2 + (1 - y) * p**2)
            won = 0.5 + 0.5 * np.sign(scores[i] - scores[j]) * np.sign(y - 0.5)
            if y != 0.5:
                right.append(won)
            if max(y, 1 - y) >= 0.9:
                sure.append(won)
    found = {"pairs": np.mean(right), "certain": np.mean(sure), "brier": np.mean(brier)}
    found["tau"] = metrics.kendall_tau(scores[rows], seen.target[rows])
    for k in judge.KS:
        grade = 2 * (1 + seen.target[rows])
        found[f"ndcg@{k}"] = metrics.ndcg(scores[rows], grade, k, gain="exponential")
    return found


def test_figures_are_those_of_plain_loops_on_any_sample() -> None:
    seen, scores = _view()
    judged = judge.Judged(seen, scores, 2.5)
    rng = np.random.default_rng(0)
    for rows in (np.arange(24), rng.integers(0, 24, 24), rng.integers(0, 24, 9)):
        found, expected = judged.figures(rows), _naive(seen, scores, 2.5, rows)
        assert {n: found[n] for n in expected} == pytest.approx(expected)
    pairs = [(i, j) for i in range(24) for j in range(24) if seen.concepts[i] != seen.concepts[j]]
    left, right = (np.array(side) for side in zip(*pairs, strict=True))
    p = 1 / (1 + np.exp(-2.5 * (scores[left] - scores[right])))
    error = metrics.calibration_error(p, seen.outcome[left, right])
    # Ties fall into the one or the other of two bins.
    assert judged.figures()["ece"] == pytest.approx(error, abs=5e-3)
    assert judged.figures()["pairs"] == pytest.approx(
        metrics.pairwise_accuracy(scores, seen.target)
    )


def test_intervals_and_differences_are_over_things() -> None:
    seen, scores = _view()
    one, other = judge.Judged(seen, scores, 1.0), judge.Judged(seen, -scores, 1.0)
    found, against = one.intervals(50), one.against(other, 50)
    assert all(i.count == 12 and i.low <= i.value <= i.high for i in found.values())
    for name, interval in against.items():
        assert interval.value == pytest.approx(one.figures()[name] - other.figures()[name])
    assert against["pairs"].low > 0
    alone = seen.part(np.arange(24) % 2 == 0)
    assert len(alone.rows) == 12 and alone.outcome[3, 4] == seen.outcome[6, 8]


def test_the_slope_is_the_best_that_a_search_finds() -> None:
    seen, scores = _view(40, 3)
    slope = judge.fit_slope(seen, scores)
    tried = np.geomspace(slope / 20, slope * 20, 401)
    best = tried[int(np.argmin([judge.log_loss(seen, scores, s) for s in tried]))]
    assert slope == pytest.approx(best, rel=0.03)
    assert judge.log_loss(seen, scores, slope) < math.log(2)
    # Scores that say the contrary of what is so, or nothing: all are ties.
    assert judge.log_loss(seen, -scores, judge.fit_slope(seen, -scores)) == pytest.approx(
        math.log(2), abs=1e-3
    )
    assert judge.fit_slope(seen, np.zeros(40)) > 0


def test_nobody_is_better_than_as_many_other_people_and_more_people_agree_more() -> None:
    seen, _ = _view(40, 5)
    few = np.random.default_rng(5).integers(0, 30, (20, 3)).repeat(2, axis=0)
    little, much = (judge.ceiling(seen, few * n, 40, 0)["pairs"] for n in (1, 50))
    assert little.value < much.value <= 1 and little.low <= little.value <= little.high
