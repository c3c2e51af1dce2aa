"""Six digits learnt, ten indexed and told: on made digits, in seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tagger.similarity import Index
from tagger.training import cli
from tagger.training.pipelines.digits import indexing
from tagger.training.pipelines.digits.nodes import Digits, prepare

SEEN = [1, 2, 3, 6, 7, 9]
SEGMENTS = ["abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abfgcd"]
BARS = {
    "a": (slice(0, 3), slice(0, 12)),
    "b": (slice(0, 10), slice(9, 12)),
    "c": (slice(9, 19), slice(9, 12)),
    "d": (slice(16, 19), slice(0, 12)),
    "e": (slice(9, 19), slice(0, 3)),
    "f": (slice(0, 10), slice(0, 3)),
    "g": (slice(8, 11), slice(0, 12)),
}


def made_digits(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Digits of a pocket calculator, each moved and dirtied in its own way."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 10
    images = np.zeros((count, 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        x, y = rng.integers(7, 10), rng.integers(3, 6)
        for bar in SEGMENTS[label]:
            image[y : y + 19, x : x + 12][BARS[bar]] = 255
        image[rng.random((28, 28)) < 0.03] = 160
    return images, labels


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A work folder in which the smoke configuration has run, and its report."""
    root = tmp_path_factory.mktemp("digits")
    images, labels = made_digits(300)
    np.savez(root / "digits.npz", images=images, labels=labels)
    argv = ["digits_index", "--data", str(root / "digits.npz"), "--work", str(root / "work")]
    argv += ["--env", "smoke", "--set", "digits_index.epochs=4"]
    assert cli.main("train", argv) == 0
    return root / "work", json.loads((root / "work" / indexing.REPORT_FILE).read_text())


def test_the_report_adds_up(ran: tuple[Path, dict[str, Any]]) -> None:
    _, report = ran
    assert report["seen"] == SEEN
    sizes = report["pictures"]
    assert (sizes["index"], sizes["calibrate"], sizes["test"]) == (30, 40, 40)
    assert 80 < sizes["train"] < 190  # of six digits of ten
    match = report["match"]
    confusion = np.array(match["confusion"])
    assert confusion.shape == (11, 11) and confusion.sum() == 40
    assert np.trace(confusion[:10, :10]) / 40 == pytest.approx(match["accuracy"])
    assert confusion[:, 10].sum() / 40 == pytest.approx(match["unknown"])
    assert not confusion[10].any()  # all ten are indexed: to be unknown is wrong
    known = confusion[:10].sum(axis=1)
    by_digit = [match["by_digit"][str(digit)] for digit in range(10)]
    assert np.array(by_digit) == pytest.approx(np.diag(confusion)[:10] / known)
    for part, digits in (("seen", SEEN), ("unseen", [0, 4, 5, 8])):
        share = np.diag(confusion)[digits].sum() / known[digits].sum()
        assert match[part] == pytest.approx(share)
    assert report["reached"] == (match["accuracy"] >= report["required"] == 0.9)
    assert report["retrieval"]["queries"] == 40 and report["retrieval"]["references"] == 30
    # Nothing matches but by the nearest, so what is told right is right and near enough.
    counts = report["counts"]
    assert counts["recall"] <= 1 and counts["precision"] >= match["accuracy"]
    assert 0 <= report["unseen_unknown"]["unknown_recall"] <= 1
    assert report["latency_ms"]["p50"] > 0


def test_the_embedding_learnt_something_that_holds_for_digits_never_seen(
    ran: tuple[Path, dict[str, Any]],
) -> None:
    match, pixels = ran[1]["match"], ran[1]["pixels"]
    assert match["accuracy"] > 0.7 and match["unseen"] > 0.5
    assert match["accuracy"] > pixels["accuracy"] + 0.1


def test_the_index_is_one_that_anybody_may_load(ran: tuple[Path, dict[str, Any]]) -> None:
    index = Index.load(ran[0] / indexing.INDEX_FILE)
    assert len(index) == 30 and index.calibration is not None and index.calibration.single
    assert sorted(label for one in index.snapshot().labels for label in one) == sorted(
        [*range(10)] * 3
    )
    assert index.calibration.cut.to_dict() == ran[1]["calibration"]


SETTINGS = {"seen": SEEN, "tests": 50, "index_each": 4, "calibrate_each": 5}


def test_no_picture_is_in_two_parts_and_none_of_the_unseen_is_trained_on() -> None:
    images, labels = made_digits(300)
    digits = Digits(images, labels, 0)
    parts = indexing.part_digits(digits, SETTINGS, 1)
    rows = np.concatenate([parts.train, parts.index, parts.calibrate, parts.test])
    assert len(set(rows.tolist())) == len(rows)
    assert set(labels[parts.train]) == set(SEEN)
    assert np.bincount(labels[parts.index]).tolist() == [4] * 10
    assert np.bincount(labels[parts.calibrate]).tolist() == [5] * 10
    assert len(parts.test) == 50
    again = indexing.part_digits(digits, SETTINGS, 1)
    assert (again.train == parts.train).all() and (again.test == parts.test).all()
    assert (indexing.part_digits(digits, SETTINGS, 2).test != parts.test).any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"index_each": 40}, "too few pictures of the digit 0"),
        ({"seen": list(range(10))}, "two to nine different"),
        ({"seen": [1, 1]}, "two to nine different"),
        ({"seen": [1, 12]}, "two to nine different"),
    ],
)
def test_parts_that_cannot_be(change: dict[str, Any], words: str) -> None:
    images, labels = made_digits(200)
    with pytest.raises(ValueError, match=words):
        indexing.part_digits(Digits(images, labels, 0), {**SETTINGS, **change}, 1)


def test_moved_pictures_keep_their_ink_and_their_ground() -> None:
    torch.manual_seed(0)
    pictures = prepare(torch.from_numpy(made_digits(30)[0]))
    still = indexing.move(pictures, {"degrees": 0, "slant": 0, "scale": 0, "pixels": 0})
    assert torch.allclose(still, pictures, atol=1e-4)
    moved = indexing.move(pictures, {"degrees": 10, "slant": 0.1, "scale": 0.1, "pixels": 2})
    ground = pictures.amin()
    assert moved.amin() >= ground - 1e-4 and moved.shape == pictures.shape
    ink, before = (moved - ground).sum((1, 2, 3)), (pictures - ground).sum((1, 2, 3))
    assert ((ink / before - 1).abs() < 0.35).all()
    assert not torch.allclose(moved, pictures, atol=0.1)
