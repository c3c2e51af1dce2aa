"""Tags that people added and removed on the page, written into a gallery."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagger.errors import GalleryError
from tagger.gallery.folder import INDEX, Gallery, write_tags
from tagger.similarity import Index
from tagger.similarity.items import item as make_item
from tagger.tags import TagList

FORMAT = "gallery-selection"

_MAX_BYTES = 256 * 2**20
_MAX_NAME = 200
_MAX_GIVEN = 64


@dataclass(frozen=True, slots=True)
class Edit:
    """What is to change about one picture: names of tags."""

    id: str
    added: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of edits: pictures changed, names that no picture has, tags that no model knows."""

    changed: int
    unknown_pictures: tuple[str, ...]
    unknown_tags: tuple[str, ...]


def read_edits(path: Path) -> list[Edit]:
    """Read an exported selection, which may come from a stranger.

    Raises
    ------
    GalleryError
        ``gallery-export-invalid``.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise ValueError("too large")
        data = json.loads(text)
        if data["format"] != FORMAT:
            raise ValueError("no selection")
        return [
            Edit(_text(entry["id"]), _names(entry, "added"), _names(entry, "removed"))
            for entry in data["pictures"]
        ]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise GalleryError("gallery-export-invalid") from error


def apply_edits(gallery: Gallery, edits: Sequence[Edit], tags: TagList) -> Applied:
    """Write edits into a gallery's folder; its map stays, since no picture has changed.

    A picture that was edited counts as one whose labels people gave. Its tags as people wrote
    them follow: what was added is added there, and what was removed, under any of its names, goes.

    Raises
    ------
    GalleryError
        ``gallery-damaged`` if the folder was changed meanwhile.
    OSError
        If it cannot be written.
    """
    index = Index.load(gallery.folder / INDEX, model=gallery.model)
    if index.ids() != [item.id for item in gallery.items]:
        raise GalleryError("gallery-damaged")
    now = index.snapshot()
    items, given = now.items[: now.count], gallery.given.copy()
    lost: list[str] = []
    strange: dict[str, None] = {}
    changed: set[int] = set()
    for edit in edits:
        n = gallery.number_of.get(edit.id)
        if n is None:
            lost.append(edit.id)
            continue
        found = {name: tags.find(name) for name in (*edit.added, *edit.removed)}
        strange.update({name: None for name, tag in found.items() if tag is None})
        labels = set(items[n].labels) | {tag.index for name in edit.added if (tag := found[name])}
        labels -= {tag.index for name in edit.removed if (tag := found[name])}
        metadata = items[n].metadata
        before = metadata.get("given", [])
        metadata["given"] = _given(before, edit, tags)
        if labels != set(items[n].labels) or metadata["given"] != before:
            items[n] = make_item(edit.id, labels, metadata)
            given[n] = True
            changed.add(n)
    if changed:
        new = Index(index.dimension, index.model, search="exact", precision=index.precision)
        new.add_many(
            [item.id for item in items],
            now.vectors[: now.count],
            [item.labels for item in items],
            [item.metadata for item in items],
        )
        # In between, whoever opens it finds the labels of now and the marks of then: both whole.
        new.save(gallery.folder / INDEX)
        write_tags(gallery.folder, gallery.predicted, given)
    return Applied(len(changed), tuple(lost), tuple(strange))


def _given(raw: Any, edit: Edit, tags: TagList) -> list[str]:
    """The tags as people wrote them, with what was added and without what was removed."""
    names = [name for name in raw if isinstance(name, str)] if isinstance(raw, list) else []
    gone = {tag.index for name in edit.removed if (tag := tags.find(name))}
    kept = []
    for name in names:
        tag = tags.find(name)
        if name not in edit.removed and (tag is None or tag.index not in gone):
            kept.append(name)
    known = {tag.index for name in kept if (tag := tags.find(name))}
    for name in edit.added:
        tag = tags.find(name)
        if name not in kept and (tag is None or tag.index not in known):
            kept.append(name)
    return kept[:_MAX_GIVEN]


def _names(entry: dict[str, Any], key: str) -> tuple[str, ...]:
    names = entry.get(key, [])
    if not isinstance(names, list):
        raise ValueError(key)
    return tuple(dict.fromkeys(_text(name) for name in names))


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_NAME * 5:
        raise ValueError("not a name")
    return value
