"""Collections to test with: each in a file and in a PostgreSQL server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tagger.collection import Store
from tests.postgres import Absent, Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server; the test is skipped where there can be none."""
    try:
        cluster = Cluster()
    except Absent as reason:
        pytest.skip(str(reason))
    yield cluster
    cluster.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Make the URL of a collection that is not there yet."""
    numbers = iter(range(100))
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path / 'data' / f'{next(numbers)}.sqlite3'}"
    return request.getfixturevalue("cluster").create_schema


@pytest.fixture
def url(new_url: Callable[[], str]) -> str:
    """The URL of one such."""
    return new_url()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """An empty collection."""
    with Store.open(url) as store:
        yield store
