"""Simulated voters, on made-up pictures; and the promise on the shipped gallery's own command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tagger.preference import Pair
from tagger.preference.simulate import (
    NOISE,
    TIE,
    Pool,
    Voter,
    hidden_taste,
    main,
    markdown,
    simulate,
)
from tests.galleries import make_gallery
from tests.preference import pools


@pytest.fixture(scope="module")
def pool() -> Pool:
    rows, tags = pools.pictures(400, 3)
    return Pool(rows, tags, (tags > 0).astype(np.float32), "m")


@pytest.mark.parametrize("kind", ["seen", "given", "favourites"])
def test_a_hidden_taste_has_spread_one(pool: Pool, kind: str) -> None:
    found = hidden_taste(pool, kind, np.random.default_rng(0))  # type: ignore[arg-type]
    assert found.mean() == pytest.approx(0, abs=1e-6)
    assert found.std() == pytest.approx(1)
    other = hidden_taste(pool, kind, np.random.default_rng(1))  # type: ignore[arg-type]
    assert not np.allclose(found, other)


def test_a_voter_errs_as_often_as_the_noise_says() -> None:
    voter = Voter(np.array([1.0, 0.0]), np.random.default_rng(0))
    said = [voter.choose(Pair(0, 1)) for _ in range(20_000)]
    right = 1 / (1 + np.exp(-(1 - TIE) / NOISE))
    wrong = 1 / (1 + np.exp((1 + TIE) / NOISE))
    assert said.count("left") / 20_000 == pytest.approx(right, abs=0.01)
    assert said.count("right") / 20_000 == pytest.approx(wrong, abs=0.01)


def test_curves_rise_and_are_the_same_every_time(pool: Pool) -> None:
    figures = simulate(pool, tastes=2, kinds=("seen",), marks=(10, 60), seed=1)
    again = simulate(pool, tastes=2, kinds=("seen",), marks=(10, 60), seed=1)
    assert json.dumps(figures) == json.dumps(again)
    found = {(row["way"], row["votes"]): row["agreement"] for row in figures["rows"]}
    assert found["active", 60] > max(0.8, found["active", 10])
    assert found["random", 60] > found["random", 10]
    assert figures["voters"]["seen"]["ceiling"] > found["active", 60] - 0.05
    # Whoever is told the taste errs only where it goes by what the model does not see.
    assert figures["voters"]["seen"]["told"] == 1
    given = simulate(pool, tastes=1, kinds=("given", "favourites"), marks=(10,), seed=1)
    assert 0.5 < given["voters"]["given"]["told"] <= 1
    assert "told" not in given["voters"]["favourites"]
    gains = {row["votes"]: row["value"] for row in figures["gains"]}
    assert gains[60] == pytest.approx(found["active", 60] - found["random", 60], abs=1e-4)
    table = markdown(figures).splitlines()
    assert len(table) == 4
    assert table[0].startswith("| hidden taste | pairs | 10 votes | 60 votes |")


def test_the_command(tmp_path: Path, toy_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_gallery(tmp_path / "gallery", toy_bundle, mapped=False)
    out = tmp_path / "new" / "curves.json"
    options = ["--tastes", "1", "--kinds", "seen", "--votes", "10", "--output", str(out)]
    assert main(["--gallery", str(tmp_path / "gallery"), *options]) == 0
    assert "| seen | active |" in capsys.readouterr().out
    assert json.loads(out.read_text())["pictures"] == 72
    assert main(["--gallery", str(tmp_path / "nothing")]) == 1
    assert "no gallery" in capsys.readouterr().err
