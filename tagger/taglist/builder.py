"""Apply the rules to a data set: which tags the list holds, and which tags each picture has."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tagger.taglist.rules import Decision, Listed, Rules, normalise, singular


@dataclass(frozen=True, slots=True)
class Labelled:
    """What the builder needs of one picture."""

    concept: str
    tags: Sequence[str]
    category: Sequence[str] = ()
    title: str = ""
    judged: bool = True
    """Whether the picture's source may judge; others only add to the total support."""


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


@dataclass(frozen=True)
class Report:
    """The finished list, and for every raw tag what became of it and why."""

    tags: tuple[BuiltTag, ...]
    decisions: Mapping[str, Decision]
    counts: Mapping[str, int] = field(default_factory=dict)

    def why(self, raw: str) -> Decision:
        """Look a raw tag up; one that the data never held is answered as unlisted."""
        return self.decisions.get(raw) or Decision(raw, None, "unlisted", "not in the data")


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
        for picture in pictures:
            for raw in picture.tags:
                decision = self.rules.decide(raw, picture.category)
                known = decisions.get(raw)
                # A word dropped in one folder only counts as what it is elsewhere.
                if known is None or known.outcome == "dropped":
                    decisions[raw] = decision
                if decision.tag:
                    writings[decision.tag].add(normalise(raw))
            for name in self.names(picture):
                counts[name] += 1
                concepts[name].add(picture.concept)
                if picture.judged:
                    judged[name].add(picture.concept)

        def supported(name: str) -> bool:
            return len(concepts[name]) >= self.min_concepts and len(judged[name]) >= self.min_judged

        kept = sorted((n for n in counts if supported(n)), key=lambda n: (-len(concepts[n]), n))
        for raw, decision in decisions.items():
            decisions[raw] = self._final(decision, set(kept), concepts)
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

    def _final(
        self, decision: Decision, kept: set[str], concepts: Mapping[str, set[str]]
    ) -> Decision:
        """A decision once support is known."""
        name = decision.tag
        if decision.outcome == "unlisted":
            name = singular(normalise(decision.raw)).replace(" ", "_")
            if not self.keep_unlisted:
                reason = "not on the reviewed list"
                return Decision(decision.raw, None, "dropped", reason)
            if name in kept:
                return Decision(decision.raw, name, "kept", "enough support")
        if name and name not in kept:
            reason = (
                f"too rare: {len(concepts.get(name, ()))} concepts, "
                f"{self.min_concepts} needed ({self.min_judged} of them in judging sources)"
            )
            return Decision(decision.raw, None, "dropped", reason)
        return decision
