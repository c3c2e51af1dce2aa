"""Files that are whole at any time."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from tagger.atomic import replacing


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_takes_its_place_when_it_is_complete(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "facts.json"
    with replacing(path, durable=durable) as file:
        file.write(b"one")
        assert not path.exists()
    with replacing(path, durable=durable) as file:
        file.write(b"two")
        file.flush()
        assert path.read_bytes() == b"one"
    assert path.read_bytes() == b"two" and os.listdir(path.parent) == ["facts.json"]


def test_what_fails_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        file.write(b"ne")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["facts.json"]


@pytest.mark.skipif(os.name == "nt", reason="needs modes of files")
def test_a_file_is_as_open_as_any_new_one_unless_it_is_private(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    for name, private in (("open", False), ("closed", True)):
        with replacing(tmp_path / name, private=private) as file:
            file.write(b"")
    usual, open_, closed = (
        stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("usual", "open", "closed")
    )
    assert (open_, closed) == (usual, 0o600)


def test_drafts_of_the_dead_are_swept_after_a_day(tmp_path: Path) -> None:
    names = [".a[1].json.x.part", ".a[1].json.y.part", ".a1.json.z.part", ".b.json.w.part"]
    for name in names:
        (tmp_path / name).touch()
    long_ago = time.time() - 90_000
    for name in (names[0], *names[2:]):
        os.utime(tmp_path / name, (long_ago, long_ago))
    with replacing(tmp_path / "a[1].json") as file:
        file.write(b"1")
    assert sorted(os.listdir(tmp_path)) == sorted([*names[1:], "a[1].json"])
