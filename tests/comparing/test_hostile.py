"""Whatever strangers send ends in an answer or in a message for them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tagger.comparing import CompareServices
from tagger.comparing.ballots import Ballot, read_pending
from tagger.comparing.keeping import read_file
from tagger.errors import TaggerError
from tests.comparing.made import VISITOR, Person

numbers = st.integers() | st.floats() | st.sampled_from([0, 1, 59, 60, 2**31, 10**40])
texts = st.text(max_size=8) | st.sampled_from(["left", "tie", "own", "repeat", "", "\0", "\ud800"])
anything = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
fields = st.sampled_from([*Ballot.__annotations__, "?"])
SHARED = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(changes=st.dictionaries(fields, anything, max_size=4))
@SHARED
def test_any_ballot_is_read_or_refused(changes: dict[str, Any]) -> None:
    try:
        read = Ballot.read({"left": 1, "right": 2, "choice": "left", **changes})
    except TaggerError as error:
        assert error.code != "internal" and error.message("ja")
    else:
        assert read.choice in ("left", "right", "tie", "both-bad", "skip")
        assert len(read.pending) <= 50 and 0 <= read.next <= 10


@given(pairs=anything)
@SHARED
def test_any_pending_pairs_are_read_or_refused(pairs: Any) -> None:
    try:
        found = read_pending(pairs)
    except TaggerError as error:
        assert error.code == "request-invalid"
    else:
        assert all(type(pair.left) is type(pair.right) is int for pair in found)


def test_any_change_of_a_saved_taste_is_read_or_refused(compare: CompareServices) -> None:
    Person(compare).vote(12)
    compare.edit(VISITOR, "red", 0.5)
    saved = json.loads(compare.profile(VISITOR))
    pool = compare.pool()

    @given(
        part=st.sampled_from(["", "ranker", "votes", "guests", "edits"]),
        field=st.integers(0, 20),
        value=anything | st.text("ABCDz/+=", max_size=80),
    )
    @settings(max_examples=200)
    def change(part: str, field: int, value: Any) -> None:
        data = json.loads(json.dumps(saved))
        inner = data[part] if part else data
        inner[list(inner)[field % len(inner)]] = value
        try:
            kept = read_file(data, pool.space, compare.tags)
        except TaggerError as error:
            assert error.code.partition("-")[0] in ("taste", "ranker", "vote"), error.code
        else:
            assert np.isfinite(kept.taste(pool.space, compare.tags).scores()).all()
            assert kept.write()

    change()
