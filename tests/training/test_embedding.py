"""Metric learning on the illustration model: its parts beside naive loops, its steps as run."""

from __future__ import annotations

import json
import logging
import math
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from tagger import bundles
from tagger.illustration import IllustrationTagger
from tagger.similarity.labels import overlap as overlap_of_sets
from tagger.similarity.labels import rarity
from tagger.training import cli, export
from tagger.training.calibration import Calibration
from tagger.training.embedding import graph, judge, loop
from tagger.training.embedding.features import Seen
from tagger.training.embedding.graded import (
    GradedOverlapLoss,
    overlap,
    tag_sets,
    tag_weights,
)
from tagger.training.embedding.head import EmbeddingHead
from tagger.training.embedding.objectives import Objective, make_sampler
from tagger.training.embedding.recipe import EmbeddingRecipe
from tagger.training.embedding.samplers import MultiShotSampler, SingleShotSampler
from tagger.training.network import TagNetwork
from tagger.training.packing import Packed
from tests.training import made

TRIPLETS = {
    "distance": {"name": "CosineSimilarity"},
    "reducer": {"name": "ThresholdReducer", "low": 0},
    "miner": {"name": "TripletMarginMiner", "margin": 0.2, "type_of_triplets": "semihard"},
    "loss": {"name": "TripletMarginLoss", "margin": 0.2},
}


def _tags(count: int = 12, tags: int = 7) -> np.ndarray:
    found = (np.random.default_rng(0).random((count, tags)) < 0.3).astype(np.uint8)
    found[3] = 0
    found[5] = found[4]
    return found


def _unit(count: int, width: int, seed: int = 0) -> Tensor:
    return F.normalize(torch.randn(count, width, generator=torch.Generator().manual_seed(seed)))


# --- similarity in degrees -----------------------------------------------------------------------


def test_the_degree_is_the_one_that_retrieval_is_judged_by() -> None:
    tags = _tags()
    sets = tag_sets(tags)
    expected = overlap_of_sets(sets, sets, rarity(sets))
    weights = tag_weights(tags)
    got = overlap(torch.from_numpy(tags).float(), torch.from_numpy(weights)).numpy()
    assert got == pytest.approx(expected, abs=1e-6)
    assert got[4, 5] == pytest.approx(1)
    assert not got[3].any(), "a picture without tags has nothing in common with any"


def test_a_tag_that_nobody_has_weighs_as_much_as_the_rarest() -> None:
    tags = np.zeros((4, 3), np.uint8)
    tags[:, 0] = 1
    tags[0, 1] = 1
    weights = tag_weights(tags)
    assert weights[0] == pytest.approx(1)
    assert weights[2] == weights[1] > weights[0]


def test_the_graded_loss_is_what_loops_say() -> None:
    tags, vectors = _tags(), _unit(12, 5)
    embeddings = vectors.clone().requires_grad_(True)
    loss = GradedOverlapLoss(tag_weights(tags), temperature=0.3, sharpness=0.25)
    got = loss(embeddings, torch.from_numpy(tags).float())
    sets = tag_sets(tags)
    degrees = overlap_of_sets(sets, sets, rarity(sets))
    values = []
    for i in range(12):
        others = [j for j in range(12) if j != i]
        if not any(degrees[i, j] > 0 for j in others):
            continue
        wanted = [math.exp(degrees[i, j] / 0.25) for j in others]
        said = [math.exp(float(vectors[i] @ vectors[j]) / 0.3) for j in others]
        values.append(
            -sum(
                w / sum(wanted) * math.log(s / sum(said)) for w, s in zip(wanted, said, strict=True)
            )
        )
    assert len(values) < 12
    assert float(got.detach()) == pytest.approx(np.mean(values), rel=1e-5)
    got.backward()
    assert embeddings.grad is not None and torch.isfinite(embeddings.grad).all()


