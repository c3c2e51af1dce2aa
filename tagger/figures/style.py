"""What all figures have in common: colours, text, the layout."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

#: Names of tags by number: a list, a mapping, or a function.
Names = Sequence[str] | Mapping[int, str] | Callable[[int], str]

# Okabe and Ito, "Color Universal Design" (2008), without black and with the yellow darkened: they
# can be told apart with any kind of colour vision.
_FEW = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#b3a81c")
GREY = "#9a948a"
GOOD, BAD = "#0072b2", "#d55e00"

_LONGEST = 80


def palette(count: int) -> list[str]:
    """So many colours: the first seven for any kind of colour vision, more by the golden angle."""
    more = max(0, count - len(_FEW))
    hues = (
        f"hsl({(137.508 * n) % 360:.0f},{55 + 20 * (n % 2)}%,{38 + 9 * (n % 3)}%)"
        for n in range(more)
    )
    return [*_FEW[:count], *hues]


def text(value: object, longest: int = _LONGEST) -> str:
    """A text as it stands: plotly takes some tags of HTML for markup, and breaks no long lines."""
    plain = " ".join(str(value).split())
    plain = plain if len(plain) <= longest else plain[: longest - 1] + "…"
    return html.escape(plain, quote=False)


def short(value: object, width: int) -> str:
    """A text that is about as wide as so many pixels, in small print."""
    return text(value, max(6, round(width / 6)))


def name_of(names: Names | None, number: int) -> str:
    """The name of a tag; its number where there is none."""
    if names is None:
        return str(number)
    if callable(names):
        return str(names(number))
    if isinstance(names, Mapping):
        return str(names.get(number, number))
    return str(names[number]) if 0 <= number < len(names) else str(number)


def lay_out(figure: Any, *, title: str, width: int | None, height: int | None, dark: bool) -> Any:
    """Give a figure its title, size and theme; returns it."""
    figure.update_layout(
        template="plotly_dark" if dark else "plotly_white",
        title={"text": text(title)} if title else None,
        width=width,
        height=height,
        margin={"l": 60, "r": 30, "t": 60 if title else 30, "b": 50},
    )
    return figure
