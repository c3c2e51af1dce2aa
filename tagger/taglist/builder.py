"""Apply the rules to a data set: which tags the list holds, and which tags each picture has."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tagger.taglist.rules import Decision, Listed, Rules, normalise, singular

_FIGURES = re.compile(r": \d+ concepts?\b.*")


@dataclass(frozen=True, slots=True)
class Labelled:
    """What the builder needs of one picture."""

    concept: str
    tags: Sequence[str]
    category: Sequence[str] = ()
    title: str = ""
    judged: bool = True
    """Whether the picture's source may judge; others only add to the total support."""
    author: str = ""
    """Who drew it: a tag that only repeats it is no tag."""


@dataclass(frozen=True, slots=True)
class BuiltTag:
    """A tag of the finished list.

    ``concepts`` counts different things drawn, ``pictures`` the pictures, both over the pictures
    that the list was built from; ``aliases`` are the other writings seen there or in the rules.
    """

    name: str
    group: str
    name_ja: str
    concepts: int
    pictures: int
    aliases: tuple[str, ...] = ()


@dataclass
class _Unlisted:
    """What the pictures say of a tag that no rule speaks of."""

    concepts: set[str] = field(default_factory=set)
    judged: set[str] = field(default_factory=set)
    places: frozenset[str] | None = None
    by_author: bool = True

    def add(self, picture: Labelled, text: str) -> None:
        self.concepts.add(picture.concept)
        if picture.judged:
            self.judged.add(picture.concept)
        places = frozenset(picture.category)
        self.places = places if self.places is None else self.places & places
        author = normalise(picture.author)
        self.by_author &= text in {author, author.replace(" ", ""), *author.split()} - {""}


@dataclass(frozen=True)
class Report:
    """The finished list, and for every raw tag what became of it and why."""

    tags: tuple[BuiltTag, ...]
    decisions: Mapping[str, Decision]
    counts: Mapping[str, int] = field(default_factory=dict)

    def why(self, raw: str) -> Decision:
        """Look a raw tag up; one that the data never held is answered as unlisted."""
        return self.decisions.get(raw) or Decision(raw, None, "unlisted", "not in the data")

    def reasons(self) -> Counter[str]:
        """How many raw tags were dropped for which reason, without the figures in it."""
        dropped = (d.reason for d in self.decisions.values() if d.tag is None)
        return Counter(_FIGURES.sub("", reason) for reason in dropped)