def test_pictures_that_share_no_tag_teach_nothing() -> None:
    embeddings = _unit(3, 4).requires_grad_(True)
    loss = GradedOverlapLoss(np.ones(3, np.float32))(embeddings, torch.eye(3))
    loss.backward()
    assert float(loss.detach()) == 0
    assert embeddings.grad is not None and not embeddings.grad.any()


# --- samplers ------------------------------------------------------------------------------------

CLASSES = np.array([0] * 5 + [1] * 2 + [2] * 9 + [3] * 1 + [7] * 4)


def test_multi_shots_hold_a_few_classes_and_a_few_examples_of_each() -> None:
    sampler = MultiShotSampler(
        CLASSES, classes_per_batch=3, examples_per_class_per_batch=4, steps_per_epoch=50
    )
    batches = list(sampler)
    assert len(batches) == len(sampler) == 50
    chosen = set()
    for batch in batches:
        groups = np.array(CLASSES[batch]).reshape(3, 4)
        assert (groups == groups[:, :1]).all()
        assert len(set(groups[:, 0])) == 3, "a class comes once in a batch"
        chosen.update(groups[:, 0].tolist())
        for group, label in zip(np.reshape(batch, (3, 4)), groups[:, 0], strict=True):
            size = int(np.count_nonzero(label == CLASSES))
            counts = Counter(group.tolist()).values()
            assert max(counts) - (min(counts) if len(counts) == size else 0) <= 1
            assert len(counts) == min(size, 4), "none comes again before all others have come"
    assert chosen == set(CLASSES.tolist())
    assert batches != list(sampler), "another epoch, other batches"
    again = MultiShotSampler(
        CLASSES, classes_per_batch=3, examples_per_class_per_batch=4, steps_per_epoch=50
    )
    assert batches == list(again), "the same seed, the same batches"


def test_multi_shots_with_replacement_draw_each_example_alone() -> None:
    sampler = MultiShotSampler(
        CLASSES,
        classes_per_batch=1,
        examples_per_class_per_batch=3,
        steps_per_epoch=300,
        class_list=[0],
        replacement=True,
    )
    drawn = np.array(list(sampler))
    assert set(drawn.ravel()) == set(range(5))
    twice = np.mean([len(set(row)) < 3 for row in drawn.tolist()])
    # 1 - 5/5 * 4/5 * 3/5
    assert twice == pytest.approx(0.52, abs=0.1)


def test_multi_shots_keep_to_the_classes_that_are_listed() -> None:
    sampler = MultiShotSampler(
        CLASSES, classes_per_batch=2, steps_per_epoch=20, class_list=[2, 7, 99]
    )
    assert {int(c) for batch in sampler for c in CLASSES[batch]} == {2, 7}
    with pytest.raises(ValueError, match="cannot be made of 1"):
        MultiShotSampler(CLASSES, classes_per_batch=2, class_list=[2])
    with pytest.raises(ValueError, match="at least one"):
        MultiShotSampler(CLASSES, examples_per_class_per_batch=0)


def test_single_shots_are_examples_varied() -> None:
    sampler = SingleShotSampler(
        10, examples_per_batch=4, num_augmentations_per_example=3, steps_per_epoch=30
    )
    batches = list(sampler)
    assert len(batches) == len(sampler) == 30
    for batch in batches:
        assert Counter(Counter(batch).values()) == {3: 4}
        assert all(len(set(batch[i : i + 3])) == 1 for i in range(0, 12, 3))
    assert {i for batch in batches for i in batch} == set(range(10))
    with pytest.raises(ValueError, match="cannot be made of 3"):
        SingleShotSampler(3, examples_per_batch=4)


# --- objectives by name --------------------------------------------------------------------------


