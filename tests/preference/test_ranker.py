"""Rankers: what they say, and what their files hold and refuse."""

from __future__ import annotations

import base64
import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tagger.errors import PreferenceError
from tagger.preference import Ranker


def linear(dimension: int = 5) -> Ranker:
    rng = np.random.default_rng(0)
    return Ranker("cheer", "model-a", rng.normal(size=dimension), slope=2.0, facts={"pairs": 3})


def mlp() -> Ranker:
    rng = np.random.default_rng(1)
    return Ranker(
        "deep",
        "model-a",
        rng.normal(size=3),
        kind="mlp",
        hidden_weights=rng.normal(size=(3, 5)),
        hidden_bias=rng.normal(size=3),
    )


def test_scores_are_those_of_plain_loops() -> None:
    rows = np.random.default_rng(2).normal(size=(4, 5)).astype(np.float32)
    plain, deep = linear(), mlp()
    assert deep.hidden_weights is not None and deep.hidden_bias is not None
    for n, row in enumerate(rows.tolist()):
        said = sum(a * b for a, b in zip(row, plain.weights.tolist(), strict=True))
        assert plain.scores(rows)[n] == pytest.approx(said, rel=1e-4)
        hidden = [
            max(0.0, sum(a * b for a, b in zip(row, unit, strict=True)) + bias)
            for unit, bias in zip(
                deep.hidden_weights.tolist(), deep.hidden_bias.tolist(), strict=True
            )
        ]
        said = sum(a * b for a, b in zip(hidden, deep.weights.tolist(), strict=True))
        assert deep.scores(rows)[n] == pytest.approx(said, rel=1e-4, abs=1e-5)


def test_probability_is_the_sigmoid_of_the_scaled_difference() -> None:
    ranker = linear()
    assert ranker.probability(0.3, 0.1) == pytest.approx(1 / (1 + math.exp(-0.4)))
    both = ranker.probability([0.3, 900.0], [0.1, -900.0]) + ranker.probability(
        [0.1, -900.0], [0.3, 900.0]
    )
    assert both == pytest.approx([1, 1])
    assert ranker.is_tie([0.5, 0.549, 0.56, 0.44]).tolist() == [True, True, False, False]


@pytest.mark.parametrize("precision", ["float16", "float32"])
@pytest.mark.parametrize("make", [linear, mlp])
def test_a_file_gives_the_ranker_back(tmp_path: Path, make: Any, precision: Any) -> None:
    ranker = make()
    ranker.save(tmp_path / "new" / "ranker.json", precision)
    copied = Ranker.load(tmp_path / "new" / "ranker.json", model="model-a")
    rows = np.random.default_rng(3).normal(size=(7, 5))
    close = 1e-2 if precision == "float16" else 1e-6
    assert copied.scores(rows) == pytest.approx(ranker.scores(rows), abs=close)
    assert (copied.name, copied.slope, copied.tie) == (ranker.name, ranker.slope, ranker.tie)
    assert (copied.kind, copied.facts) == (ranker.kind, ranker.facts)


def test_a_file_is_a_few_kilobytes(tmp_path: Path) -> None:
    Ranker("cheer", "m", np.ones(512)).save(tmp_path / "ranker.json")
    assert (tmp_path / "ranker.json").stat().st_size < 3_000


def test_another_models_ranker_is_refused(tmp_path: Path) -> None:
    linear().save(tmp_path / "ranker.json")
    with pytest.raises(PreferenceError) as caught:
        Ranker.load(tmp_path / "ranker.json", model="model-b")
    assert (caught.value.code, caught.value.status) == ("ranker-foreign", 409)
    with pytest.raises(PreferenceError) as caught:
        Ranker.load(tmp_path / "nothing.json")
    assert caught.value.code == "ranker-not-found"


@pytest.mark.parametrize("make", [linear, mlp])
def test_nothing_damaged_is_taken(make: Any) -> None:
    good = make().to_dict()
    assert Ranker.from_dict(good).name == make().name
    for key in good:
        for wrong in (None, [], "x" * 300, -1, 10**9, math.nan, {"a": 1}, True):
            if (key == "facts" and isinstance(wrong, dict)) or (key, wrong) == ("slope", 10**9):
                continue
            data = copy.deepcopy(good)
            data[key] = wrong
            with pytest.raises(PreferenceError):
                Ranker.from_dict(data)
    for text in (None, [], "ranker", 3, {}):
        with pytest.raises(PreferenceError) as caught:
            Ranker.from_dict(text)
        assert caught.value.code == "ranker-damaged"


def test_weights_that_are_no_numbers_are_refused() -> None:
    good = Ranker("a", "m", np.ones(4)).to_dict("float32")
    for values in (np.full(4, np.nan, "<f4"), np.full(4, np.inf, "<f4"), np.ones(3, "<f4")):
        other = Ranker("a", "m", np.ones(4)).to_dict("float32")
        other["weights"] = base64.b64encode(values.tobytes()).decode()
        with pytest.raises(PreferenceError):
            Ranker.from_dict(other)
    with pytest.raises(PreferenceError):
        Ranker.from_dict({**good, "weights": good["weights"][:-1] + "!"})


def test_a_newer_file_says_so(tmp_path: Path) -> None:
    data = {**linear().to_dict(), "format_version": 2}
    (tmp_path / "r.json").write_text(json.dumps(data))
    with pytest.raises(PreferenceError) as caught:
        Ranker.load(tmp_path / "r.json")
    assert caught.value.code == "ranker-too-new"
    (tmp_path / "r.json").write_text("[" * 100_000)
    with pytest.raises(PreferenceError) as caught:
        Ranker.load(tmp_path / "r.json")
    assert caught.value.code == "ranker-damaged"


@pytest.mark.parametrize(
    "wrong",
    [
        {"slope": 0.0},
        {"slope": math.nan},
        {"tie": 0.5},
        {"kind": "tree"},
        {"kind": "mlp"},
        {"hidden_bias": np.ones(3)},
        {"weights": np.array([1.0, math.nan])},
        {"weights": np.ones((2, 2))},
        {"weights": np.ones(0)},
    ],
)
def test_no_ranker_can_be_made_of(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Ranker(**{"name": "a", "model": "m", "weights": np.ones(4), **wrong})


def test_embeddings_that_are_too_narrow_are_refused() -> None:
    with pytest.raises(ValueError):
        linear().scores(np.ones((2, 4)))


def test_what_follows_an_embedding_is_left_out() -> None:
    rows = np.random.default_rng(4).normal(size=(3, 9))
    assert linear().scores(rows) == pytest.approx(linear().scores(rows[:, :5]))
