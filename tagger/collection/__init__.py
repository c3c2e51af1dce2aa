"""What people give, kept durably: drawings with their labels.

`Store` keeps them in SQLite or PostgreSQL; `formats` writes and reads files; `hub` pushes to a
dataset repository. Nothing here decides who may do what beyond "one's own".
"""

from tagger.collection.records import Drawing, LabelChange, NewDrawing, Saved, clean_label
from tagger.collection.store import Store

__all__ = ["Drawing", "LabelChange", "NewDrawing", "Saved", "Store", "clean_label"]
