"""Bundles: three forms in, and every way in which a folder can be no bundle."""

from __future__ import annotations

import builtins
import hashlib
import json
import os
import shutil
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tagger import bundles
from tagger.bundles import parse_hub_ref
from tagger.errors import BundleError
from tagger.onnxfile import OnnxFormatError, read_header
from tests import hub, toy


@pytest.fixture
def folder(tmp_path: Path, toy_bundle: Path) -> Path:
    """A copy of the toy that a test may spoil."""
    return Path(shutil.copytree(toy_bundle, tmp_path / "toy"))


def refused(ref: str | Path, **arguments: Any) -> BundleError:
    with pytest.raises(BundleError) as caught:
        bundles.load(ref, **arguments)
    error = caught.value
    assert error.message("en") != error.message("ja")
    return error


def rewrite(folder: Path, change: Callable[[onnx.ModelProto], None]) -> None:
    model = onnx.load(folder / "model.onnx")
    change(model)
    (folder / "model.onnx").write_bytes(model.SerializeToString())


# --- the three forms


def test_our_form_is_read_in_full(toy_bundle: Path) -> None:
    bundle = bundles.load(toy_bundle)
    assert (bundle.config.name, bundle.config.version) == ("toy", "1.0")
    assert (bundle.config.input.size, bundle.config.default_top) == (toy.SIZE, 10)
    assert [tag.name for tag in bundle.tags] == toy.NAMES
    assert bundle.metrics["map"] == 0.5
    assert bundle.input_name == "input"
    names = bundle.output_names
    assert (names.probabilities, names.embedding, names.features) == (
        "probabilities",
        "embedding",
        "features",
    )
    assert bundle.fixed_batch is None
    assert bundle.model_path == toy_bundle / "model.onnx"
    assert bundle.tags_path == toy_bundle / "selected_tags.csv"


def test_the_hash_covers_model_and_tags_and_nothing_else(folder: Path) -> None:
    before = bundles.load(folder).hash
    content = (folder / "model.onnx").read_bytes() + (folder / "selected_tags.csv").read_bytes()
    assert before == hashlib.sha256(content).hexdigest()[:16]
    (folder / "README.md").write_text("another")
    assert bundles.load(folder).hash == before
    with (folder / "selected_tags.csv").open("a") as file:
        file.write("\n")
    assert bundles.load(folder).hash != before


def test_a_plain_wd_folder_is_read(tmp_path: Path) -> None:
    bundle = bundles.load(toy.make_wd_bundle(tmp_path / "wd-toy"))
    assert bundle.config.name == "wd-toy"
    assert bundle.config.input == bundles.InputSpec(size=toy.SIZE)
    assert bundle.output_names == bundles.OutputNames("probabilities")
    assert bundle.tags[0].threshold is None


def test_a_wd_folder_keeps_its_own_order_of_rows(tmp_path: Path) -> None:
    folder = toy.make_wd_bundle(tmp_path / "wd")
    rows = (folder / "selected_tags.csv").read_text(encoding="utf-8").splitlines()
    (folder / "selected_tags.csv").write_text("\n".join([rows[0], *reversed(rows[1:])]))
    assert [tag.name for tag in bundles.load(folder).tags] == toy.NAMES[::-1]


def test_the_deepghs_form_is_read(tmp_path: Path) -> None:
    bundle = bundles.load(toy.make_deepghs_bundle(tmp_path / "dg"))
    spec = bundle.config.input
    assert (spec.size, spec.layout, spec.color, spec.range) == (toy.SIZE, "NCHW", "RGB", (0, 1))
    assert bundle.output_names.probabilities == "prediction"
    assert bundle.output_names.embedding == "embedding"
    # The first row of a category counts, as the form has it.
    assert {(tag.group, tag.threshold) for tag in bundle.tags} == {("everything", 0.4)}


def test_a_config_of_another_program_does_not_hide_a_wd_folder(tmp_path: Path) -> None:
    folder = toy.make_wd_bundle(tmp_path / "wd")
    timm = {"architecture": "vit", "num_classes": 3, "pretrained_cfg": {"input_size": [3, 9, 9]}}
    (folder / "config.json").write_text(json.dumps(timm))
    assert bundles.load(folder).config.input.size == toy.SIZE


