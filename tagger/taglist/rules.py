"""The rules for raw tags: what is dropped, what is joined, what implies what, and why.

Every rule is a row of a CSV file with a reason, so that a person can read, question and change it
without reading code. Nothing here looks at pictures or counts anything.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

Outcome = Literal["kept", "joined", "dropped", "unlisted"]

DATA = Path(__file__).parent / "data"
_SEPARATORS = re.compile(r"[\s_\-–—/]+")
_EDGES = re.compile(r"^[^\w(]+|[^\w)!?+]+$")
# Words that end in "s" without being plurals, among those that tags really use.
_NOT_PLURAL = ("ss", "us", "is", "'s", "’s", "os")
_TITLE_NGRAM = 4


def normalise(raw: str) -> str:
    """Fold case, separators and surrounding punctuation: ``"Ice_Cream "`` -> ``"ice cream"``.

    Parameters
    ----------
    raw
        A tag as somebody wrote it.

    Returns
    -------
    str
        Lower case, words parted by single spaces; empty if nothing is left.
    """
    text = _SEPARATORS.sub(" ", raw.lower().replace("’", "'")).strip()
    return _EDGES.sub("", text).strip()


def singular(text: str) -> str:
    """Fold the English plural of the last word by its regular endings.

    Irregular plurals (``men``, ``leaves``) are rows of ``aliases.csv``: a rule that guesses at them
    would join words that have nothing to do with each other.
    """
    head, _, word = text.rpartition(" ")
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 4 and word.endswith(("ses", "xes", "ches", "shes")):
        word = word[:-2]
    elif len(word) > 3 and word.endswith("s") and not word.endswith(_NOT_PLURAL):
        word = word[:-1]
    return f"{head} {word}".strip()


@dataclass(frozen=True, slots=True)
class Listed:
    """A reviewed tag: its ``name`` (lower case, underscores), ``group`` and Japanese name."""

    name: str
    group: str
    name_ja: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of one raw tag, and why.

    ``tag`` is the name it goes by, or ``None`` when it was dropped. ``outcome`` is ``kept`` (it is
    a listed name), ``joined`` (another way to write one), ``dropped`` (a rule refuses it) or
    ``unlisted`` (no rule speaks of it: the builder decides by its setting and by support).
    """

    raw: str
    tag: str | None
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True)
class Drop:
    """A rule that refuses raw tags: ``exact`` text or ``regex``, only ``within`` a category."""

    pattern: str
    kind: Literal["exact", "regex"]
    within: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a tag that no other rule speaks of is not listed.

    ``pattern`` is ``exact`` text, a ``regex``, or a ``category`` that all its pictures lie in.
    """

    pattern: str
    kind: Literal["exact", "regex", "category"]
    reason: str


@dataclass(frozen=True)
class Rules:
    """All rules of one folder, indexed.

    Parameters
    ----------
    listed
        Reviewed tags by name.
    aliases
        Normalised other writing -> (name, reason).
    implications
        Name -> ((implied name, reason), ...), direct ones only.
    categories
        Element of a picture's category path -> (names, reason).
    drops
        Rules that refuse, in order; the first that fits gives the reason.
    reasons
        What `explain` says: the first that fits, exact ones before places before patterns. They
        decide nothing.
    """

    listed: Mapping[str, Listed]
    aliases: Mapping[str, tuple[str, str]]
    implications: Mapping[str, tuple[tuple[str, str], ...]]
    categories: Mapping[str, tuple[tuple[str, ...], str]]
    drops: Sequence[Drop]
    reasons: Sequence[Reason] = ()
    _patterns: Sequence[tuple[re.Pattern[str], Drop]] = field(init=False, repr=False)
    _explained: Sequence[tuple[re.Pattern[str], str]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(
            self,
            "_patterns",
            [(re.compile(d.pattern), d) for d in self.drops if d.kind == "regex"],
        )
        object.__setattr__(
            self,
            "_explained",
            [(re.compile(r.pattern), r.reason) for r in self.reasons if r.kind == "regex"],
        )
        self._check()

    @classmethod
    def load(cls, folder: Path = DATA) -> Rules:
        """Read ``tags``, ``aliases``, ``implications``, ``categories`` and ``drops`` ``.csv``.

        And ``unlisted.csv`` where there is one: the reasons of `explain`.

        Raises
        ------
        ValueError
            If a rule names a tag that is not listed, if two rules disagree about one writing, or
            if the implications run in a circle.
        """
        listed = {
            row["name"]: Listed(row["name"], row["group"], row["name_ja"])
            for row in _rows(folder / "tags.csv")
        }
        aliases: dict[str, tuple[str, str]] = {}
        for row in _rows(folder / "aliases.csv"):
            known = aliases.setdefault(normalise(row["alias"]), (row["name"], row["reason"]))
            if known[0] != row["name"]:
                raise ValueError(f"alias {row['alias']!r}: both {known[0]!r} and {row['name']!r}")
        implications: dict[str, tuple[tuple[str, str], ...]] = {}
        for row in _rows(folder / "implications.csv"):
            implications[row["tag"]] = (
                *implications.get(row["tag"], ()),
                (row["implies"], row["reason"]),
            )
        categories = {
            row["category"]: (tuple(row["tags"].split("|")), row["reason"])
            for row in _rows(folder / "categories.csv")
        }
        drops = [
            Drop(row["pattern"], row["kind"], row["within"], row["reason"])  # type: ignore[arg-type]
            for row in _rows(folder / "drops.csv")
        ]
        unlisted = folder / "unlisted.csv"
        reasons = [
            Reason(row["pattern"], row["kind"], row["reason"])  # type: ignore[arg-type]
            for row in (_rows(unlisted) if unlisted.exists() else ())
        ]
        return cls(listed, aliases, implications, categories, drops, reasons)

    def _check(self) -> None:
        named = [name for name, _ in self.aliases.values()]
        named += [n for pairs in self.implications.values() for n, _ in pairs]
        named += [*self.implications, *(n for names, _ in self.categories.values() for n in names)]
        if missing := sorted(set(named) - set(self.listed)):
            raise ValueError(f"rules name tags that are not listed: {', '.join(missing)}")
        for name in self.implications:
            if any(implied == name for implied, _ in self.implied_by(name)):
                raise ValueError(f"{name!r} implies itself")

    @cached_property
    def _by_text(self) -> dict[str, tuple[str, str]]:
        """Every known writing -> (name, reason); plurals are folded by ``singular``."""
        table = {name.replace("_", " "): (name, "") for name in self.listed}
        for text, (name, reason) in self.aliases.items():
            table.setdefault(text, (name, reason))
        for text, (name, reason) in list(table.items()):
            table.setdefault(singular(text), (name, reason or "the plural of one thing"))
        return table

    @cached_property
    def _exact_drops(self) -> dict[str, list[Drop]]:
        table: dict[str, list[Drop]] = {}
        for drop in self.drops:
            if drop.kind == "exact":
                table.setdefault(drop.pattern, []).append(drop)
        return table

    def _dropped(self, text: str, category: Sequence[str]) -> Drop | None:
        for key in dict.fromkeys((text, singular(text))):
            for drop in self._exact_drops.get(key, ()):
                if not drop.within or drop.within in category:
                    return drop
        for pattern, drop in self._patterns:
            if pattern.fullmatch(text) and (not drop.within or drop.within in category):
                return drop
        return None

    def decide(self, raw: str, category: Sequence[str] = ()) -> Decision:
        """Say what becomes of one raw tag.

        Parameters
        ----------
        raw
            The tag as somebody wrote it.
        category
            The category path of the picture that carries it: some words are tags in one folder
            and mere folder names in another.
        """
        text = normalise(raw)
        if not text:
            return Decision(raw, None, "dropped", "nothing but punctuation")
        if drop := self._dropped(text, category):
            return Decision(raw, None, "dropped", drop.reason)
        for key, folded in ((text, False), (singular(text), True)):
            if found := self._by_text.get(key):
                name, reason = found
                if raw == name:
                    return Decision(raw, name, "kept", "a listed tag")
                if reason:
                    return Decision(raw, name, "joined", reason)
                same = "the plural of one thing" if folded else "the same word, written otherwise"
                return Decision(raw, name, "joined", same)
        return Decision(raw, None, "unlisted", "no rule speaks of it")

    def explain(self, raw: str, places: Collection[str] = ()) -> str | None:
        """Say why a tag that `decide` calls unlisted is none to suggest, as far as a rule knows.

        Parameters
        ----------
        raw
            The tag as somebody wrote it.
        places
            Elements that the category paths of all its pictures share.
        """
        text = normalise(raw)
        for key in dict.fromkeys((text, singular(text))):
            if reason := self._exact_reasons.get(key):
                return reason
        for rule in self.reasons:
            if rule.kind == "category" and rule.pattern in places:
                return rule.reason
        for pattern, reason in self._explained:
            if pattern.fullmatch(text):
                return reason
        return None

    @cached_property
    def _exact_reasons(self) -> dict[str, str]:
        return {rule.pattern: rule.reason for rule in self.reasons if rule.kind == "exact"}

    def implied_by(self, name: str) -> list[tuple[str, str]]:
        """All tags that ``name`` implies, directly or through others, with the reasons."""
        found: dict[str, str] = {}
        queue = list(self.implications.get(name, ()))
        while queue:
            implied, reason = queue.pop(0)
            if implied not in found:
                found[implied] = reason
                queue.extend(self.implications.get(implied, ()))
        return list(found.items())

    def in_title(self, title: str, category: Sequence[str] = ()) -> Iterator[Decision]:
        """Find listed tags among the words of a title, the longest match first.

        ``"ice cream cone"`` speaks of ice cream, not of ice: words once used are not used again.
        """
        words = [w for part in re.split(r"[^\w'’\-]+", title) for w in normalise(part).split()]
        at = 0
        while at < len(words):
            for length in range(min(_TITLE_NGRAM, len(words) - at), 0, -1):
                decision = self.decide(" ".join(words[at : at + length]), category)
                if decision.tag:
                    yield decision
                    at += length
                    break
            else:
                at += 1

    def in_category(self, category: Iterable[str]) -> Iterator[Decision]:
        """Tags that a picture has because of where somebody filed it."""
        path = tuple(category)
        for element in path:
            if element in self.categories:
                names, reason = self.categories[element]
                for name in names:
                    yield Decision(element, name, "joined", reason)
            else:
                yield self.decide(element, path)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
