"""The services: one picture, many pictures, bounds, and errors that stay with their picture."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tagger import images
from tagger.bundles import load
from tagger.errors import BundleError, ImageError, LimitError, TaggerError
from tagger.services import Services, build_services
from tagger.settings import Settings
from tests import toy
from tests.fakes import FakeTagger, make_services, picture

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.fixture
def fake() -> FakeTagger:
    return FakeTagger()


@pytest.fixture
def services(fake: FakeTagger) -> Iterator[Services]:
    services = make_services(fake)
    yield services
    services.close()


def test_services_are_built_from_settings(toy_bundle: Path, toy_services: Services) -> None:
    assert toy_services.ready
    assert toy_services.model.to_dict() == {
        "name": "toy",
        "version": "1.0",
        "hash": load(toy_bundle).hash,
    }
    assert toy_services.metrics["map"] == 0.5
    assert toy_services.config.author == "the tests"


def test_services_cannot_be_built_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        build_services(Settings(bundle=str(tmp_path / "nothing")))


def test_one_picture_end_to_end(toy_services: Services) -> None:
    result = toy_services.tag(picture((128, 200, 255), (64, 64)), top=3)
    assert result.tags[0].tag.name == "blue_sky"
    assert len(result.tags) == 3
    solid = np.full((toy.SIZE, toy.SIZE, 3), (128, 200, 255), np.uint8)
    np.testing.assert_allclose(result.probabilities, toy.reference(solid), atol=2e-5)
    assert result.embedding is not None
    facts = result.picture
    assert (facts.width, facts.height, facts.format, facts.frames) == (64, 64, "PNG", 1)
    assert result.seconds > 0
    assert result.model == toy_services.model
    data = result.to_dict("ja")
    assert data["tags"][0]["label"] == "青空"
    assert data["picture"]["width"] == 64
    assert data["model"]["name"] == "toy"


def test_every_kind_of_source_gives_the_same_answer(services: Services, tmp_path: Path) -> None:
    data = picture(GREEN)
    path = tmp_path / "p.png"
    path.write_bytes(data)
    image = Image.open(BytesIO(data))
    answers = [
        services.tag(source).probabilities
        for source in (data, bytearray(data), path, BytesIO(data), image)
    ]
    for answer in answers:
        np.testing.assert_array_equal(answer, answers[0])


def test_the_arguments_of_the_ranking_are_passed_on(services: Services) -> None:
    data = picture((200, 100, 0))
    assert [e.tag.name for e in services.tag(data, top=2).tags] == ["red", "green"]
    assert [e.tag.name for e in services.tag(data, min_probability=0.5).tags] == ["red"]
    assert len(services.tag(data, groups=["general"]).tags) == 3
    assert services.tag(data, groups=["other"]).tags == ()


def test_a_bad_picture_is_an_error_for_its_sender(services: Services) -> None:
    with pytest.raises(ImageError):
        services.tag(b"no picture at all")
    with pytest.raises(ImageError) as caught:
        services.tag(b"")
    assert caught.value.code == "image-empty"


def test_the_limits_of_the_settings_hold() -> None:
    services = make_services(max_bytes=1000, max_pixels=500)
    with pytest.raises(LimitError):
        services.tag(bytes(1001))
    with pytest.raises(LimitError):
        services.tag(picture(size=(25, 21)))
    assert services.tag(picture(size=(25, 20))).tags
    services.close()


def test_what_no_decoder_foresaw_is_one_pictures_error(
    services: Services, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def read(source: object, **options: object) -> images.Picture:
        raise ZeroDivisionError("/secret/path")

    monkeypatch.setattr(images, "read", read)
    with caplog.at_level(logging.ERROR), pytest.raises(ImageError) as caught:
        services.tag(picture())
    assert "secret" not in str(caught.value)
    assert "ZeroDivisionError" in caplog.text


# --- many


def test_many_come_in_order_with_the_bad_ones_in_their_places(services: Services) -> None:
    colors = [RED, GREEN, BLUE]
    sources = [(f"{i}.png", b"bad" if i % 5 == 2 else picture(colors[i % 3])) for i in range(23)]
    outcomes = list(services.tag_many(sources, top=1))
    assert [outcome.name for outcome in outcomes] == [name for name, _ in sources]
    for i, outcome in enumerate(outcomes):
        if i % 5 == 2:
            assert outcome.result is None
            assert isinstance(outcome.error, ImageError)
        else:
            assert outcome.error is None
            assert outcome.result is not None
            expected = ["red", "green", "blue"][i % 3]
            assert outcome.result.tags[0].tag.name == expected


def test_many_and_one_agree(toy_services: Services) -> None:
    generator = np.random.default_rng(0)
    files = [picture(tuple(map(int, generator.integers(0, 256, 3)))) for _ in range(9)]
    outcomes = toy_services.tag_many((str(i), file) for i, file in enumerate(files))
    for outcome, file in zip(outcomes, files, strict=True):
        assert outcome.result is not None
        alone = toy_services.tag(file)
        np.testing.assert_allclose(outcome.result.probabilities, alone.probabilities, atol=1e-6)
        assert [e.tag for e in outcome.result.tags] == [e.tag for e in alone.tags]


@pytest.mark.parametrize("count", [0, 1, 4, 5])
def test_any_number_will_do(services: Services, count: int) -> None:
    assert len(list(services.tag_many([("x", picture())] * count))) == count


def test_only_bad_ones_need_no_model(services: Services, fake: FakeTagger) -> None:
    outcomes = list(services.tag_many([("a", b"x"), ("b", b"")]))
    assert all(outcome.error for outcome in outcomes)
    assert fake.batches == []


def test_sources_may_be_endless_and_are_read_by_a_window(
    services: Services, fake: FakeTagger
) -> None:
    taken = itertools.count()

    def endless() -> Iterator[tuple[str, bytes]]:
        data = picture()
        while True:
            yield str(next(taken)), data

    first = list(itertools.islice(services.tag_many(endless()), 5))
    assert [outcome.name for outcome in first] == list("01234")
    assert next(taken) < 40
    assert max(fake.batches) <= 4


def test_a_model_that_fails_fails_its_pictures_only() -> None:
    calls = itertools.count()

    def fail_once() -> None:
        if next(calls) == 0:
            raise BundleError("model-failed")

    services = make_services(FakeTagger(during=fail_once))
    outcomes = list(services.tag_many([(str(i), picture()) for i in range(8)]))
    assert [outcome.error is not None for outcome in outcomes] == [True] * 4 + [False] * 4
    assert isinstance(outcomes[0].error, TaggerError)
    services.close()


# --- bounds


@pytest.mark.parametrize("places", [1, 3])
def test_no_more_passes_at_a_time_than_there_are_places(places: int) -> None:
    # Each pass waits for company: as many as there are places always meet, never more.
    meeting = threading.Barrier(places)
    fake = FakeTagger(during=lambda: meeting.wait(timeout=60))
    services = make_services(fake, concurrency=places)
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda _: services.tag(picture()), range(12)))
    assert fake.most_running == places
    services.close()


def test_pictures_are_read_by_few_threads_however_many_ask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names: set[str] = set()
    original = images.read

    def read(source: bytes, **options: object) -> images.Picture:
        names.add(threading.current_thread().name)
        return original(source, **options)

    monkeypatch.setattr(images, "read", read)
    services = make_services(concurrency=2)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: services.tag(picture()), range(24)))
    assert 1 <= len(names) <= 2
    assert all(name.startswith("picture-reader") for name in names)
    services.close()


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "JPEG"])
def test_a_preview_is_the_picture_made_small(services: Services, kind: str) -> None:
    file = BytesIO()
    halves = np.zeros((1300, 2600, 3), np.uint8)
    halves[:, 1300:] = RED
    Image.fromarray(halves).save(file, kind)
    preview = services.preview(file.getvalue(), side=640)
    assert preview.shape == (320, 640, 3)
    np.testing.assert_allclose(preview[100, 100], (0, 0, 0), atol=6)
    np.testing.assert_allclose(preview[300, 600], RED, atol=6)


def test_a_preview_stands_upright_on_white_and_is_never_larger(services: Services) -> None:
    file = BytesIO()
    Image.new("RGBA", (30, 20), (0, 0, 0, 0)).save(file, "TIFF", tiffinfo={0x0112: 6})
    preview = services.preview(file.getvalue())
    assert preview.shape == (30, 20, 3)
    assert preview.min() == 255


def test_a_preview_is_made_within_the_limits_and_by_the_same_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names: set[str] = set()
    original = images.read

    def read(source: bytes, **options: object) -> images.Picture:
        names.add(threading.current_thread().name)
        return original(source, **options)

    monkeypatch.setattr(images, "read", read)
    services = make_services(concurrency=1, max_pixels=1000)
    assert services.preview(picture(size=(25, 40))).shape == (40, 25, 3)
    with pytest.raises(LimitError, match="megapixels"):
        services.preview(picture(size=(26, 40)))
    with pytest.raises(ImageError):
        services.preview(b"no picture")
    assert names == {"picture-reader_0"}
    services.close()


def test_a_place_is_given_back_after_an_error() -> None:
    calls = itertools.count()

    def fail_at_first() -> None:
        if next(calls) < 3:
            raise BundleError("model-failed")

    services = make_services(FakeTagger(during=fail_at_first), concurrency=1)
    for _ in range(3):
        with pytest.raises(BundleError):
            services.tag(picture())
    assert services.tag(picture()).tags
    services.close()


def test_the_shipped_model_tags_a_picture(real_bundle: Path) -> None:
    services = build_services(Settings(bundle=str(real_bundle), threads=1))
    result = services.tag(picture((255, 255, 255), (50, 40)))
    assert len(result.tags) == 10
    probabilities = [entry.probability for entry in result.tags]
    assert probabilities == sorted(probabilities, reverse=True)
    services.close()
