"""Galleries: folders of embeddings, tags, a map and small pictures, made of anyone's pictures."""

from tagger.gallery.building import Built, Source, build_gallery
from tagger.gallery.edits import Applied, Edit, apply_edits, read_edits
from tagger.gallery.folder import (
    MAP,
    Entry,
    Gallery,
    entry_of,
    open_gallery,
    read_facts,
    write_gallery,
)
from tagger.gallery.pictures import SIDE, Pictures, make_picture
from tagger.gallery.rows import TagRows

__all__ = [
    "MAP",
    "SIDE",
    "Applied",
    "Built",
    "Edit",
    "Entry",
    "Gallery",
    "Pictures",
    "Source",
    "TagRows",
    "apply_edits",
    "build_gallery",
    "entry_of",
    "make_picture",
    "open_gallery",
    "read_edits",
    "read_facts",
    "write_gallery",
]
