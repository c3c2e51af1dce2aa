"""The steps of the gallery: plain functions of their inputs, files only where a path is given."""

from __future__ import annotations

import io
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tagger import bundles, images
from tagger.atlas import MapParameters, MapWorker, write_atlas
from tagger.atomic import replacing
from tagger.gallery import MAP, Entry, make_picture, open_gallery, write_gallery
from tagger.illustration import IllustrationTagger, Prediction
from tagger.taglist import Rules
from tagger.tags import TagList, rank
from tagger.training.pipelines.gallery import choosing
from tagger.training.pipelines.gallery.titles import clean_author, clean_titles
from tagger.training.sources import DataError

log = logging.getLogger(__name__)

AUTHORS = "AUTHORS.md"
# Pixels a side by which pictures are compared.
_SMALL = 24
_TOP = 10


@dataclass(frozen=True, slots=True)
class Candidate:
    """A picture that may go into the gallery, as the table has it, but for title and author."""

    id: str
    title: str
    author: str
    licence: str
    source: str
    category: tuple[str, ...]
    tags: tuple[str, ...]
    split: str
    width: int
    height: int
    image: bytes


@dataclass(frozen=True, eq=False)
class Seen:
    """What a model and plain looking say of N candidates.

    ``blank`` bool [N]; ``small`` float32 [N, p], 0..1.
    """

    prediction: Prediction
    small: npt.NDArray[np.float32]
    blank: npt.NDArray[np.bool_]
    model: str
    tags: TagList


def read_candidates(data: str, settings: Mapping[str, Any]) -> list[Candidate]:
    """Read the pictures of the licence asked for, without those of folders that are left out."""
    where = Path(data)
    where = where / settings["table"] if where.is_dir() else where
    if not where.is_file():
        raise DataError(f"{where} is no table of pictures")
    table = pq.read_table(where)
    rows = table.filter(pc.equal(table["license"], settings["licence"])).to_pylist()
    left = Counter[str]()
    kept = []
    for row in rows:
        folder = choosing.within(row["category"] or (), settings["without"])
        file = row["id"].rpartition("/")[2].lower()
        if folder:
            left[folder] += 1
        elif any(part in file for part in settings["without_names"]):
            left["name"] += 1
        elif not clean_author(row["author"]):
            left["no author"] += 1
        else:
            kept.append(row)
    log.info("%d pictures; left out: %s", len(rows), dict(left))
    titles = clean_titles(
        [row["title"] for row in kept],
        [row["id"] for row in kept],
        [row["author"] or "" for row in kept],
        [(row["category"] or ("picture",))[-1] for row in kept],
    )
    return [
        Candidate(
            id=row["id"],
            title=title,
            author=clean_author(row["author"]),
            licence=row["license"],
            source=row["source"],
            category=tuple(row["category"] or ()),
            tags=tuple(row["tags"] or ()),
            split=row["split"],
            width=row["width"],
            height=row["height"],
            image=row["image"],
        )
        for row, title in zip(kept, titles, strict=True)
    ]


def look(candidates: Sequence[Candidate], settings: Mapping[str, Any]) -> Seen:
    """Let the model see the candidates, as it sees what people give it."""
    bundle = bundles.load(settings["bundle"])
    tagger = IllustrationTagger(bundle, threads=1)
    parts, small, blank = [], [], []
    for start in range(0, len(candidates), 64):
        rgbs = [images.read(one.image).rgb for one in candidates[start : start + 64]]
        parts.append(tagger.predict(rgbs))
        for rgb in rgbs:
            blank.append(choosing.blank(rgb, settings["ink"], settings["contrast"]))
            small.append(images.letterbox(rgb, _SMALL).reshape(-1) / np.float32(255))
    if not parts or parts[0].embedding is None:
        raise ValueError("there are no pictures, or the model gives no embeddings")
    prediction = Prediction(
        np.concatenate([part.probabilities for part in parts]),
        np.concatenate([part.embedding for part in parts if part.embedding is not None]),
    )
    return Seen(prediction, np.array(small, np.float32), np.array(blank), bundle.hash, tagger.tags)


def choose(candidates: Sequence[Candidate], seen: Seen, settings: Mapping[str, Any]) -> list[int]:
    """Choose the pictures: none twice, none blank, from all folders alike."""
    rules = Rules.load()
    assert seen.prediction.embedding is not None
    scores = [_worth(one, rules, seen.tags) for one in candidates]
    order = sorted(
        np.flatnonzero(~seen.blank).tolist(), key=lambda n: (-scores[n], candidates[n].id)
    )
    gone = choosing.twins(
        seen.small,
        seen.prediction.embedding,
        order,
        **{name: settings[name] for name in ("same_pixels", "same_cosine", "alike_pixels")},
    )
    left = [number for number in order if number not in gone]
    picked = choosing.balanced(
        [candidates[n].id for n in left],
        [candidates[n].category for n in left],
        [scores[n] for n in left],
        settings,
    )
    log.info(
        "%d candidates, %d blank, %d repeated; %d chosen of %d",
        len(candidates),
        int(seen.blank.sum()),
        len(gone),
        len(picked),
        len(left),
    )
    return sorted((left[n] for n in picked), key=lambda n: candidates[n].id)


