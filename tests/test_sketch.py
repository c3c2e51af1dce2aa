"""Bundles that recognise drawings, in every way in which they can be none; and the model in one."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from tagger import sketch_bundle
from tagger.errors import BundleError
from tagger.sketch import BATCH_SIZE, SketchRecogniser
from tagger.sketch_bundle import load, read_frozen, write_frozen
from tagger.strokes import parse, rasterise
from tests import toy

LEVEL = parse([[[0, 10], [5, 5]]])
UPRIGHT = parse([[[5, 5], [0, 10]]])
CORNER = parse([[[0, 10, 10], [0, 0, 10]]])


@pytest.fixture
def folder(tmp_path: Path, toy_sketch_bundle: Path) -> Path:
    """A copy of the toy that a test may spoil."""
    return Path(shutil.copytree(toy_sketch_bundle, tmp_path / "toy"))


@pytest.fixture(scope="module")
def recogniser(toy_sketch_bundle: Path) -> SketchRecogniser:
    """The tiny model, loaded."""
    return SketchRecogniser(load(toy_sketch_bundle))


def refused(work: Callable[[], object]) -> BundleError:
    with pytest.raises(BundleError) as caught:
        work()
    error = caught.value
    assert error.message("en") != error.message("ja")
    return error


def reference(picture: np.ndarray) -> tuple[list[float], list[float]]:
    """The toy's answer, by plain loops: probabilities and embedding."""
    eyes, weights, bias = toy.sketch_weights()
    pixels = picture.ravel()
    seen = [
        sum(float(p) * float(e) for p, e in zip(pixels, eyes[:, k], strict=True)) + 1e-3
        for k in range(toy.SKETCH_DIMENSION)
    ]
    length = math.sqrt(sum(v * v for v in seen))
    embedding = [v / length for v in seen]
    powers = [
        math.exp(sum(e * float(w) for e, w in zip(embedding, row, strict=True)) + float(b))
        for row, b in zip(weights, bias, strict=True)
    ]
    return [p / sum(powers) for p in powers], embedding


# --- the bundle


def test_a_bundle_is_read_in_full(toy_sketch_bundle: Path) -> None:
    bundle = load(toy_sketch_bundle)
    assert (bundle.config.name, bundle.config.version) == ("toy-sketch", "1.0")
    assert [word.word for word in bundle.words] == [row[0] for row in toy.SKETCH_WORDS]
    assert bundle.words[4].kind == "digit"
    assert bundle.dimension == toy.SKETCH_DIMENSION
    assert bundle.config.memory.scale == 60.0
    assert bundle.config.input.raster.width == 1.5
    assert bundle.head is not None and bundle.fixed_batch is None
    assert bundle.metrics["top_1"] == 1.0
    assert bundle.about["task"] == "sketch-recognition"


def test_the_hash_covers_model_and_words(folder: Path) -> None:
    content = (folder / "model.onnx").read_bytes() + (folder / "labels.csv").read_bytes()
    assert load(folder).hash == hashlib.sha256(content).hexdigest()[:16]


def test_what_is_not_needed_may_be_missing(folder: Path) -> None:
    for name in ("head.npz", "metrics.json", "README.md"):
        (folder / name).unlink()
    config = toy.sketch_config()
    for name in ("memory", "outputs", "words", "training_data"):
        del config[name]
    (folder / "config.json").write_text(json.dumps(config))
    bundle = load(folder)
    assert bundle.head is None and bundle.metrics == {}
    assert SketchRecogniser(bundle).dimension == toy.SKETCH_DIMENSION


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert refused(lambda: load(tmp_path / "nothing")).code == "bundle-sketch-not-found"


@pytest.mark.parametrize("name", ["model.onnx", "labels.csv", "config.json"])
def test_a_file_is_missing(folder: Path, name: str) -> None:
    (folder / name).unlink()
    error = refused(lambda: load(folder))
    assert (error.code, error.params) == ("bundle-file-missing", {"file": name})


