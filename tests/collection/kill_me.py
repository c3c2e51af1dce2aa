"""A program that saves from a thousand threads at once, to be killed in the middle of it.

Usage: ``python -m tests.collection.kill_me URL ROUND``. A line is written for each drawing or vote
as soon as it is acknowledged: the number that made it, and its id.
"""

from __future__ import annotations

import os
import sys
import threading

from tagger.collection import NewDrawing, NewVote, Store
from tagger.errors import StoreError
from tests.collection.examples import new, own_vote, scribble

SAVES = 1000


def is_vote(i: int) -> bool:
    """Whether the save of this number is one of a vote."""
    return i % 5 == 0


def drawing_of(i: int, number: int, contributor: str) -> NewDrawing:
    """The drawing of a number in a round."""
    key = f"{number}/{i}"
    return new(f"word {i % 7}", scribble(i, 24), contributor=contributor, key=key)


def vote_of(i: int, number: int, contributor: str) -> NewVote:
    """The vote of a number in a round: on a picture of the voter's own."""
    return own_vote(i, f"{i}.png", contributor=contributor, key=f"{number}/{i}")


def save_all(url: str, number: int) -> None:
    """Save a thousand drawings and votes, all at once."""
    store = Store.open(url, timeout=60)
    me = store.contributor_of("me")
    barrier = threading.Barrier(SAVES)

    def save(i: int) -> None:
        barrier.wait()
        try:
            if is_vote(i):
                id = store.save_vote(vote_of(i, number, me)).id
            else:
                id = store.save(drawing_of(i, number, me)).id
        except StoreError:  # the server was killed: nothing is promised
            return
        # One write, which a pipe takes whole.
        os.write(1, f"{i} {id}\n".encode())

    threads = [threading.Thread(target=save, args=(i,)) for i in range(SAVES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    save_all(sys.argv[1], int(sys.argv[2]))
