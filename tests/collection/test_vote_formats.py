"""Files of votes: what others get, what a voter gets, and that no cell runs anything."""

from __future__ import annotations

import csv
import io
import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.collection import KeptVote, NewVote, own_id, vote_formats
from tagger.collection.formats import Problem
from tagger.errors import StoreError
from tests.collection.examples import description

CONTRIBUTOR = "0123456789abcdef"


def kept(number: int = 1, **more: Any) -> KeptVote:
    values: dict[str, Any] = {
        "id": f"id-{number}",
        "seq": number,
        "left": f"ねこ {number}.png",
        "right": 'a "b", c.png',
        "choice": "left",
        "kind": "active",
        "weight": 1.0,
        "contributor": CONTRIBUTOR,
        "consent": True,
        "source": "page",
        "model_hash": "fedcba9876543210",
        "gallery": "aaaaaaaaaaaaaaaa",
        "ranker": "taste",
        "p_left": 0.25,
        "milliseconds": 1_500,
        "created": 1_700_000_000_123,
    }
    return KeptVote(**(values | more))


def rows_of(votes: list[KeptVote], format: str, *, own: bool = False) -> list[dict[str, Any]]:
    file = io.BytesIO()
    count = vote_formats.export_votes(votes, file, format, own=own)
    assert CONTRIBUTOR.encode() not in file.getvalue()
    file.seek(0)
    rows: list[dict[str, Any]]
    if format == "parquet":
        rows = pytest.importorskip("pyarrow.parquet").read_table(file).to_pylist()
    elif format == "csv":
        rows = list(csv.DictReader(io.StringIO(file.getvalue().decode(), newline="")))
    else:
        rows = [json.loads(line) for line in file]
    assert len(rows) == count
    return rows


@pytest.fixture(params=vote_formats.FORMATS)
def format(request: pytest.FixtureRequest) -> str:
    if request.param == "parquet":
        pytest.importorskip("pyarrow")
    return str(request.param)


def test_every_format_says_the_same(format: str) -> None:
    unasked = kept(2, p_left=None, milliseconds=None, ranker="", choice="both-bad")
    first, second = rows_of([kept(), unasked], format)
    assert list(first) == list(vote_formats.COLUMNS)
    told = {
        "key_id": "id-1",
        "left": "ねこ 1.png",
        "right": 'a "b", c.png',
        "choice": "left",
        "asked": "active",
        "ranker": "taste",
        "model": "fedcba9876543210",
        "gallery": "aaaaaaaaaaaaaaaa",
        "source": "page",
    }
    assert {name: first[name] for name in told} == told
    numbers = [float(first[name]) for name in ("weight", "expected", "milliseconds", "shared")]
    assert numbers == [1.0, 0.25, 1500.0, 1.0]
    time = first["timestamp"]
    text = time if isinstance(time, str) else time.isoformat(timespec="milliseconds")
    assert text.startswith("2023-11-14T22:13:20.123")
    assert not second["expected"] and not second["milliseconds"]
    assert second["choice"] == "both-bad"


def test_others_get_what_was_given_for_them_only(format: str) -> None:
    own = own_id(description(1))
    votes = [kept(1, consent=False), kept(2, left=own), kept(3, right=own), kept(4)]
    assert [row["key_id"] for row in rows_of(votes, format)] == ["id-4"]
    assert [row["key_id"] for row in rows_of(votes, format, own=True)] == [
        "id-1",
        "id-2",
        "id-3",
        "id-4",
    ]
    assert rows_of(votes[:3], format) == rows_of([], format) == []


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\uff1d"])
def test_no_cell_of_a_table_is_a_formula(start: str) -> None:
    evil = f'{start}HYPERLINK("http://x","y")\n=1+1'
    (row,) = rows_of([kept(left=evil, right=evil + "2", ranker=evil[:60])], "csv")
    assert (row["left"], row["right"]) == (f"'{evil}", f"'{evil}2")
    assert row["ranker"].startswith("'")


@pytest.mark.parametrize("format", vote_formats.READ_FORMATS)
def test_what_is_written_is_read(format: str) -> None:
    if format == "parquet":
        pytest.importorskip("pyarrow")
    votes = [kept(1), kept(2, p_left=None, milliseconds=None, ranker="", choice="skip")]
    file = io.BytesIO()
    vote_formats.export_votes(votes, file, format)
    file.seek(0)
    for vote, read in zip(votes, vote_formats.read_votes(file, format), strict=True):
        assert isinstance(read, NewVote)
        for name in set(KeptVote.__slots__) - {"seq", "contributor"}:
            assert getattr(read, name) == getattr(vote, name), name
        assert read.contributor is None


def test_a_bad_line_stops_nothing() -> None:
    good = b'{"left":"a","right":"b","choice":"tie"}'
    bad = [
        (b"{", "drawings-row-invalid"),
        (b"[]", "drawings-row-invalid"),
        (b"[" * 100_000, "drawings-row-invalid"),
        (b"{}", "vote-invalid"),
        (b'{"left":"a","right":"a","choice":"tie"}', "vote-invalid"),
        (b'{"left":["a"],"right":"b","choice":{}}', "vote-invalid"),
        (b'{"left":"a","right":"b","choice":"tie","weight":1' + b"0" * 400 + b"}", "vote-invalid"),
        (b'{"left":"a","right":"b","choice":"tie","timestamp":7}', "drawings-row-invalid"),
        (b'{"left":"a","right":"b","choice":"tie","key_id":"../x"}', "vote-invalid"),
        (b'{"left":"\\ud800","right":"b","choice":"tie"}', "vote-invalid"),
        # What a voter keeps for oneself, and what nobody else could see.
        (b'{"left":"a","right":"b","choice":"tie","shared":false}', "vote-invalid"),
        (b'{"left":"own:%s","right":"b","choice":"tie"}' % (b"0" * 32), "vote-invalid"),
    ]
    file = io.BytesIO(b"\n".join([good, *(line for line, _ in bad), good]))
    first, *problems, last = vote_formats.read_votes(file, "jsonl")
    assert isinstance(first, NewVote) and isinstance(last, NewVote)
    assert first.id == last.id and first.consent and first.source == "import"
    assert [p.error.code for p in problems if isinstance(p, Problem)] == [code for _, code in bad]


@given(st.binary(max_size=60), st.sampled_from(vote_formats.READ_FORMATS))
def test_any_bytes_are_votes_or_an_error(data: bytes, format: str) -> None:
    try:
        for entry in vote_formats.read_votes(io.BytesIO(data), format):
            assert isinstance(entry, NewVote | Problem)
    except StoreError as error:
        assert error.code in ("votes-file-invalid", "format-not-installed")


def test_unknown_formats_and_absent_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for format, code in (("xls", "votes-format-unknown"), ("parquet", "format-not-installed")):
        with pytest.raises(StoreError) as caught:
            vote_formats.export_votes([kept()], io.BytesIO(), format)
        assert caught.value.code == code
    with pytest.raises(StoreError) as caught:
        vote_formats.read_votes(io.BytesIO(), "csv")
    assert caught.value.code == "votes-format-unknown"
