"""What people drew, and what the recogniser was trained on, in one list of words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagger import gate
from tagger.collection import Store, formats
from tagger.errors import TaggerError
from tagger.strokes import Strokes, digest
from tagger.tracing import trace_many
from tagger.training.sketch.data import DIGITS, Drawings, join, read_digits, read_sketches
from tagger.words import is_name

Given = tuple[str, str, Strokes]


@dataclass(frozen=True)
class Collected:
    """Drawings that were given with consent and teach or judge.

    Attributes
    ----------
    drawings
        Their words are the recogniser's W, then the V new ones; splits ``train`` and
        ``held_back``.
    new_words
        The V new words.
    hash
        Of ids and labels, by `tagger.gate.data_hash`.
    """

    drawings: Drawings
    new_words: tuple[str, ...]
    hash: str

    def facts(self) -> dict[str, Any]:
        """JSON-ready: how much it is."""
        drawings = self.drawings
        return {
            "hash": self.hash,
            "drawings": len(drawings),
            "held_back": len(drawings.rows("held_back")),
            "words": len(np.unique(drawings.labels)),
            "new_words": list(self.new_words),
        }


def read_collection(
    collection: str, known: Sequence[str], accepted: Sequence[str] | None, *, least: int
) -> Collected:
    """Read what was given with consent.

    Parameters
    ----------
    collection
        URL of a collection's database, or an exported file: ndjson, Parquet or npz.
    known
        Words of the recogniser.
    accepted
        New words that are to be learnt; None for those that the owner accepted, which only the
        database knows.
    least
        Training drawings that a new word needs.

    Raises
    ------
    ValueError
        If it cannot be read, or holds nothing to learn from.
    """
    try:
        if "://" in collection:
            with Store.open(collection) as store:
                accepted = store.accepted_words() if accepted is None else accepted
                given: list[Given] = [(d.digest, d.label, d.strokes) for d in store.iterate()]
        else:
            given = list(_read_file(Path(collection)))
    except TaggerError as error:
        raise ValueError(f"the collection cannot be read: {error}") from error
    # A label may hold what a list of words cannot, such as a joiner of emoji.
    good = [word for word in accepted or () if is_name(word)]
    division = gate.divide([g[:2] for g in given], set(known), good, least=least)
    rows = [*division.train, *division.held_back]
    words = (*known, *division.new_words)
    place = {word: i for i, word in enumerate(words)}
    if not division.train:
        raise ValueError(
            f"nothing to learn from: of {len(given)} drawings given with consent none is of a "
            "word that is known, or accepted and drawn often enough"
        )
    drawings = Drawings(
        tuple(given[i][2] for i in rows),
        words,
        np.array([place[given[i][1]] for i in rows], np.int64),
        np.array(["train"] * len(division.train) + ["held_back"] * len(division.held_back)),
    )
    return Collected(
        drawings, division.new_words, gate.data_hash([given[i][:2] for i in sorted(rows)])
    )


def _read_file(path: Path) -> Iterator[Given]:
    if not path.is_file():
        raise ValueError(f"there is no {path.name}; --collection takes a URL or an exported file")
    with path.open("rb") as file:
        for new in formats.read(file, formats.guess(path), lambda ink: trace_many(ink[None])[0]):
            if not isinstance(new, formats.Problem):
                yield digest(new.strokes), new.label, new.strokes


def read_known(data: str, words: Sequence[str], settings: Mapping[str, Any]) -> Drawings | None:
    """Drawings of the first training: some to be replayed, the validation split to judge.

    Parameters
    ----------
    data
        A folder, or the Parquet table of sketches itself; empty if there is none.
    words
        Of the recogniser: the labels are their places. Drawings of other words are left out.
    settings
        ``sketches``, ``digits`` and ``replayed``, the training drawings of a word.

    Returns
    -------
    Drawings or None
        None without data.

    Raises
    ------
    ValueError
        If the data hold none of the words.
    """
    if not data:
        return None
    path = Path(data)
    table = path / settings["sketches"] if path.is_dir() else path
    if not table.is_file():
        raise ValueError(f"there is no {table.name} in the folder of the data")
    each = {"train": settings["replayed"], "val": 0}
    found = read_sketches(table, words=words, each=each)
    digits = table.parent / settings["digits"]
    if settings["digits"] and digits.is_file() and set(DIGITS) <= set(words):
        found = join(found, read_digits(digits, each=each))
    if not (len(found.rows("train")) and len(found.rows("val"))):
        raise ValueError(f"{table.name} needs drawings of the splits train and val")
    place = {word: i for i, word in enumerate(words)}
    rows: NDArray[np.int64] = np.array([place[word] for word in found.words], np.int64)
    return Drawings(found.strokes, tuple(words), rows[found.labels], found.splits)
