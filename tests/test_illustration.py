"""The forward pass, against what the toy's model must answer by its definition."""

from __future__ import annotations

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from PIL import Image

from tagger import bundles
from tagger.bundles import InputSpec
from tagger.errors import BundleError
from tagger.illustration import IllustrationTagger, adapt
from tests import toy


def pictures(count: int, seed: int = 0) -> list[np.ndarray]:
    """Random pictures of random sizes, one pixel wide among them."""
    generator = np.random.default_rng(seed)
    sizes = [(1, 1), (1, 40), (40, 1), (toy.SIZE, toy.SIZE), (20, 50), (90, 30)]
    return [
        generator.integers(0, 256, (*sizes[i % len(sizes)], 3)).astype(np.uint8)
        for i in range(count)
    ]


def squared(rgb: np.ndarray) -> np.ndarray:
    """The house's letterbox, written out with Pillow."""
    side = max(rgb.shape[:2])
    square = Image.new("RGB", (side, side), (255, 255, 255))
    left, top = (side - rgb.shape[1]) // 2, (side - rgb.shape[0]) // 2
    square.paste(Image.fromarray(rgb), (left, top))
    return np.asarray(square.resize((toy.SIZE, toy.SIZE), Image.Resampling.BICUBIC))


def test_probabilities_are_what_the_model_is_defined_to_answer(
    toy_tagger: IllustrationTagger,
) -> None:
    rgbs = pictures(12)
    answer = toy_tagger.predict(rgbs)
    expected = [toy.reference(squared(rgb)) for rgb in rgbs]
    assert answer.probabilities.shape == (12, len(toy.TAGS))
    assert answer.probabilities.dtype == np.float32
    np.testing.assert_allclose(answer.probabilities, expected, atol=2e-5)


def test_embeddings_have_length_one(toy_tagger: IllustrationTagger) -> None:
    embedding = toy_tagger.predict(pictures(3)).embedding
    assert embedding is not None
    assert embedding.shape == (3, 8)
    assert np.linalg.norm(embedding, axis=1) == pytest.approx(np.ones(3), abs=1e-5)


def test_feature_maps_come_when_they_are_asked_for(toy_tagger: IllustrationTagger) -> None:
    rgbs = pictures(2, seed=3)
    assert toy_tagger.predict(rgbs).features is None
    features = toy_tagger.predict(rgbs, features=True).features
    assert features is not None
    assert features.shape == (2, 3, 4, 4)
    block = toy.SIZE // 4
    corner = squared(rgbs[1])[:block, :block, 2].mean() / 255  # blue comes first
    assert features[1, 0, 0, 0] == pytest.approx(corner, abs=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8, 64])
def test_the_batch_size_changes_nothing(toy_bundle: Path, batch_size: int) -> None:
    rgbs = pictures(7)
    tagger = IllustrationTagger(bundles.load(toy_bundle), batch_size=batch_size)
    one_by_one = np.concatenate([tagger.predict([rgb]).probabilities for rgb in rgbs])
    np.testing.assert_allclose(tagger.predict(rgbs).probabilities, one_by_one, atol=1e-6)


def test_batches_are_bounded(toy_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    tagger = IllustrationTagger(bundles.load(toy_bundle), batch_size=3)
    original = tagger._run

    def run(rgbs: list[np.ndarray], wanted: list[str]) -> list[np.ndarray]:
        sizes.append(len(rgbs))
        return original(rgbs, wanted)

    monkeypatch.setattr(tagger, "_run", run)
    assert len(tagger.predict(pictures(8)).probabilities) == 8
    assert sizes == [3, 3, 2]
    with pytest.raises(ValueError, match="batch_size"):
        IllustrationTagger(bundles.load(toy_bundle), batch_size=0)


def test_no_picture_gives_no_answer_of_the_right_shape(toy_tagger: IllustrationTagger) -> None:
    answer = toy_tagger.predict([], features=True)
    assert answer.probabilities.shape == (0, len(toy.TAGS))
    assert answer.embedding is not None
    assert answer.embedding.shape == (0, 8)
    assert answer.features is not None
    assert answer.features.shape == (0, 3, 4, 4)


@pytest.mark.parametrize("fixed", [1, 3, 20])
def test_a_model_of_one_batch_size_takes_any_number(tmp_path: Path, fixed: int) -> None:
    folder = toy.make_wd_bundle(tmp_path / "fixed")
    onnx.save(toy.toy_model(batch=fixed, wd=True), folder / "model.onnx")
    tagger = IllustrationTagger(bundles.load(folder))
    rgbs = pictures(5)
    expected = [toy.reference(squared(rgb)) for rgb in rgbs]
    np.testing.assert_allclose(tagger.predict(rgbs).probabilities, expected, atol=2e-5)


def test_all_three_forms_of_a_model_answer_alike(tmp_path: Path) -> None:
    rgbs = pictures(6)
    answers = [
        IllustrationTagger(bundles.load(make(tmp_path / make.__name__))).predict(rgbs)
        for make in (toy.make_bundle, toy.make_wd_bundle, toy.make_deepghs_bundle)
    ]
    for answer in answers[1:]:
        np.testing.assert_allclose(answer.probabilities, answers[0].probabilities, atol=1e-5)
    assert answers[1].embedding is None


def test_threads_get_their_own_answers(toy_tagger: IllustrationTagger) -> None:
    rgbs = pictures(24, seed=5)
    expected = [toy_tagger.predict([rgb]).probabilities[0] for rgb in rgbs]
    start = threading.Barrier(4)

    def work(index: int) -> list[np.ndarray]:
        start.wait(timeout=60)
        return [toy_tagger.predict([rgb]).probabilities[0] for rgb in rgbs[index::4]]

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, range(4)))
    for index, answers in enumerate(found):
        for answer, right in zip(answers, expected[index::4], strict=True):
            np.testing.assert_array_equal(answer, right)