@pytest.mark.parametrize(
    "stages",
    [
        None,
        {"type": "resize"},
        [1],
        [],
        [{"type": "resize", "size": 32}],
        [{"type": "pad_to_size", "size": [32, 16]}],
        [{"type": "pad_to_size", "size": 32, "background_color": "black"}],
        [{"type": "pad_to_size", "size": 32}, {"type": "center_crop", "size": 16}],
        [{"type": "pad_to_size", "size": 32}, {"type": "swirl"}],
        [{"type": "pad_to_size", "size": 32}, {"type": "normalize", "mean": [0], "std": [0]}],
        [{"type": "pad_to_size", "size": 32}, {"type": "normalize", "mean": "x", "std": [1]}],
        [{"type": "pad_to_size", "size": 1e9}],
    ],
)
def test_steps_that_are_not_ours_to_take_are_refused(tmp_path: Path, stages: object) -> None:
    folder = toy.make_deepghs_bundle(tmp_path / "dg")
    (folder / "preprocess.json").write_text(json.dumps({"test": stages}))
    error = refused(folder)
    assert error.code == "bundle-file-invalid"
    assert error.params["file"] == "preprocess.json"


# --- folders that are no bundle


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert refused(tmp_path / "nothing").code == "bundle-not-found"
    (tmp_path / "file").write_text("x")
    assert refused(tmp_path / "file").code == "bundle-not-found"


@pytest.mark.parametrize("name", ["model.onnx", "selected_tags.csv"])
def test_a_file_is_missing(folder: Path, name: str) -> None:
    (folder / name).unlink()
    error = refused(folder)
    assert (error.code, error.params) == ("bundle-file-missing", {"file": name})


@pytest.mark.parametrize("name", ["config.json", "metrics.json"])
@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", b"null", b'{"a": ' * 100_000, b'{"task": 3']
)
def test_a_description_is_torn(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    error = refused(folder)
    assert error.code == "bundle-file-invalid"
    assert error.params["file"] == name


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"task": "sketch-recognition"}, "bundle-wrong-task"),
        ({"format_version": 2}, "bundle-too-new"),
        ({"name": ""}, "bundle-file-invalid"),
        ({"input": {}}, "bundle-file-invalid"),
        ({"input": {"size": 32, "color": "CMYK"}}, "bundle-file-invalid"),
        ({"input": {"size": 32, "layout": "NCHW"}}, "bundle-mismatch"),
        ({"input": {"size": 64}}, "bundle-mismatch"),
        ({"input": {"size": 32, "name": "picture"}}, "bundle-mismatch"),
        ({"outputs": [{"name": "logits"}]}, "bundle-mismatch"),
        ({"tags": 25}, "bundle-mismatch"),
        ({"default_top": 0}, "bundle-file-invalid"),
    ],
)
def test_a_configuration_that_does_not_fit(
    folder: Path, change: dict[str, object], code: str
) -> None:
    (folder / "config.json").write_text(json.dumps(toy.config(**change)))
    assert refused(folder).code == code


def test_tags_and_outputs_differ_in_number(folder: Path) -> None:
    lines = (folder / "selected_tags.csv").read_text(encoding="utf-8").splitlines()
    (folder / "selected_tags.csv").write_text("\n".join(lines[:-1]), encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(toy.config(tags=None)))
    assert refused(folder).code == "bundle-mismatch"


def test_a_model_file_is_a_pointer(folder: Path) -> None:
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    (folder / "model.onnx").write_text(text)
    assert refused(folder).code == "model-is-pointer"


def test_a_model_torn_anywhere_is_refused_before_native_code_sees_it(folder: Path) -> None:
    whole = (folder / "model.onnx").read_bytes()
    for length in range(0, len(whole), 7):
        (folder / "model.onnx").write_bytes(whole[:length])
        assert refused(folder).code in {"model-unreadable", "bundle-mismatch"}, length


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04zip", b"\x00" * 64, b"<html>" * 9])
def test_a_model_file_is_something_else(folder: Path, content: bytes) -> None:
    (folder / "model.onnx").write_bytes(content)
    assert refused(folder).code == "model-unreadable"


def test_a_graph_that_cannot_run_is_refused_when_it_is_opened(folder: Path) -> None:
    def unknown(model: onnx.ModelProto) -> None:
        model.graph.node[1].op_type = "NoSuchOperator"

    rewrite(folder, unknown)
    with pytest.raises(BundleError) as caught:
        bundles.load(folder).open_session(1)
    assert caught.value.code == "model-unreadable"


def test_nothing_of_the_machine_is_told(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"")
    error = refused(folder)
    for lang in ("en", "ja"):
        assert str(folder) not in error.message(lang)


# --- weights in other files


