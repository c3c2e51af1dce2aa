"""Galleries in folders: they come back as they were, or are refused with a reason."""

from __future__ import annotations

import io
import json
import random
import shutil
import threading
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tagger.atlas import read_atlas
from tagger.errors import GalleryError
from tagger.gallery import SIDE, entry_of, make_picture, open_gallery, write_gallery
from tests.gallery import made

FILES = ("gallery.json", "pictures.index", "tags.npz", "map.npz", "pictures-000.zip")


def code(folder: Path, **options: Any) -> str:
    with pytest.raises(GalleryError) as error:
        open_gallery(folder, **options)
    return error.value.code


def test_a_gallery_comes_back(tmp_path: Path) -> None:
    whole = made.write(tmp_path, credits="Everybody")
    gallery = open_gallery(tmp_path, model=made.MODEL, tags=made.TAGS)
    assert (gallery.name, gallery.licence, gallery.credits) == ("Made", "CC0", "Everybody")
    assert len(gallery) == len(gallery.pictures) == 30
    for n, entry in enumerate(whole):
        assert gallery.id(n) == entry.id and gallery.number_of[entry.id] == n
        assert gallery.metadata(n) == entry.metadata
        assert gallery.embeddings[n] == pytest.approx(entry.embedding, abs=1e-3)
        assert dict(gallery.predicted.of(n)) == dict(entry.predicted)
        assert [tag for tag, _ in gallery.labels.of(n)] == sorted(entry.labels)
        assert bool(gallery.given[n]) == entry.given
        assert gallery.pictures.get(n) == entry.picture
    expected = read_atlas(tmp_path / "map.npz")
    assert gallery.atlas is not None
    assert np.array_equal(gallery.atlas.positions, expected.positions)
    nearest = gallery.index.lookup(whole[7].embedding, 1)[0]
    assert nearest.item.id == whole[7].id
    for n in (-1, 30):
        with pytest.raises(IndexError):
            gallery.pictures.get(n)


def test_the_same_pictures_make_the_same_bytes_and_the_same_hash(tmp_path: Path) -> None:
    for name in "ab":
        made.write(tmp_path / name)
    first, second = (open_gallery(tmp_path / name) for name in "ab")
    assert first.hash == second.hash
    for name in FILES[:2]:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("change", ["label", "title", "picture", "map"])
def test_any_change_changes_the_hash(tmp_path: Path, change: str) -> None:
    whole = made.write(tmp_path)
    before = open_gallery(tmp_path).hash
    if change == "map":
        (tmp_path / "map.npz").unlink()
    else:
        new = {"label": {"labels": [5, 6]}, "title": {"metadata": {"title": "x"}}}
        fields = {**vars(whole[4]), **new.get(change, {"picture": made.webp(200)})}
        whole[4] = type(whole[4])(**fields)
        write_gallery(tmp_path, whole, name="Made", model=made.MODEL, dimension=6, tags=made.TAGS)
    assert open_gallery(tmp_path).hash != before


def test_many_pictures_lie_in_several_files_none_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tagger.gallery.pictures.PACK_BYTES", 2000)
    whole = made.write(tmp_path, pictures="../elsewhere")
    packs = sorted((tmp_path.parent / "elsewhere").glob("pictures-*.zip"))
    assert len(packs) > 2 and all(pack.stat().st_size <= 2000 for pack in packs)
    gallery = open_gallery(tmp_path)
    assert [gallery.pictures.get(n) for n in range(30)] == [entry.picture for entry in whole]
    # A smaller one takes the files of the larger away.
    made.write(tmp_path, 3, pictures="../elsewhere")
    assert len(open_gallery(tmp_path)) == 3
    assert len(sorted((tmp_path.parent / "elsewhere").glob("pictures-*.zip"))) == 1