def test_a_tagger_is_ready_when_it_is_made(toy_tagger: IllustrationTagger) -> None:
    assert toy_tagger.ready
    assert toy_tagger.size == toy.SIZE
    assert toy_tagger.load_seconds > 0
    assert toy_tagger.warm_up_seconds > 0


@pytest.mark.parametrize("answer", ["logits", "nan"])
def test_a_model_that_does_not_answer_with_probabilities_is_refused(
    tmp_path: Path, toy_bundle: Path, answer: str
) -> None:
    folder = Path(shutil.copytree(toy_bundle, tmp_path / "bad"))
    model = onnx.load(folder / "model.onnx")
    sigmoid = next(node for node in model.graph.node if node.op_type == "Sigmoid")
    if answer == "logits":
        sigmoid.op_type = "Identity"
    else:
        sigmoid.input[0] = "not_a_number"
        model.graph.node.insert(
            len(model.graph.node) - 4, helper.make_node("Sqrt", ["negative"], ["not_a_number"])
        )
        model.graph.node.insert(
            len(model.graph.node) - 5, helper.make_node("Sub", ["logits", "far"], ["negative"])
        )
        far = onnx.numpy_helper.from_array(np.float32([1e6]), "far")
        model.graph.initializer.append(far)
    onnx.save(model, folder / "model.onnx")
    with pytest.raises(BundleError) as caught:
        IllustrationTagger(bundles.load(folder))
    assert caught.value.code == "model-not-probabilities"


def test_a_model_that_fails_while_it_runs_is_an_error_with_a_name(
    tmp_path: Path, toy_bundle: Path
) -> None:
    folder = Path(shutil.copytree(toy_bundle, tmp_path / "bad"))
    model = onnx.load(folder / "model.onnx")
    shape = onnx.numpy_helper.from_array(np.array([7, 11], np.int64), "shape")
    model.graph.initializer.append(shape)
    node = next(n for n in model.graph.node if n.op_type == "Sigmoid")
    node.output[0] = "flat"
    model.graph.node.append(helper.make_node("Reshape", ["flat", "shape"], ["probabilities"]))
    onnx.save(model, folder / "model.onnx")
    with pytest.raises(BundleError) as caught:
        IllustrationTagger(bundles.load(folder))
    assert caught.value.code in {"model-failed", "model-unreadable"}


@pytest.mark.parametrize(
    "spec",
    [
        InputSpec(size=8),
        InputSpec(size=8, color="RGB"),
        InputSpec(size=8, layout="NCHW"),
        InputSpec(size=8, range=(0, 1)),
        InputSpec(size=8, range=(-1, 1), color="RGB"),
        InputSpec(
            size=8,
            layout="NCHW",
            color="RGB",
            range=(0, 1),
            mean=(0.485, 0.456, 0.406),
            std=(0.229, 0.224, 0.225),
        ),
    ],
)
def test_other_conventions_are_met_pixel_by_pixel(spec: InputSpec) -> None:
    batch = np.random.default_rng(1).uniform(0, 255, (2, 8, 8, 3)).astype(np.float32)
    adapted = adapt(batch, spec)
    assert adapted.flags.c_contiguous
    assert adapted.dtype == np.float32
    low, high = spec.range
    for n in range(2):
        for y in range(8):
            for x in range(8):
                for c in range(3):
                    value = batch[n, y, x, c if spec.color == "BGR" else 2 - c]
                    scaled = (low + (high - low) * value / 255 - spec.mean[c]) / spec.std[c]
                    place = (n, y, x, c) if spec.layout == "NHWC" else (n, c, y, x)
                    assert adapted[place] == pytest.approx(scaled, abs=1e-4)


def test_the_shipped_model_keeps_the_contract(real_bundle: Path) -> None:
    tagger = IllustrationTagger(bundles.load(real_bundle), threads=1)
    white = np.full((60, 80, 3), 255, np.uint8)
    answer = tagger.predict([white, *pictures(2)], features=True)
    assert answer.probabilities.shape == (3, len(tagger.tags))
    assert answer.embedding is not None
    assert np.linalg.norm(answer.embedding, axis=1) == pytest.approx(np.ones(3), abs=1e-4)
    assert answer.features is not None
    alone = tagger.predict([white]).probabilities[0]
    np.testing.assert_allclose(alone, answer.probabilities[0], atol=1e-4)
    config = json.loads((real_bundle / "config.json").read_text(encoding="utf-8"))
    assert config["input"]["layout"] == "NHWC"
    assert config["input"]["color"] == "BGR"
