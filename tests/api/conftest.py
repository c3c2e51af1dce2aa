"""The API as an application of its own, around a stand-in, the toy or the shipped model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from tagger.api import routes
from tagger.services import Services
from tests.fakes import FakeTagger, make_services

Serve = Callable[..., TestClient]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Make a client of the API around a stand-in, with settings."""
    made: list[Services] = []

    def make(tagger: FakeTagger | None = None, **settings: Any) -> TestClient:
        services = make_services(tagger, **settings)
        made.append(services)
        return client_of(services)

    yield make
    for services in made:
        services.close()


def client_of(services: Services) -> TestClient:
    """A client of all routes, as the server has them."""
    # As in production, an exception that nobody foresaw must end in an answer.
    return TestClient(Starlette(routes=routes(services)), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    """A client of the API around a stand-in."""
    services = make_services()
    yield client_of(services)
    services.close()


@pytest.fixture(scope="session")
def toy_client(toy_services: Services) -> TestClient:
    """A client of the API around the toy's model."""
    return client_of(toy_services)
