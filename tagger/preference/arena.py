"""What all voters together say: strengths of pictures, and whether the votes can be trusted.

Bradley and Terry's model (1952): ``P(i is preferred to j) = sigmoid(strength_i - strength_j)``. A
tie is half a win of either. Around the strengths lies a weak normal prior, so that a picture that
always won has a finite one. Hygiene as arenas of language models have it (Chiang et al., "Chatbot
Arena", 2024): side bias, votes given twice, voters who vote unlike all others.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.preference import metrics
from tagger.preference.metrics import Interval
from tagger.preference.ranker import sigmoid
from tagger.preference.votes import Choice

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Of the prior: half the penalty on a strength's square, as `choix` counts it.
ALPHA = 0.05
# A voter with fewer decided votes is not judged.
_LEAST_VOTES = 10
# What is less probable than this by chance is reported.
_UNLIKELY = 0.001
# A median vote quicker than this was not looked at.
_QUICK_MS = 300
# Steps of Newton's method, and of conjugate gradients within one of these, at most.
_STEPS = 200
# How exactly the latter solve: the next step mends what is left.
_SOLVED = 0.01
# Voters for whom the others' strengths are fitted anew.
_MOST_REFITS = 50


@dataclass(frozen=True, slots=True)
class Battle:
    """A vote, as the collection has it.

    Attributes
    ----------
    left, right : str
        Names of pictures.
    choice : {"left", "right", "tie", "both-bad", "skip"}
        What was answered.
    voter : str
        Who.
    repeat : bool
        Whether the pair was asked again on purpose.
    milliseconds : int or None
        How long it took.
    """

    left: str
    right: str
    choice: Choice
    voter: str = ""
    repeat: bool = False
    milliseconds: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """A picture among the others.

    Attributes
    ----------
    name : str
    strength, low, high : float
        Bradley-Terry, 0 on average; 95 % bootstrap interval.
    votes : int
        On pairs with it.
    wins : float
        Of them; ties count half.
    """

    name: str
    strength: float
    low: float
    high: float
    votes: int
    wins: float


@dataclass(frozen=True, slots=True)
class Suspect:
    """A voter to look at.

    Attributes
    ----------
    voter : str
    votes : int
        Decided ones.
    reasons : tuple of {"one-sided", "unlike-others", "too-quick"}
    """

    voter: str
    votes: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What the votes of an arena say.

    Attributes
    ----------
    votes, voters : int
        All, skips too.
    choices : dict of str to int
        How often each.
    standings : tuple of Standing
        Strongest first.
    left : Interval
        Share of the left picture among decided votes: 0.5 is no bias.
    duplicates : int
        Votes of somebody on a pair that the same voter had judged already, without being asked
        again. Only the first counts for the strengths.
    suspects : tuple of Suspect
        Voters to look at, most votes first.
    """

    votes: int
    voters: int
    choices: dict[str, int]
    standings: tuple[Standing, ...]
    left: Interval
    duplicates: int
    suspects: tuple[Suspect, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "votes": self.votes,
            "voters": self.voters,
            "choices": self.choices,
            "standings": [
                {
                    "name": one.name,
                    "strength": round(one.strength, 4),
                    "low": round(one.low, 4),
                    "high": round(one.high, 4),
                    "votes": one.votes,
                    "wins": one.wins,
                }
                for one in self.standings
            ],
            "left": self.left.to_dict(),
            "duplicates": self.duplicates,
            "suspects": [
                {"voter": one.voter, "votes": one.votes, "reasons": list(one.reasons)}
                for one in self.suspects
            ],
        }


