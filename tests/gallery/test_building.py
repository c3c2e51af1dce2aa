"""Galleries of folders of pictures: whole, brought up to date, interrupted, and gone on with."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tagger import images
from tagger.errors import GalleryError
from tagger.gallery import Built, Gallery, Source, build_gallery, open_gallery
from tagger.services import Services
from tests.fakes import make_services, picture
from tests.gallery import made

COUNT = 60


def colour(n: int) -> tuple[int, int, int]:
    return (n * 53 % 256, n * 97 % 256, n * 29 % 256)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    for n in range(COUNT):
        path = folder / f"kind {n % 2}" / f"my_picture-{n:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(colour(n), (400, 100)))
    (folder / "kind 1" / "my_picture-07.txt").write_text("cat, scarlet,\nsomething else, cat")
    return folder


def sources(folder: Path) -> list[Source]:
    paths = sorted(folder.rglob("*.png"))
    return [Source(path.relative_to(folder).as_posix(), path) for path in paths]


@pytest.fixture
def looked(toy_services: Services, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many pictures the model was shown, a pass an entry."""
    counts: list[int] = []
    predict = toy_services.tagger.predict

    def spy(rgbs: Any, **options: Any) -> Any:
        counts.append(len(rgbs))
        return predict(rgbs, **options)

    monkeypatch.setattr(toy_services.tagger, "predict", spy)
    yield counts


Build = Callable[..., Built]


@pytest.fixture
def build(toy_services: Services, tmp_path: Path, folder: Path) -> Build:
    def build(**options: Any) -> Built:
        given = {"name": "Mine", "sources": sources(folder), **options}
        return build_gallery(toy_services, given.pop("sources"), tmp_path / "out", **given)

    return build


@pytest.fixture
def opened(tmp_path: Path, toy_services: Services) -> Callable[[], Gallery]:
    return lambda: open_gallery(
        tmp_path / "out", model=toy_services.hash, tags=len(toy_services.tagger.tags)
    )


def test_a_folder_becomes_a_gallery(
    build: Build, opened: Callable[[], Gallery], toy_services: Services, folder: Path
) -> None:
    ticks: list[None] = []
    built = build(progress=lambda: ticks.append(None), licence="CC0", credits="Me")
    assert (built.count, built.added, built.unchanged, built.removed) == (COUNT, COUNT, 0, 0)
    assert not built.interrupted and not built.problems and len(ticks) == COUNT
    gallery = opened()
    assert (gallery.name, gallery.licence, gallery.credits) == ("Mine", "CC0", "Me")
    assert [gallery.id(n) for n in range(COUNT)] == [source.name for source in sources(folder)]
    tags = toy_services.tagger.tags
    for n in range(COUNT):
        name = gallery.id(n)
        number = int(name[-6:-4])
        metadata = gallery.metadata(n)
        assert metadata["title"] == f"my picture {number:02}"
        assert (metadata["width"], metadata["height"]) == (400, 100)
        assert metadata["category"] == f"kind {number % 2}"
        small = Image.open(io.BytesIO(gallery.pictures.get(n)))
        assert small.size == (160, 40)
        assert np.abs(np.asarray(small).mean((0, 1)) - colour(number)).max() < 6
        # As the page sees it when somebody uploads it.
        result = toy_services.tag(folder / name, top=None)
        assert result.embedding is not None
        assert float(gallery.embeddings[n] @ result.embedding) > 0.999
        kept = dict(gallery.predicted.of(n))
        ranked = [one.tag.index for one in result.tags]
        passing = [one.tag.index for one in result.tags if one.passes]
        assert set(kept) == set(ranked[:10]) | set(passing)
        assert all(abs(kept[tag] - result.probabilities[tag]) < 2e-3 for tag in kept)
        if number == 7:
            assert metadata["given"] == ["cat", "scarlet", "something else"]
            expected = {tags.find("cat").index, tags.find("red").index}  # type: ignore[union-attr]
            assert {tag for tag, _ in gallery.labels.of(n)} == expected and gallery.given[n]
        else:
            assert [tag for tag, _ in gallery.labels.of(n)] == sorted(passing)
            assert not gallery.given[n]


def test_the_same_again_looks_at_nothing(
    build: Build, opened: Callable[[], Gallery], looked: list[int], tmp_path: Path
) -> None:
    build()
    before = opened().hash
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    looked.clear()
    built = build()
    assert looked == [] and (built.count, built.unchanged) == (COUNT, COUNT)
    assert opened().hash == before
    assert stamps == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}


def test_what_is_new_changed_or_gone_is_all_that_is_done(
    build: Build, opened: Callable[[], Gallery], looked: list[int], folder: Path
) -> None:
    build()
    looked.clear()
    (folder / "kind 0" / "a new one.png").write_bytes(picture((1, 2, 3)))
    (folder / "kind 0" / "my_picture-10.png").write_bytes(picture((250, 0, 0), (200, 300)))
    (folder / "kind 1" / "my_picture-07.txt").write_text("dog")
    (folder / "kind 1" / "my_picture-33.png").unlink()
    built = build()
    assert sum(looked) == 3
    assert (built.count, built.added, built.unchanged, built.removed) == (COUNT, 3, COUNT - 3, 1)
    gallery = opened()
    assert [gallery.id(n) for n in range(COUNT)] == [source.name for source in sources(folder)]
    n = gallery.number_of["kind 1/my_picture-07.png"]
    assert gallery.metadata(n)["given"] == ["dog"]
    n = gallery.number_of["kind 0/my_picture-10.png"]
    assert gallery.metadata(n)["height"] == 300
    assert Image.open(io.BytesIO(gallery.pictures.get(n))).size == (107, 160)
    built = build(name="Another name")
    assert sum(looked) == 3 and opened().name == "Another name"


