"""Ink thinned to lines of one pixel, and those lines followed.

Thinning is that of Guo and Hall, "Parallel thinning with two-subiteration algorithms", CACM 32(3),
1989: the better known one of Zhang and Suen eats diagonal lines of two pixels. The lines are
followed as a graph whose junctions are passed straight on, as a pen does; what thinning alone has
made (spurs, bridges) is removed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Pixels = npt.NDArray[np.uint8]
Line = npt.NDArray[np.float64]


# --- thinning -----------------------------------------------------------------------------------

# The neighbours of a pixel clockwise from the north, as the paper's P2 to P9: bit k of a code.
_STEPS = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))


def _deletable(second: bool) -> Mask:
    """Which of the 256 neighbourhoods lose their middle in a half-step of Guo and Hall."""
    table = np.zeros(256, bool)
    for code in range(256):
        p2, p3, p4, p5, p6, p7, p8, p9 = (bool(code >> k & 1) for k in range(8))
        crossings = (
            (not p2 and (p3 or p4))
            + (not p4 and (p5 or p6))
            + (not p6 and (p7 or p8))
            + (not p8 and (p9 or p2))
        )
        neighbours = min(
            (p9 or p2) + (p3 or p4) + (p5 or p6) + (p7 or p8),
            (p2 or p3) + (p4 or p5) + (p6 or p7) + (p8 or p9),
        )
        held = (p6 or p7 or not p9) and p8 if second else (p2 or p3 or not p5) and p4
        table[code] = crossings == 1 and 2 <= neighbours <= 3 and not held
    return table


_DELETABLE = (_deletable(False), _deletable(True))


def thin(masks: Mask) -> Mask:
    """Thin ink to lines of one pixel that keep its connections.

    Parameters
    ----------
    masks : bool, shape [N, H, W]
        Ink.

    Returns
    -------
    bool, shape [N, H, W]
        Subset of the ink, of which no part vanishes or falls apart.
    """
    padded = np.pad(masks, ((0, 0), (1, 1), (1, 1)))
    width = padded.shape[2]
    flat = padded.reshape(-1).view(np.uint8)
    offsets = [dy * width + dx for dy, dx in _STEPS]
    ink = np.flatnonzero(flat)
    changed = True
    while changed:
        changed = False
        for table in _DELETABLE:
            gone = table[_codes(flat, ink, offsets)]
            if gone.any():
                changed = True
                flat[ink[gone]] = 0
                ink = ink[~gone]
    return padded[:, 1:-1, 1:-1].copy()


def _codes(flat: Pixels, where: npt.NDArray[np.int64], offsets: Sequence[int]) -> Pixels:
    codes = np.zeros(where.size, np.uint8)
    for k, offset in enumerate(offsets):
        codes |= flat[where + offset] << np.uint8(k)
    return codes


def half_widths(masks: Mask, limit: int = 64) -> Pixels:
    """How many times a pixel survives the peeling of the ink's edge: half its line's width.

    Four and eight neighbours take turns, so that what is equally far forms an octagon. Outside of
    the picture counts as ink: a line that leaves it does not get thinner there.
    """
    left = masks.copy()
    count = left.astype(np.uint8)
    for turn in range(limit):
        peeled = left.copy()
        peeled[:, 1:] &= left[:, :-1]
        peeled[:, :-1] &= left[:, 1:]
        peeled[:, :, 1:] &= left[:, :, :-1]
        peeled[:, :, :-1] &= left[:, :, 1:]
        if turn % 2:
            peeled[:, 1:, 1:] &= left[:, :-1, :-1]
            peeled[:, 1:, :-1] &= left[:, :-1, 1:]
            peeled[:, :-1, 1:] &= left[:, 1:, :-1]
            peeled[:, :-1, :-1] &= left[:, 1:, 1:]
        left = peeled
        if not left.any():
            break
        count += left
    return count


# --- following ----------------------------------------------------------------------------------


@dataclass
class _Edge:
    """A line of the skeleton between two nodes, from `first` to `last`."""

    first: int
    last: int
    points: Line  # [P, 2], x and y; its ends are the places of the nodes

    @property
    def length(self) -> float:
        return float(np.hypot(*np.diff(self.points, axis=0).T).sum())

    def turned(self) -> _Edge:
        return _Edge(self.last, self.first, self.points[::-1])


def follow(
    skeleton: Mask, half_width: Pixels, *, spur: float = 0.5, smoothing: float = 0.6
) -> list[Line]:
    """Follow the lines of a skeleton.

    Parameters
    ----------
    skeleton : bool, shape [H, W]
        Lines of one pixel.
    half_width : uint8, shape [H, W]
        Of the ink around each of its pixels.
    spur : float
        Side lines that reach beyond the ink of the line that they leave by less than this share
        of its half width are dents of its edge.
    smoothing : float
        Deviation of the Gaussian along a line, in half widths of the pen.

    Returns
    -------
    list of float64 arrays, shape [P, 2]
        x and y along each line, smoothed; of a dot there is one point.
    """
    nodes, edges, dots, rings = _graph(skeleton)
    on_line = half_width[skeleton]
    pen = float(np.median(on_line)) if on_line.size else 1.0
    radius = [max(float(half_width[round(y), round(x)]), 1.0) for x, y in nodes]
    edges = _without_bridges(nodes, radius, edges)
    edges = _without_spurs(radius, edges, spur)
    lines = _straight_on(edges, reach=max(6.0, 2.0 * pen))
    dots += [middle for line in lines if (middle := _as_dot(line, half_width)) is not None]
    lines = [line for line in lines if _as_dot(line, half_width) is None]
    smooth = [_smooth(line, smoothing * pen, closed=False) for line in lines]
    smooth += [_smooth(ring, smoothing * pen, closed=True) for ring in rings]
    # A speck is smaller than the pen's own dot.
    for x, y in dots:
        if half_width[round(y), round(x)] >= 0.6 * pen:
            smooth.append(np.array([[x, y]], np.float64))
    return smooth


def _as_dot(line: Line, half_width: Pixels) -> tuple[float, float] | None:
    """The middle of what is longer than wide by chance only: thinned, a dot may be a short line."""
    left, top = line.min(axis=0)
    right, bottom = line.max(axis=0)
    x, y = float(left + right) / 2, float(top + bottom) / 2
    length = float(np.hypot(*np.diff(line, axis=0).T).sum())
    return (x, y) if length < half_width[round(y), round(x)] else None


def _graph(
    skeleton: Mask,
) -> tuple[list[tuple[float, float]], list[_Edge], list[tuple[float, float]], list[Line]]:
    """Nodes (ends and junctions, x and y), edges between them, single pixels, closed rings."""
    padded = np.pad(skeleton, 1)
    width = padded.shape[1]
    flat = padded.reshape(-1)
    pixels = np.flatnonzero(flat)
    links = _links(flat.view(np.uint8), pixels, width)
    table = _offsets(width)
    near = {
        p: [p + offset for offset in table[code]]
        for p, code in zip(pixels.tolist(), links.tolist(), strict=True)
    }

    def place(pixel: int) -> tuple[int, int]:
        y, x = divmod(pixel, width)
        return x - 1, y - 1

    node_of: dict[int, int] = {}
    nodes: list[tuple[float, float]] = []
    for pixel, others in near.items():
        if pixel in node_of or len(others) in (0, 2):
            continue
        # Junction pixels that touch are one junction.
        group, waiting = [pixel], [pixel]
        node_of[pixel] = len(nodes)
        while len(others) > 2 and waiting:
            for other in near[waiting.pop()]:
                if len(near[other]) > 2 and other not in node_of:
                    node_of[other] = len(nodes)
                    group.append(other)
                    waiting.append(other)
        places = [place(p) for p in group]
        nodes.append(
            (sum(x for x, _ in places) / len(places), sum(y for _, y in places) / len(places))
        )

    edges: list[_Edge] = []
    passed: set[int] = set()
    for pixel, node in node_of.items():
        for step in near[pixel]:
            if step in passed or node_of.get(step) == node:
                continue
            if step in node_of:
                if pixel < step:  # two nodes side by side, once
                    edges.append(_edge(node, node_of[step], [], nodes))
                continue
            chain, before = [step], pixel
            passed.add(step)
            while True:
                a, b = near[chain[-1]]
                after = b if a == before else a
                if after in node_of:
                    break
                before = chain[-1]
                chain.append(after)
                passed.add(after)
            edges.append(_edge(node, node_of[after], [place(p) for p in chain], nodes))

    rings: list[Line] = []
    for pixel, others in near.items():
        if pixel in passed or pixel in node_of or not others:
            continue
        chain, before = [pixel], others[0]
        while chain[-1] not in passed:
            passed.add(chain[-1])
            a, b = near[chain[-1]]
            after = b if a == before else a
            before = chain[-1]
            if after == pixel:
                break
            chain.append(after)
        rings.append(np.array([place(p) for p in chain], np.float64))
    dots: list[tuple[float, float]] = [place(p) for p, others in near.items() if not others]
    return nodes, edges, dots, rings


@lru_cache(maxsize=8)
def _offsets(width: int) -> tuple[tuple[int, ...], ...]:
    """The steps of each of the 256 codes, in a flat array whose rows are so long."""
    steps = [dy * width + dx for dy, dx in _STEPS]
    return tuple(tuple(steps[k] for k in range(8) if code >> k & 1) for code in range(256))


def _links(flat: Pixels, pixels: npt.NDArray[np.int64], width: int) -> Pixels:
    """Which neighbours a pixel is linked to: a diagonal one only if no other way leads there."""
    codes = _codes(flat, pixels, [dy * width + dx for dy, dx in _STEPS])
    links = codes.copy()
    for k in (1, 3, 5, 7):
        beside = np.uint8(1 << (k - 1) | 1 << ((k + 1) % 8))
        links[codes & beside != 0] &= np.uint8(0xFF & ~(1 << k))
    return links


def _edge(
    first: int, last: int, chain: list[tuple[int, int]], nodes: list[tuple[float, float]]
) -> _Edge:
    return _Edge(first, last, np.array([nodes[first], *chain, nodes[last]], np.float64))


def _without_bridges(
    nodes: list[tuple[float, float]], radius: list[float], edges: list[_Edge]
) -> list[_Edge]:
    """Join junctions that lie within the ink of each other: a crossing thins to two of them."""
    degree = _degrees(edges)
    edges = sorted(edges, key=lambda edge: edge.length)
    into = list(range(len(nodes)))

    def root(node: int) -> int:
        while into[node] != node:
            into[node] = into[into[node]]
            node = into[node]
        return node

    places = [np.array(node, np.float64) for node in nodes]
    kept: list[_Edge] = []
    for edge in edges:
        a, b = root(edge.first), root(edge.last)
        short = edge.length < 1.2 * max(radius[edge.first], radius[edge.last])
        if a != b and short and degree[edge.first] > 2 and degree[edge.last] > 2:
            into[b] = a
            places[a] = (places[a] + places[b]) / 2
        elif not (a == b and short and edge.first != edge.last):
            kept.append(edge)
    for edge in kept:
        for end, node in ((0, edge.first), (-1, edge.last)):
            if root(node) != node or (places[node] != nodes[node]).any():
                edge.points = edge.points.copy()
                edge.points[end] = places[root(node)]
        edge.first, edge.last = root(edge.first), root(edge.last)
    return kept


def _without_spurs(radius: list[float], edges: list[_Edge], spur: float) -> list[_Edge]:
    """Drop short lines that end freely at a junction, the shortest first."""
    while True:
        degree = _degrees(edges)
        candidates = []
        for i, edge in enumerate(edges):
            if {degree[edge.first], degree[edge.last]} >= {1} and edge.first != edge.last:
                joint = edge.last if degree[edge.first] == 1 else edge.first
                tip = edge.first + edge.last - joint
                beyond = edge.length + radius[tip] - radius[joint]
                if degree[joint] > 2 and beyond < spur * radius[joint] + 1.0:
                    candidates.append((edge.length, i, joint))
        if not candidates:
            return edges
        # One a junction at a time: what is left of it may go straight on.
        gone: dict[int, int] = {}
        for _, i, joint in sorted(candidates):
            gone.setdefault(joint, i)
        edges = [edge for i, edge in enumerate(edges) if i not in set(gone.values())]
        edges = _join_pairs(edges)


def _degrees(edges: list[_Edge]) -> dict[int, int]:
    degree: dict[int, int] = {}
    for edge in edges:
        for node in (edge.first, edge.last):
            degree[node] = degree.get(node, 0) + 1
    return degree


def _join_pairs(edges: list[_Edge]) -> list[_Edge]:
    """Make one edge of two where they alone meet."""
    at: dict[int, list[int]] = {}
    for i, edge in enumerate(edges):
        at.setdefault(edge.first, []).append(i)
        at.setdefault(edge.last, []).append(i)
    alive: dict[int, _Edge] = dict(enumerate(edges))
    for node, ends in at.items():
        if len(ends) != 2 or ends[0] == ends[1]:
            continue
        i, j = ends
        one, two = alive[i], alive.pop(j)
        one = one if one.last == node else one.turned()
        two = two if two.first == node else two.turned()
        # The node itself lies beside the line where a spur pulled it.
        points = np.concatenate([one.points[:-1], two.points[1:]])
        if len(points) < 2:
            points = np.concatenate([one.points, two.points[1:]])
        alive[i] = _Edge(one.first, two.last, points)
        if two.last != node:
            at[two.last] = [i if k == j else k for k in at[two.last]]
    return list(alive.values())


def _straight_on(edges: list[_Edge], reach: float) -> list[Line]:
    """Join edges at junctions where one goes on in the direction of another, as a pen does."""
    # Each end of an edge and the direction in which it leaves its node.
    ends: dict[int, list[tuple[int, int, npt.NDArray[np.float64]]]] = {}
    for i, edge in enumerate(edges):
        ends.setdefault(edge.first, []).append((i, 0, _direction(edge.points, reach)))
        ends.setdefault(edge.last, []).append((i, 1, _direction(edge.points[::-1], reach)))
    partner: dict[tuple[int, int], tuple[int, int]] = {}
    for leaving in ends.values():
        pairs = sorted(
            (float(one @ two), i, j)
            for i, (_, _, one) in enumerate(leaving)
            for j, (_, _, two) in enumerate(leaving[:i])
        )
        used: set[int] = set()
        for cosine, i, j in pairs:
            if cosine > -0.5 and len(leaving) > 2:  # a turn of more than 60 degrees
                break
            if i in used or j in used:
                continue
            used |= {i, j}
            a, b = leaving[i][:2], leaving[j][:2]
            partner[a], partner[b] = b, a

    lines: list[Line] = []
    done: set[int] = set()
    free = [(i, end) for i in range(len(edges)) for end in (0, 1) if (i, end) not in partner]
    # What has no free end is a ring: it begins anywhere.
    for i, end in free + [(i, 0) for i in range(len(edges))]:
        if i in done:
            continue
        parts: list[Line] = []
        here: tuple[int, int] | None = (i, end)
        while here is not None and here[0] not in done:
            index, side = here
            done.add(index)
            points = edges[index].points
            points = points if side == 0 else points[::-1]
            parts.append(points if not parts else points[1:])
            here = partner.get((index, 1 - side))
        lines.append(np.concatenate(parts))
    return lines


def _direction(points: Line, reach: float) -> npt.NDArray[np.float64]:
    """The direction from the first point to the one about `reach` away."""
    away = np.hypot(*(points - points[0]).T)
    far = np.flatnonzero(away >= reach)
    target = points[far[0]] if far.size else points[int(np.argmax(away))]
    vector = target - points[0]
    length = float(np.hypot(*vector))
    return vector / length if length > 0 else np.zeros(2)


def _smooth(line: Line, deviation: float, closed: bool) -> Line:
    """Smooth along a line, whose ends stay; a ring is closed by its first point again."""
    if closed:
        line = np.concatenate([line, line[:1]])
    elif len(line) > 2 and (line[0] == line[-1]).all():
        closed = True
    radius = min(math.ceil(3 * deviation), (len(line) - 1) // 2)
    if radius < 1:
        return line
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(deviation, 1e-6)) ** 2)
    kernel /= kernel.sum()
    if closed:
        padded = np.concatenate([line[-radius - 1 : -1], line, line[1 : radius + 1]])
    else:  # mirrored in the end points, which so stay where they are
        before = 2 * line[0] - line[radius:0:-1]
        after = 2 * line[-1] - line[-2 : -radius - 2 : -1]
        padded = np.concatenate([before, line, after])
    return np.stack([np.convolve(padded[:, k], kernel, "valid") for k in (0, 1)], axis=1)