def strengths(
    pairs: npt.ArrayLike,
    outcomes: npt.ArrayLike,
    count: int,
    weights: npt.ArrayLike | None = None,
    *,
    alpha: float = ALPHA,
    begin: Doubles | None = None,
    tolerance: float = 1e-7,
) -> Doubles:
    """Fit Bradley-Terry strengths: what maximises the votes' probability.

    It is least ``sum(weight * (log(1 + exp(s)) - outcome * s)) + alpha * |strengths|**2`` with s
    the difference of the two strengths. Newton's method with conjugate gradients (Nocedal and
    Wright, "Numerical Optimization", algorithm 7.1): the work of a step is that of the votes, not
    of all pairs of items.

    Parameters
    ----------
    pairs : int, shape [V, 2], 0..count-1
        Left and right item of each vote.
    outcomes : float, shape [V], 0..1
        1 where the left one was preferred, 0.5 for a tie.
    count : int
        N items.
    weights : float, shape [V], optional
        As so many votes each counts.
    alpha : float, above 0
        Of the prior.
    begin : float64, shape [N], optional
        Strengths near to those that are looked for.
    tolerance : float
        Of the largest part of the gradient, relative to that at the beginning (or absolute, if
        larger).

    Returns
    -------
    float64, shape [N]
        Of mean 0.

    Raises
    ------
    ValueError
        If the lengths differ or a number is out of range.
    """
    both = np.asarray(pairs, np.int64).reshape(-1, 2)
    won = np.asarray(outcomes, np.float64)
    heavy = np.ones(len(won)) if weights is None else np.asarray(weights, np.float64)
    if won.shape != (len(both),) or heavy.shape != won.shape or alpha <= 0:
        raise ValueError("as many outcomes and weights as pairs are needed")
    if len(both) and not (both.min() >= 0 and both.max() < count):
        raise ValueError("a pair of items that are not there")
    if ((won < 0) | (won > 1)).any() or (heavy < 0).any():
        raise ValueError("outcomes are from 0 to 1, weights at least 0")
    if not len(both):
        return np.zeros(count)
    # Of a bootstrap's sample a third of the votes have no weight.
    used = heavy > 0
    left, right, won, heavy = both[used, 0], both[used, 1], won[used], heavy[used]

    def total(items: Ints, each: Doubles) -> Doubles:
        found: Doubles = np.bincount(items, each, count).astype(np.float64)
        return found

    def spread(each: Doubles) -> Doubles:
        """What belongs to votes, added up for their left items and taken off their right ones."""
        return total(left, each) - total(right, each)

    def loss(theta: Doubles) -> float:
        s = theta[left] - theta[right]
        return float(heavy @ (np.logaddexp(0, s) - won * s) + alpha * theta @ theta)

    theta: Doubles = np.zeros(count) if begin is None else begin.copy()
    value, enough = loss(theta), math.nan
    for _ in range(_STEPS):
        p = sigmoid(theta[left] - theta[right])
        gradient = spread(heavy * (p - won)) + 2 * alpha * theta
        steepest = float(np.abs(gradient).max())
        if math.isnan(enough):
            enough = tolerance * max(1.0, steepest)
        if steepest <= enough:
            break
        curve = heavy * p * (1 - p)
        diagonal = total(left, curve) + total(right, curve) + 2 * alpha

        def turned(step: Doubles, curve: Doubles = curve) -> Doubles:
            """The Hessian times a step."""
            return spread(curve * (step[left] - step[right])) + 2 * alpha * step

        step = _solve(turned, -gradient, diagonal)
        slope = float(gradient @ step)
        length = 1.0
        while (after := loss(theta + length * step)) > value + 1e-4 * length * slope:
            length /= 2
            if length < 1e-12:
                break
        if after >= value:  # as low as the numbers' precision lets it go
            break
        theta, value = theta + length * step, after
    centred: Doubles = theta - theta.mean()
    return centred


def _solve(times: Callable[[Doubles], Doubles], wanted: Doubles, diagonal: Doubles) -> Doubles:
    """Find x for which ``times(x)`` is about `wanted`, to a hundredth, by conjugate gradients.

    Parameters
    ----------
    times : callable
        A positive definite matrix times a vector.
    wanted, diagonal : float64, shape [N]
        The right side; the matrix's diagonal, by which the way to x is made short.
    """
    x = np.zeros_like(wanted)
    missing = wanted.copy()
    direction = missing / diagonal
    size = float(missing @ direction)
    goal = _SOLVED * float(np.abs(wanted).max())
    for _ in range(_STEPS):
        image = times(direction)
        share = size / float(direction @ image)
        x += share * direction
        missing -= share * image
        if float(np.abs(missing).max()) <= goal:
            break
        near = missing / diagonal
        size, before = float(missing @ near), size
        direction = near + size / before * direction
    return x


def report(
    battles: Sequence[Battle],
    *,
    rounds: int = 100,
    seed: int = 0,
    limit: int | None = 100,
) -> Report:
    """Look at all votes.

    Parameters
    ----------
    battles : sequence of Battle
        In the order in which they were given.
    rounds, seed : int
        Of the bootstrap over votes.
    limit : int, optional
        How many standings at most.
    """
    kept, duplicates = _first_only(battles)
    counted = [b for b in kept if b.choice in _OUTCOMES and b.left != b.right]
    names = sorted({name for b in counted for name in (b.left, b.right)})
    number = {name: n for n, name in enumerate(names)}
    pairs = np.array([[number[b.left], number[b.right]] for b in counted], np.int64).reshape(-1, 2)
    outcomes = np.array([_OUTCOMES[b.choice] for b in counted], np.float64)
    decided = [b for b in kept if b.choice in ("left", "right")]
    best = strengths(pairs, outcomes, len(names))
    return Report(
        votes=len(battles),
        voters=len({b.voter for b in battles}),
        choices=dict(Counter(b.choice for b in battles)),
        standings=_standings(names, best, pairs, outcomes, rounds, seed, limit),
        left=metrics.share([float(b.choice == "left") for b in decided]),
        duplicates=duplicates,
        suspects=_suspects(counted, best, pairs, outcomes),
    )