@pytest.mark.parametrize("name", ["config.json", "metrics.json", "labels.csv", "head.npz"])
@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"PK\x03\x04torn", b'{"a": ' * 100_000]
)
def test_a_file_is_torn(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    error = refused(lambda: load(folder))
    assert (error.code, error.params["file"]) == ("bundle-file-invalid", name)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"task": "illustration-tagging"}, "bundle-sketch-task"),
        ({"task": None}, "bundle-sketch-task"),
        ({"format_version": 2}, "bundle-too-new"),
        ({"name": ""}, "bundle-file-invalid"),
        ({"input": {}}, "bundle-file-invalid"),
        ({"input": {"size": 16, "layout": "NHWC"}}, "bundle-file-invalid"),
        ({"input": {"size": 16, "range": [0, 255]}}, "bundle-file-invalid"),
        ({"input": {"size": 16, "raster": {"width": 0}}}, "bundle-file-invalid"),
        ({"input": {"size": 16, "raster": {"margin": 8}}}, "bundle-file-invalid"),
        ({"input": {"size": 16, "raster": {"order": True}}}, "bundle-mismatch"),
        ({"input": {"size": 32}}, "bundle-mismatch"),
        ({"input": {"size": 16, "name": "picture"}}, "bundle-mismatch"),
        ({"outputs": [{"name": "logits"}]}, "bundle-mismatch"),
        ({"words": 6}, "bundle-mismatch"),
        ({"memory": {"scale": 0}}, "bundle-file-invalid"),
        ({"memory": {"bias": "NaN"}}, "bundle-file-invalid"),
        ({"memory": []}, "bundle-file-invalid"),
    ],
)
def test_a_configuration_that_does_not_fit(
    folder: Path, change: dict[str, object], code: str
) -> None:
    (folder / "config.json").write_text(json.dumps(toy.sketch_config(**change)))
    assert refused(lambda: load(folder)).code == code


def test_words_and_outputs_differ_in_number(folder: Path) -> None:
    onnx.save(toy.sketch_model(words=4), folder / "model.onnx")
    assert refused(lambda: load(folder)).code == "bundle-mismatch"


@pytest.mark.parametrize("output", ["probabilities", "embedding"])
def test_an_output_is_missing(folder: Path, output: str) -> None:
    model = toy.sketch_model()
    kept = [info for info in model.graph.output if info.name != output]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    onnx.save(model, folder / "model.onnx")
    assert refused(lambda: load(folder)).code == "bundle-mismatch"


def test_a_model_that_is_no_model(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"nonsense")
    assert refused(lambda: load(folder)).code == "model-unreadable"
    (folder / "model.onnx").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert refused(lambda: load(folder)).code == "model-is-pointer"