def test_the_published_recipe_is_what_loops_say() -> None:
    embeddings, labels = _unit(14, 3), torch.arange(14) % 4
    objective = Objective(**TRIPLETS, classes=4, width=3)  # type: ignore[arg-type]
    got = float(objective(embeddings, labels))
    losses = []
    for a in range(14):
        for p in range(14):
            for n in range(14):
                if a == p or labels[a] != labels[p] or labels[a] == labels[n]:
                    continue
                near, far = (float(embeddings[a] @ embeddings[i]) for i in (p, n))
                # Semi-hard: the wrong one is farther than the right one, by less than the margin.
                if 0 < near - far <= 0.2:
                    losses.append(far - near + 0.2)
    losses = [v for v in losses if v > 0]
    assert got == pytest.approx(np.mean(losses), rel=1e-4)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("triplets", TRIPLETS),
        (
            "multi-similarity",
            {
                "loss": {"name": "MultiSimilarityLoss", "alpha": 2, "beta": 20},
                "miner": {"name": "MultiSimilarityMiner", "epsilon": 0.1},
            },
        ),
        ("proxy-anchor", {"loss": {"name": "ProxyAnchorLoss", "alpha": 8}}),
        ("arc-face", {"loss": {"name": "ArcFaceLoss", "scale": 16}}),
        ("supervised contrastive", {"loss": {"name": "SupConLoss", "temperature": 0.2}}),
    ],
)
def test_every_objective_brings_classes_together(name: str, settings: dict[str, object]) -> None:
    torch.manual_seed(0)
    labels = torch.arange(24) % 6
    free = nn.Parameter(_unit(24, 8))
    objective = Objective(**settings, classes=6, width=8)  # type: ignore[arg-type]
    optimiser = torch.optim.Adam([free, *objective.parameters()], lr=0.05)

    def right() -> float:
        cosines = F.normalize(free.detach()) @ F.normalize(free.detach()).T
        cosines.fill_diagonal_(-2)
        return float((labels[cosines.argmax(1)] == labels).float().mean())

    before = right()
    for _ in range(60):
        optimiser.zero_grad()
        objective(F.normalize(free), labels).backward()
        optimiser.step()
    assert right() > max(0.8, before), name


def test_unknown_names_and_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown losses 'TripletLoss'; there are .*SupConLoss"):
        Objective({"name": "TripletLoss"}, classes=2, width=2)
    with pytest.raises(ValueError, match="SupConLoss has no setting warmth"):
        Objective({"name": "SupConLoss", "warmth": 1}, classes=2, width=2)
    with pytest.raises(ValueError, match="unknown samplers"):
        make_sampler({"name": "Nobody"}, CLASSES, 0)
    with pytest.raises(ValueError, match="unknown recipe settings: lenght"):
        EmbeddingRecipe.from_dict({"lenght": 1})
    with pytest.raises(ValueError, match="unknown layers 'tail'"):
        EmbeddingRecipe.from_dict({"layers": "tail"})


# --- the head, and the file ----------------------------------------------------------------------