_OUTCOMES: dict[str, float] = {"left": 1.0, "right": 0.0, "tie": 0.5}


def _first_only(battles: Sequence[Battle]) -> tuple[list[Battle], int]:
    seen: set[tuple[str, frozenset[str]]] = set()
    kept: list[Battle] = []
    duplicates = 0
    for battle in battles:
        key = (battle.voter, frozenset((battle.left, battle.right)))
        if battle.choice == "skip":
            continue
        if key in seen and not battle.repeat:
            duplicates += 1
            continue
        seen.add(key)
        kept.append(battle)
    return kept, duplicates


def _near(best: Doubles, pairs: Ints, outcomes: Doubles, weights: Doubles) -> Doubles:
    """Strengths by most of the votes, or by other weights of them: not far from those by all.

    Exact to about 0.01, which is little beside what a bootstrap's samples differ by.
    """
    return strengths(pairs, outcomes, len(best), weights, begin=best, tolerance=1e-4)


def _standings(
    names: list[str],
    best: Doubles,
    pairs: Ints,
    outcomes: Doubles,
    rounds: int,
    seed: int,
    limit: int | None,
) -> tuple[Standing, ...]:
    if not names:
        return ()
    count = len(names)
    # A bootstrap sample is the same votes with other weights.
    rng = np.random.default_rng(seed)
    even = np.full(len(pairs), 1 / len(pairs))
    drawn = [
        _near(best, pairs, outcomes, rng.multinomial(len(pairs), even).astype(np.float64))
        for _ in range(rounds)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0) if drawn else (best, best)
    votes = np.bincount(pairs.ravel(), minlength=count)
    wins = np.bincount(pairs[:, 0], outcomes, count) + np.bincount(pairs[:, 1], 1 - outcomes, count)
    order = np.argsort(-best, kind="stable")[:limit]
    return tuple(
        Standing(
            name=names[n],
            strength=float(best[n]),
            low=float(min(low[n], best[n])),
            high=float(max(high[n], best[n])),
            votes=int(votes[n]),
            wins=float(wins[n]),
        )
        for n in order.tolist()
    )


def _suspects(
    battles: list[Battle], best: Doubles, pairs: Ints, outcomes: Doubles
) -> tuple[Suspect, ...]:
    own: dict[str, list[int]] = defaultdict(list)
    for n, battle in enumerate(battles):
        if battle.choice in ("left", "right"):
            own[battle.voter].append(n)
    judged = [(v, np.array(n)) for v, n in own.items() if len(n) >= _LEAST_VOTES]
    judged.sort(key=lambda pair: (-len(pair[1]), pair[0]))
    voters = np.array([battle.voter for battle in battles])
    found = []
    for place, (voter, rows) in enumerate(judged):
        reasons = []
        lefts = int(outcomes[rows].sum())
        if 2 * binomial_tail(max(lefts, len(rows) - lefts), len(rows)) < _UNLIKELY:
            reasons.append("one-sided")
        if place < _MOST_REFITS and len(own) > 1:
            theirs = _near(best, pairs, outcomes, (voters != voter).astype(np.float64))
            gap = theirs[pairs[rows, 0]] - theirs[pairs[rows, 1]]
            # Only where the others have an opinion.
            known = np.abs(gap) > 0.1
            agree = int(((gap > 0) == (outcomes[rows] > 0.5))[known].sum())
            total = int(known.sum())
            if total >= _LEAST_VOTES and binomial_tail(total - agree, total) < _UNLIKELY:
                reasons.append("unlike-others")
        times = [ms for n in rows.tolist() if (ms := battles[n].milliseconds) is not None]
        if len(times) >= _LEAST_VOTES and float(np.median(times)) < _QUICK_MS:
            reasons.append("too-quick")
        if reasons:
            found.append(Suspect(voter, len(rows), tuple(reasons)))
    return tuple(found)


def binomial_tail(hits: int, count: int) -> float:
    """Chance that a fair coin falls on one side at least `hits` times of `count`."""
    if hits <= 0:
        return 1.0
    logs = [
        math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1)
        for k in range(hits, count + 1)
    ]
    return float(min(1.0, math.fsum(math.exp(x - count * math.log(2)) for x in logs)))
