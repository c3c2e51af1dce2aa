"""Simulated voters: how many votes it takes to learn a taste, ``python -m ...simulate``.

A voter has a hidden taste for pictures and votes by it, with noise; pictures that are liked about
alike are ties. A :class:`tagger.preference.taste.Taste` learns from the votes on one half of a
gallery, by pairs that it chooses or by random ones. It is judged on the other half, of which it
has seen nothing: the share of the pairs that it puts in the order of the taste without noise. Not
counted are pairs that the voter without noise would call ties.

Tastes are of several kinds, so that no way of learning is favoured by what is to be learnt:

- ``seen``: a few tags are liked or disliked, as the model sees them (their probabilities). The
  taste sees these, too, among hundreds of others: here votes are all that it lacks.
- ``given``: the same, as people tagged the pictures: 0 or 1, with all that they forgot.
- ``favourites``: what is like any of five pictures is liked. This is no sum of tags, and not
  linear in the embedding.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from tagger.atomic import replacing
from tagger.errors import TaggerError
from tagger.gallery import Gallery, open_gallery
from tagger.preference import metrics
from tagger.preference.ranker import sigmoid
from tagger.preference.space import Space, describe
from tagger.preference.taste import Taste
from tagger.preference.votes import Choice, Pair

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

Hidden = Literal["seen", "given", "favourites"]
Way = Literal["active", "random"]

KINDS: tuple[Hidden, ...] = get_args(Hidden)
WAYS: tuple[Way, ...] = get_args(Way)
MARKS = (20, 50, 100, 200)

#: Spread of the voter's noise (logistic) and half-width of ties; a taste has a spread of 1.
NOISE, TIE = 0.35, 0.3
# Tags of a hidden taste: common ones, so that there is something to like.
_TAGS_OF_A_TASTE, _LEAST_PICTURES = 4, 0.02
_DISLIKED = 0.35
_FAVOURITES, _SHARPNESS = 5, 6.0
_PAIRS = 20_000


@dataclass(frozen=True, eq=False)
class Pool:
    """Pictures and what is known of them.

    Attributes
    ----------
    embeddings : float32, shape [N, D]
        Of length one.
    seen, given : float32, shape [N, T], 0..1
        Tags by the model and by people.
    model : str
        Hash of the model.
    """

    embeddings: Floats
    seen: Floats
    given: Floats
    model: str

    @classmethod
    def of(cls, gallery: Gallery) -> Pool:
        """All pictures of a gallery."""
        seen, given = (
            np.zeros((len(gallery), gallery.predicted.tags), np.float32) for _ in range(2)
        )
        seen[gallery.predicted.rows, gallery.predicted.tag] = gallery.predicted.probability
        given[gallery.labels.rows, gallery.labels.tag] = 1
        return cls(np.asarray(gallery.embeddings, np.float32), seen, given, gallery.model)


class Voter:
    """Somebody with a taste, who is not always sure of it.

    Parameters
    ----------
    utility : float64, shape [N]
        How much each picture is liked.
    rng : numpy.random.Generator
        Of the noise.
    noise, tie : float
        See above.
    """

    def __init__(
        self, utility: Doubles, rng: np.random.Generator, noise: float = NOISE, tie: float = TIE
    ) -> None:
        self.utility, self._rng, self._noise, self._tie = utility, rng, noise, tie

    def choose(self, pair: Pair) -> Choice:
        """Answer a pair."""
        gap = (
            self.utility[pair.left] - self.utility[pair.right] + self._noise * self._rng.logistic()
        )
        if abs(gap) < self._tie:
            return "tie"
        return "left" if gap > 0 else "right"


def hidden_taste(pool: Pool, kind: Hidden, rng: np.random.Generator) -> Doubles:
    """How much somebody likes each picture: float64, shape [N], of mean 0 and spread 1."""
    if kind == "favourites":
        loved = rng.choice(len(pool.embeddings), _FAVOURITES, replace=False)
        near = pool.embeddings.astype(np.float64) @ pool.embeddings[loved].T
        utility = np.exp(_SHARPNESS * (near - 1)).sum(axis=1)
    else:
        common = np.flatnonzero(pool.given.mean(axis=0) >= _LEAST_PICTURES)
        if not len(common):
            raise ValueError("a gallery whose pictures share no tags")
        tags = rng.choice(common, min(_TAGS_OF_A_TASTE, len(common)), replace=False)
        signs = np.where(rng.random(len(tags)) < _DISLIKED, -1.0, 1.0)
        strengths = signs * rng.uniform(0.5, 1.5, len(tags))
        utility = (pool.seen if kind == "seen" else pool.given)[:, tags].astype(np.float64)
        utility = utility @ strengths
    spread = float(utility.std())
    centred: Doubles = (utility - utility.mean()) / (spread if spread > 0 else 1.0)
    return centred


def learn(
    space: Space,
    voter: Voter,
    way: Way,
    judge: Callable[[Taste], dict[str, float]],
    *,
    marks: Sequence[int] = MARKS,
    seed: int = 0,
) -> list[dict[str, float]]:
    """Let a voter teach a taste, and judge it after so many votes.

    Parameters
    ----------
    space : Space
        Of the pictures that are voted on.
    voter : Voter
        Of the same pictures.
    way : {"active", "random"}
        By pairs as a taste asks for them (repeats and random ones among them), or by random ones.
    judge : callable
        Gives figures of a taste.
    marks : sequence of int
        After how many votes.
    seed : int
        Of the pairs.

    Returns
    -------
    list of dict
        The figures at each mark.
    """
    rng = np.random.default_rng(seed)
    taste = Taste(space)
    figures = []
    for vote in range(1, max(marks) + 1):
        if way == "active":
            pair = taste.next_pair(rng)
            if pair is None:
                raise ValueError("too few pictures for so many votes")
        else:
            left, right = rng.choice(len(space), 2, replace=False).tolist()
            pair = Pair(left, right)
        taste.vote(pair.left, pair.right, voter.choose(pair), kind=pair.kind)
        if vote in marks:
            figures.append(judge(taste))
    return figures


def simulate(
    pool: Pool,
    *,
    tastes: int = 8,
    kinds: Sequence[Hidden] = KINDS,
    marks: Sequence[int] = MARKS,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Learning curves.

    Parameters
    ----------
    pool : Pool
        Pictures; one half is voted on, the other judges.
    tastes : int
        Hidden tastes of each kind; each has a voter and pairs of its own.
    kinds : sequence of {"seen", "given", "favourites"}
        See above.
    marks : sequence of int
        After how many votes it is judged.
    seed : int
        Of everything.
    progress : callable, optional
        Told in words what is being done.

    Returns
    -------
    dict
        The arguments; ``rows``, one for each kind, way and mark, with ``agreement`` on unseen
        pictures and its 95 % bootstrap interval over tastes, ``all_pairs`` (counting pairs that
        differ at all), ``tau`` (Kendall's), and ``certainty`` that the taste expects; ``gains``,
        of active over random with intervals; and for each kind the ``ceiling``: the agreement of
        a taste of the same form that is told the utility of every picture of the voted half; and
        ``told``, where the taste is made of tags: of whoever knows these tags and their weights,
        but sees a picture's tags as the model does.
    """
    halves = np.random.default_rng(seed).permutation(len(pool.embeddings))
    ours, theirs = np.array_split(halves, 2)
    described = describe(pool.embeddings, pool.seen)
    space = Space.learn(described[ours], pool.model, pool.seen[ours])
    unseen = described[theirs]
    pairs = np.random.default_rng(seed + 1).integers(0, len(theirs), (_PAIRS, 2))
    rows: list[dict[str, Any]] = []
    gains: list[dict[str, Any]] = []
    voters: dict[str, dict[str, float]] = {}
    for kind in kinds:
        curves: dict[Way, list[list[dict[str, float]]]] = {way: [] for way in WAYS}
        facts = []
        for number in range(tastes):
            utility = hidden_taste(pool, kind, np.random.default_rng([seed, number]))
            target = utility[theirs]

            def judge(taste: Taste, target: Doubles = target) -> dict[str, float]:
                scores = taste.scores(unseen)
                return {
                    **_agreements(scores, target, pairs),
                    "tau": metrics.kendall_tau(scores, target),
                    "certainty": taste.certainty(),
                }

            for way in WAYS:
                if progress is not None:
                    progress(f"{kind}, taste {number + 1} of {tastes}, {way} pairs")
                voter = Voter(utility[ours], np.random.default_rng([seed, number, 1]))
                curves[way].append(
                    learn(space, voter, way, judge, marks=marks, seed=seed + 1000 + number)
                )
            known = _facts(space, unseen, utility[ours], target, pairs)
            if kind != "favourites":
                told = hidden_taste(pool, "seen", np.random.default_rng([seed, number]))
                known["told"] = _agreements(told[theirs], target, pairs)["agreement"]
            facts.append(known)
        voters[kind] = {name: float(np.mean([f[name] for f in facts])) for name in facts[0]}
        for place, mark in enumerate(marks):
            for way in WAYS:
                found = [curve[place] for curve in curves[way]]
                values = np.array([f["agreement"] for f in found])
                interval = _mean(values)
                others = {n: float(np.mean([f[n] for f in found])) for n in found[0]}
                ends = {"low": interval.low, "high": interval.high}
                rows.append({"kind": kind, "way": way, "votes": mark, **others, **ends})
            won = [
                a[place]["agreement"] - b[place]["agreement"]
                for a, b in zip(curves["active"], curves["random"], strict=True)
            ]
            gains.append({"kind": kind, "votes": mark, **_mean(np.array(won)).to_dict()})
    return {
        "pictures": len(pool.embeddings),
        "model": pool.model,
        "components": space.components,
        "tastes": tastes,
        "seed": seed,
        "noise": NOISE,
        "tie": TIE,
        "voters": voters,
        "rows": rows,
        "gains": gains,
    }


