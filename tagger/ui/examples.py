"""The example pictures: public-domain clip art, with who drew it.

They lie in ``assets/examples`` with ``credits.json`` beside them, and are served by name from that
list alone, so that no path is ever taken from a request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route

FOLDER = Path(__file__).resolve().parents[2] / "assets" / "examples"
CREDITS_FILE = "credits.json"
URL_PREFIX = "examples"


@dataclass(frozen=True, slots=True)
class Example:
    """A picture to try, and whom to thank for it.

    Attributes
    ----------
    path : Path
        The file.
    label : mapping
        What it shows, by language.
    title, author : str
        As the Open Clip Art Library gives them.
    """

    path: Path
    label: Mapping[str, str]
    title: str
    author: str

    def to_dict(self) -> dict[str, Any]:
        """What the page's script needs; the URL is relative to the page."""
        return {
            "url": f"{URL_PREFIX}/{self.path.name}",
            "label": dict(self.label),
            "title": self.title,
            "author": self.author,
        }


def load_examples(folder: Path = FOLDER) -> tuple[Example, ...]:
    """Read the credits; without the folder (an installed package) there are no examples."""
    try:
        entries = json.loads((folder / CREDITS_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    examples = (
        Example(folder / entry["file"], entry["label"], entry["title"], entry["author"])
        for entry in entries
    )
    return tuple(example for example in examples if example.path.is_file())


def example_route(examples: Sequence[Example]) -> Route:
    """The route that serves these pictures, and nothing else."""
    files = {example.path.name: example.path for example in examples}

    async def serve(request: Request) -> FileResponse:
        path = files.get(request.path_params["name"])
        if path is None:
            raise HTTPException(404)
        return FileResponse(path, headers={"Cache-Control": "public, max-age=86400"})

    return Route(f"/{URL_PREFIX}/{{name}}", serve, name="example")