def externally(model: onnx.ModelProto, location: str, where: str) -> None:
    """Say that a tensor of the model lies in another file."""
    tensor = numpy_helper.from_array(np.ones((1, 3), np.float32), "outside")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": "12"}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    if where == "initializer":
        model.graph.initializer.append(tensor)
    elif where == "constant":
        model.graph.node.append(helper.make_node("Constant", [], ["outside"], value=tensor))
    elif where == "branch":
        out = helper.make_tensor_value_info("o", TensorProto.FLOAT, None)
        node = helper.make_node("Identity", ["outside"], ["o"])
        branch = helper.make_graph([node], "b", [], [out], [tensor])
        choice = helper.make_node("If", ["c"], ["i"], then_branch=branch, else_branch=branch)
        model.graph.node.append(choice)
    elif where == "sparse":
        sparse = model.graph.sparse_initializer.add()
        sparse.values.CopyFrom(tensor)
    elif where == "function":
        node = helper.make_node("Constant", [], ["outside"], value=tensor)
        function = helper.make_function("d", "f", [], ["outside"], [node], [])
        model.functions.append(function)
    else:
        model.training_info.add().initialization.initializer.append(tensor)


PLACES = ["initializer", "constant", "branch", "sparse", "function", "training"]


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "/etc/hostname", ""])
def test_weights_in_another_file_are_never_followed(
    folder: Path, where: str, location: str
) -> None:
    (folder / "weights.bin").write_bytes(bytes(12))
    rewrite(folder, lambda model: externally(model, location, where))
    assert read_header(folder / "model.onnx").external_files
    assert refused(folder).code == "model-external-data"


def test_the_reader_of_model_files_agrees_with_the_onnx_package(tmp_path: Path) -> None:
    for wd in (False, True):
        for layout in ("NHWC", "NCHW"):
            for batch in ("N", 4):
                path = tmp_path / "m.onnx"
                onnx.save(toy.toy_model(layout=layout, batch=batch, wd=wd), path)
                graph, header = onnx.load(path).graph, read_header(path)
                for values, infos in ((graph.input, header.inputs), (graph.output, header.outputs)):
                    assert [
                        (
                            value.name,
                            value.type.tensor_type.elem_type,
                            tuple(
                                d.dim_value if d.HasField("dim_value") else None
                                for d in value.type.tensor_type.shape.dim
                            ),
                        )
                        for value in values
                    ] == [(info.name, info.element, info.shape) for info in infos]


def test_old_files_list_weights_among_the_inputs(folder: Path) -> None:
    def old(model: onnx.ModelProto) -> None:
        info = helper.make_tensor_value_info("scale", TensorProto.FLOAT, [1])
        model.graph.input.append(info)

    rewrite(folder, old)
    assert [info.name for info in read_header(folder / "model.onnx").inputs] == ["input"]


def test_graphs_nested_without_end_are_refused(tmp_path: Path) -> None:
    def message(number: int, content: bytes) -> bytes:
        length, size = len(content), b""
        while length > 127:
            size += bytes([length & 127 | 128])
            length >>= 7
        return bytes([number << 3 | 2]) + size + bytes([length]) + content

    graph = b""
    for _ in range(2000):
        graph = message(1, message(5, message(6, graph)))  # node, attribute, graph
    (tmp_path / "deep.onnx").write_bytes(message(7, graph))
    with pytest.raises(OnnxFormatError):
        read_header(tmp_path / "deep.onnx")


@settings(max_examples=200)
@given(st.binary(max_size=200), st.integers(0, 3000))
def test_no_bytes_upset_the_reader_of_model_files(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, place: int
) -> None:
    whole = toy.toy_model().SerializeToString()
    path = tmp_path_factory.getbasetemp() / "noise.onnx"
    for content in (noise, whole[:place] + noise + whole[place + len(noise) :]):
        path.write_bytes(content)
        try:
            header = read_header(path)
        except OnnxFormatError:
            continue
        assert header.inputs is not None


# --- the Hub


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        ("hf:owner/name", ("owner/name", None)),
        ("hf:owner/name@v1.0", ("owner/name", "v1.0")),
        ("hf:Some-Owner/a.b_c@refs/pr/1", ("Some-Owner/a.b_c", "refs/pr/1")),
    ],
)
def test_references_to_the_hub(ref: str, expected: tuple[str, str | None]) -> None:
    assert parse_hub_ref(ref) == expected


@pytest.mark.parametrize(
    "ref",
    ["hf:", "hf:name", "hf:a/b/c", "hf:../x", "hf:a/b@", "hf:a/b@x y", "hf:a/b@v1\n", "hf: a/b"],
)
def test_references_that_are_none(ref: str) -> None:
    assert refused(ref, download=pytest.fail).code == "bundle-bad-reference"


