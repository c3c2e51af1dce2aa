"""What people think of pictures: counts of moods, ratings, or pairs with a winner."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tagger.training.sources import (
    PICTURE_SUFFIXES,
    SPLITS,
    DataError,
    Record,
    read_records,
    split_of,
)

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

# Added to each count of a mood: Laplace's estimate, as the authors of the table use it.
_PRIOR = 1
_MOODS = ("negative", "neutral", "positive")
_OUTCOMES = {"left": 1.0, "right": 0.0, "tie": 0.5}


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs that somebody judged: numbers ``left``, ``right`` [P], ``outcome`` [P] 1, 0.5 or 0."""

    left: Ints
    right: Ints
    outcome: Doubles


@dataclass(frozen=True, eq=False)
class Rated:
    """N pictures and what people think of them.

    Attributes
    ----------
    records
        The pictures; concept and split are theirs.
    target
        float64 ``[N]``: the higher, the more it is preferred.
    variance
        float64 ``[N]``: of the target, as far as it is known; else 0.
    weight
        float64 ``[N]``, 0..1: how certain the target is.
    bounds
        Least and greatest target that there can be.
    counts
        int64 ``[N, 3]``: negative, neutral, positive; None if it was not counted.
    pairs
        Where pairs were judged, not pictures; the target is then the share of pairs won.
    fixed
        Whether splits were given, so that nobody may move a picture.
    """

    records: tuple[Record, ...]
    target: Doubles
    variance: Doubles
    weight: Doubles
    bounds: tuple[float, float]
    counts: Ints | None = None
    pairs: Pairs | None = None
    fixed: bool = True

    @property
    def concepts(self) -> NDArray[np.str_]:
        """What each picture shows: pictures that share it are never compared."""
        return np.array([record.concept for record in self.records])

    @property
    def sources(self) -> NDArray[np.str_]:
        """The style of each picture."""
        return np.array([record.source for record in self.records])

    @property
    def splits(self) -> NDArray[np.str_]:
        """The split of each picture."""
        return np.array([record.split for record in self.records])

    def moved(self, concepts: Sequence[str]) -> Rated:
        """The same pictures under other concepts, each in the split that its concept draws."""
        records = tuple(
            replace(record, concept=concept, split=split_of(concept))
            for record, concept in zip(self.records, concepts, strict=True)
        )
        return replace(self, records=records)


def sentiment(counts: NDArray[Any]) -> tuple[Doubles, Doubles, Doubles]:
    """Target, variance and weight of counts ``[N, 3]`` of negative, neutral and positive uses.

    The target is (positive - negative) / all, weighted by its certainty all / (all + 3): the mean
    of the posterior after one more use of each mood (Kralj Novak et al., "Sentiment of emojis",
    PLOS ONE 2015), of which the variance is that of the Dirichlet distribution.
    """
    values = np.asarray(counts, np.float64)
    every = values.sum(axis=1) + len(_MOODS) * _PRIOR
    shares = (values + _PRIOR) / every[:, None]
    mean = shares[:, 2] - shares[:, 0]
    variance = (shares[:, 2] + shares[:, 0] - mean**2) / (every + 1)
    return mean, variance, 1 - len(_MOODS) * _PRIOR / every


def read_sentiment(data: Path, table: Path) -> Rated:
    """Join the table of moods with the pictures, by what they show.

    Parameters
    ----------
    data
        As :func:`tagger.training.sources.read_records` takes it.
    table
        CSV with ``concept``, ``negative``, ``neutral``, ``positive``.

    Raises
    ------
    DataError
        If a file is missing or malformed, or nothing joins.
    """
    by_concept: dict[str, tuple[int, ...]] = {}
    for number, row in _rows(table, ("concept", *_MOODS)):
        try:
            each = tuple(int(row[mood]) for mood in _MOODS)
        except ValueError as error:
            raise DataError(f"{table.name}, line {number}: counts are whole numbers") from error
        if min(each) < 0 or not sum(each):
            raise DataError(f"{table.name}, line {number}: nothing was counted")
        by_concept[row["concept"]] = each
    records = tuple(r for r in read_records(data) if r.concept in by_concept)
    if not records:
        raise DataError(f"no picture of {data.name} shows what {table.name} speaks of")
    counts = np.array([by_concept[r.concept] for r in records], np.int64)
    return Rated(records, *sentiment(counts), (-1.0, 1.0), counts=counts)


def read_companions(data: Path, rated: Rated, silent: Sequence[str]) -> tuple[Record, ...]:
    """Training pictures that nobody rated, but whose tags may say what people would think."""
    known = {record.concept for record in rated.records}
    return tuple(
        r
        for r in read_records(data)
        if r.split == "train" and r.concept not in known and r.source not in silent
    )


def read_ratings(data: Path, table: Path) -> Rated:
    """Read ratings of one's own pictures.

    Parameters
    ----------
    data
        A folder of pictures, or a table as :func:`tagger.training.sources.read_records` takes it.
    table
        CSV with ``file,rating`` or ``left,right,winner``. A file is named by its path in the
        folder, or by its ``id`` in the table. Of several ratings of a file the mean counts.
        ``winner`` is left, right, tie, or the name of the file.

    Raises
    ------
    DataError
        If a file is missing or malformed, or too little is rated.
    """
    rows = list(_rows(table, ()))
    columns = set(rows[0][1]) if rows else set()
    known = None if data.is_dir() else {r.id: r for r in read_records(data)}

    def picture(name: str, line: int) -> Record:
        found = known.get(name) if known is not None else _picture(data, name)
        if found is None:
            raise DataError(f"{table.name}, line {line}: there is no picture {name!r}")
        return found

    if {"file", "rating"} <= columns:
        return _of_ratings(rows, table.name, picture, fixed=known is not None)
    if {"left", "right", "winner"} <= columns:
        return _of_pairs(rows, table.name, picture, fixed=known is not None)
    raise DataError(f"{table.name} needs columns file,rating or left,right,winner")


