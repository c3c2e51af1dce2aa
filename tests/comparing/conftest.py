"""A small gallery to vote on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tagger.comparing import CompareServices
from tagger.services import Services
from tests import galleries
from tests.comparing.made import compare_of, make_services

Make = Callable[..., CompareServices]


@pytest.fixture(scope="session")
def voted_gallery(toy_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a gallery of 60 pictures; do not write to it."""
    return galleries.make_gallery(tmp_path_factory.mktemp("galleries") / "voted", toy_bundle, 60)


@pytest.fixture
def make(toy_bundle: Path, voted_gallery: Path, tmp_path: Path) -> Iterator[Make]:
    """Make services around the toy's model; those made one after the other share a collection."""
    made: list[Services] = []

    def build(**settings: Any) -> CompareServices:
        for services in made:
            services.close()
        given = {"gallery": str(voted_gallery), **settings}
        made[:] = [make_services(toy_bundle, tmp_path, **given)]
        return compare_of(made[0])

    yield build
    for services in made:
        services.close()


@pytest.fixture
def compare(make: Make) -> CompareServices:
    """Services whose collection is empty."""
    return make()