def test_a_bundle_of_the_hub_is_named_by_repository_and_revision(
    tmp_path: Path, toy_bundle: Path
) -> None:
    asked: list[tuple[str, str | None]] = []

    def download(repository: str, revision: str | None) -> Path:
        asked.append((repository, revision))
        # As in the Hub's cache: a folder named by the commit, of links to the files.
        commit = tmp_path / "snapshots" / "abc123"
        if not commit.exists():
            commit.mkdir(parents=True)
            wd = toy.make_wd_bundle(tmp_path / "blobs")
            for file in wd.iterdir():
                (commit / file.name).symlink_to(file)
        return commit

    bundle = bundles.load("hf:owner/name@v2", download=download)
    assert (bundle.config.name, bundle.config.version) == ("owner/name", "v2")
    bundle = bundles.load("hf:owner/name", download=download)
    assert (bundle.config.name, bundle.config.version) == ("owner/name", "abc123")
    assert asked == [("owner/name", "v2"), ("owner/name", None)]
    # A bundle of our own form says itself who it is.
    assert bundles.load("hf:o/n", download=lambda *_: toy_bundle).config.name == "toy"


def test_the_hub_library_is_asked_for_the_few_files_of_a_bundle(
    monkeypatch: pytest.MonkeyPatch, toy_bundle: Path
) -> None:
    calls: list[tuple[tuple[str, ...], dict[str, Any]]] = []

    def snapshot_download(*names: str, **options: Any) -> str:
        calls.append((names, options))
        return str(toy_bundle)

    stand_in = types.ModuleType("huggingface_hub")
    stand_in.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", stand_in)
    assert bundles.load("hf:owner/name@v1").path == toy_bundle
    (names, options) = calls[0]
    assert names == ("owner/name",)
    assert options["revision"] == "v1"
    assert set(options["allow_patterns"]) == set(bundles.HUB_FILES)


LOADING = """
import sys
from tagger import bundles
from tagger.errors import BundleError
try:
    bundle = bundles.load(sys.argv[1])
    print(bundle.config.name, bundle.config.version, len(bundle.tags), bundle.hash)
except BundleError as error:
    print(error.code)
"""


def load_from_hub(ref: str, endpoint: str, home: Path) -> str:
    """Load in a process of its own: the Hub's library reads its settings when it is imported."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "TAGGER_"))}
    hub_settings = {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
    }
    ran = subprocess.run(
        [sys.executable, "-c", LOADING, ref],
        cwd=Path(bundles.__file__).parents[1],
        env={**kept, **hub_settings},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.strip()


def test_a_bundle_is_downloaded_once_and_then_taken_from_the_cache(
    tmp_path: Path, toy_bundle: Path
) -> None:
    source = tmp_path / "source"
    toy.make_wd_bundle(source)
    (source / "huge.safetensors").write_bytes(bytes(100))
    expected = f"owner/name v1 {len(toy.TAGS)} {bundles.bundle_hash(source)}"
    home = tmp_path / "home"
    with hub.serving(source) as (endpoint, asked):
        assert load_from_hub("hf:owner/name@v1", endpoint, home) == expected
        assert any(path.endswith("/model.onnx") for path in asked)
        assert not any(path.endswith(".safetensors") for path in asked)
        assert load_from_hub("hf:owner/other@v1", endpoint, home) == "bundle-download-failed"
    # The server is gone; what was fetched is still there.
    assert load_from_hub("hf:owner/name@v1", endpoint, home) == expected


def test_without_network_the_error_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    # Nothing answers on the discard port; the cache is empty.
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    error = refused("hf:owner/name@v1")
    assert error.code == "bundle-download-failed"
    assert "owner/name" in str(error)
    assert str(tmp_path) not in str(error)


def test_without_the_hub_library_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("huggingface_hub"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    error = refused("hf:owner/name")
    assert error.code == "hub-not-installed"
    assert "pip install" in str(error)


# --- sessions


def test_a_session_runs_on_the_cpu_with_threads_that_sleep(toy_bundle: Path) -> None:
    session = bundles.load(toy_bundle).open_session(2)
    options = session.get_session_options()
    assert session.get_providers() == ["CPUExecutionProvider"]
    assert options.intra_op_num_threads == 2
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_the_shipped_bundle_is_sound(real_bundle: Path) -> None:
    bundle = bundles.load(real_bundle)
    assert len(bundle.tags) >= 250
    assert bundle.output_names.embedding == "embedding"
    assert bundle.output_names.features == "features"
    assert bundle.config.licence
    assert bundle.metrics
    assert os.path.getsize(bundle.model_path) < 10_000_000
    assert all(tag.name_ja and tag.group and tag.threshold is not None for tag in bundle.tags)
