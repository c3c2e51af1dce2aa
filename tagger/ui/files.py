"""The styles and scripts that lie beside this package's modules."""

from __future__ import annotations

from pathlib import Path

STATIC = Path(__file__).parent / "static"


def text(*names: str) -> str:
    """The text of these files, one after the other, as one style or script."""
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in names)
