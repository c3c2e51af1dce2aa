"""Small line drawings for buttons; they take the colour of the text around them."""

from __future__ import annotations


def icon(*paths: str) -> str:
    """An SVG of 24 units a side, for the markup of a component.

    Parameters
    ----------
    *paths : str
        Its lines, as the ``d`` of a path; written here, never by anybody else.
    """
    lines = "".join(f'<path d="{path}"/>' for path in paths)
    return (
        '<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" '
        f'stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">{lines}</svg>'
    )


CROSS = icon("M6 6l12 12M18 6L6 18")
WARNING = icon("M12 4l9 16H3z", "M12 10v4M12 17v.1")
