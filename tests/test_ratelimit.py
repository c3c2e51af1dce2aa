"""Rates against a plain simulation; places against many threads."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.errors import LimitError
from tagger.ratelimit import Gate, TokenBuckets, client_address


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@given(
    st.lists(st.tuples(st.floats(0, 3), st.sampled_from("ab"), st.floats(0, 3)), max_size=60),
    st.floats(0.5, 5),
    st.floats(1, 5),
)
def test_buckets_are_those_of_a_plain_simulation(
    asked: list[tuple[float, str, float]], rate: float, burst: float
) -> None:
    clock = Clock()
    buckets = TokenBuckets(rate, burst, clock=clock)
    left: dict[str, float] = {}
    then: dict[str, float] = {}
    for wait, key, tokens in asked:
        clock.now += wait
        have = min(burst, left.get(key, burst) + rate * (clock.now - then.get(key, clock.now)))
        assert buckets.take(key, tokens) == (have >= 1)
        left[key], then[key] = (have - tokens if have >= 1 else have), clock.now


def test_over_a_long_time_the_rate_holds() -> None:
    clock = Clock()
    buckets = TokenBuckets(10, 5, clock=clock)
    granted = 0
    for _ in range(2000):
        clock.now += 0.01
        granted += buckets.take("flood")
    assert 200 <= granted <= 206
    assert buckets.take("another")


def test_a_debt_is_paid_off() -> None:
    clock = Clock()
    buckets = TokenBuckets(10, 10, clock=clock)
    assert buckets.take("a")
    buckets.charge("a", 29)
    buckets.charge("unknown", 5)
    clock.now += 2
    assert not buckets.take("a")
    clock.now += 0.2
    assert buckets.take("a")


def test_so_many_keys_are_kept() -> None:
    buckets = TokenBuckets(1, 1, clock=Clock(), max_keys=3)
    assert [buckets.take(key) for key in "abcd"] == [True] * 4
    assert not buckets.take("d")
    assert buckets.take("a")  # dropped meanwhile


def test_so_many_work_at_a_time_and_each_has_a_few_places() -> None:
    gate = Gate(places=2, waiting=2, each=2, patience=30)
    inside, most, lock = 0, 0, threading.Lock()
    go, ready = threading.Event(), threading.Semaphore(0)

    def work(key: str) -> None:
        nonlocal inside, most
        with gate.place(key):
            with lock:
                inside += 1
                most = max(most, inside)
            ready.release()
            go.wait(30)
            with lock:
                inside -= 1

    first = [threading.Thread(target=work, args=("a",)) for _ in range(2)]
    for thread in first:
        thread.start()
    for _ in first:
        assert ready.acquire(timeout=30)
    with pytest.raises(LimitError) as caught, gate.place("a"):
        pass
    assert caught.value.code == "too-fast"
    rest = [threading.Thread(target=work, args=(key,)) for key in "bc"]
    for thread in rest:
        thread.start()
    while gate._inside < 4:
        pass
    with pytest.raises(LimitError) as caught, gate.place("d"):
        pass
    assert caught.value.code == "busy"
    go.set()
    for thread in first + rest:
        thread.join()
    assert most == 2
    with gate.place("a"), gate.place("a"):
        pass


def test_who_waits_too_long_is_told_to_come_back() -> None:
    gate = Gate(places=1, waiting=5, each=5, patience=0.01)
    with gate.place("a"), pytest.raises(LimitError) as caught, gate.place("b"):
        pass
    assert caught.value.code == "busy"
    with gate.place("b"):
        pass


PEER = "10.0.0.9"


@pytest.mark.parametrize(
    ("proxies", "forwarded", "expected"),
    [
        (0, ["192.0.2.1"], PEER),  # nobody is believed
        (1, [], PEER),
        (1, ["192.0.2.1"], "192.0.2.1"),
        (1, ["1.1.1.1, 192.0.2.1"], "192.0.2.1"),  # what came before was written by the visitor
        (1, ["1.1.1.1", "2.2.2.2,192.0.2.1"], "192.0.2.1"),
        (2, ["1.1.1.1, 192.0.2.1, 10.0.0.1"], "192.0.2.1"),
        (2, ["192.0.2.1"], "192.0.2.1"),  # it passed fewer proxies
        (1, ["192.0.2.1:4711"], "192.0.2.1"),
        (1, ["2001:DB8::1"], "2001:db8::1"),
        (1, ["[2001:db8::1]"], "2001:db8::1"),
        (1, ["[2001:db8::1]:4711"], "2001:db8::1"),
        (1, ["unknown"], PEER),
        (1, ["1.1.1.1, "], PEER),
        (1, ["", "  "], PEER),
        (1, ["<script>", "1.2.3.4.5"], PEER),
        (1, ["9" * 100_000], PEER),
    ],
)
def test_only_what_trusted_proxies_added_is_believed(
    proxies: int, forwarded: list[str], expected: str
) -> None:
    assert client_address(PEER, forwarded, proxies) == expected


@given(st.lists(st.text(max_size=40), max_size=3), st.text(max_size=60))
def test_a_visitor_cannot_choose_an_address(written: list[str], more: str) -> None:
    added = [*written, f"{more}, 192.0.2.7"]
    assert client_address(PEER, added, 1) == "192.0.2.7"
