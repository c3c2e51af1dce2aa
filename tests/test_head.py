"""Fitting the last layer anew: against finite differences, a plain descent, and its purpose."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tagger.head import Head, extend, minimise, refit, softmax


def made(seed: int = 0, words: int = 4, width: int = 6) -> Head:
    rng = np.random.default_rng(seed)
    return Head(
        (4 * rng.normal(size=(words, width))).astype(np.float32),
        rng.normal(size=words).astype(np.float32),
    )


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def naive_loss(
    head: Head,
    start: Head,
    embeddings: np.ndarray,
    labels: list[int],
    known: int,
    *,
    examples: list[float] | None = None,
    anchors: np.ndarray | None = None,
    **weights: float,
) -> float:
    """What is minimised, by plain loops."""

    def said(layer: Head, row: np.ndarray, words: int) -> list[float]:
        logits = [
            sum(float(a) * float(b) for a, b in zip(row, layer.weights[w], strict=True))
            + float(layer.bias[w])
            for w in range(words)
        ]
        total = math.log(sum(math.exp(v) for v in logits))
        return [v - total for v in logits]

    words = len(head.bias)
    examples = examples or [1.0] * len(labels)
    rows = zip(embeddings, labels, examples, strict=True)
    loss = -sum(share * said(head, e, words)[y] for e, y, share in rows)
    if anchors is None:
        anchors = unit(start.weights[:known].astype(np.float64))
    for centre in anchors:
        old, new = said(start, centre, known), said(head, centre, words)
        loss -= weights["anchor"] * sum(math.exp(o) * n for o, n in zip(old, new, strict=False))
    away = float(
        ((head.weights - start.weights) ** 2).sum() + ((head.bias - start.bias) ** 2).sum()
    )
    return loss + weights["penalty"] / 2 * away


@pytest.mark.parametrize("given", [False, True], ids=["centres", "anchors and weights"])
def test_it_finds_the_minimum_of_what_it_says(given: bool) -> None:
    rng = np.random.default_rng(1)
    start = extend(made(), unit(rng.normal(size=(1, 6))))
    embeddings = unit(rng.normal(size=(9, 6)))
    labels = [0, 1, 2, 3, 4, 4, 4, 0, 1]
    weights = {"penalty": 0.2, "anchor": 2.0}
    anchors = unit(rng.normal(size=(7, 6))) if given else None
    shares = rng.uniform(0.1, 2, size=9) if given else None
    best = refit(
        embeddings,
        np.array(labels),
        start,
        known=4,
        iterations=300,
        anchors=anchors,
        weights=shares,
        **weights,
    )
    weights |= {"anchors": anchors, "examples": shares.tolist() if given else None}
    least = naive_loss(best, start, embeddings, labels, 4, **weights)
    assert least < naive_loss(start, start, embeddings, labels, 4, **weights)
    for _ in range(40):  # convex: no step in any direction leads lower
        moved = Head(
            best.weights + 0.01 * rng.normal(size=best.weights.shape).astype(np.float32),
            best.bias + 0.01 * rng.normal(size=best.bias.shape).astype(np.float32),
        )
        assert naive_loss(moved, start, embeddings, labels, 4, **weights) > least - 1e-6


def test_it_learns_new_words_and_keeps_the_old_ones() -> None:
    rng = np.random.default_rng(2)
    centres = unit(rng.normal(size=(20, 32)))
    start = Head(15 * centres, np.zeros(20, np.float32))
    known = unit(np.repeat(centres, 10, axis=0) + 0.1 * rng.normal(size=(200, 32)))
    names = np.repeat(np.arange(20), 10)
    new = unit(rng.normal(size=(1, 32)))
    drawn = unit(np.repeat(new, 40, axis=0) + 0.1 * rng.normal(size=(40, 32)))
    head = extend(start, drawn[:8].mean(axis=0, keepdims=True))
    fitted = refit(drawn[:8], np.full(8, 20), head, known=20)
    assert (fitted.probabilities(drawn[8:]).argmax(axis=1) == 20).mean() > 0.9
    before = (start.probabilities(known).argmax(axis=1) == names).mean()
    assert (fitted.probabilities(known).argmax(axis=1) == names).mean() >= before - 0.01


def test_without_examples_nothing_changes() -> None:
    head = made()
    same = refit(np.empty((0, 6), np.float32), np.empty(0, np.int64), head)
    np.testing.assert_allclose(same.weights, head.weights, atol=1e-4)


def test_a_new_row_points_to_its_mean_and_is_as_long_as_the_others() -> None:
    head = made()
    mean = np.arange(1, 7, dtype=np.float32)
    bigger = extend(head, mean[None])
    assert (bigger.weights[:4] == head.weights).all() and (bigger.bias[:4] == head.bias).all()
    length = np.mean([math.sqrt(float((row * row).sum())) for row in head.weights])
    np.testing.assert_allclose(bigger.weights[4], length * mean / np.linalg.norm(mean), rtol=1e-5)
    assert extend(head, np.empty((0, 6), np.float32)) is head


def test_probabilities_are_a_softmax() -> None:
    head, rows = made(), unit(np.random.default_rng(0).normal(size=(3, 6)))
    shares = head.probabilities(rows)
    for n in range(3):
        layer = zip(head.weights, head.bias, strict=True)
        powers = [math.exp(float(rows[n] @ w) + float(b)) for w, b in layer]
        np.testing.assert_allclose(shares[n], [p / sum(powers) for p in powers], rtol=1e-4)
    many = head.probabilities(np.tile(rows, (3, 1)))
    np.testing.assert_allclose(many[:3], shares, rtol=1e-4)
    assert np.isfinite(softmax(np.array([1e9, -1e9]))).all()


@pytest.mark.parametrize(
    ("embeddings", "labels"),
    [
        (np.zeros((2, 5), np.float32), [0, 1]),
        (np.zeros((2, 6), np.float32), [0]),
        (np.zeros((1, 6), np.float32), [4]),
        (np.zeros((1, 6), np.float32), [-1]),
    ],
)
def test_what_does_not_fit_is_a_mistake_of_the_caller(
    embeddings: np.ndarray, labels: list[int]
) -> None:
    with pytest.raises(ValueError):
        refit(embeddings, np.array(labels), made())
    good = np.zeros((1, 6), np.float32), np.array([0])
    with pytest.raises(ValueError):
        refit(*good, made(), anchors=embeddings[:, :5])
    with pytest.raises(ValueError):
        refit(*good, made(), weights=np.ones(2))


def test_a_valley_is_followed_to_its_end() -> None:
    scales = np.logspace(0, 4, 30)
    goal = np.linspace(-3, 3, 30)

    def bowl(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float(0.5 * (scales * (x - goal) ** 2).sum()), scales * (x - goal)

    found = minimise(bowl, np.zeros(30), iterations=500, tolerance=1e-9)
    np.testing.assert_allclose(found, goal, atol=1e-3)


def test_anchors_keep_what_is_not_where_its_centre_is() -> None:
    """A real network's drawings lie off the centres: then only anchors of their kind help."""
    rng = np.random.default_rng(4)
    hidden = unit(rng.normal(size=(1, 32)))
    centres = unit(rng.normal(size=(20, 32)))
    start = Head(12 * centres, np.zeros(20, np.float32))

    def draw(word: int, count: int) -> np.ndarray:
        noise = 0.12 * rng.normal(size=(count, 32))
        return unit(0.35 * centres[word] + 0.6 * hidden + noise)

    old, names = np.concatenate([draw(w, 30) for w in range(20)]), np.repeat(np.arange(20), 30)
    right = (start.probabilities(old).argmax(axis=1) == names).mean()
    new, labels = np.concatenate([draw(w, 30) for w in range(3)]), np.repeat(np.arange(3), 30)
    anchors = np.concatenate([draw(w, 5) for w in range(20)])

    def kept(**more: object) -> float:
        fitted = refit(new, labels, start, penalty=0.5, **more)  # type: ignore[arg-type]
        return float((fitted.probabilities(old).argmax(axis=1) == names).mean())

    assert kept(anchors=anchors) > right - 0.02
    assert kept() < right - 0.1


def test_a_fit_can_be_watched_and_stopped() -> None:
    embeddings, labels = unit(np.random.default_rng(0).normal(size=(9, 6))), np.arange(9) % 4
    steps: list[int] = []
    refit(embeddings, labels, made(), watch=steps.append)
    assert steps == list(range(len(steps))) and len(steps) > 2

    def enough(step: int) -> None:
        if step == 2:
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        refit(embeddings, labels, made(), watch=enough)
