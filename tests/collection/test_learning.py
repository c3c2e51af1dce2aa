"""Learning for good from a collection in a file and in a PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tagger.errors import RequestError
from tests import learning, trainer
from tests.learning import GOOD, World, drawn, finished, until


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, learning.make_bundle(tmp_path / "toy-sketch"))
    yield world
    world.close()


def test_of_all_processes_one_learns(world: World, url: str) -> None:
    learning.fill(url, GOOD)
    draw, tuning = world.start(database=url)
    _, other = world.start(database=url)
    id = tuning.start("tuning", {"seed": trainer.PATIENT})["id"]
    with pytest.raises(RequestError) as caught:
        other.start("refit")
    assert caught.value.code == "tuning-busy"
    assert other.run(id)["state"] == other.state().runs[0].state == "running"
    other.cancel(id)
    assert finished(tuning, id)["state"] == "cancelled"
    # Its lock goes a moment after its end is written down.
    run = finished(other, until(lambda: began(other))["id"])
    assert run["verdict"]["reason"] == "better"
    assert tuning.follow() and draw.about["words"] == 6
    assert draw.recognise(drawn("bracket", 9)).words[0].word == "bracket"


def began(tuning: learning.TuningService) -> dict[str, object] | None:
    try:
        return tuning.start("refit")
    except RequestError:
        return None
