"""The tastes of those who are here now, learnt anew from the collection when one comes back."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tagger.bundlefiles import ModelFacts
from tagger.collection import KeptVote, Store, is_own
from tagger.collection.vote_records import Asked, Choice
from tagger.comparing.keeping import Kept
from tagger.comparing.pool import Pool
from tagger.errors import PreferenceError
from tagger.preference import Pair, Taste, Vote
from tagger.preference.votes import MAX_VOTES
from tagger.tags import TagList

Floats = npt.NDArray[np.float32]

#: Tastes that are held; whoever comes back later waits until theirs is learnt anew.
HELD = 200


@dataclass(frozen=True, slots=True)
class Cast:
    """A vote of the collection, as far as it is shown to its voter and teaches.

    Attributes
    ----------
    id : str
        In the collection.
    left, right : str
        Ids of pictures.
    choice, kind, created
        As in `tagger.collection.NewVote`.
    """

    id: str
    left: str
    right: str
    choice: Choice
    kind: Asked
    created: int


class Held:
    """A visitor's taste with all votes; whoever works on it holds its lock.

    Parameters
    ----------
    contributor : str
        Whose, by `Store.contributor_of`.
    pool : Pool
        What is voted on.
    tags : TagList
        Of the model.
    """

    def __init__(self, contributor: str, pool: Pool, tags: TagList) -> None:
        self.contributor = contributor
        self.pool = pool
        self.lock = threading.RLock()
        # How many hold it now, or wait for it; guarded by the lock of all tastes.
        self.users = 0
        self.rng = np.random.default_rng()
        self._tags = tags
        self._ready = False
        self.forget()

    def forget(self) -> None:
        """Be a taste that knows nothing."""
        self.kept = Kept()
        self.taste = Taste(self.pool.space)
        #: All of the visitor's in the collection, oldest first.
        self.cast: list[Cast] = []
        #: Votes that do not count: on pictures that are not there any more, or too many.
        self.left_out: set[str] = set()
        self._before: set[str] = set()
        # Of each vote of the taste, its id in the collection; None for those that were loaded.
        self._ids: list[str | None] = []
        self._guests: dict[str, int] = {}
        # What the collection has of it besides votes.
        self._written: bytes | None = None

    # --- from the collection ---------------------------------------------------------------------

    def prepare(self, store: Store, model: ModelFacts) -> None:
        """Learn what the collection has, unless that was done and nobody else changed it.

        The command line may have, or another server.
        """
        written = store.taste_of(self.contributor)
        stamp = len(self.cast), self.cast[-1].id if self.cast else ""
        there = store.votes_stamp(self.contributor)
        if self._ready and (written, there) == (self._written, stamp):
            return
        self._ready = False
        self.forget()
        self._written = written
        self._begin(Kept.read(written, model.hash))
        for vote in store.votes_of(self.contributor):
            self.cast.append(
                Cast(vote.id, vote.left, vote.right, vote.choice, vote.kind, vote.created)
            )
            if vote.seq <= self.kept.since:
                self._before.add(vote.id)
            elif not self._replay(store, vote, model.hash):
                self.left_out.add(vote.id)
        self._ready = True

    def write(self, store: Store, kept: Kept) -> None:
        """Write to the collection what is to be kept besides votes.

        Raises
        ------
        StoreError
            If it cannot be written; then nothing has changed.
        """
        data = kept.write()
        if data != self._written:
            store.keep_taste(self.contributor, data)
            self._written = data

    def replace(self, store: Store, kept: Kept) -> None:
        """Let another taste take the place of this one; no vote so far is part of it."""
        self.write(store, kept)
        self._begin(kept)
        self._before = {cast.id for cast in self.cast}
        self.left_out.clear()

    def _begin(self, kept: Kept) -> None:
        self.taste = kept.taste(self.pool.space, self._tags)
        self.kept = kept
        self._ids = [None] * len(self.taste.votes)
        self._guests = {}

    def _replay(self, store: Store, vote: KeptVote, model: str) -> bool:
        numbers = []
        for id in (vote.left, vote.right):
            number = self.number(id)
            if number is None and is_own(id) and vote.model_hash == model:
                number = self._guest_of(id, store.own_picture(id))
            if number is None:
                return False
            numbers.append(number)
        try:
            left, right = numbers
            self.taste.vote(left, right, vote.choice, vote.weight, kind=vote.kind)
        except PreferenceError:
            return False
        self._ids.append(vote.id)
        return True

    def _guest_of(self, id: str, data: bytes | None) -> int | None:
        if data is None or len(data) != 2 * self.pool.space.dimension:
            return None
        return self.guest(id, np.frombuffer(data, "<f2").astype(np.float32))

    @property
    def knows(self) -> bool:
        """Whether the taste says anything at all."""
        loaded = self.kept.profile
        begun = loaded is not None and bool(loaded.ranker.weights.any())
        return bool(self.taste.count or self.kept.edits or begun)

    # --- votes -----------------------------------------------------------------------------------

    def number(self, id: str) -> int | None:
        """Of a picture; None if it is not there."""
        return self._guests.get(id) if is_own(id) else self.pool.numbers.get(id)

    def guest(self, id: str, description: Floats) -> int:
        """Make a picture of the voter's own known, once; its number."""
        if id not in self._guests:
            self._guests[id] = self.taste.guest(description)
        return self._guests[id]

    def kind_of(self, pair: Pair) -> Asked:
        """Why a pair was asked, believed only as far as it can be.

        A pair that comes again counts twice where voters are compared, so it is only believed of
        one that was answered before, and once.
        """
        if min(pair.left, pair.right) < 0:
            return "own"
        if pair.kind != "repeat":
            return pair.kind
        kinds = [v.pair.kind for v in self.taste.votes if v.pair.key == pair.key]
        return "repeat" if kinds and "repeat" not in kinds else "own"

    def check_room(self) -> None:
        """Refuse a vote for which there is no room; see `Taste.vote`."""
        if len(self.taste.votes) >= MAX_VOTES:
            raise PreferenceError("vote-too-many", limit=MAX_VOTES)

    def add(self, cast: Cast, pair: Pair) -> None:
        """Take a vote that is in the collection now."""
        self.taste.vote(pair.left, pair.right, cast.choice, kind=pair.kind)
        self._ids.append(cast.id)
        self.cast.append(cast)

    def find(self, id: str) -> Cast | None:
        """A vote by its id."""
        return next((cast for cast in self.cast if cast.id == id), None)

    def without(self, cast: Cast) -> Kept:
        """What is to be kept when a vote is taken back: what was loaded may hold a copy of it."""
        left, right = self.number(cast.left), self.number(cast.right)
        loaded = self.kept.profile
        if loaded is None or loaded.space != self.pool.space.hash or cast.id not in self._before:
            return self.kept
        if left is None or right is None:
            return self.kept
        return self.kept.without(Vote(Pair(left, right, cast.kind), cast.choice))

    def remove(self, cast: Cast, kept: Kept) -> None:
        """Forget a vote that is no more in the collection."""
        if kept is not self.kept:
            was = self.kept.profile.votes if self.kept.profile else ()
            now = kept.profile.votes if kept.profile else ()
            place = next(
                (n for n, (a, b) in enumerate(zip(was, now, strict=False)) if a != b), len(now)
            )
            self.taste.undo(place)
            del self._ids[place]
            self.kept = kept
        elif cast.id in self._ids:
            place = self._ids.index(cast.id)
            self.taste.undo(place)
            del self._ids[place]
        self.cast.remove(cast)
        self._before.discard(cast.id)
        self.left_out.discard(cast.id)

    def edited(self, tag: int, weight: float | None) -> Kept:
        """What is to be kept when a tag is edited.

        Raises
        ------
        PreferenceError
            As `Taste.edit`.
        """
        self.taste.copy().edit(tag, weight)
        edits = {name: w for name, w in self.kept.edits.items() if name != self._tags[tag].name}
        if weight is not None:
            edits[self._tags[tag].name] = float(weight)
        return Kept(self.kept.begun_from, self.kept.since, edits, self.kept.profile)


