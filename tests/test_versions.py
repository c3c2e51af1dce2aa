"""Versions on the disk: listed, opened, exchanged, and what happens to what is torn or foreign."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest

from tagger.errors import BundleError, RequestError
from tagger.sketch_bundle import SketchBundle
from tagger.versions import SHIPPED, Version, Versions, read_json, write_json


@pytest.fixture
def versions(tmp_path: Path, toy_sketch_bundle: Path) -> Versions:
    return Versions(tmp_path / "recognisers", toy_sketch_bundle)


def add(versions: Versions, bundle: Path, id: str, created: int = 1, kind: str = "refit") -> None:
    candidate = Path(shutil.copytree(bundle, versions.folder.parent / f"candidate-{id}"))
    versions.add(candidate, id, kind, created=created, run=f"run-{id}")  # type: ignore[arg-type]
    assert not candidate.exists()


def whole(bundle: SketchBundle) -> Path:
    return bundle.path


def test_without_a_folder_there_is_the_shipped_one(
    versions: Versions, toy_sketch_bundle: Path
) -> None:
    created = (toy_sketch_bundle / "config.json").stat().st_mtime_ns // 1_000_000
    assert versions.known() == (Version(SHIPPED, "toy-sketch 1.0", created, "shipped", None, 5),)
    assert versions.chain() == (SHIPPED,) and versions.stamp() is None
    assert versions.open_current(whole) == (SHIPPED, toy_sketch_bundle)
    assert not versions.folder.exists()


def test_versions_are_listed_newest_first(versions: Versions, toy_sketch_bundle: Path) -> None:
    add(versions, toy_sketch_bundle, "old", 1000)
    add(versions, toy_sketch_bundle, "new", 2000, "tuning")
    new, old, shipped = versions.known()
    assert new == Version("new", "toy-sketch 1.0", 2000, "tuning", "run-new", 5)
    assert (old.id, old.kind, old.created) == ("old", "refit", 1000)
    assert shipped.id == SHIPPED
    assert versions.load("new").path == versions.folder / "new"
    assert json.dumps(new.to_dict())


def test_whatever_else_lies_there_is_passed_over(
    versions: Versions, toy_sketch_bundle: Path, toy_bundle: Path
) -> None:
    add(versions, toy_sketch_bundle, "good")
    folder = versions.folder
    (folder / "a file").write_text("x")
    (folder / "empty").mkdir()
    shutil.copytree(toy_bundle, folder / "tagger")
    shutil.copytree(toy_sketch_bundle, folder / "no-config")
    (folder / "no-config" / "config.json").write_text("{")
    shutil.copytree(toy_sketch_bundle, folder / "no-words")
    (folder / "no-words" / "labels.csv").write_bytes(b"\xff")
    shutil.copytree(toy_sketch_bundle, folder / ".hidden")
    shutil.copytree(toy_sketch_bundle, folder / SHIPPED)
    shutil.copytree(toy_sketch_bundle, folder / "by-hand")
    assert {version.id for version in versions.known()} == {"good", "by-hand", SHIPPED}
    by_hand = next(version for version in versions.known() if version.id == "by-hand")
    assert (by_hand.kind, by_hand.run, by_hand.words) == ("tuning", None, 5)
    assert by_hand.created > 0
    assert versions.load(SHIPPED).path == toy_sketch_bundle


@pytest.mark.parametrize("id", ["nothing", "", ".", "..", "../candidate", "a/b", "x" * 65, "a b"])
def test_a_version_that_is_not_there(versions: Versions, id: str) -> None:
    with pytest.raises(RequestError) as caught:
        versions.load(id)
    assert caught.value.code == "tuning-version-not-found"
    versions.remove(id)
    assert versions.folder.parent.is_dir()


def test_the_current_one_is_opened(versions: Versions, toy_sketch_bundle: Path) -> None:
    add(versions, toy_sketch_bundle, "one")
    add(versions, toy_sketch_bundle, "two")
    stamps = [versions.stamp()]
    for chain in ([SHIPPED, "one"], [SHIPPED, "one", "two"], [SHIPPED]):
        versions.write_chain(chain)
        stamps.append(versions.stamp())
        assert versions.chain() == tuple(chain)
        assert versions.open_current(whole)[0] == chain[-1]
    assert len(set(stamps)) == len(stamps)
    versions.write_chain([str(i) for i in range(1000)])
    assert len(versions.chain()) == 51 and versions.chain()[-1] == "999"


@pytest.mark.parametrize("damage", ["deleted", "torn", "refused"])
def test_if_it_cannot_be_opened_the_one_before_is(
    versions: Versions, toy_sketch_bundle: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    for id in ("one", "two"):
        add(versions, toy_sketch_bundle, id)
    versions.write_chain([SHIPPED, "one", "two"])
    opened = []

    def open_it(bundle: SketchBundle) -> Path:
        opened.append(bundle.path.name)
        if damage == "refused" and bundle.path.name == "two":
            raise BundleError("model-unreadable", file="model.onnx")
        return bundle.path

    if damage == "deleted":
        versions.remove("two")
    if damage == "torn":
        (versions.folder / "two" / "model.onnx").write_bytes(b"torn")
    with caplog.at_level(logging.WARNING, "tagger.versions"):
        assert versions.open_current(open_it)[0] == "one"
    assert len(caplog.records) == 1 and "two" in caplog.text
    versions.remove("one")
    assert versions.open_current(open_it)[0] == SHIPPED
    assert versions.chain()[-1] == "two"  # it may come back


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"current": 3}', '{"current": "../x"}', '{"history": 3}']
)
def test_a_torn_note_of_the_current_one(
    versions: Versions, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    versions.folder.mkdir()
    (versions.folder / "current.json").write_text(content)
    with caplog.at_level(logging.WARNING, "tagger.versions"):
        assert versions.open_current(whole)[0] == SHIPPED
    assert "current.json" in caplog.text


def test_what_of_the_history_is_no_id_is_passed_over(versions: Versions) -> None:
    versions.folder.mkdir()
    said = {"current": "b", "history": ["a", None, 3, "../c", {}, "shipped"]}
    (versions.folder / "current.json").write_text(json.dumps(said))
    assert versions.chain() == ("a", "shipped", "b")


def test_a_shipped_one_that_is_gone_is_said(tmp_path: Path) -> None:
    versions = Versions(tmp_path / "recognisers", tmp_path / "nothing")
    with pytest.raises(BundleError):
        versions.open_current(whole)
    assert [version.id for version in versions.known()] == [SHIPPED]


def test_a_file_is_whole_at_any_time(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"one": "一"})
    with pytest.raises(TypeError):
        write_json(path, {"two": object()})
    assert read_json(path) == {"one": "一"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]
    with pytest.raises(OSError):
        write_json(tmp_path / "no folder" / "a.json", {})
