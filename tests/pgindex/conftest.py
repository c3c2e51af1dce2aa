"""A PostgreSQL server with pgvector."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres import Absent, Cluster


@pytest.fixture(scope="session")
def vectors() -> Iterator[Cluster]:
    """The server; the test is skipped where there can be none."""
    try:
        cluster = Cluster(vector=True)
    except Absent as reason:
        pytest.skip(str(reason))
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def database(vectors: Cluster) -> str:
    """The URL of a database that tests share, each with indexes of its own."""
    return vectors.create_database()


@pytest.fixture
def url(database: str, request: pytest.FixtureRequest) -> str:
    """Where an index of this test's own may be made."""
    import secrets

    return f"{database}?index=test-{secrets.token_hex(6)}"
