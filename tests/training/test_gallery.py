"""The gallery: what is chosen, what it is called, and the whole of it on made pictures."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tagger.gallery import Gallery, open_gallery
from tagger.training import cli
from tagger.training.pipelines.gallery import choosing, titles
from tests import toy
from tests.training import made

# --- titles --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "id", "author", "expected"),
    [
        (
            "Ayres Rock Australia",
            "geography/ayers_rock_ganson",
            "Gerald G.",
            "Ayres Rock Australia",
        ),
        ("Clipart by Nicu Buculei - head1", "people/buddy02", "Nicu Buculei", "Buddy"),
        ("Various Cliparts", "x/foglie_verdi", "Architetto Francesco Rollandin", "Foglie verdi"),
        ("", "x/orso_architetto_francesc_02", "Architetto Francesco Rollandin", "Orso"),
        ("AIGA_Symbol_Signs", "x/aiga_escalator_down_", "Jean-Victor Balin", "Escalator down"),
        ("hat - clothing", "x/hat1", "A", "Hat"),
        ("AfricanDrum1", "x/a", "A", "African Drum"),
        ("Elefante01", "x/a", "A", "Elefante"),
        ("Leone 02", "x/a", "A", "Leone"),
        ("Gelato all&amp;#39;italiana", "x/a", "A", "Gelato all'italiana"),
        ("Switch Cisco 6500", "x/a", "A", "Switch Cisco 6500"),
        ("Jean Vic", "x/arki_arrow_left_jean_vic_", "Jean Vic", "Arrow left"),
        ("", "shapes/l_03", "A", "Shapes"),
    ],
)
def test_a_title_is_what_people_would_say(title: str, id: str, author: str, expected: str) -> None:
    folder = id.split("/")[0]
    assert titles.clean_titles([title], [id], [author], [folder]) == [expected]


def test_a_title_that_many_share_is_none_of_theirs() -> None:
    names = ["fox", "owl", "elk", "hen", "cow", "pig", "rat", "bat"]
    found = titles.clean_titles(["A set"] * 8, [f"x/{n}_1" for n in names], ["A"] * 8, ["x"] * 8)
    assert found == [name.title() for name in names]
    assert titles.clean_titles(["A pair"] * 2, ["x/fox", "x/owl"], ["A"] * 2, ["x"] * 2) == [
        "A pair",
        "A pair",
    ]


@pytest.mark.parametrize(
    ("author", "expected"),
    [
        ("Jean-Victor Balin (balin_j@epita.fr)", "Jean-Victor Balin"),
        ("Jakob [chaosinfaith@hotmail.com]", "Jakob"),
        ("Gerald G.", "Gerald G."),
        ("someone@example.org", ""),
        (None, ""),
    ],
)
def test_authors_are_named_without_their_addresses(author: Any, expected: str) -> None:
    assert titles.clean_author(author) == expected


def test_a_series_differs_by_numbers_and_colours_only() -> None:
    alike = ["x/arrow_red_01", "x/arrow_blue_12", "x/Arrow3", "x/arrow_b"]
    assert len({titles.series(id) for id in alike}) == 1
    assert len({titles.series(id) for id in ("x/arrow", "y/arrow", "x/star")}) == 3


# --- choosing ------------------------------------------------------------------------------------


def test_a_category_is_shown_by_the_longest_folder_that_is_named() -> None:
    names = {"recreation": "leisure", "recreation/music": "music"}
    shown = [
        choosing.shown_category(path.split("/"), names)
        for path in ("recreation/music/old", "recreation/musical", "animals/birds", "recreation")
    ]
    assert shown == ["music", "leisure", "animals", "leisure"]
    assert choosing.shown_category([], names) == ""
    assert choosing.within(["a", "bc"], ["a/b"]) is None
    assert choosing.within(["a", "b", "c"], ["x", "a/b"]) == "a/b"


def test_a_picture_with_hardly_anything_on_it_is_blank() -> None:
    rgb = np.full((100, 100, 3), 255, np.uint8)
    assert choosing.blank(rgb, 0.01, 0.02)
    rgb[:8, :8] = 0
    assert choosing.blank(rgb, 0.01, 0.02)
    rgb[:30, :30] = 0
    assert not choosing.blank(rgb, 0.01, 0.02)
    assert choosing.blank(np.full((9, 9, 3), 40, np.uint8), 0.01, 0.02)  # a single colour


def test_twins_are_those_that_plain_loops_find() -> None:
    rng = np.random.default_rng(0)
    small = rng.uniform(size=(60, 30)).astype(np.float32)
    small[20:30] = small[:10] + 0.01
    small[30:40] = np.clip(small[:10] + 0.08, 0, 1)
    rows = rng.normal(size=(60, 8)).astype(np.float32)
    rows[30:35] = rows[:5]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    order = rng.permutation(60).tolist()
    bounds = {"same_pixels": 0.02, "same_cosine": 0.98, "alike_pixels": 0.1}
    found = choosing.twins(small, rows, order, **bounds)
    kept: list[int] = []
    gone = {}
    for n in order:
        same = []
        for other in kept:
            apart = sum(abs(a - b) for a, b in zip(small[n], small[other], strict=True)) / 30
            if apart < 0.02 or (float(rows[n] @ rows[other]) > 0.98 and apart < 0.1):
                same.append((apart, other))
        if same:
            gone[n] = min(same)[1]
        else:
            kept.append(n)
    assert found == gone and len(found) > 10


def test_all_folders_come_in_turn_the_best_first() -> None:
    ids = [f"a/thing{'xyz'[n % 3]}{chr(97 + n)}{chr(98 + n)}" for n in range(10)]
    ids += ["b/one", "b/two", "c/arrow_1", "c/arrow_2", "c/arrow_3", "d/e/f"]
    categories = [id.split("/")[:-1] for id in ids]
    scores = [float(n) for n in range(len(ids))]
    settings = {"count": 8, "series": 2, "folder": 5, "few": 1, "few_of": ["b"]}
    chosen = choosing.balanced(ids, categories, scores, settings)
    assert {ids[n] for n in chosen} == {*ids[6:10], "b/two", "c/arrow_2", "c/arrow_3", "d/e/f"}
    assert chosen == sorted(chosen)
    # Where the bounds leave fewer, there are fewer.
    assert len(choosing.balanced(ids, categories, scores, {**settings, "count": 100})) == 9
    assert choosing.balanced([], [], [], settings) == []


# --- all of it -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Gallery]:
    """A folder in which the smoke configuration has made a gallery."""
    root = tmp_path_factory.mktemp("gallery")
    bundle = toy.make_bundle(root / "toy")
    rows = []
    for number in range(60):
        data, tags, _ = made.picture(number)
        kind = ("animals", "food", "computer")[number % 3]
        rows.append(
            {
                "id": f"openclipart/{kind}/thing_{chr(97 + number % 26)}{chr(97 + number // 26)}q",
                "concept": str(number),
                "source": "openclipart",
                "title": "Various Cliparts" if number % 2 else f"A picture {number}",
                "tags": tags,
                "category": [kind],
                "author": "" if number == 4 else f"Author {number % 5} (a@b.example)",
                "license": "MIT" if number < 4 else "public-domain",
                "split": ("train", "val", "test")[number % 3],
                "width": 48,
                "height": 40,
                "image": data,
            }
        )
    rows[10]["category"] = ["computer", "icons", "a theme"]
    rows[11]["id"] = "openclipart/people/sexy_lady_01"
    rows[12]["image"] = rows[15]["image"]
    rows[13]["image"] = blank()
    pq.write_table(pa.Table.from_pylist(rows), root / "table.parquet")
    argv = ["gallery", "--data", str(root / "table.parquet"), "--env", "smoke"]
    argv += ["--out", str(root / "out"), "--set", f'gallery.bundle="{bundle}"']
    argv += ["--set", "gallery.pictures=../packs", "--set", "gallery.count=50"]
    argv += ["--set", "gallery.same_cosine=1.1", "--set", "gallery.series=100"]
    assert cli.main("train", argv) == 0
    return root, open_gallery(root / "out")


def blank() -> bytes:
    file = io.BytesIO()
    Image.new("RGBA", (48, 40)).save(file, "PNG")
    return file.getvalue()


def test_the_pipeline_makes_a_gallery(ran: tuple[Path, Gallery]) -> None:
    root, gallery = ran
    numbers = {}
    for n in range(len(gallery)):
        letters = gallery.id(n).rpartition("_")[2]
        numbers[ord(letters[0]) - 97 + 26 * (ord(letters[1]) - 97)] = n
    # Neither those of other licences, nor icons, nor what is not for everybody, nor nameless, nor
    # blank ones; of two that are the same, one.
    assert not {*range(5), 10, 11, 13} & set(numbers)
    assert len({12, 15} & set(numbers)) == 1
    assert gallery.licence == "public-domain" and "5 authors" in gallery.credits
    for number, n in numbers.items():
        metadata = gallery.metadata(n)
        assert metadata["split"] == ("train", "val", "test")[number % 3]
        assert metadata["author"] == f"Author {number % 5}"
        assert metadata["category"] == ("animals", "food", "computer")[number % 3]
        assert metadata["title"].startswith("Thing" if number % 2 else "A picture")
        picture = Image.open(io.BytesIO(gallery.pictures.get(n)))
        assert picture.size == (48, 40)
    authors = (root / "packs" / "AUTHORS.md").read_text()
    assert authors.count("| Author ") == 5 and "@" not in authors


def test_its_map_is_there(ran: tuple[Path, Gallery]) -> None:
    _, gallery = ran
    assert gallery.atlas is not None and gallery.atlas.parameters.method == "pca"
    assert len(gallery.atlas) == len(gallery)


def test_people_s_tags_are_those_of_the_model_s_list(ran: tuple[Path, Gallery]) -> None:
    _, gallery = ran
    red = toy.NAMES.index("red")
    reds = [n for n in range(len(gallery)) if "Red" in gallery.metadata(n)["given"]]
    assert reds and all(red in dict(gallery.labels.of(n)) for n in reds)
    assert all(gallery.given[n] for n in reds)


def test_the_shipped_gallery_is_whole() -> None:
    root = Path(__file__).resolve().parents[2]
    gallery = open_gallery(root / "exported" / "gallery")
    assert 1_800 <= len(gallery) <= 2_200 and gallery.atlas is not None
    assert gallery.atlas.parameters.method == "umap"
    assert gallery.atlas.trustworthiness > gallery.atlas.pca_trustworthiness + 0.1
    files = [*(root / "exported" / "gallery").iterdir(), *(root / "assets" / "gallery").iterdir()]
    assert all(path.stat().st_size < 10_000_000 for path in files)
    assert sum(path.stat().st_size for path in files) < 12_000_000
    authors = (root / "assets" / "gallery" / "AUTHORS.md").read_text()
    for n in range(len(gallery)):
        metadata = gallery.metadata(n)
        assert metadata["licence"] == "public-domain" and metadata["title"]
        assert f"| {metadata['author'].replace('|', '/')} |" in authors
        assert metadata["split"] in ("train", "val", "test")
        assert max(Image.open(io.BytesIO(gallery.pictures.get(n))).size) <= 160
    model = json.loads((root / "exported" / "gallery" / "gallery.json").read_text())["model"]
    from tagger import bundles

    assert model == bundles.load(root / "exported" / "illustration").hash