@pytest.mark.parametrize(
    "arrays",
    [
        {"weights": np.zeros((5, 8), np.float32)},
        {"weights": np.zeros((4, 8), np.float32), "bias": np.zeros(4, np.float32)},
        {"weights": np.zeros((5, 7), np.float32), "bias": np.zeros(5, np.float32)},
        {"weights": np.zeros((5, 8), np.int64), "bias": np.zeros(5, np.float32)},
        {"weights": np.full((5, 8), np.nan, np.float32), "bias": np.zeros(5, np.float32)},
        {"weights": np.array([[None]], object), "bias": np.zeros(1, np.float32)},
    ],
)
def test_a_last_layer_that_does_not_fit(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(folder / "head.npz", **arrays)
    assert refused(lambda: load(folder)).code in ("bundle-file-invalid", "bundle-mismatch")


def test_a_last_layer_of_another_model_is_found_out(folder: Path) -> None:
    _, weights, bias = toy.sketch_weights()
    np.savez(folder / "head.npz", weights=weights[::-1], bias=bias)
    bundle = load(folder)
    assert refused(lambda: SketchRecogniser(bundle)).code == "bundle-mismatch"


# --- refitted


def refitted(folder: Path, words: int = 6, **changes: object) -> tuple[np.ndarray, np.ndarray]:
    """Give the toy a last layer of its own, with more words than its model has."""
    rng = np.random.default_rng(0)
    weights = (3 * rng.normal(size=(words, toy.SKETCH_DIMENSION))).astype(np.float32)
    bias = rng.normal(size=words).astype(np.float32)
    np.savez(folder / "head.npz", weights=weights, bias=bias)
    with (folder / "labels.csv").open("a", encoding="utf-8") as file:
        for index in range(len(toy.SKETCH_WORDS), words):
            file.write(f"{index},taught {index},,learnt\n")
    config = toy.sketch_config(words=words, refitted=True, **changes)
    (folder / "config.json").write_text(json.dumps(config))
    return weights, bias


def test_a_refitted_bundle_answers_by_its_last_layer(folder: Path) -> None:
    weights, bias = refitted(folder)
    bundle = load(folder)
    assert len(bundle.words) == 6 and bundle.words[5].kind == "learnt"
    prediction = SketchRecogniser(bundle).predict([LEVEL, UPRIGHT, CORNER, LEVEL, CORNER])
    for row, drawing in enumerate([LEVEL, UPRIGHT, CORNER]):
        _, embedding = reference(rasterise(drawing, 16, width=1.5, margin=1.0))
        powers = [
            math.exp(sum(e * float(w) for e, w in zip(embedding, line, strict=True)) + float(b))
            for line, b in zip(weights, bias, strict=True)
        ]
        expected = [power / sum(powers) for power in powers]
        np.testing.assert_allclose(prediction.probabilities[row], expected, atol=1e-4)
        np.testing.assert_allclose(prediction.embedding[row], embedding, atol=1e-5)
    alone = SketchRecogniser(bundle).predict([CORNER])
    np.testing.assert_allclose(alone.probabilities[0], prediction.probabilities[4], atol=1e-5)


def test_the_hash_of_a_refitted_bundle_covers_its_last_layer(folder: Path) -> None:
    before = load(folder)
    weights, bias = refitted(folder)
    bundle = load(folder)
    files = ("model.onnx", "labels.csv", "head.npz")
    content = b"".join((folder / name).read_bytes() for name in files)
    assert bundle.hash == hashlib.sha256(content).hexdigest()[:16]
    np.savez(folder / "head.npz", weights=weights, bias=bias + 1)
    other = load(folder)
    assert len({before.hash, bundle.hash, other.hash}) == 3
    # What was learnt from drawings holds for all of them.
    assert before.embedding_hash == bundle.embedding_hash == other.embedding_hash


def test_other_pictures_are_other_embeddings(folder: Path) -> None:
    before = load(folder)
    changed = {"name": "input", "size": 16, "raster": {"width": 2.5, "margin": 1.0}}
    (folder / "config.json").write_text(json.dumps(toy.sketch_config(input=changed)))
    assert load(folder).embedding_hash != before.embedding_hash


def test_a_refitted_bundle_needs_a_last_layer_for_all_its_words(folder: Path) -> None:
    weights, bias = refitted(folder)
    np.savez(folder / "head.npz", weights=weights[:5], bias=bias[:5])
    assert refused(lambda: load(folder)).code == "bundle-mismatch"
    (folder / "head.npz").unlink()
    error = refused(lambda: load(folder))
    assert (error.code, error.params["file"]) == ("bundle-file-missing", "head.npz")
    np.savez(folder / "head.npz", weights=weights[:, :7], bias=bias)
    assert refused(lambda: load(folder)).code == "bundle-mismatch"


def test_fewer_words_than_the_model_has_are_refused_even_if_refitted(folder: Path) -> None:
    rows = (folder / "labels.csv").read_text(encoding="utf-8").splitlines()
    (folder / "labels.csv").write_text("\n".join(rows[:5]), encoding="utf-8")
    np.savez(folder / "head.npz", weights=np.ones((4, 8), np.float32), bias=np.ones(4, np.float32))
    (folder / "config.json").write_text(json.dumps(toy.sketch_config(words=4, refitted=True)))
    assert refused(lambda: load(folder)).code == "bundle-mismatch"


# --- frozen test drawings


def test_frozen_drawings_are_kept_with_their_model(folder: Path) -> None:
    assert read_frozen(load(folder)) is None
    embedding = SketchRecogniser(load(folder)).predict([LEVEL, UPRIGHT, CORNER]).embedding
    write_frozen(folder, embedding, np.array([0, 1, 3]))
    with np.load(folder / "frozen.npz") as arrays:
        assert arrays["embedding"].dtype == np.float16 and arrays["labels"].dtype == np.int16
    frozen = read_frozen(load(folder))
    assert frozen is not None and frozen.labels.tolist() == [0, 1, 3]
    np.testing.assert_allclose(frozen.embedding, embedding, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(frozen.embedding, axis=1), 1, atol=1e-6)
    # Anchors and judges have no drawing in common, and leave none out.
    np.testing.assert_array_equal(frozen.anchors, frozen.embedding[[0, 2]])
    np.testing.assert_array_equal(frozen.judges.embedding, frozen.embedding[[1]])
    assert frozen.judges.labels.tolist() == [1]
    refitted(folder)  # the same model embeds them
    assert read_frozen(load(folder)) is not None


def test_frozen_drawings_of_another_model_are_refused(folder: Path) -> None:
    write_frozen(folder, np.eye(8)[:2], np.array([0, 1]))
    onnx.save(toy.sketch_model(batch=3), folder / "model.onnx")
    assert refused(lambda: read_frozen(load(folder))).code == "bundle-mismatch"


@pytest.mark.parametrize(
    "change",
    [
        {"labels": np.array([0, 5])},
        {"labels": np.array([-1, 0])},
        {"labels": np.array([0, 1, 2])},
        {"labels": np.array([0.0, 1.0])},
        {"embedding": np.eye(7)[:2]},
        {"embedding": np.full((2, 8), np.nan)},
        {"embedding": np.ones(8)},
        {"embedding": np.array([None, None])},
        {"embedding": None},
    ],
)
def test_frozen_drawings_that_do_not_fit(folder: Path, change: dict[str, object]) -> None:
    arrays = {"embedding": np.eye(8)[:2], "labels": np.array([0, 1])}
    arrays |= {"model": np.array(sketch_bundle.model_hash(folder)), **change}
    np.savez(folder / "frozen.npz", **{k: v for k, v in arrays.items() if v is not None})
    error = refused(lambda: read_frozen(load(folder)))
    assert (error.code, error.params["file"]) == ("bundle-file-invalid", "frozen.npz")
    (folder / "frozen.npz").write_bytes(b"PK\x03\x04torn")
    assert refused(lambda: read_frozen(load(folder))).code == "bundle-file-invalid"


def test_it_may_come_from_the_hub(toy_sketch_bundle: Path) -> None:
    asked = []

    def download(repository: str, revision: str | None) -> Path:
        asked.append((repository, revision))
        return toy_sketch_bundle

    assert load("hf:owner/name@v1", download=download).config.name == "toy-sketch"
    assert asked == [("owner/name", "v1")]
    assert set(sketch_bundle.FILES) >= {
        "model.onnx",
        "labels.csv",
        "config.json",
        "head.npz",
        "frozen.npz",
        "weights.npz",
    }


# --- the model


def test_answers_are_those_of_a_plain_loop(recogniser: SketchRecogniser) -> None:
    drawings = [LEVEL, UPRIGHT, CORNER]
    prediction = recogniser.predict(drawings)
    for row, drawing in enumerate(drawings):
        probabilities, embedding = reference(rasterise(drawing, 16, width=1.5, margin=1.0))
        np.testing.assert_allclose(prediction.probabilities[row], probabilities, atol=1e-5)
        np.testing.assert_allclose(prediction.embedding[row], embedding, atol=1e-5)
    assert recogniser.words[int(prediction.probabilities[0].argmax())].word == "level"
    assert recogniser.words[int(prediction.probabilities[1].argmax())].word == "upright"


def test_many_are_answered_as_each_by_itself(recogniser: SketchRecogniser) -> None:
    drawings = [LEVEL, UPRIGHT, CORNER] * (BATCH_SIZE // 2)
    many = recogniser.predict(drawings)
    assert many.probabilities.dtype == many.embedding.dtype == np.float32
    alone = recogniser.predict([drawings[-1]])
    np.testing.assert_allclose(many.probabilities[-1], alone.probabilities[0], atol=1e-6)
    none = recogniser.predict([])
    assert none.probabilities.shape == (0, 5) and none.embedding.shape == (0, 8)


def test_a_fixed_batch_is_filled_up(folder: Path, recogniser: SketchRecogniser) -> None:
    onnx.save(toy.sketch_model(batch=3), folder / "model.onnx")
    fixed = SketchRecogniser(load(folder))
    drawings = [LEVEL, UPRIGHT, CORNER, LEVEL]
    np.testing.assert_allclose(
        fixed.predict(drawings).probabilities, recogniser.predict(drawings).probabilities, atol=1e-6
    )


def test_the_order_of_the_ink_is_drawn_where_the_model_asks_for_it(folder: Path) -> None:
    onnx.save(toy.sketch_model(order=True), folder / "model.onnx")
    raster = {"width": 1.5, "margin": 1.0, "order": True}
    config = toy.sketch_config(input={"name": "input", "size": 16, "raster": raster})
    (folder / "config.json").write_text(json.dumps(config))
    assert SketchRecogniser(load(folder)).predict([LEVEL]).probabilities[0].argmax() == 0


def test_answers_that_are_no_probabilities_are_refused(folder: Path) -> None:
    onnx.save(toy.sketch_model(softmax=False), folder / "model.onnx")
    bundle = load(folder)
    assert refused(lambda: SketchRecogniser(bundle)).code == "bundle-mismatch"


def test_one_object_serves_many_threads(recogniser: SketchRecogniser) -> None:
    drawings = [LEVEL, UPRIGHT, CORNER]
    wanted = recogniser.predict(drawings).probabilities
    wrong: list[object] = []

    def work(which: int) -> None:
        for _ in range(20):
            got = recogniser.predict([drawings[which]]).probabilities[0]
            if not np.allclose(got, wanted[which], atol=1e-6):
                wrong.append(got)

    threads = [threading.Thread(target=work, args=(i % 3,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
