"""What a set shares, beside sums over exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.exploring.statistics import enrichment


def tail(here: int, everywhere: int, count: int, total: int) -> Fraction:
    """P(X >= here), by its definition."""
    ways = sum(
        math.comb(everywhere, k) * math.comb(total - everywhere, count - k)
        for k in range(here, min(everywhere, count) + 1)
    )
    return Fraction(ways, math.comb(total, count))


@st.composite
def sets(draw: st.DrawFn) -> tuple[int, int, int, int]:
    total = draw(st.integers(1, 300))
    count = draw(st.integers(0, total))
    everywhere = draw(st.integers(0, total))
    least = max(0, count - (total - everywhere))
    return draw(st.integers(least, min(everywhere, count))), everywhere, count, total


@given(sets())
def test_the_chance_is_that_of_a_random_set(case: tuple[int, int, int, int]) -> None:
    here, everywhere, count, total = case
    found = enrichment([here], [everywhere], count, total)
    expected = tail(*case)
    # Of a value near one, only its distance from one can be lost.
    assert math.exp(found.log_p[0]) == pytest.approx(float(expected), rel=1e-9, abs=1e-300)
    if here:
        lift = Fraction(here, count) / Fraction(everywhere, total)
        assert found.lift[0] == pytest.approx(float(lift))
    else:
        assert found.lift[0] == 0


def test_chances_too_small_for_a_number_still_have_an_order() -> None:
    found = enrichment([940, 980, 400], [1000, 1000, 1000], 2000, 5000)
    expected = [tail(k, 1000, 2000, 5000) for k in (940, 980)]
    for log_p, chance in zip(found.log_p, expected, strict=False):
        exact = math.log(chance.numerator) - math.log(chance.denominator)
        assert log_p == pytest.approx(exact, rel=1e-9)
    assert math.exp(found.log_p[0]) == 0
    assert found.order().tolist() == [1, 0, 2]


def test_the_order_is_by_surprise_then_by_lift_and_leaves_out_what_is_not_there() -> None:
    #        as expected, more, absent, less, the same more of a rarer tag
    here = [10, 18, 0, 1, 9]
    everywhere = [50, 50, 30, 50, 9]
    found = enrichment(here, everywhere, 20, 100)
    order = found.order().tolist()
    assert order[:2] == sorted([1, 4], key=lambda tag: found.log_p[tag])
    assert sorted(order[2:]) == [0, 3] and 2 not in order


def test_all_and_nothing() -> None:
    whole = enrichment([5, 0], [5, 0], 8, 8)
    assert whole.log_p.tolist() == [0, 0] and whole.lift.tolist() == [1, 0]
    nothing = enrichment([0, 0], [5, 0], 0, 8)
    assert nothing.log_p.tolist() == [0, 0] and nothing.order().size == 0


@pytest.mark.parametrize("here", [[3], [9], [-1]])
def test_sets_that_cannot_be_are_refused(here: list[int]) -> None:
    with pytest.raises(ValueError, match="no such set"):
        enrichment(here, [8], 5, 9)
    with pytest.raises(ValueError, match="no such set"):
        enrichment([1], [1], 10, 9)
