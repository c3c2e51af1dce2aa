"""Fixtures that every test may use."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tagger import bundles
from tagger.illustration import IllustrationTagger
from tagger.services import Services, build_services
from tagger.settings import Settings
from tests import toy

# No test depends on the speed of the machine that it runs on.
hypothesis.settings.register_profile(
    "tagger", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tagger")

REAL_BUNDLE = Path(__file__).resolve().parents[1] / "exported" / "illustration"


# Folders whose files take long: whoever runs several at a time begins with them.
LONG = ("browser", "training")


def pytest_configure(config: pytest.Config) -> None:
    # What a shell runs behind ignores interrupts, and so would the programs that tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Else pytest-xdist begins with the files of many tests, and the long ones are left to the end.
    config.option.loadscopereorder = False


def pytest_xdist_auto_num_workers() -> int:
    """How many ``-n auto`` means: tests often wait, for a browser or a program."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONG.index(name) if (name := item.path.parent.name) in LONG else 9)


@pytest.fixture(scope="session", autouse=True)
def _nothing_of_the_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Unless a test says otherwise, nothing is collected, least of all in the project's folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAGGER_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        patch.setenv("TAGGER_SKETCH_BUNDLE", "none")
        patch.setenv("TAGGER_GALLERY", "none")
        patch.setenv("TAGGER_RANKER", "none")
        yield


@pytest.fixture(scope="session")
def toy_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny model that keeps the contract; do not write to it."""
    return toy.make_bundle(tmp_path_factory.mktemp("bundles") / "toy")


@pytest.fixture(scope="session")
def toy_sketch_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny recogniser of drawings; do not write to it."""
    return toy.make_sketch_bundle(tmp_path_factory.mktemp("bundles") / "toy-sketch")


@pytest.fixture(scope="session")
def toy_tagger(toy_bundle: Path) -> IllustrationTagger:
    """The tiny model, loaded."""
    return IllustrationTagger(bundles.load(toy_bundle), threads=1)


@pytest.fixture(scope="session")
def toy_services(toy_bundle: Path) -> Iterator[Services]:
    """Services around the tiny model."""
    services = build_services(Settings(bundle=str(toy_bundle), threads=1))
    yield services
    services.close()


@pytest.fixture(scope="session")
def real_bundle() -> Path:
    """Folder of the shipped model; the test is skipped where it is not there yet."""
    if not (REAL_BUNDLE / "model.onnx").is_file():
        pytest.skip("the shipped model is not exported")
    return REAL_BUNDLE
