"""Galleries: folders of embeddings, tags, a map and small pictures, made of anyone's pictures."""

from tagger.gallery.building import Built, Source, build_gallery
from tagger.gallery.folder import (
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
    "SIDE",
    "Built",
    "Entry",
    "Gallery",
    "Pictures",
    "Source",
    "TagRows",
    "build_gallery",
    "entry_of",
    "make_picture",
    "open_gallery",
    "read_facts",
    "write_gallery",
]
