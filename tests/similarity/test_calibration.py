"""Cut-points: against a search through all of them, and as they are meant to be used."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.errors import RequestError
from tagger.similarity import UNKNOWN, Index, Labels, Options, evaluate_single
from tagger.similarity import calibration as calibrating
from tagger.similarity import classification as judge
from tagger.similarity.calibration import Calibration, Decisions, calibrate, curve, decide, match

SCORES = st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=20)


def made(decisions: list[tuple[int, bool]], tags: list[int]) -> tuple[Decisions, Labels]:
    """One decision a query, right or wrong, of the given tags."""
    truth = Labels([tag] if ok else [99] for (_, ok), tag in zip(decisions, tags, strict=True))
    scores = np.array([score / 5 for score, _ in decisions], np.float32)
    return Decisions(np.arange(len(tags)), np.array(tags, np.int64), scores), truth


def points(decisions: list[tuple[int, bool]], positives: int) -> dict[float, tuple]:
    """Precision, recall and F1 at each score, by counting."""
    found = {}
    for cut in sorted({score for score, _ in decisions}, reverse=True):
        taken = [ok for score, ok in decisions if score >= cut]
        tp = sum(taken)
        shares = (tp / len(taken), tp / positives if positives else 0.0)
        found[float(np.float32(cut / 5))] = (*shares, 2 * tp / (len(taken) + positives))
    return found


@given(SCORES, st.integers(0, 3))
def test_the_curve_is_that_of_counting(decisions: list, more: int) -> None:
    positives = sum(ok for _, ok in decisions) + more
    scores = np.array([score / 5 for score, _ in decisions], np.float32)
    right = np.array([ok for _, ok in decisions], np.bool_)
    axes = curve(scores, right, positives)
    got = {float(s): (p, r, f) for s, p, r, f in zip(*axes, strict=True)}
    wanted = points(decisions, positives)
    assert list(got) == list(wanted)
    for score, values in wanted.items():
        assert got[score] == pytest.approx(values)


@pytest.mark.parametrize("missed", [True, False])
@pytest.mark.parametrize(("target", "value"), [("f1", 0.9), ("precision", 0.6), ("precision", 1.0)])
@given(decisions=SCORES, seed=st.integers(0, 2**32 - 1))
def test_cut_points_are_the_best_of_all(
    target: str, value: float, missed: bool, decisions: list, seed: int
) -> None:
    tags = np.random.default_rng(seed).integers(0, 2, len(decisions)).tolist()
    found, truth = made(decisions, tags)
    options = Options(target=target, value=value, least=2, missed=missed)  # type: ignore[arg-type]
    chosen = calibrate(found, truth, options)
    groups = {None: decisions}
    for tag in (0, 1):
        groups[tag] = [d for d, t in zip(decisions, tags, strict=True) if t == tag]  # type: ignore[index]
    for tag, ours in groups.items():
        cut = chosen.cut if tag is None else chosen.per_tag.get(tag)
        if tag is not None and sum(ok for _, ok in ours) < 2:
            assert cut is None and chosen.threshold(tag) == chosen.threshold(1234)
            continue
        assert cut is not None
        # What no decision proposed, here all that is wrong, is missed, but of no tag in question.
        positives = sum(ok for _, ok in ours)
        if tag is None and missed:
            positives = len(ours)
        every = points(ours, positives)
        if target == "f1":
            good = [(-f, -s) for s, (p, r, f) in every.items() if f > 0]
            wanted = -min(good)[1] if good else None
        else:
            good = [s for s, (p, r, f) in every.items() if p >= value and r > 0]
            wanted = min(good) if good else None
        assert cut.score == pytest.approx(wanted) if wanted is not None else cut.score is None
        if wanted is not None:
            assert (cut.precision, cut.recall, cut.f1) == pytest.approx(every[cut.score])
        assert (cut.decisions, cut.positives) == (len(ours), positives)


def test_without_missed_ones_it_counts_as_tensorflow_similarity_does() -> None:
    rng = np.random.default_rng(0)
    score, right = rng.random(200).astype(np.float32), rng.random(200) < 0.6
    axes = curve(score, right, int(right.sum()))
    counts = judge.count_nearest(right, score, axes[0])
    for name, values in zip(("precision", "recall", "f1"), axes[1:], strict=True):
        np.testing.assert_allclose(judge.METRICS[name](counts), values)


# --- neighbours vote


def test_the_nearest_gives_its_cosine_and_votes_add_up() -> None:
    neighbours = [[(1, 2), (2,), (3,)], [(3,), (), (1,)], []]
    cosines = np.float32([[0.9, 0.8, -0.2], [0.5, 0.4, 0.3], [-np.inf] * 3])
    found = decide(neighbours, cosines, 3)
    rows = list(zip(found.query, found.tag, found.score.round(4), strict=True))
    near = np.float32([0.9, 0.9, -0.2, 0.5, 0.3]).tolist()
    assert [(q, t) for q, t, _ in rows] == [(0, 1), (0, 2), (0, 3), (1, 3), (1, 1)]
    assert [s for *_, s in rows] == pytest.approx(near)
    found = decide(neighbours, cosines, 3, "vote")
    rows = list(zip(found.query, found.tag, strict=True))
    assert rows == [(0, 2), (0, 1), (0, 3), (1, 3), (1, 1)]
    assert found.score == pytest.approx([1.7 / 3, 0.3, 0.0, 0.5 / 3, 0.1])
    found = decide(neighbours, cosines, 1)
    assert found.tag.tolist() == [1, 2, 3]
    found = decide(neighbours, cosines, 3, "vote", single=True)
    assert (found.query.tolist(), found.tag.tolist()) == ([0, 1], [2, 3])
    # Of equals the nearer one's.
    found = decide([[(5,), (4,)]], np.float32([[0.5, 0.5]]), 2, single=True)
    assert found.tag.tolist() == [5]


def test_options_that_make_no_sense() -> None:
    for options in (
        {"target": "best"},
        {"matcher": "furthest"},
        {"value": 1.5},
        {"k": 0},
        {"least": 0},
    ):
        with pytest.raises(ValueError):
            Options(**options)  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        calibrate(decide([[(1,)]], np.ones((1, 1), np.float32), 1), Labels([]), Options())


# --- in an index


def clusters(seed: int, labels: list[int], spread: float) -> np.ndarray:
    middles = np.random.default_rng(0).normal(size=(10, 12))
    noise = np.random.default_rng(seed).normal(size=(len(labels), 12))
    return middles[labels] + spread * noise


def test_what_is_like_nothing_indexed_is_unknown() -> None:
    """Seven known kinds and three that nobody indexed, as in the digits of the example."""
    known = [n % 7 for n in range(140)]
    index = Index(12, "model")
    index.add_many([str(n) for n in range(140)], clusters(1, known, 0.4), [[n] for n in known])
    queries = np.random.default_rng(2).integers(0, 10, 400).tolist()
    rows = clusters(3, queries, 0.4)
    with pytest.raises(RequestError) as caught:
        index.match(rows)
    assert caught.value.code == "index-not-calibrated"
    truth = [n if n < 7 else UNKNOWN for n in queries]
    # Calibrated by one half, judged by the other.
    index.calibrate(rows[:200], [[n] for n in queries[:200]], single=True)
    assert index.stats().calibrated
    figures = evaluate_single(truth[200:], index.match(rows[200:]))
    assert figures["accuracy"] > 0.9
    assert figures["unknown_recall"] > 0.75 and figures["known_accuracy"] > 0.9


def test_a_target_precision_is_kept_by_all_tags_and_by_each() -> None:
    rng = np.random.default_rng(4)
    labels = [n % 10 for n in range(600)]
    rows = clusters(5, labels, 1.1)
    tags = [[n, 20] if rng.random() < 0.7 else [n] for n in labels]
    index = Index(12, "model")
    index.add_many([str(n) for n in range(600)], rows, tags)
    loose = index.calibrate(k=5, matcher="vote")
    strict = index.calibrate(target="precision", value=0.9, k=5, matcher="vote", least=10)
    assert strict.cut.precision >= 0.9 and strict.cut.recall < loose.cut.recall
    assert loose.cut.f1 >= strict.cut.f1 > 0
    reached = [cut for cut in strict.per_tag.values() if cut.score is not None]
    assert reached and all(cut.precision >= 0.9 for cut in reached)
    # Easy tags get easier cut-points, and together find more than one cut-point for all.
    assert len({cut.score for cut in reached}) > 1
    assert index.calibration is strict
    impossible = index.calibrate(np.ones((3, 12)), [[77], [78], [79]], target="precision")
    assert impossible.cut.score is None and index.match(rows[:5]) == [()] * 5


def test_cut_points_are_kept_as_plain_data() -> None:
    decisions, truth = made([(n % 6, n % 3 > 0) for n in range(500)], [n % 2 for n in range(500)])
    chosen = calibrate(decisions, truth, Options(least=5, k=7, matcher="vote", single=True))
    assert Calibration.from_dict(chosen.to_dict()) == chosen
    scores = np.linspace(0, 1, 5000, dtype=np.float32)
    many = Decisions(np.arange(5000), np.zeros(5000, np.int64), scores)
    chosen = calibrate(many, Labels([[0]] * 5000), Options())
    assert len(chosen.curve.score) <= 200
    assert chosen.curve.score[0] == 1 and chosen.curve.score[-1] == 0
    nothing = decide([], np.ones((0, 1), np.float32), 1)
    assert calibrate(nothing, Labels([]), Options()).curve == calibrating.Curve()
    assert match(many, chosen, 5000)[0] == () or chosen.cut.score == 0
