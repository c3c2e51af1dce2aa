"""The nearest vectors, exactly: a matrix product in blocks, then the few best scored again.

A matrix product rounds differently with the shape of its blocks, which would let equal vectors
change places from one call to the next. So the product only chooses candidates, with a margin
beyond its error, and what is returned is scored by one fixed rule: the order does not depend on
how many queries were asked at once, and equal vectors come in the order of their rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Vectors = npt.NDArray[Any]

# Rows and queries in one product: 16 MB of cosines.
_ROWS = 16_384
_QUERIES = 256
# Beyond the rounding of a product of unit vectors in float32, by some ten times.
_MARGIN = np.float32(1e-5)
# Beyond so many neighbours they are taken in the order of the product: to score all again takes
# long, and nobody looks that far for the sake of one of them.
_DEEP = 1_024
# Numbers widened at once: they stay in a core's own memory until they are multiplied.
_WIDENED = 1 << 18
# Numbers gathered at once to be scored again.
_GATHERED = 1 << 22


def nearest(
    queries: Floats,
    vectors: Vectors,
    k: int,
    *,
    alive: Bools | None = None,
    skip: Ints | None = None,
) -> tuple[Ints, Floats]:
    """Find the k vectors of the greatest cosine to each query.

    Parameters
    ----------
    queries : float32, shape [Q, D]
        Of length one.
    vectors : float32 or float16, shape [N, D]
        Of length one.
    k : int
        How many; fewer if there are not as many.
    alive : bool, shape [N], optional
        Rows that count; by default all.
    skip : int64, shape [Q], optional
        A row that each query leaves out (itself); -1 for none.

    Returns
    -------
    rows : int64, shape [Q, K]
        K is the smaller of k and the rows that count; -1 where there is no further one.
    cosines : float32, shape [Q, K]
        Descending; equal ones by ascending row; ``-inf`` where there is no row.
    """
    total = len(vectors) if alive is None else int(np.count_nonzero(alive[: len(vectors)]))
    k = max(0, min(k, total))
    rows = np.full((len(queries), k), -1, np.int64)
    cosines = np.full((len(queries), k), -np.inf, np.float32)
    if k:
        step = _QUERIES if k <= _DEEP else max(1, _QUERIES * _ROWS // len(vectors))
        find = _nearest if k <= _DEEP else _ranking
        for start in range(0, len(queries), step):
            part = slice(start, start + step)
            own = None if skip is None else skip[part]
            rows[part], cosines[part] = find(queries[part], vectors, k, alive, own)
    return rows, cosines


def _ranking(
    queries: Floats, vectors: Vectors, k: int, alive: Bools | None, skip: Ints | None
) -> tuple[Ints, Floats]:
    """The same for a large part of all rows, in the order of the product itself."""
    rough = _product(queries, vectors)
    np.clip(rough, -1, 1, out=rough)
    if alive is not None:
        rough[:, ~alive] = -np.inf
    if skip is not None:
        asking = np.flatnonzero(skip >= 0)
        rough[asking, skip[asking]] = -np.inf
    rows = np.argsort(-rough, axis=1, kind="stable")[:, :k]
    cosines = np.take_along_axis(rough, rows, axis=1)
    rows[np.isneginf(cosines)] = -1
    return rows, cosines


def _nearest(
    queries: Floats, vectors: Vectors, k: int, alive: Bools | None, skip: Ints | None
) -> tuple[Ints, Floats]:
    count = len(queries)
    best = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    for start in range(0, len(vectors), _ROWS):
        block = vectors[start : start + _ROWS]
        rough = _product(queries, block)
        if alive is not None:
            rough[:, ~alive[start : start + len(block)]] = -np.inf
        if skip is not None:
            inside = np.flatnonzero((skip >= start) & (skip < start + len(block)))
            rough[inside, skip[inside] - start] = -np.inf
        good = rough > -np.inf
        if len(block) > k:
            least = np.partition(rough, len(block) - k, axis=1)[:, len(block) - k, None]
            good &= rough >= least - _MARGIN
        asked, columns = np.nonzero(good)
        found = columns + start
        scores = score(queries, vectors, asked, found)
        merged = (
            np.concatenate([best[0], asked]),
            np.concatenate([best[1], found]),
            np.concatenate([best[2], scores]),
        )
        best = first(*merged, k)
    return table(*best, count, k)


def _product(queries: Floats, block: Vectors) -> Floats:
    if block.dtype != np.float16:
        cosines: Floats = queries @ block.T
        return cosines
    cosines = np.empty((len(queries), len(block)), np.float32)
    step = max(1, _WIDENED // block.shape[1])
    room = np.empty((min(step, len(block)), block.shape[1]), np.int32)
    for start in range(0, len(block), step):
        part = block[start : start + step]
        cosines[:, start : start + len(part)] = queries @ widen(part, room[: len(part)]).T
    return cosines


def widen(halves: Vectors, room: npt.NDArray[np.int32]) -> Floats:
    """Turn float16 into float32, exactly, some seven times as fast as NumPy's conversion.

    The bits of a half, moved to where float32 has them, are its value with an exponent that is
    too small by 112; a product by a power of two mends that and is exact.

    Parameters
    ----------
    halves : float16, finite
        Any shape, its last axis in one piece.
    room : int32
        Of the same shape; taken by the result.
    """
    np.copyto(room, halves.view(np.int16))
    np.left_shift(room, 13, out=room)
    np.bitwise_and(room, _SIGN_AND_REST, out=room)
    wide: Floats = room.view(np.float32)
    np.multiply(wide, _POWER, out=wide)
    return wide


_SIGN_AND_REST = np.array(0x8FFFE000, np.uint32).view(np.int32)
_POWER = np.float32(2.0**112)


def score(queries: Floats, vectors: Vectors, asked: Ints, rows: Ints) -> Floats:
    """Cosine of each pair of a query and a row, by a rule that depends on nothing else.

    Parameters
    ----------
    asked, rows : int64, shape [M]
        Which query, which row.

    Returns
    -------
    float32, shape [M], -1..1
        Products and sums are taken in float64 and rounded once.
    """
    scores = np.empty(len(rows), np.float32)
    step = max(1, _GATHERED // max(1, queries.shape[1]))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        ours = queries[asked[part]].astype(np.float64)
        theirs = vectors[rows[part]].astype(np.float64)
        scores[part] = np.einsum("md,md->m", ours, theirs)
    np.clip(scores, -1, 1, out=scores)
    return scores


def first(asked: Ints, rows: Ints, scores: Floats, k: int) -> tuple[Ints, Ints, Floats]:
    """Keep the best k pairs of each query: by query, descending score, ascending row."""
    order = np.lexsort((rows, -scores, asked))
    asked, rows, scores = asked[order], rows[order], scores[order]
    keep = rank(asked) < k
    return asked[keep], rows[keep], scores[keep]


def rank(groups: Ints) -> Ints:
    """Position of each entry among those of its group; groups lie together."""
    if not len(groups):
        return np.empty(0, np.int64)
    starts = np.flatnonzero(np.concatenate([[True], groups[1:] != groups[:-1]]))
    lengths = np.diff(np.append(starts, len(groups)))
    positions: Ints = np.arange(len(groups)) - np.repeat(starts, lengths)
    return positions


def table(asked: Ints, rows: Ints, scores: Floats, count: int, k: int) -> tuple[Ints, Floats]:
    """Pairs sorted by :func:`first` as a table of one line a query."""
    places = rank(asked)
    out_rows = np.full((count, k), -1, np.int64)
    out_scores = np.full((count, k), -np.inf, np.float32)
    out_rows[asked, places] = rows
    out_scores[asked, places] = scores
    return out_rows, out_scores