def write_pictures(
    candidates: Sequence[Candidate], seen: Seen, chosen: Sequence[int], settings: Mapping[str, Any]
) -> str:
    """Write the gallery without its map; returns its folder."""
    out = Path(settings["out"])
    rules = Rules.load()
    assert seen.prediction.embedding is not None

    def entries() -> Any:
        for number in chosen:
            yield _entry(candidates[number], number, seen, rules, settings)

    authors = Counter(candidates[number].author for number in chosen)
    write_gallery(
        out,
        entries(),
        name=settings["name"],
        model=seen.model,
        dimension=seen.prediction.embedding.shape[1],
        tags=len(seen.tags),
        pictures=settings["pictures"],
        licence=settings["licence"],
        credits=f"{settings['source']}, by {len(authors)} authors, who are named in {AUTHORS}.",
    )
    lines = [
        f"# Authors of the gallery's pictures\n\n{len(chosen):,} pictures of the "
        f"{settings['source']}, all given to the public domain by those who drew them "
        "(packaged by Debian as `openclipart-png` and `openclipart-svg`). Thank you!\n\n"
        "| author | pictures |\n| --- | ---: |\n"
    ]
    for author, count in sorted(authors.items(), key=lambda pair: (-pair[1], pair[0].lower())):
        lines.append(f"| {author.replace('|', '/')} | {count} |\n")
    with replacing(out / settings["pictures"] / AUTHORS) as file:
        file.write("".join(lines).encode())
    return str(out)


def make_map(folder: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Make the gallery's map, and say what came of all."""
    gallery = open_gallery(Path(folder))
    worker = MapWorker()
    try:
        atlas = worker.fit(
            gallery.embeddings,
            MapParameters(**settings["map"]),
            [item.labels for item in gallery.items],
        ).result()
        if worker.problem:
            log.warning("%s", worker.problem)
    finally:
        worker.close()
        gallery.pictures.close()
    write_atlas(Path(folder) / MAP, atlas)
    report = {
        "pictures": len(gallery),
        "map": atlas.parameters.to_dict(),
        "trustworthiness": round(atlas.trustworthiness, 4),
        "pca_trustworthiness": round(atlas.pca_trustworthiness, 4),
        "seconds": round(atlas.seconds, 1),
        "with_given_tags": int(gallery.given.sum()),
    }
    log.info("%s", json.dumps(report))
    return report


def given_tags(candidate: Candidate, rules: Rules, tags: TagList) -> list[int]:
    """Numbers of the model's tags that people gave a picture, in its tags, folder or title."""
    decisions = [rules.decide(raw, candidate.category) for raw in candidate.tags]
    decisions += rules.in_category(candidate.category)
    decisions += rules.in_title(candidate.title, candidate.category)
    names = {decision.tag for decision in decisions if decision.tag}
    for name in tuple(names):
        names.update(implied for implied, _ in rules.implied_by(name))
    found = (tags.find(name) for name in names)
    return sorted({tag.index for tag in found if tag is not None})


def _worth(candidate: Candidate, rules: Rules, tags: TagList) -> float:
    """More with tags that mean something, a title of words, and a picture that is not small."""
    title = candidate.title
    wordy = any(len(word) > 3 and word.isalpha() for word in title.split())
    size = max(candidate.width, candidate.height) / 160
    return min(len(given_tags(candidate, rules, tags)), 5) + wordy + size


def _entry(
    candidate: Candidate, number: int, seen: Seen, rules: Rules, settings: Mapping[str, Any]
) -> Entry:
    assert seen.prediction.embedding is not None
    ranked = rank(seen.prediction.probabilities[number], seen.tags, top=None)
    given = given_tags(candidate, rules, seen.tags)
    metadata = {
        "title": candidate.title,
        "author": candidate.author,
        "licence": candidate.licence,
        "source": candidate.source,
        "category": choosing.shown_category(candidate.category, settings["categories"]),
        "language": settings["languages"].get(candidate.author, "en"),
        "width": candidate.width,
        "height": candidate.height,
        "split": candidate.split,
        "given": [tag for tag in candidate.tags if len(tag) < 60][:24],
    }
    return Entry(
        id=candidate.id.removeprefix(f"{candidate.source}/"),
        embedding=seen.prediction.embedding[number],
        predicted=[
            (one.tag.index, one.probability)
            for place, one in enumerate(ranked)
            if one.passes or place < _TOP
        ],
        labels=given or [one.tag.index for one in ranked if one.passes],
        given=bool(given),
        metadata=metadata,
        picture=make_picture(images.read(io.BytesIO(candidate.image)).rgb),
    )
