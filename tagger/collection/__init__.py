"""What people give, kept durably: drawings with their labels, votes on pairs of pictures.

`Store` keeps them in SQLite or PostgreSQL; `formats` and `vote_formats` write and read files;
`hub` pushes to a dataset repository. Nothing here decides who may do what beyond "one's own".
"""

from tagger.collection.records import Drawing, LabelChange, NewDrawing, Saved, clean_label
from tagger.collection.store import Store
from tagger.collection.vote_records import KeptVote, NewVote, SavedVote, is_own, own_id

__all__ = [
    "Drawing",
    "KeptVote",
    "LabelChange",
    "NewDrawing",
    "NewVote",
    "Saved",
    "SavedVote",
    "Store",
    "clean_label",
    "is_own",
    "own_id",
]