def markdown(figures: dict[str, Any]) -> str:
    """The figures of :func:`simulate` as a table in Markdown."""
    marks = sorted({row["votes"] for row in figures["rows"]})
    lines = [
        f"| hidden taste | pairs | {' | '.join(f'{mark} votes' for mark in marks)} | ceiling "
        "| told the tags |",
        f"|:--|:--|{'--:|' * (len(marks) + 2)}",
    ]
    for kind in dict.fromkeys(row["kind"] for row in figures["rows"]):
        for way in WAYS:
            cells = [
                f"{row['agreement']:.3f} ({row['low']:.3f}-{row['high']:.3f})"
                for row in figures["rows"]
                if row["kind"] == kind and row["way"] == way
            ]
            ceiling = f"{figures['voters'][kind]['ceiling']:.3f}"
            told = figures["voters"][kind].get("told")
            ends = f"{ceiling} | {'' if told is None else f'{told:.3f}'}"
            lines.append(f"| {kind} | {way} | {' | '.join(cells)} | {ends} |")
    return "\n".join(lines)


def _agreements(scores: Doubles, target: Doubles, pairs: Ints) -> dict[str, float]:
    return {
        "agreement": float(metrics.agreement(scores, target, pairs, least=TIE).mean()),
        "all_pairs": float(metrics.agreement(scores, target, pairs, least=1e-9).mean()),
    }


