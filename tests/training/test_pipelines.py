"""Every step of tagging on made pictures, in seconds, as anyone would run it."""

from __future__ import annotations

import csv
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tagger import bundles
from tagger.illustration import IllustrationTagger
from tagger.training import cli, loop
from tagger.training.packing import Packed, clear_square
from tagger.training.process import flushes_denormals
from tests.training import made


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder in which the smoke configuration has run all its pipelines."""
    root = tmp_path_factory.mktemp("training")
    data = made.table(root / "made.parquet")
    common = ["--data", str(data), "--work", str(root / "work"), "--env", "smoke"]
    assert cli.main("train", ["tagging_comparison", *common]) == 0
    assert cli.main("train", ["tagging_unseen_style", *common]) == 0
    assert cli.main("train", ["tagging", *common, "--out", str(root / "bundle")]) == 0
    return root


def test_the_bundle_is_one_that_serving_loads(trained: Path) -> None:
    tagger = IllustrationTagger(bundles.load(trained / "bundle"), threads=1)
    assert {"red", "green", "blue", "circle", "square", "gizmo"} <= {t.name for t in tagger.tags}
    picture = np.full((20, 30, 3), 255, np.uint8)
    found = tagger.predict([picture, picture[:, :7]])
    assert found.probabilities.shape == (2, len(tagger.tags))
    assert found.embedding is not None
    assert np.linalg.norm(found.embedding, axis=1) == pytest.approx([1, 1], abs=1e-3)


def test_figures_card_and_tags_agree(trained: Path) -> None:
    bundle = trained / "bundle"
    facts = json.loads((bundle / "metrics.json").read_text())
    card = (bundle / "README.md").read_text()
    assert f"{facts['test']['all']['mean_average_precision']:.3f}" in card
    assert facts["parity"]["float32"]["probabilities"] <= 1e-4
    assert {r["name"] for r in facts["comparison"]["table"]} >= {"published", "focal", "hill"}
    assert set(facts["comparison"]["difference"]) == {"focal", "influence", "bottleneck", "hill"}
    assert facts["unseen_style"]["source"] == "dots"
    assert "A style it never saw" in card and "Recipes compared" in card
    with (bundle / "selected_tags.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:4] == ["tag_id", "name", "category", "count"]
    assert len(rows) == facts["data"]["tags"]
    assert all(0 <= float(r["best_threshold"]) <= 1 and int(r["support"]) >= 0 for r in rows)


def test_the_shipped_file_holds_half_the_bytes_and_the_same_answers(trained: Path) -> None:
    parity = json.loads((trained / "bundle" / "metrics.json").read_text())["parity"]
    assert parity["bytes"]["shipped"] < parity["bytes"]["float32"]
    assert parity["shipped"]["probabilities"] < 0.02


def test_a_finished_bundle_is_judged_by_its_files(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--bundle", str(trained / "bundle"), "--data", str(trained / "made.parquet")]
    assert cli.main("evaluate", argv) == 0
    figures = json.loads(capsys.readouterr().out)
    facts = json.loads((trained / "bundle" / "metrics.json").read_text())
    assert figures["all"] == pytest.approx(facts["test"]["all"], abs=1e-3)


def test_the_same_command_again_goes_on_instead_of_beginning(trained: Path) -> None:
    again = ["--data", str(trained / "made.parquet"), "--work", str(trained / "work")]
    checkpoint = trained / "work" / "runs" / "smoke" / "checkpoint.pt"
    before = checkpoint.stat().st_mtime_ns
    assert cli.main("export", [*again, "--env", "smoke", "--out", str(trained / "second")]) == 0
    assert checkpoint.stat().st_mtime_ns == before, "nothing was trained"
    first, second = ((trained / b / "selected_tags.csv").read_text() for b in ("bundle", "second"))
    assert first == second


def test_somebody_elses_folder_goes_the_same_way(tmp_path: Path) -> None:
    data = made.folder(tmp_path / "mine")
    argv = ["--data", str(data), "--work", str(tmp_path / "w"), "--out", str(tmp_path / "b")]
    settings = ["--env", "smoke", "--set", "recipe.epochs=1", "--set", "taglist.min_concepts=4"]
    handlers = list(logging.getLogger().handlers)
    assert cli.main("train", [*argv, *settings]) == 0
    # Nor is anything left of the training in this process.
    assert not flushes_denormals()
    assert logging.getLogger().handlers == handlers
    assert "gizmo" in {t.name for t in bundles.load(tmp_path / "b").tags}


def test_what_cannot_be_trained_on_is_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--data", str(tmp_path / "none.parquet"), "--env", "smoke", "--work", str(tmp_path)]
    assert cli.main("train", argv) == 2
    assert "neither a folder nor" in capsys.readouterr().err


def _packed(count: int = 64) -> Packed:
    rgba = np.stack([clear_square(made.picture(i)[0], 32) for i in range(count)])
    rgb = np.stack(
        [
            np.asarray(
                Image.alpha_composite(
                    Image.new("RGBA", (32, 32), "white"), Image.fromarray(a)
                ).convert("RGB")
            )
            for a in rgba
        ]
    )
    labels = np.zeros((count, 5), np.uint8)
    for i in range(count):
        labels[i, i % 3] = labels[i, 3 + (i // 3) % 2] = 1
    return Packed(
        rgba,
        rgb,
        labels,
        np.array([str(i // 2) for i in range(count)]),
        np.array(["made"] * count),
        np.array((["train"] * 3 + ["val"]) * (count // 4)),
    )


def _run(folder: Path, epochs: int, stop_after: int | None = None) -> loop.Trained:
    recipe = loop.Recipe(
        name="t",
        backbone="test_efficientnet",
        width=8,
        epochs=epochs,
        batch=16,
        sizes=((0.0, 32),),
        style=0.05,
        ema=0.9,
    )
    seen: list[str] = []

    def say(line: str) -> None:
        seen.append(line)

    if stop_after is not None:
        save, count = loop._save, [0]

        def stop(path: Path, state: dict[str, object]) -> None:
            save(path, state)
            count[0] += 1
            if count[0] == stop_after:
                raise KeyboardInterrupt

        loop._save = stop  # type: ignore[assignment]
    try:
        none = np.zeros(5, bool)
        return loop.train(
            _packed(),
            recipe,
            folder=folder,
            unmirrored=none,
            colours=none,
            judging=np.ones(64, bool),
            say=say,
        )
    finally:
        if stop_after is not None:
            loop._save = save  # type: ignore[assignment]


def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    whole = _run(tmp_path / "whole", 3)
    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path / "cut", 3, stop_after=1)
    resumed = _run(tmp_path / "cut", 3)
    for (name, a), b in zip(
        whole.network.state_dict().items(), resumed.network.state_dict().values(), strict=True
    ):
        assert torch.allclose(a.float(), b.float(), atol=1e-5), name
    assert [h["epoch"] for h in resumed.history] == [1, 2, 3]


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    _run(tmp_path / "run", 1)
    with pytest.raises(ValueError, match="another recipe"):
        _run(tmp_path / "run", 2)


def test_batches_use_every_row_once_and_bring_concepts_together() -> None:
    rows = np.arange(100, 180)
    concepts = np.arange(80) // 2
    for paired in (False, True):
        got = loop.batches(rows, concepts, 16, seed=3, paired=paired)
        assert sorted(np.concatenate(got)) == rows.tolist()
    together = sum(len(b) - len(set(concepts[b - 100])) for b in got)
    assert together == 40, "each batch holds both of every concept in it"


def test_unknown_recipe_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown recipe settings: epoch"):
        loop.Recipe.from_dict({"epoch": 3})