def test_pictures_can_be_had_from_many_threads(tmp_path: Path) -> None:
    whole = made.write(tmp_path)
    gallery = open_gallery(tmp_path)
    wrong: list[int] = []

    def look(seed: int) -> None:
        order = random.Random(seed)
        for _ in range(200):
            n = order.randrange(30)
            if gallery.pictures.get(n) != whole[n].picture:
                wrong.append(n)

    threads = [threading.Thread(target=look, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_picture_of_a_gallery_goes_into_another(tmp_path: Path) -> None:
    whole = made.write(tmp_path / "a")
    gallery = open_gallery(tmp_path / "a")
    picked = [entry_of(gallery, n) for n in (4, 9)]
    options = {"name": "B", "model": made.MODEL, "dimension": 6, "tags": made.TAGS}
    write_gallery(tmp_path / "b", picked, **options)
    copy = open_gallery(tmp_path / "b")
    assert [copy.id(n) for n in (0, 1)] == [whole[4].id, whole[9].id]
    # Not rounded a second time.
    kept = gallery.index.snapshot().vectors[[4, 9]]
    assert np.array_equal(copy.index.snapshot().vectors[:2], kept)


def test_pictures_are_made_small() -> None:
    rgb = np.zeros((300, 900, 3), np.uint8)
    image = Image.open(io.BytesIO(make_picture(rgb)))
    assert image.format == "WEBP" and image.size == (SIDE, 53)
    assert Image.open(io.BytesIO(make_picture(rgb[:5, :9]))).size == (9, 5)


# --- refused -------------------------------------------------------------------------------------


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    assert code(tmp_path) == code(tmp_path / "no") == "gallery-not-found"


def test_a_gallery_of_another_model_is_refused(tmp_path: Path) -> None:
    made.write(tmp_path)
    assert code(tmp_path, model="other") == "gallery-foreign"
    assert code(tmp_path, model=made.MODEL, tags=8) == "gallery-damaged"
    for language, words in (("en", "another model"), ("ja", "別のモデル")):
        assert words in GalleryError("gallery-foreign").message(language)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_breaks_off_or_is_changed_is_refused(tmp_path: Path, name: str) -> None:
    made.write(tmp_path / "whole")
    bytes_ = (tmp_path / "whole" / name).read_bytes()
    draw = random.Random(name)
    expected = open_gallery(tmp_path / "whole").hash
    for turn in range(25):
        copy = tmp_path / f"{turn}"
        shutil.copytree(tmp_path / "whole", copy)
        if turn % 2:
            data = bytes_[: draw.randrange(len(bytes_))]
        else:
            at = draw.randrange(len(bytes_))
            data = bytes_[:at] + bytes([bytes_[at] ^ (1 << draw.randrange(8))]) + bytes_[at + 1 :]
        (copy / name).write_bytes(data)
        try:
            gallery = open_gallery(copy)
            pictures = [gallery.pictures.get(n) for n in range(len(gallery))]
        except GalleryError as error:
            assert error.code in ("gallery-damaged", "gallery-too-new")
            continue
        # Nothing that is shown can have changed unseen: a date or the name of the gallery.
        assert pictures == [entry.picture for entry in made.entries()]
        assert gallery.hash != expected or name == "pictures-000.zip"


@pytest.mark.parametrize("name", FILES)
def test_files_of_two_galleries_do_not_go_together(tmp_path: Path, name: str) -> None:
    made.write(tmp_path / "a")
    made.write(tmp_path / "b", 29)
    shutil.copy(tmp_path / "b" / name, tmp_path / "a" / name)
    assert code(tmp_path / "a") == "gallery-damaged"


@pytest.mark.parametrize("name", [name for name in FILES if name not in ("map.npz", FILES[0])])
def test_a_file_that_is_missing_is_said(tmp_path: Path, name: str) -> None:
    made.write(tmp_path)
    (tmp_path / name).unlink()
    assert code(tmp_path) == "gallery-damaged"


@pytest.mark.parametrize(
    "changed",
    [
        {"format": "index"},
        {"format_version": 0},
        {"format_version": "1"},
        {"count": -1},
        {"count": True},
        {"count": 31},
        {"count": 10**12},
        {"name": 5},
        {"model": None},
        {"embeddings": "0" * 64},
        {"picture_sums": "0" * 64},
        {"packs": "1"},
        {"pictures": "/etc"},
        {"pictures": "C:\\pictures"},
        {"pictures": "no/such/folder"},
        {"pictures": "a\0b"},
    ],
)
def test_what_gallery_json_says_is_compared(tmp_path: Path, changed: dict[str, Any]) -> None:
    made.write(tmp_path)
    path = tmp_path / "gallery.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    assert code(tmp_path) == "gallery-damaged"


def test_a_gallery_of_a_later_version_is_told_apart(tmp_path: Path) -> None:
    made.write(tmp_path)
    path = tmp_path / "gallery.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 2}))
    assert code(tmp_path) == "gallery-too-new"


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"format": "gallery"}', "\xff"])
def test_another_file_by_that_name_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "gallery.json").write_text(text, encoding="latin-1")
    assert code(tmp_path) == "gallery-damaged"


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("trick", ["packed", "number", "path", "twice", "html", "huge", "far"])
def test_packs_hold_nothing_but_the_pictures(tmp_path: Path, trick: str) -> None:
    made.write(tmp_path)
    path = tmp_path / "pictures-000.zip"
    with zipfile.ZipFile(path) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    name, data = members[3]
    members[3] = {
        "number": ("77.webp", data),
        "path": ("../3.webp", data),
        "twice": ("2.webp", data),
        "html": (name, b"<script>alert(1)</script>"),
        "huge": (name, data + b"\0" * 300_000),
    }.get(trick, (name, data))
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members:
            packed = zipfile.ZIP_DEFLATED if trick == "packed" else zipfile.ZIP_STORED
            archive.writestr(name, data, packed)
    if trick == "far":  # the directory says that the last one lies beyond the file
        whole = bytearray(path.read_bytes())
        at = whole.rindex(b"PK\x01\x02") + 42
        whole[at : at + 4] = (2**32 - 16).to_bytes(4, "little")
        path.write_bytes(whole)
    assert code(tmp_path) == "gallery-damaged"


def test_a_pack_that_changes_while_it_is_open_gives_no_wrong_picture(tmp_path: Path) -> None:
    made.write(tmp_path)
    gallery = open_gallery(tmp_path)
    path = tmp_path / "pictures-000.zip"
    with path.open("r+b") as file:
        file.truncate(200)
    with pytest.raises(GalleryError) as error:
        gallery.pictures.get(29)
    assert error.value.code == "gallery-damaged"


def test_only_small_webp_pictures_go_in(tmp_path: Path) -> None:
    whole = made.entries(2)
    for data in (b"", b"RIFF\0\0\0\0WEBP", made.webp(0) + b"x", b"\x89PNG"):
        bad = type(whole[0])(**{**vars(whole[0]), "picture": data})
        options = {"name": "B", "model": made.MODEL, "dimension": 6, "tags": made.TAGS}
        with pytest.raises(ValueError, match="small picture"):
            write_gallery(tmp_path, [bad], **options)
    assert not (tmp_path / "gallery.json").exists()
