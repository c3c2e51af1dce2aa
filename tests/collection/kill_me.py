"""A program that saves from a thousand threads at once, to be killed in the middle of it.

Usage: ``python -m tests.collection.kill_me URL ROUND``. A line is written for each drawing as soon
as it is acknowledged: the number that made it, and its id.
"""

from __future__ import annotations

import os
import sys
import threading

from tagger.collection import Store
from tagger.errors import StoreError
from tests.collection.examples import new, scribble

SAVES = 1000


def save_all(url: str, number: int) -> None:
    """Save a thousand drawings, all at once."""
    store = Store.open(url, timeout=60)
    me = store.contributor_of("me")
    barrier = threading.Barrier(SAVES)

    def save(i: int) -> None:
        drawing = new(f"word {i % 7}", scribble(i, 24), contributor=me, key=f"{number}/{i}")
        barrier.wait()
        try:
            saved = store.save(drawing)
        except StoreError:  # the server was killed: nothing is promised
            return
        # One write, which a pipe takes whole.
        os.write(1, f"{i} {saved.id}\n".encode())

    threads = [threading.Thread(target=save, args=(i,)) for i in range(SAVES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    save_all(sys.argv[1], int(sys.argv[2]))