def _facts(
    space: Space, unseen: Floats, utility: Doubles, target: Doubles, pairs: Ints
) -> dict[str, float]:
    """How reliable the voter is, and what a linear taste could reach."""
    seen = space.pool.astype(np.float64)
    gram = seen.T @ seen + 1e-3 * len(seen) * np.eye(space.components)
    best = np.linalg.solve(gram, seen.T @ (utility - utility.mean()))
    gap = target[pairs[:, 0]] - target[pairs[:, 1]]
    gap = np.abs(gap[np.abs(gap) > TIE])
    said = gap + NOISE * np.random.default_rng(0).logistic(size=len(gap))
    return {
        "ceiling": _agreements(space.features(unseen) @ best, target, pairs)["agreement"],
        # Of the votes that are no ties, on pairs that are none.
        "voter_right": float((said > TIE).sum() / (np.abs(said) > TIE).sum()),
        "ties": float((np.abs(said) < TIE).mean()),
        "noise_limit": float(sigmoid(gap / NOISE).mean()),
    }


def _mean(values: Doubles) -> metrics.Interval:
    return metrics.bootstrap(lambda chosen: float(values[chosen].mean()), len(values))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tagger.preference.simulate",
        description="Learning curves of simulated voters, by chosen and by random pairs.",
    )
    parser.add_argument("--gallery", type=Path, default=Path("exported/gallery"))
    parser.add_argument("--tastes", type=int, default=8, help="hidden tastes of each kind")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--votes", nargs="+", type=int, default=list(MARKS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="also write the figures here, as JSON")
    options = parser.parse_args(arguments)
    if options.tastes < 1 or min(options.votes) < 1:
        parser.error("at least one taste and one vote are needed")
    try:
        pool = Pool.of(open_gallery(options.gallery))
    except TaggerError as error:
        print(error.message(), file=sys.stderr)
        return 1
    figures = simulate(
        pool,
        tastes=options.tastes,
        kinds=options.kinds,
        marks=sorted(set(options.votes)),
        seed=options.seed,
        progress=lambda text: print(text, file=sys.stderr),
    )
    print(markdown(figures))
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        with replacing(options.output) as file:
            file.write(f"{json.dumps(figures, indent=1)}\n".encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