def _exported(path: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    network = TagNetwork("test_efficientnet", 5, width=6).eval()
    calibration = Calibration(np.ones(5, np.float32), np.zeros(5, np.float32))
    export.to_onnx(export.wrap(network, calibration, False), 64, path)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model without a head; do not write to it."""
    return _exported(tmp_path_factory.mktemp("exported") / "model.onnx")


def _answers(path: Path, pictures: np.ndarray) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, {"input": pictures}), strict=True))


@pytest.mark.parametrize(
    ("places", "hidden", "root"), [(4, 0, True), (1, 0, True), (4, 7, False), (1, 7, True)]
)
def test_a_head_changes_the_embedding_and_nothing_else(
    tmp_path: Path, model: Path, places: int, hidden: int, root: bool
) -> None:
    pictures = np.random.default_rng(0).uniform(0, 255, (3, 64, 64, 3)).astype(np.float32)
    old = _answers(model, pictures)
    assert old["features"].shape == (3, 6, 2, 2)
    torch.manual_seed(1)
    head = EmbeddingHead(6, places, 9, hidden=hidden, root=root)
    head.fit(torch.rand(50, 6, 2, 2))
    graph.attach(model, head, tmp_path / "new.onnx")
    new = _answers(tmp_path / "new.onnx", pictures)
    assert np.array_equal(new["probabilities"], old["probabilities"])
    assert np.array_equal(new["features"], old["features"])
    with torch.inference_mode():
        expected = head(torch.from_numpy(old["features"])).numpy()
    assert new["embedding"].shape == (3, 9)
    assert new["embedding"] == pytest.approx(expected, abs=1e-5)
    assert graph.has_head(tmp_path / "new.onnx") and not graph.has_head(model)


def test_a_head_takes_the_place_of_another_and_goes_over_to_the_same_network(
    tmp_path: Path, model: Path
) -> None:
    pictures = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    for number in (1, 2):
        torch.manual_seed(number)
        source = model if number == 1 else tmp_path / "1.onnx"
        graph.attach(source, EmbeddingHead(6, 4, 3), tmp_path / f"{number}.onnx")
    first, second = (onnx.load(tmp_path / f"{n}.onnx") for n in (1, 2))
    assert len(first.graph.node) == len(second.graph.node), "the first head is gone"
    export.halve(model, tmp_path / "again.onnx")
    drawn = pictures.astype(np.uint8)
    assert graph.features_agree(tmp_path / "2.onnx", tmp_path / "again.onnx", drawn)
    graph.transplant(tmp_path / "2.onnx", tmp_path / "again.onnx")
    wanted, got = (_answers(tmp_path / f"{n}.onnx", pictures) for n in ("2", "again"))
    assert got["embedding"] == pytest.approx(wanted["embedding"], abs=0.01)
    other = _exported(tmp_path / "other.onnx", seed=5)
    assert not graph.features_agree(tmp_path / "2.onnx", other, drawn)
    with pytest.raises(ValueError, match="has no trained embedding"):
        graph.transplant(model, tmp_path / "again.onnx")


def test_a_head_of_another_width_is_refused(tmp_path: Path, model: Path) -> None:
    for head in (EmbeddingHead(7, 1, 3), EmbeddingHead(6, 9, 3)):
        with pytest.raises(ValueError, match="does not fit"):
            graph.attach(model, head, tmp_path / "new.onnx")


def test_a_head_is_standardised_by_what_it_is_shown() -> None:
    head = EmbeddingHead(3, 4, 2)
    features = torch.rand(200, 3, 2, 2) * torch.tensor([1.0, 9.0, 100.0])[:, None, None]
    head.fit(features)
    x = (head.flat(features) - head.mean) * head.scale
    assert x.mean(0).abs().max() < 1e-3
    assert x.std(0)[4:] == pytest.approx(torch.ones(8), abs=0.15)
    again = EmbeddingHead.from_state(head.state())
    assert torch.equal(again(features), head(features))


# --- learning ------------------------------------------------------------------------------------


def _toy(count: int = 96) -> tuple[Packed, Seen]:
    """Things in four styles: a thing is a direction, a style a louder one."""
    rng = np.random.default_rng(0)
    things, styles = np.arange(count) // 4, np.arange(count) % 4
    features = 0.5 + 0.15 * rng.normal(size=(count // 4, 6, 2, 2))[things]
    features += 0.5 * rng.normal(size=(4, 6, 2, 2))[styles] + 0.02 * rng.normal(
        size=(count, 6, 2, 2)
    )
    features = np.maximum(features, 0).astype(np.float16)
    labels = (np.random.default_rng(1).random((count // 4, 8)) < 0.3)[things].astype(np.uint8)
    pixels = np.zeros((count, 32, 32, 4), np.uint8)
    splits = np.where(things % 4 == 3, "test", "train")
    packed = Packed(
        pixels,
        pixels[..., :3],
        labels,
        things.astype(str),
        np.array(["a", "b", "c", "d"])[styles],
        splits,
    )
    rows = packed.rows("train")
    noisy = (features[rows] + 0.02 * rng.normal(size=(len(rows), 6, 2, 2))).astype(np.float16)
    return packed, Seen(features, (noisy,), rows)


def _learn(
    folder: Path, stop_after: int | None = None, **changes: object
) -> tuple[loop.TrainedHead, Packed, Seen]:
    packed, seen = _toy()
    values = {
        "dimension": 8,
        "epochs": 3,
        "rate": 0.01,
        "sampler": {
            "name": "MultiShotSampler",
            "classes_per_batch": 6,
            "examples_per_class_per_batch": 3,
            "steps_per_epoch": 15,
        },
        "loss": {"name": "SupConLoss", "temperature": 0.1},
        **changes,
    }
    count = [0]

    def watch(head: EmbeddingHead) -> dict[str, float]:
        # Called after an epoch, before it is saved.
        count[0] += 1
        if stop_after is not None and count[0] > stop_after:
            raise KeyboardInterrupt
        return {}

    trained = loop.train_embedding(
        loop.Kept(seen),
        packed,
        seen.rows,
        EmbeddingRecipe.from_dict(values),
        folder=folder,
        mark="toy",
        watch=watch,
        say=lambda line: None,
    )
    return trained, packed, seen


def _first_right(packed: Packed, rows: np.ndarray, vectors: np.ndarray) -> float:
    found = judge.cross_style(
        judge.Question(rows, rows), vectors, vectors, packed.concepts, packed.sources
    )
    return float(np.nanmean(found.values["precision@1"]))


@pytest.mark.parametrize("graded", [0.0, 1.0])
def test_a_head_learns_to_see_past_styles_in_things_it_never_saw(
    tmp_path: Path, graded: float
) -> None:
    torch.set_num_threads(1)
    trained, packed, seen = _learn(tmp_path, graded=graded, epochs=6)
    rows = packed.rows("test")
    before = _first_right(packed, rows, loop.plain(seen.plain, rows))
    after = _first_right(packed, rows, loop.embed(trained.head, seen.plain, rows))
    assert after > before + 0.2
    assert [h["epoch"] for h in trained.history] == list(range(1, 7))


def test_single_shots_and_the_librarys_sampler_learn_as_well(tmp_path: Path) -> None:
    for name, sampler in (
        ("single", {"name": "SingleShotSampler", "examples_per_batch": 12, "steps_per_epoch": 8}),
        (
            "library",
            {"name": "MPerClassSampler", "m": 3, "batch_size": 18, "length_before_new_iter": 72},
        ),
    ):
        trained, _, _ = _learn(tmp_path / name, sampler=sampler)
        assert trained.history[-1]["loss"] < trained.history[0]["loss"], name


def test_things_drawn_once_are_no_classes(tmp_path: Path) -> None:
    packed, seen = _toy()
    alone = Packed(
        packed.rgba,
        packed.rgb,
        packed.labels,
        np.arange(96).astype(str),
        packed.sources,
        packed.splits,
    )
    recipe = EmbeddingRecipe(sampler={"name": "MultiShotSampler"}, loss={"name": "SupConLoss"})
    with pytest.raises(ValueError, match="no thing is drawn twice"):
        loop.train_embedding(loop.Kept(seen), alone, seen.rows, recipe, folder=tmp_path, mark="toy")


def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    whole, _, _ = _learn(tmp_path / "whole", graded=1.0)
    with pytest.raises(KeyboardInterrupt):
        _learn(tmp_path / "cut", stop_after=1, graded=1.0)
    resumed, _, _ = _learn(tmp_path / "cut", graded=1.0)
    for (name, a), b in zip(
        whole.head.state_dict().items(), resumed.head.state_dict().values(), strict=True
    ):
        assert torch.allclose(a, b, atol=1e-6), name
    with pytest.raises(ValueError, match="another recipe or network"):
        _learn(tmp_path / "cut", graded=0.5)


def test_only_the_layers_that_were_named_learn() -> None:
    network = TagNetwork("test_efficientnet", 5, width=6)
    last = loop.learning_parameters(network, "last_stage")
    assert loop.learning_parameters(network, "all") == {n for n, _ in network.named_parameters()}
    assert {"classify.weight", "project.0.weight"} <= last
    assert any(n.startswith("backbone.") for n in last)
    assert "backbone.conv_stem.weight" not in last
    loop.train_only(network, last)
    assert not network.backbone.bn1.training, "statistics of frozen layers stay"
    assert network.project[1].training  # type: ignore[index]


# --- judging -------------------------------------------------------------------------------------


def test_cross_style_measures_are_what_loops_say() -> None:
    rng = np.random.default_rng(0)
    concepts = np.array([f"c{n}" for n in rng.integers(0, 6, 30)])
    sources = np.array([f"s{n}" for n in rng.integers(0, 3, 30)])
    vectors = _unit(30, 4).numpy()
    rows = np.arange(30)
    got = judge.cross_style(judge.Question(rows, rows), vectors, vectors, concepts, sources)
    for q in rows:
        others = [n for n in rows if sources[n] != sources[q]]
        ranked = sorted(others, key=lambda n: -float(vectors[q] @ vectors[n]))
        right = [concepts[n] == concepts[q] for n in ranked]
        total = sum(right)
        assert got.nearest[q] == ranked[0]
        if not total:
            assert all(np.isnan(v[q]) for v in got.values.values())
            continue
        precisions = [sum(right[: i + 1]) / (i + 1) for i in range(len(right))]
        expected = {
            "precision@1": float(right[0]),
            "r_precision": sum(right[:total]) / total,
            "map@r": sum(p for p, r in zip(precisions[:total], right, strict=False) if r) / total,
            "recall@5": sum(right[:5]) / total,
            "recall@10": sum(right[:10]) / total,
            "hit_rate@5": float(any(right[:5])),
        }
        assert {k: v[q] for k, v in got.values.items()} == pytest.approx(expected)


def test_graded_order_is_judged_as_loops_do() -> None:
    tags, vectors = _tags(14), _unit(14, 3).numpy()
    rows = np.arange(2, 14)
    weights = tag_weights(tags)
    got = judge.graded(rows, vectors[2:], tags, weights).values[judge.GRADED]

    def degree(a: int, b: int) -> float:
        both, either = tags[a] & tags[b], tags[a] | tags[b]
        return float(weights @ both / (weights @ either)) if either.any() else 0.0

    for at, q in enumerate(rows):
        others = [n for n in rows if n != q]
        ranked = sorted(others, key=lambda n: -float(vectors[q] @ vectors[n]))[:10]
        gains = [degree(q, n) for n in ranked]
        ideal = sorted((degree(q, n) for n in others), reverse=True)[:10]
        best = sum(g / math.log2(i + 2) for i, g in enumerate(ideal))
        if not best:
            assert np.isnan(got[at])
            continue
        value = sum(g / math.log2(i + 2) for i, g in enumerate(gains)) / best
        assert got[at] == pytest.approx(value, rel=1e-5)


def test_intervals_draw_things_not_pictures() -> None:
    values = np.array([1.0] * 8 + [0.0] * 8 + [np.nan])
    alone = judge.bootstrap(values, np.arange(17).astype(str))
    together = judge.bootstrap(values, np.array(["a"] * 8 + ["b"] * 8 + ["c"]))
    assert alone[0] == together[0] == 0.5
    assert together[1:] == [0.0, 1.0]
    assert 0 < alone[1] < 0.5 < alone[2] < 1
    assert judge.bootstrap(np.array([np.nan]), np.array(["a"])) == []


# --- the pipelines -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder in which the smoke configuration has run tagging and then embedding."""
    root = tmp_path_factory.mktemp("embedding")
    data = made.styles(root / "made.parquet")
    common = ["--data", str(data), "--work", str(root / "work"), "--env", "smoke"]
    assert cli.main("train", ["tagging", *common, "--out", str(root / "tagged")]) == 0
    begin = ["--bundle", str(root / "tagged")]
    assert cli.main("train", ["embedding_comparison", *common, *begin]) == 0
    assert cli.main("train", ["embedding_unseen_style", *common, *begin]) == 0
    out = ["--out", str(root / "bundle")]
    assert cli.main("train", ["embedding", *common, *begin, *out]) == 0
    return root


def _pictures() -> list[np.ndarray]:
    return [np.asarray(Image.new("RGB", (30, 20 + n), (n * 40, 90, 30))) for n in range(5)]


def test_one_pass_gives_the_same_tags_and_heat_maps_and_the_new_embedding(ran: Path) -> None:
    old, new = (
        IllustrationTagger(bundles.load(ran / name), threads=1) for name in ("tagged", "bundle")
    )
    before, after = old.predict(_pictures()), new.predict(_pictures())
    assert np.array_equal(before.probabilities, after.probabilities)
    assert before.embedding is not None and after.embedding is not None
    assert before.embedding.shape == (5, 16) and after.embedding.shape == (5, 8)
    assert np.linalg.norm(after.embedding, axis=1) == pytest.approx(np.ones(5), abs=1e-3)
    assert old.bundle.hash != new.bundle.hash, "an index of the old one is refused"


def test_figures_card_and_configuration_agree(ran: Path) -> None:
    bundle = ran / "bundle"
    facts = json.loads((bundle / "metrics.json").read_text())
    before = json.loads((ran / "tagged" / "metrics.json").read_text())
    assert {k: v for k, v in facts.items() if k != "embedding"} == before
    found = facts["embedding"]
    assert found["parity"]["probabilities"] == found["parity"]["features"] == 0
    plain, ours = found["table"]
    assert plain["dimension"] == 16 and ours["dimension"] == found["dimension"] == 8
    assert ours["test"]["precision@1"][0] - plain["test"]["precision@1"][0] == pytest.approx(
        found["difference"]["precision@1"][0], abs=2e-4
    )
    assert found["mistakes"]["wrong"] == round(
        (1 - ours["test"]["precision@1"][0]) * found["mistakes"]["queries"]
    )
    names = [row["name"] for row in found["comparison"]["table"]]
    assert names[:2] == ["plain features", "published triplets"] and len(names) == 7
    assert found["unseen_style"]["source"] == "dots"
    card = (bundle / "README.md").read_text()
    assert f"{ours['test']['precision@1'][0]:.3f}" in card
    assert "published triplets" in card and "What remains" in card
    config = json.loads((bundle / "config.json").read_text())
    output = next(o for o in config["outputs"] if o["name"] == "embedding")
    assert output["shape"] == ["N", 8] and "metric learning" in output["meaning"]
    with Image.open(ran / "work" / "embedding" / "mistakes.png") as sheet:
        assert sheet.width > 1000


def test_the_figures_are_those_of_the_file(ran: Path) -> None:
    tagger = IllustrationTagger(bundles.load(ran / "bundle"), threads=1)
    wanted = json.loads((ran / "bundle" / "metrics.json").read_text())["embedding"]
    vectors, concepts, sources = [], [], []
    from tagger.images import ImageLimits, read
    from tagger.training.sources import read_records

    for record in read_records(ran / "made.parquet"):
        if record.split == "test" and record.source != "openclipart":
            picture = read(record.read_bytes(), limits=ImageLimits(), target=tagger.size).rgb
            found = tagger.predict([picture]).embedding
            assert found is not None
            vectors.append(found[0])
            concepts.append(record.concept)
            sources.append(record.source)
    right = []
    for q, vector in enumerate(vectors):
        others = [n for n in range(len(vectors)) if sources[n] != sources[q]]
        best = max(others, key=lambda n: float(vectors[n] @ vector))
        right.append(concepts[best] == concepts[q])
    assert np.mean(right) == pytest.approx(wanted["table"][1]["test"]["precision@1"][0], abs=1e-3)


def test_tagging_written_again_keeps_the_embedding_of_its_network(
    ran: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    target = tmp_path / "bundle"
    target.mkdir()
    for file in (ran / "bundle").iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    again = ["--data", str(ran / "made.parquet"), "--env", "smoke", "--out", str(target)]
    assert cli.main("export", [*again, "--work", str(ran / "work")]) == 0
    was, is_ = (
        IllustrationTagger(bundles.load(b), threads=1).predict(_pictures()).embedding
        for b in (ran / "bundle", target)
    )
    assert was is not None and is_ is not None
    assert is_ == pytest.approx(was, abs=1e-3)
    assert "What remains" in (target / "README.md").read_text()
    # Another network: its features mean something else, so the head goes, and that is said.
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        other = ["--work", str(tmp_path / "work"), "--set", "recipe.seed=7"]
        assert cli.main("train", ["tagging", *again, *other]) == 0
    assert "had an embedding trained upon another network" in caplog.text
    plain = IllustrationTagger(bundles.load(target), threads=1).predict(_pictures()).embedding
    assert plain is not None and plain.shape == (5, 16)
    assert "embedding" not in json.loads((target / "metrics.json").read_text())


def test_the_network_can_learn_along_and_keeps_its_contract(ran: Path, tmp_path: Path) -> None:
    layers = "last_stage"
    argv = ["embedding", "--data", str(ran / "made.parquet"), "--env", "smoke"]
    argv += ["--work", str(ran / "work"), "--bundle", str(ran / "tagged"), "--out", str(tmp_path)]
    argv += [
        "--set",
        f"embedding.recipe.layers={layers}",
        "--set",
        f"embedding.recipe.name={layers}",
    ]
    assert cli.main("train", argv) == 0
    old, new = (IllustrationTagger(bundles.load(b), threads=1) for b in (ran / "tagged", tmp_path))
    before, after = old.predict(_pictures()), new.predict(_pictures())
    assert after.embedding is not None and after.embedding.shape == (5, 8)
    assert not np.array_equal(before.probabilities, after.probabilities), "the network learnt"
    facts = json.loads((tmp_path / "metrics.json").read_text())
    assert facts["embedding"]["recipe"]["layers"] == layers
    assert facts["embedding"]["parity"]["embedding"] < 1e-4
    assert facts["test"]["all"]["pictures"] == 16


def test_a_bundle_of_another_run_is_refused_where_the_network_is_to_learn(
    ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--data", str(ran / "made.parquet"), "--env", "smoke", "--work", str(tmp_path)]
    settings = ["--set", "recipe.seed=5", "--set", "embedding.recipe.layers=all"]
    argv = ["embedding", *common, *settings, "--bundle", str(ran / "tagged")]
    assert cli.main("train", [*argv, "--out", str(tmp_path / "out")]) == 2
    assert "not the one of this bundle" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_tags_and_embedding_are_trained_in_one_run(ran: Path, tmp_path: Path) -> None:
    argv = ["illustration", "--data", str(ran / "made.parquet"), "--env", "smoke"]
    argv += ["--work", str(ran / "work"), "--out", str(tmp_path / "both")]
    assert cli.main("train", argv) == 0
    one, two = (
        json.loads((b / "metrics.json").read_text()) for b in (ran / "bundle", tmp_path / "both")
    )
    assert two["test"] == one["test"]
    assert two["embedding"]["table"] == one["embedding"]["table"]


def test_somebody_elses_folder_learns_by_single_shots(
    ran: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = made.folder(tmp_path / "mine", 60)
    common = ["--data", str(data), "--env", "smoke", "--work", str(tmp_path / "work")]
    shutil.copytree(ran / "tagged", tmp_path / "bundle")
    argv = ["embedding", *common, "--bundle", str(tmp_path / "bundle")]
    assert cli.main("train", argv) == 2
    assert "no thing is drawn twice: use SingleShotSampler" in capsys.readouterr().err
    sampler = {
        "name": "SingleShotSampler",
        "examples_per_batch": 8,
        "num_augmentations_per_example": 2,
        "steps_per_epoch": 2,
        # Settings of the sampler that stood there before.
        **dict.fromkeys(("classes_per_batch", "examples_per_class_per_batch", "replacement")),
    }
    settings = ["--set", f"embedding.recipe.sampler={json.dumps(sampler)}"]
    assert cli.main("train", [*argv, *settings]) == 0
    # Written where it was read: no other folder was named.
    assert graph.has_head(tmp_path / "bundle" / "model.onnx")