@dataclass(frozen=True)
class TagListBuilder:
    """Build a tag list by rules and by support.

    Parameters
    ----------
    rules
        What is dropped, joined, implied.
    min_concepts
        Support that a tag needs, in different concepts. One cat drawn in eight styles is one
        concept: a tag that only it has is a name of that cat, not something to learn.
    min_judged
        Support it needs among the pictures of judging sources (see ``Labelled.judged``).
    keep_unlisted
        Keep tags that no rule speaks of if they have the support; for somebody else's data.
    use_titles
        Also read titles for listed tags.
    """

    rules: Rules
    min_concepts: int = 8
    min_judged: int = 3
    keep_unlisted: bool = False
    use_titles: bool = True

    def decide(self, picture: Labelled) -> Iterable[Decision]:
        """Every decision about one picture, before support is counted."""
        for raw in picture.tags:
            yield self.rules.decide(raw, picture.category)
        yield from self.rules.in_category(picture.category)
        if self.use_titles and picture.title:
            yield from self.rules.in_title(picture.title, picture.category)

    def names(self, picture: Labelled) -> frozenset[str]:
        """The names of one picture's tags with all that they imply, before support is counted."""
        names = set()
        for decision in self.decide(picture):
            name = decision.tag
            if name is None and decision.outcome == "unlisted" and self.keep_unlisted:
                name = singular(normalise(decision.raw)).replace(" ", "_")
            if name:
                names.add(name)
        for name in tuple(names):
            names.update(implied for implied, _ in self.rules.implied_by(name))
        return frozenset(names)

    def build(self, pictures: Iterable[Labelled]) -> Report:
        """Count support and decide; most supported tags first.

        Parameters
        ----------
        pictures
            The training pictures alone: support in pictures held back would leak their tags.
        """
        concepts: dict[str, set[str]] = defaultdict(set)
        judged: dict[str, set[str]] = defaultdict(set)
        counts: Counter[str] = Counter()
        decisions: dict[str, Decision] = {}
        writings: dict[str, set[str]] = defaultdict(set)
        unlisted: dict[str, _Unlisted] = defaultdict(_Unlisted)
        for picture in pictures:
            for raw in picture.tags:
                decision = self.rules.decide(raw, picture.category)
                known = decisions.get(raw)
                # A word dropped in one folder only counts as what it is elsewhere.
                if known is None or known.outcome == "dropped":
                    decisions[raw] = decision
                if decision.tag:
                    writings[decision.tag].add(normalise(raw))
                elif decision.outcome == "unlisted":
                    text = normalise(raw)
                    unlisted[singular(text)].add(picture, text)
            for name in self.names(picture):
                counts[name] += 1
                concepts[name].add(picture.concept)
                if picture.judged:
                    judged[name].add(picture.concept)

        def supported(name: str) -> bool:
            return len(concepts[name]) >= self.min_concepts and len(judged[name]) >= self.min_judged

        kept = sorted((n for n in counts if supported(n)), key=lambda n: (-len(concepts[n]), n))
        for raw, decision in decisions.items():
            if decision.outcome == "unlisted" and not self.keep_unlisted:
                reason = self._why_unlisted(raw, unlisted[singular(normalise(raw))])
                decisions[raw] = Decision(raw, None, "dropped", reason)
            else:
                decisions[raw] = self._final(decision, set(kept), concepts, judged)
        tags = []
        for name in kept:
            listed = self.rules.listed.get(name) or Listed(name, "general", name.replace("_", " "))
            known_as = {t for t, (n, _) in self.rules.aliases.items() if n == name}
            aliases = sorted((writings[name] | known_as) - {name.replace("_", " ")})
            tags.append(
                BuiltTag(
                    name,
                    listed.group,
                    listed.name_ja,
                    len(concepts[name]),
                    counts[name],
                    tuple(aliases),
                )
            )
        return Report(tuple(tags), decisions, dict(counts))

    def _why_unlisted(self, raw: str, seen: _Unlisted) -> str:
        """The most telling reason why a tag that no rule speaks of is not on the list."""
        if seen.by_author:
            return "the name of the author of its pictures"
        if reason := self.rules.explain(raw, seen.places or ()):
            return reason
        count, judged = len(seen.concepts), len(seen.judged)
        if not judged:
            return f"only sources that do not judge have it: {_things(count)}"
        if count < self.min_concepts or judged < self.min_judged:
            return self._too_rare(count, judged)
        return f"not on the reviewed list, though it has the support: {_things(count)}"

    def _too_rare(self, count: int, judged: int) -> str:
        return (
            f"too rare: {_things(count)} ({judged} in judging sources), "
            f"{self.min_concepts} ({self.min_judged}) needed"
        )

    def _final(
        self,
        decision: Decision,
        kept: set[str],
        concepts: Mapping[str, set[str]],
        judged: Mapping[str, set[str]],
    ) -> Decision:
        """A decision once support is known."""
        name = decision.tag
        if decision.outcome == "unlisted":
            name = singular(normalise(decision.raw)).replace(" ", "_")
            if name in kept:
                return Decision(decision.raw, name, "kept", "enough support")
        if name and name not in kept:
            reason = self._too_rare(len(concepts.get(name, ())), len(judged.get(name, ())))
            return Decision(decision.raw, None, "dropped", reason)
        return decision


def _things(count: int) -> str:
    return f"{count} {'concept' if count == 1 else 'concepts'}"
