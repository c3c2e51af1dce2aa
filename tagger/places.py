"""Where an index is: in a file, or in a database."""

from __future__ import annotations

import re
from pathlib import Path


def is_url(place: object) -> bool:
    """Whether this is the place of an index in PostgreSQL, and not a file."""
    return isinstance(place, str) and place.startswith(("postgresql://", "postgres://"))


def place(text: str) -> str | Path:
    """Read a place as people write it: a URL stays as it is, anything else is a file."""
    return text if is_url(text) else Path(text)


def shown(place: str | Path) -> str:
    """A place as it may be shown: without a password."""
    return re.sub(r"(?<=://)([^/@:]*):[^/@]*@", r"\1:***@", str(place))
