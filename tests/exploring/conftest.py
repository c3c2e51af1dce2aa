"""A gallery of the toy's colours, and services that explore it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tagger.exploring import Chart, ExploreServices
from tagger.services import Services, build_services
from tagger.settings import Settings
from tests import galleries


@pytest.fixture(scope="session")
def toy_gallery(toy_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a gallery of 72 pictures; do not write to it."""
    return galleries.make_gallery(tmp_path_factory.mktemp("galleries") / "toy", toy_bundle)


@pytest.fixture(scope="session")
def exploring(
    toy_bundle: Path, toy_gallery: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Services]:
    """Services with the gallery open; asked for as often as tests like."""
    settings = Settings(
        bundle=str(toy_bundle),
        gallery=str(toy_gallery),
        threads=1,
        live_rate=1000,
        data_dir=tmp_path_factory.mktemp("exploring"),
    )
    services = build_services(settings)
    assert services.explore is not None
    services.explore.settle()
    yield services
    services.close()


@pytest.fixture
def explore(exploring: Services) -> ExploreServices:
    """What explores the toy's gallery."""
    assert exploring.explore is not None
    return exploring.explore


@pytest.fixture
def chart(explore: ExploreServices) -> Chart:
    """The toy's map."""
    return explore.chart()