def test_an_interrupted_build_is_gone_on_with(
    build: Build,
    opened: Callable[[], Gallery],
    looked: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tagger.gallery.building._PART", 8)
    done: list[None] = []
    built = build(progress=lambda: done.append(None), stop=lambda: len(done) >= 20)
    assert built.interrupted and built.added == 20
    with pytest.raises(GalleryError) as error:
        opened()
    assert error.value.code == "gallery-not-found"
    before = sum(looked)
    looked.clear()
    built = build()
    assert not built.interrupted and built.count == COUNT
    assert built.unchanged == 20 and sum(looked) == COUNT - 20 and before < 30
    gallery = opened()
    for n in range(COUNT):
        small = np.asarray(Image.open(io.BytesIO(gallery.pictures.get(n))))
        assert np.abs(small.mean((0, 1)) - colour(int(gallery.id(n)[-6:-4]))).max() < 6
    assert not (tmp_path / "out" / "building").exists()


def test_a_build_that_is_killed_at_any_step_is_gone_on_with(
    build: Build,
    opened: Callable[[], Gallery],
    folder: Path,
    looked: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every renaming of a file is a step after which nothing more happens, once."""
    build()
    first = opened().hash
    (folder / "kind 0" / "my_picture-10.png").write_bytes(picture((250, 0, 0), (200, 300)))
    replace, failed = os.replace, 0

    class Killed(BaseException):
        pass

    for step in range(40):
        left = [step]

        def dying(source: Any, target: Any, left: list[int] = left) -> None:
            if not left[0]:
                raise Killed
            left[0] -= 1
            replace(source, target)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", dying)
            try:
                build()
            except Killed:
                failed += 1
        try:
            found = opened().hash
        except GalleryError as error:
            # Between the old one and the new one: refused rather than mixed.
            assert error.code == "gallery-damaged"
            continue
        if found != first and left[0]:
            break
    assert failed >= 5
    looked.clear()
    assert build().count == COUNT and not looked
    gallery = opened()
    assert gallery.metadata(gallery.number_of["kind 0/my_picture-10.png"])["height"] == 300


def test_bad_pictures_are_told_and_stop_nobody(
    build: Build, opened: Callable[[], Gallery], folder: Path
) -> None:
    (folder / "kind 0" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (folder / "kind 1" / "empty.png").write_bytes(b"")
    listed = [*sources(folder), Source("gone.png", folder / "gone.png")]
    built = build(sources=listed)
    assert built.count == COUNT == len(opened())
    codes = {name: error.code for name, error in built.problems}
    assert set(codes) == {"kind 0/bad.png", "kind 1/empty.png", "gone.png"}
    assert codes["kind 1/empty.png"] == "image-empty"


def test_nothing_but_bad_pictures_makes_no_gallery(
    build: Build, opened: Callable[[], Gallery], tmp_path: Path
) -> None:
    (tmp_path / "bad.png").write_bytes(b"x")
    built = build(sources=[Source("bad.png", tmp_path / "bad.png")])
    assert built.count == 0 and len(built.problems) == 1
    with pytest.raises(GalleryError):
        opened()


def test_what_is_known_goes_with_the_pictures(
    build: Build, opened: Callable[[], Gallery], folder: Path, looked: list[int]
) -> None:
    known = {"title": "A title", "author": "Somebody", "given": ["dog", "x" * 100] * 30}
    listed = [Source(one.name, one.path, known) for one in sources(folder)[:3]]
    build(sources=listed)
    metadata = opened().metadata(0)
    assert (metadata["title"], metadata["author"]) == ("A title", "Somebody")
    assert metadata["given"][:2] == known["given"][:2]  # as many as there is room for
    assert opened().given.all()


def test_a_gallery_of_another_model_is_not_written_over_unasked(
    build: Build, opened: Callable[[], Gallery], tmp_path: Path
) -> None:
    made.write(tmp_path / "out")
    with pytest.raises(GalleryError) as error:
        build()
    assert error.value.code == "gallery-foreign"
    assert len(open_gallery(tmp_path / "out")) == 30
    assert build(anew=True).count == COUNT
    assert len(opened()) == COUNT and opened().atlas is None


def test_a_model_without_embeddings_is_refused(tmp_path: Path) -> None:
    services = make_services()
    path = tmp_path / "a.png"
    path.write_bytes(picture())
    with pytest.raises(Exception, match="no embeddings"):
        build_gallery(services, [Source("a.png", path)], tmp_path / "out", name="x")
    services.close()


def test_two_builds_of_one_gallery_do_not_mix(build: Build) -> None:
    codes: list[str] = []

    def other() -> bool:
        if not codes:
            try:
                build()
            except GalleryError as error:
                codes.append(error.code)
        return False

    thread = threading.Thread(target=lambda: build(stop=other))
    thread.start()
    thread.join()
    assert codes == ["gallery-busy"]


def test_names_are_unique(build: Build, folder: Path) -> None:
    first = sources(folder)[0]
    with pytest.raises(ValueError, match="unique"):
        build(sources=[first, first])


def test_no_more_pictures_are_held_than_a_window(
    toy_services: Services, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, most = [0], [0]
    read = images.read

    def counting(source: Any, **options: Any) -> Any:
        if isinstance(source, Path):
            held[0] += 1
            most[0] = max(most[0], held[0])
        return read(source, **options)

    def done() -> None:
        held[0] -= 1

    monkeypatch.setattr(images, "read", counting)
    listed = [Source(f"{n}/{one.name}", one.path) for n in range(5) for one in sources(folder)]
    build_gallery(toy_services, listed, tmp_path / "out", name="x", progress=done)
    assert 1 < most[0] < 40
    assert len(open_gallery(tmp_path / "out")) == 5 * COUNT