class Tastes:
    """The tastes that are held. May be used from any thread.

    Parameters
    ----------
    tags : TagList
        Of the model.
    model : ModelFacts
        The model.
    limit : int
        How many are held; those that somebody works on are never dropped.
    """

    def __init__(self, tags: TagList, model: ModelFacts, *, limit: int = HELD) -> None:
        self._tags = tags
        self._model = model
        self._limit = limit
        self._lock = threading.Lock()
        self._held: OrderedDict[str, Held] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    @contextmanager
    def of(self, contributor: str, pool: Pool, store: Store) -> Iterator[Held]:
        """Hold a contributor's taste for as long as the block runs; others wait for it.

        Raises
        ------
        StoreError
            If the collection cannot be read.
        """
        with self._lock:
            held = self._held.get(contributor)
            if held is None:
                held = Held(contributor, pool, self._tags)
                self._held[contributor] = held
            self._held.move_to_end(contributor)
            held.users += 1
            self._drop()
        try:
            with held.lock:
                held.prepare(store, self._model)
                yield held
        finally:
            with self._lock:
                held.users -= 1
                self._drop()

    def _drop(self) -> None:
        """Drop those longest unused, but none that somebody holds: there must be one of each."""
        for contributor in list(self._held):
            if len(self._held) <= self._limit:
                return
            if not self._held[contributor].users:
                del self._held[contributor]
