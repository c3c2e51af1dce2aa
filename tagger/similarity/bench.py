"""How long lookups take and how many neighbours the graph finds, at several sizes in one run.

Speeds of different machines and days cannot be compared, ratios within one run can: each query is
asked of every index in turn, so that whatever else the machine does, it does to all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.similarity import hnsw
from tagger.similarity.index import Index, Precision, Search
from tagger.similarity.items import Neighbour

Floats = npt.NDArray[np.float32]

#: What is compared, and with what: the first is the measure of the others.
KINDS: tuple[tuple[str, Search, Precision], ...] = (
    ("exact", "exact", "float32"),
    ("exact, halves", "exact", "float16"),
    ("hnsw", "hnsw", "float32"),
)

SIZES = (1_000, 10_000, 100_000)


def bench(
    *,
    sizes: Sequence[int] = SIZES,
    dimension: int = 256,
    queries: int = 200,
    k: int = 10,
    seed: int = 0,
    vectors: Floats | None = None,
    more: Mapping[str, Callable[[int], Any]] | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Measure.

    Parameters
    ----------
    sizes : sequence of int
        How many vectors.
    dimension, seed : int
        Of made vectors, for each size its own: clusters, as pictures of like things are.
    queries, k : int
        How many lookups, and for how many neighbours.
    vectors : float32, shape [N, D], optional
        Real ones instead; sizes beyond N less the queries are left out. The last are the queries.
    more : mapping of str to callable, optional
        Other kinds of indexes by name: given D, make an empty one with the methods of
        :class:`tagger.similarity.Index`, which is closed afterwards.
    progress : callable, optional
        Told in words what is being done.

    Returns
    -------
    dict
        The arguments, and ``rows``, one for each size and kind: ``size``, ``kind``,
        ``build_seconds``, milliseconds a lookup ``p50`` and ``p95``, ``batch`` (milliseconds a
        lookup when all are asked at once), ``times`` (how often the exact search's median goes
        into this one's), ``recall`` (share of the exact search's neighbours) and ``megabytes`` of
        the embeddings.
    """
    if vectors is not None:
        dimension = vectors.shape[1]
        sizes = [size for size in sizes if size + queries <= len(vectors)]
    makers: dict[str, Callable[[int], Any]] = {
        name: partial(Index, model="bench", search=search, precision=precision)
        for name, search, precision in KINDS
        if search != "hnsw" or hnsw.installed()
    }
    makers.update(more or {})
    rows = []
    for size in sizes:
        made = clusters(size + queries, dimension, seed) if vectors is None else vectors
        with ExitStack() as opened:
            indexes, built = {}, {}
            for name, make in makers.items():
                if progress is not None:
                    progress(f"building {name} of {size:,}")
                index = opened.enter_context(make(dimension))
                begun = time.perf_counter()
                index.add_many([str(number) for number in range(size)], made[:size])
                built[name] = time.perf_counter() - begun
                indexes[name] = index
            if progress is not None:
                progress(f"asking {size:,}")
            rows += _ask(indexes, made[len(made) - queries :], k, built, size)
    return {"dimension": dimension, "queries": queries, "k": k, "seed": seed, "rows": rows}


def markdown(figures: dict[str, Any]) -> str:
    """The rows of :func:`bench` as a table in Markdown."""
    k = figures["k"]
    lines = [
        "| vectors | search | build, s | ms a lookup, p50 | p95 | ms in a batch | times as fast "
        f"| recall@{k} | MB |",
        "|--:|:--|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in figures["rows"]:
        cells = (
            f"{row['size']:,}",
            row["kind"],
            f"{row['build_seconds']:.2f}",
            f"{row['p50']:.3f}",
            f"{row['p95']:.3f}",
            f"{row['batch']:.3f}",
            f"{row['times']:.1f}",
            f"{row['recall']:.3f}",
            f"{row['megabytes']:.1f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def clusters(count: int, dimension: int, seed: int) -> Floats:
    """Vectors of length one around middles, of which there are some fifty times fewer."""
    rng = np.random.default_rng(seed)
    middles = rng.standard_normal((max(4, count // 50), dimension), np.float32)
    made = middles[rng.integers(0, len(middles), count)]
    made += 0.8 * rng.standard_normal((count, dimension), np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


def _ask(
    indexes: Mapping[str, Any], asked: Floats, k: int, built: dict[str, float], size: int
) -> list[dict[str, Any]]:
    seconds: dict[str, list[float]] = {name: [] for name in indexes}
    for query in asked:
        for name, index in indexes.items():
            begun = time.perf_counter()
            index.lookup(query, k)
            seconds[name].append(time.perf_counter() - begun)
    batch, found = {}, {}
    for name, index in indexes.items():
        begun = time.perf_counter()
        found[name] = index.lookup_many(asked, k)
        batch[name] = (time.perf_counter() - begun) / max(1, len(asked))
    first = next(iter(indexes))
    median = {name: float(np.median(times)) for name, times in seconds.items()}
    return [
        {
            "size": size,
            "kind": name,
            "build_seconds": built[name],
            "p50": 1e3 * median[name],
            "p95": 1e3 * float(np.percentile(seconds[name], 95)),
            "batch": 1e3 * batch[name],
            "times": median[first] / median[name],
            "recall": _recall(found[name], found[first]),
            "megabytes": index.stats().bytes / 1e6,
        }
        for name, index in indexes.items()
    ]


def _recall(found: list[list[Neighbour]], wanted: list[list[Neighbour]]) -> float:
    hits = sum(
        len({one.item.id for one in a} & {one.item.id for one in b})
        for a, b in zip(found, wanted, strict=True)
    )
    return hits / max(1, sum(map(len, wanted)))