def all_pictures(data: Path) -> tuple[Record, ...]:
    """Every picture of a folder, with captions or without, or of a table."""
    if not data.is_dir():
        return tuple(read_records(data))
    paths = sorted(p for p in data.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES)
    found = [_picture(data, path.relative_to(data).as_posix()) for path in paths]
    if not any(found):
        raise DataError(f"{data} holds no picture")
    return tuple(record for record in found if record is not None)


def _picture(folder: Path, name: str) -> Record | None:
    path = (folder / name).resolve()
    # A table from somebody else must not make us read files that lie elsewhere.
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        return None
    return Record(name, name, "own", "", (), (), split_of(name), path)


def _of_ratings(rows: Any, table: str, picture: Any, *, fixed: bool) -> Rated:
    ratings: dict[str, list[float]] = defaultdict(list)
    records: dict[str, Record] = {}
    for line, row in rows:
        try:
            value = float(row["rating"])
        except ValueError:
            value = float("nan")
        if not np.isfinite(value):
            raise DataError(f"{table}, line {line}: {row['rating']!r} is no number")
        name = row["file"]
        records.setdefault(name, picture(name, line))
        ratings[name].append(value)
    target = np.array([np.mean(values) for values in ratings.values()])
    if len(np.unique(target)) < 2:
        raise DataError(f"{table} gives every picture the same rating")
    none, every = np.zeros(len(target)), np.ones(len(target))
    bounds = (float(target.min()), float(target.max()))
    return Rated(tuple(records.values()), target, none, every, bounds, fixed=fixed)


def _of_pairs(rows: Any, table: str, picture: Any, *, fixed: bool) -> Rated:
    records: dict[str, Record] = {}
    numbers: dict[str, int] = {}
    judged = []
    for line, row in rows:
        names = row["left"], row["right"]
        if names[0] == names[1]:
            raise DataError(f"{table}, line {line}: a pair is of two pictures")
        for name in names:
            if name not in numbers:
                records[name] = picture(name, line)
                numbers[name] = len(numbers)
        won = {**{name: value for name, value in zip(names, (1.0, 0.0), strict=True)}, **_OUTCOMES}
        if row["winner"] not in won:
            raise DataError(f"{table}, line {line}: the winner is left, right, tie or a file")
        judged.append((numbers[names[0]], numbers[names[1]], won[row["winner"]]))
    left, right = (np.array([pair[side] for pair in judged], np.int64) for side in (0, 1))
    outcome = np.array([pair[2] for pair in judged], np.float64)
    wins = np.zeros(len(numbers)), np.zeros(len(numbers))
    for places, values in ((left, outcome), (right, 1 - outcome)):
        np.add.at(wins[0], places, values)
        np.add.at(wins[1], places, 1)
    # One more won and one more lost, so that few pairs do not make extremes.
    share = (wins[0] + 1) / (wins[1] + 2)
    every = np.ones(len(share))
    pairs = Pairs(left, right, outcome)
    kept = tuple(records.values())
    return Rated(kept, share, 0 * every, every, (0.0, 1.0), pairs=pairs, fixed=fixed)


def _rows(table: Path, needed: Sequence[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    try:
        text = table.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{table} cannot be read as a CSV file") from error
    reader = csv.DictReader(text.splitlines())
    names = [name.strip() for name in reader.fieldnames or ()]
    reader.fieldnames = names
    if not names or not set(needed) <= set(names):
        raise DataError(f"{table.name} needs columns {', '.join(needed) or 'and rows'}")
    count = 0
    for row in reader:
        if None in row or None in row.values():
            raise DataError(f"{table.name}, line {reader.line_num}: another number of columns")
        count += 1
        yield reader.line_num, {name: value.strip() for name, value in row.items()}
    if not count:
        raise DataError(f"{table.name} holds no row")


def rows_of(rated: Rated, split: str) -> Ints:
    """Pictures of a split; where pairs were judged, those of the split's pairs."""
    if split not in SPLITS:
        raise ValueError(split)
    if rated.pairs is None:
        return np.flatnonzero(rated.splits == split)
    chosen = pairs_of(rated, split)
    return np.unique(np.concatenate([chosen.left, chosen.right]))


def pairs_of(rated: Rated, split: str) -> Pairs:
    """Judged pairs of a split: of test if either picture is, else of val if either is.

    Were both to be of it, hardly a pair would be left to judge by.
    """
    assert rated.pairs is not None
    splits, pairs = rated.splits, rated.pairs
    sides = np.stack([splits[pairs.left], splits[pairs.right]])
    test, val = (sides == "test").any(axis=0), (sides == "val").any(axis=0)
    where = {"test": test, "val": val & ~test, "train": ~test & ~val}[split]
    return Pairs(pairs.left[where], pairs.right[where], pairs.outcome[where])
