"""A person's taste, learnt from votes: what it orders, how good it is, what to ask next.

The taste is linear in what describes a picture (:func:`tagger.preference.space.describe`). It
begins as a prior over such functions (:class:`tagger.preference.space.Space`), of which the votes
choose kind and strength by their evidence every ten votes. A vote for one picture is a win of it,
a tie half a win of either. "Both bad" is half a win of the average picture over each: so it moves
both down, and says nothing between them. A skip says nothing at all.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.errors import PreferenceError
from tagger.preference import metrics, votes
from tagger.preference.metrics import Interval
from tagger.preference.posterior import Evidence, Posterior, fit
from tagger.preference.profiles import Profile
from tagger.preference.ranker import Ranker, sigmoid
from tagger.preference.space import Space
from tagger.preference.votes import MAX_VOTES, Choice, Consistency, Kind, Pair, Vote

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

#: Standard deviations of the scores of a pool, as logits, among which the votes choose.
SCALES = (0.5, 1.0, 2.0, 4.0)
#: Random pairs among which the next one is chosen.
CANDIDATES = 300
#: Weight of a tag by hand: short of certainty, which has no finite number.
MAX_TAG_WEIGHT = 0.99

# Kind and strength of the prior are chosen anew after so many votes.
_EVERY = 10
# Of ten pairs, one is an earlier one, and two are drawn at random to judge by: what is chosen to
# teach most is harder than pairs are.
_REPEAT, _CHECK = (9,), (2, 6)
_FOLDS = 5
# Random pairs of the pool by which certainty is judged.
_JUDGED = 256
_MOST_TO_GO = 500
# So many votes the prior is worth, when it is said how many more are needed.
_PRIOR_VOTES = 20


@dataclass(frozen=True, slots=True)
class Word:
    """What a taste says of a tag.

    Attributes
    ----------
    tag : int
        Its number.
    weight : float, -1..1
        How a typical picture with it fares against the average picture: 1 if it always wins, -1
        if it always loses, which is ``2 * P(win) - 1``.
    low, high : float
        95 % interval.
    edited : bool
        Whether it was set by hand.
    """

    tag: int
    weight: float
    low: float
    high: float
    edited: bool


class Taste:
    """A taste and its votes; not for several threads at once.

    Parameters
    ----------
    space : Space
        Of the pool that is voted on.

    Notes
    -----
    Pictures are numbers of the pool, from 0 on; others are made known by :meth:`guest`, which
    gives them numbers below 0.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self._votes: list[Vote] = []
        self._guests: list[Doubles] = []
        self._edits: dict[int, float] = {}
        self._start = np.zeros(space.components)
        self._asked: set[tuple[int, int]] = set()
        self._now: Posterior | None = None
        self._chosen: tuple[Any, int, float] | None = None
        # Where the next fit begins: near the last one it ends in few steps.
        self._last: tuple[Doubles, Doubles] | None = None
        # And that of each prior among which the votes choose.
        self._points: dict[tuple[int, float], Doubles] = {}

    # --- votes -----------------------------------------------------------------------------------

    @property
    def votes(self) -> tuple[Vote, ...]:
        """All, in their order."""
        return tuple(self._votes)

    @property
    def count(self) -> int:
        """Votes that say something: all but skips."""
        return sum(vote.choice != "skip" for vote in self._votes)

    @property
    def edits(self) -> Mapping[int, float]:
        """Weights of tags that were set by hand."""
        return dict(self._edits)

    def guest(self, description: npt.ArrayLike) -> int:
        """Make a picture known that is not of the pool, and give it a number: -1, -2...

        Parameters
        ----------
        description : float, shape [D]
            By the model of the space.
        """
        if len(self._guests) >= 2 * MAX_VOTES:
            raise PreferenceError("vote-too-many", limit=MAX_VOTES)
        # As precise as it is in a profile, so that a taste is the same after it was saved.
        seen = self.space.features(np.asarray(description)[None])[0]
        self._guests.append(seen.astype(np.float16).astype(np.float64))
        return -len(self._guests)

    def vote(
        self, left: int, right: int, choice: Choice, weight: float = 1.0, *, kind: Kind = "own"
    ) -> Vote:
        """Take a vote.

        Parameters
        ----------
        left, right : int
            Two pictures.
        choice : {"left", "right", "tie", "both-bad", "skip"}
            See above.
        weight : float, above 0 to 10
            As so many votes it counts.
        kind : {"active", "check", "repeat", "own"}
            That of the pair that was asked (:meth:`next_pairs`).

        Raises
        ------
        PreferenceError
            ``vote-pair-invalid``, ``vote-choice-invalid``, ``vote-weight-invalid`` or
            ``vote-too-many``.
        """
        known = range(-len(self._guests), len(self.space))
        if left == right or left not in known or right not in known or kind not in votes.KINDS:
            raise PreferenceError("vote-pair-invalid")
        if len(self._votes) >= MAX_VOTES:
            raise PreferenceError("vote-too-many", limit=MAX_VOTES)
        vote = Vote(Pair(int(left), int(right), kind), choice, float(weight))
        self._votes.append(vote)
        self._asked.add(vote.pair.key)
        self._now = None
        return vote

    def undo(self, place: int = -1) -> Vote | None:
        """Take back the last vote, or that of a place, and say which it was; None if it is none."""
        if not -len(self._votes) <= place < len(self._votes):
            return None
        vote = self._votes.pop(place)
        self._asked = {other.pair.key for other in self._votes}
        self._now = None
        return vote

    def copy(self) -> Taste:
        """The taste as it is now, for another thread; what is voted on one, the other ignores."""
        twin = copy.copy(self)
        twin._votes, twin._guests = list(self._votes), list(self._guests)
        twin._edits, twin._asked = dict(self._edits), set(self._asked)
        return twin

    def forget(self) -> None:
        """Begin again from nothing: no votes, no edits, nothing of a loaded profile."""
        self._votes, self._guests, self._edits, self._asked = [], [], {}, set()
        self._start = np.zeros(self.space.components)
        self._now = self._chosen = None

    # --- what it says of pictures ----------------------------------------------------------------

    @property
    def posterior(self) -> Posterior:
        """What is known of the taste now."""
        if self._now is None:
            prior, scale = self._choose()
            begin = self._last[1] if self._last is not None and self._last[0] is prior else None
            known = self._evidence(self._votes)
            self._now = fit(known, scale * prior, self._start, begin=begin)
            self._last = (prior, self._now.point)
        return self._now

    def scores(self, descriptions: npt.ArrayLike | None = None) -> Doubles:
        """Score pictures, as logits: float64, shape [N], 0 for the average picture.

        Parameters
        ----------
        descriptions : float, shape [N, D], optional
            Any pictures; by default the pool.
        """
        seen = self.space.pool if descriptions is None else self.space.features(descriptions)
        scored: Doubles = seen @ self.posterior.mean
        return scored

    def order(self, descriptions: npt.ArrayLike | None = None) -> Ints:
        """Numbers of pictures, best first; arguments as :meth:`scores`."""
        return np.argsort(-self.scores(descriptions), kind="stable").astype(np.int64)

    def probability(self, left: npt.ArrayLike, right: npt.ArrayLike) -> Doubles:
        """P(left preferred) of two times P descriptions ``[P, D]``; moderate where little is known.

        Returns
        -------
        float64, shape [P]
        """
        rows = self.space.features(left) - self.space.features(right)
        return self.posterior.probability(rows)

    def ranker(self, name: str = "taste") -> Ranker:
        """The taste as a ranker, which needs no pool."""
        rows = self._judged()
        mean, variance = self.posterior.moments(rows)
        # One slope for all pairs: the one at which they are as moderate together.
        wanted = sigmoid(mean / np.sqrt(1 + np.pi / 8 * variance))
        slope = _slope(mean, wanted)
        return Ranker(
            name=name,
            model=self.space.model,
            weights=(self.space.axes @ self.posterior.mean).astype(np.float32),
            slope=slope,
            tie=self._tie(),
            facts={"votes": self.count, "edits": len(self._edits)},
        )

    # --- what to ask -----------------------------------------------------------------------------

    def next_pair(self, rng: np.random.Generator, pending: Sequence[Pair] = ()) -> Pair | None:
        """The pair to ask next; see :meth:`next_pairs`."""
        found = self.next_pairs(rng, 1, pending)
        return found[0] if found else None

    def next_pairs(
        self, rng: np.random.Generator, count: int = 3, pending: Sequence[Pair] = ()
    ) -> list[Pair]:
        """Pairs to ask next, none of which was asked before but for the repeats.

        Seven in ten are those of 300 random ones of which an answer would tell most about how the
        pool is ordered: by which the variances of its pairs' probabilities would shrink most
        ("prediction-oriented" learning, Bickford Smith et al., AISTATS 2023; to look at the pair's
        own variance alone asks for odd pictures). Two in ten are random, to judge the taste by
        (:meth:`agreement`), and one is an earlier one with the sides swapped, to judge the voter
        by (:meth:`consistency`).

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of chance.
        count : int
            How many.
        pending : sequence of Pair
            Pairs that are asked already and will be answered before.

        Returns
        -------
        list of Pair
            Fewer where the pool has no other pairs.
        """
        covariance, mean = self.posterior.covariance, self.posterior.mean
        targets = self._judged()
        taken = {pair.key for pair in pending}
        found: list[Pair] = []
        for pair in pending:
            covariance = _after(covariance, mean, self._difference(pair))
        for _ in range(count):
            place = (len(self._votes) + len(pending) + len(found)) % 10
            if place in _REPEAT and (again := votes.to_repeat(self._votes, taken)):
                pair = again[int(rng.integers(len(again)))]
            else:
                left, right = self._candidates(rng, taken)
                if not len(left):
                    break
                best = 0
                if place not in _CHECK:
                    rows = (self.space.pool[left] - self.space.pool[right]).astype(np.float64)
                    best = int(_taught(rows, targets, mean, covariance).argmax())
                kind: Kind = "check" if place in _CHECK else "active"
                pair = Pair(int(left[best]), int(right[best]), kind)
            found.append(pair)
            taken.add(pair.key)
            covariance = _after(covariance, mean, self._difference(pair))
        return found

    def _candidates(
        self, rng: np.random.Generator, taken: set[tuple[int, int]]
    ) -> tuple[Ints, Ints]:
        size = len(self.space)
        pairs = rng.integers(0, size, (CANDIDATES, 2)).tolist()
        if size * (size - 1) // 2 <= 4 * (CANDIDATES + len(self._asked)):  # few: look at them all
            pairs = [[a, b] for a in range(size) for b in range(a)]
            rng.shuffle(pairs)
        fresh = [
            (a, b) if rng.random() < 0.5 else (b, a)
            for a, b in pairs
            if a != b and (key := (min(a, b), max(a, b))) not in self._asked and key not in taken
        ]
        both = np.array(fresh[:CANDIDATES], np.int64).reshape(-1, 2)
        return both[:, 0], both[:, 1]

    # --- how good it is --------------------------------------------------------------------------

    def agreement(self) -> Interval:
        """Share of held-back votes that the taste foretells, ties left out.

        The votes on random pairs (kind ``"check"``) are held back in five parts in turn: of each,
        the taste learnt from all others is asked, and from it repeats of the same pairs are left
        out, too.
        """
        judged = [
            n for n, vote in enumerate(self._votes) if vote.decided and vote.pair.kind == "check"
        ]
        prior, scale = self._choose()
        near = self.posterior.point if judged else None
        right: list[float] = []
        for part in range(min(_FOLDS, len(judged))):
            held = [self._votes[n] for n in judged[part::_FOLDS]]
            keys = {vote.pair.key for vote in held}
            rest = [vote for vote in self._votes if vote.pair.key not in keys]
            learnt = fit(self._evidence(rest), scale * prior, self._start, begin=near)
            for vote in held:
                said = float(self._difference(vote.pair) @ learnt.mean)
                right.append(0.5 if said == 0 else float((said > 0) == (vote.choice == "left")))
        return metrics.share(right)

    def consistency(self) -> Consistency:
        """How the voter agrees with the same voter, which no taste can surpass."""
        return votes.consistency(self._votes)

    def certainty(self) -> float:
        """Expected share of the pool's pairs that are put in the voter's own order, 0.5..1.

        By the posterior: honest as far as the taste is linear in the descriptions.
        """
        return self._certainty(1.0)

    def votes_to_go(self, goal: float = 0.85) -> int:
        """About how many more votes bring the certainty to a goal: 0 to 500, in tens.

        Variances shrink as one by the number of votes.
        """
        if self._certainty(1.0) >= goal:
            return 0
        had = self.count + _PRIOR_VOTES
        for more in range(10, _MOST_TO_GO, 10):
            if self._certainty(had / (had + more)) >= goal:
                return more
        return _MOST_TO_GO

    def _certainty(self, shrink: float) -> float:
        mean, variance = self.posterior.moments(self._judged())
        ratio = np.abs(mean) / np.sqrt(np.maximum(shrink * variance, 1e-12))
        return float(_normal(ratio).mean())

    # --- in words --------------------------------------------------------------------------------

    def words(self, limit: int | None = None) -> list[Word]:
        """What it likes and dislikes as tags: what is surely strong comes first.

        Parameters
        ----------
        limit : int, optional
            How many at most; tags that were set by hand are always there.
        """
        known = np.flatnonzero(self.space.known)
        mean, variance = self.posterior.moments(self.space.tags[known])
        spread = np.sqrt(variance)
        sure = np.abs(mean) - spread
        edited = np.array([tag in self._edits for tag in known.tolist()], bool)
        order = np.lexsort((known, -sure, ~edited))
        if limit is not None:
            order = order[: max(limit, int(edited.sum()))]
        return [
            Word(
                tag=int(known[n]),
                weight=_fares(mean[n]),
                low=_fares(mean[n] - 1.96 * spread[n]),
                high=_fares(mean[n] + 1.96 * spread[n]),
                edited=bool(edited[n]),
            )
            for n in order.tolist()
        ]

    def edit(self, tag: int, weight: float | None) -> None:
        """Set by hand how much a tag is liked; further votes do not move it.

        Parameters
        ----------
        tag : int
            Its number.
        weight : float, -1..1, or None
            As :attr:`Word.weight`; None takes the edit back.

        Raises
        ------
        PreferenceError
            ``taste-tag-unknown`` or ``taste-weight-invalid``.
        """
        if not 0 <= tag < len(self.space.known) or not self.space.known[tag]:
            raise PreferenceError("taste-tag-unknown")
        if weight is None:
            self._edits.pop(int(tag), None)
        elif not -1 <= weight <= 1:
            raise PreferenceError("taste-weight-invalid")
        else:
            self._edits[int(tag)] = float(weight)
        self._now = None

    # --- file ------------------------------------------------------------------------------------

    def profile(self, name: str = "taste") -> Profile:
        """All of it, to be saved: a few kilobytes."""
        start = self.space.axes @ self._start if self._start.any() else None
        guests = np.array(self._guests).reshape(-1, self.space.components)
        return Profile(
            ranker=self.ranker(name),
            space=self.space.hash,
            votes=self.votes,
            guests=guests.astype(np.float32),
            edits=self.edits,
            start=None if start is None else start.astype(np.float32),
        )

    @classmethod
    def from_profile(cls, profile: Profile, space: Space) -> Taste:
        """Go on with a saved taste.

        On the pool that it was learnt on it is as it was, votes and all. On another one of the
        same model it begins as what was learnt, and the votes stay behind.

        Raises
        ------
        PreferenceError
            ``taste-foreign`` if it is of another model, ``taste-damaged`` if its votes are of
            pictures that are not there.
        """
        ranker = profile.ranker
        if ranker.model != space.model or ranker.dimension != space.dimension:
            raise PreferenceError("taste-foreign")
        taste = cls(space)
        known = range(-len(profile.guests), len(space))
        same = profile.space == space.hash and profile.guests.shape[1] == space.components
        start = profile.start if same else ranker.weights
        if start is not None:
            taste._start = space.axes.T @ start.astype(np.float64)
        if same:
            if any(v.pair.left not in known or v.pair.right not in known for v in profile.votes):
                raise PreferenceError("taste-damaged")
            taste._votes = list(profile.votes)
            taste._guests = list(profile.guests.astype(np.float64))
            taste._asked = {vote.pair.key for vote in profile.votes}
            tags = range(len(space.known))
            taste._edits = {t: w for t, w in profile.edits.items() if t in tags and space.known[t]}
        return taste

    # --- within ----------------------------------------------------------------------------------

    def _seen(self, number: int) -> Doubles:
        if number < 0:
            return self._guests[-number - 1]
        seen: Doubles = self.space.pool[number].astype(np.float64)
        return seen

    def _difference(self, pair: Pair) -> Doubles:
        return self._seen(pair.left) - self._seen(pair.right)

    def _evidence(self, cast: Iterable[Vote]) -> Evidence:
        rows: list[Doubles] = []
        outcomes: list[float] = []
        weights: list[float] = []
        for vote in cast:
            if vote.choice == "skip":
                continue
            if vote.choice == "both-bad":
                # The average picture, which is 0 along all directions, half beats each of them.
                rows += [-self._seen(vote.pair.left), -self._seen(vote.pair.right)]
                outcomes += [1.0, 1.0]
                weights += [vote.weight / 2, vote.weight / 2]
                continue
            rows.append(self._difference(vote.pair))
            outcomes.append({"left": 1.0, "right": 0.0, "tie": 0.5}[vote.choice])
            weights.append(vote.weight)
        width = self.space.components
        tags = sorted(self._edits)
        levels = [
            2 * float(np.arctanh(np.clip(self._edits[tag], -MAX_TAG_WEIGHT, MAX_TAG_WEIGHT)))
            for tag in tags
        ]
        return Evidence(
            rows=np.array(rows, np.float64).reshape(-1, width),
            outcomes=np.array(outcomes, np.float64),
            weights=np.array(weights, np.float64),
            edges=self.space.tags[tags].reshape(-1, width),
            levels=np.array(levels, np.float64),
        )

    def _choose(self) -> tuple[Doubles, float]:
        """Kind and strength of the prior that make the votes most probable.

        By the votes up to the last ten, so that it is the same however they came; from the tags'
        prior on, if there is one.
        """
        seen = tuple(self._votes[: len(self._votes) // _EVERY * _EVERY])
        key = (seen, tuple(sorted(self._edits.items())))
        if self._chosen is None or self._chosen[0] != key:
            best = (len(self.space.priors) - 1, 1.0)
            if seen:
                known = self._evidence(seen)
                options = [(n, s) for n in range(len(self.space.priors)) for s in SCALES]
                found: dict[tuple[int, float], float] = {}
                points = dict(self._points)
                for n, s in options:
                    prior = s * self.space.priors[n]
                    near = points.get((n, s))
                    each = fit(known, prior, self._start, begin=near, tolerance=1e-3)
                    found[n, s], points[n, s] = each.evidence, each.point
                self._points = points
                best = max(options, key=lambda option: (found[option], option == best))
            self._chosen = (key, *best)
        return self.space.priors[self._chosen[1]], self._chosen[2]

    def _judged(self) -> Doubles:
        pairs = np.random.default_rng(0).integers(0, len(self.space), (_JUDGED, 2))
        rows: Doubles = (self.space.pool[pairs[:, 0]] - self.space.pool[pairs[:, 1]]).astype(
            np.float64
        )
        return rows

    def _tie(self) -> float:
        """So near to 0.5 that as many of the voted pairs are ties as were called so."""
        said = [vote for vote in self._votes if vote.choice in ("left", "right", "tie")]
        if len(said) < 2 * _EVERY:
            return 0.05
        ties = sum(vote.choice == "tie" for vote in said) / len(said)
        rows = np.array([self._difference(vote.pair) for vote in said])
        near = np.abs(self.posterior.probability(rows) - 0.5)
        return float(np.clip(np.quantile(near, ties), 0.02, 0.2))


def blend(a: Profile, b: Profile, share: float, name: str = "blend") -> Profile:
    """Mix two tastes: what is liked by both, more like the second the greater the share.

    Parameters
    ----------
    a, b : Profile
        Of the same model.
    share : float, 0..1
        Of the second.

    Returns
    -------
    Profile
        Without votes; it can be voted on from there.

    Raises
    ------
    PreferenceError
        ``taste-foreign`` if they are of different models, ``taste-share-invalid``.
    """
    if a.ranker.model != b.ranker.model or a.ranker.dimension != b.ranker.dimension:
        raise PreferenceError("taste-foreign")
    if not 0 <= share <= 1:
        raise PreferenceError("taste-share-invalid")
    first, second = a.ranker.weights.astype(np.float64), b.ranker.weights.astype(np.float64)
    sizes = float(np.linalg.norm(first)), float(np.linalg.norm(second))
    # Alike in strength first: who voted more does not count for more.
    mixed = (1 - share) * first / max(sizes[0], 1e-12) + share * second / max(sizes[1], 1e-12)
    mixed *= sizes[0] ** (1 - share) * sizes[1] ** share
    weights = mixed.astype(np.float32)
    ranker = Ranker(
        name=name,
        model=a.ranker.model,
        weights=weights,
        slope=(1 - share) * a.ranker.slope + share * b.ranker.slope,
        tie=(1 - share) * a.ranker.tie + share * b.ranker.tie,
        facts={"blend": [a.ranker.name, b.ranker.name], "share": share},
    )
    return Profile(ranker=ranker, space="", start=weights)


def _taught(rows: Doubles, targets: Doubles, mean: Doubles, covariance: Doubles) -> Doubles:
    """How much an answer on each of some pairs ``[C, K]`` tells about others ``[T, K]``.

    ``sum(q (1 - q) (dᵀ C t)**2 for targets t) * p (1 - p) / (1 + p (1 - p) dᵀ C d)`` with d a pair,
    p and q the chances of either answer and C the covariance: what the variance of each target
    loses (a Gaussian update), those that are undecided counting most.
    """
    moved = rows @ covariance
    p, q = sigmoid(rows @ mean), sigmoid(targets @ mean)
    told = p * (1 - p)
    lost: Doubles = ((moved @ targets.T) ** 2) @ (q * (1 - q))
    lost *= told / (1 + told * (moved * rows).sum(axis=1))
    return lost


def _after(covariance: Doubles, mean: Doubles, row: Doubles) -> Doubles:
    """How sure a taste will be when a pair has been answered, however."""
    p = float(sigmoid(row @ mean))
    moved = covariance @ row
    shrink: Doubles = np.outer(moved, moved) * (p * (1 - p) / (1 + p * (1 - p) * (row @ moved)))
    return covariance - shrink


def _slope(logits: Doubles, wanted: Doubles) -> float:
    """The slope at which `logits` come nearest to probabilities, by their cross-entropy."""
    slope = 1.0
    for _ in range(30):
        p = sigmoid(slope * logits)
        gradient = float(((p - wanted) * logits).sum())
        curvature = float((p * (1 - p) * logits**2).sum())
        if curvature < 1e-9:
            break
        slope = float(np.clip(slope - gradient / curvature, 0.05, 1.0))
    return slope


def _fares(logit: float) -> float:
    return float(2 * sigmoid(logit) - 1)


def _normal(x: Doubles) -> Doubles:
    """Cumulative normal distribution, to 1.5e-7 (Abramowitz and Stegun 7.1.26); x at least 0."""
    z = x / np.sqrt(2)
    t = 1 / (1 + 0.3275911 * z)
    powers = t * (
        0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))
    )
    below: Doubles = 1 - 0.5 * powers * np.exp(-z * z)
    return below
