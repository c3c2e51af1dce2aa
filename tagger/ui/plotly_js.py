"""The script of plotly for the map, served from the installed package.

The package itself is never imported: the page needs only the file that lies in it. It is
compressed once, when it is first asked for, and its address holds its version, so that a browser
asks once. Without the package there is no address, and the map draws on its canvas.
"""

from __future__ import annotations

import functools
import gzip
import importlib.metadata
import importlib.util
import threading
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PACKAGE = "plotly"
FILE = Path("package_data") / "plotly.min.js"
# Relative to the page.
PATH = "explore/plotly.js"
_FOREVER = "public, max-age=31536000, immutable"


def find_script(package: str = PACKAGE) -> Path | None:
    """The script of the installed package; None where there is none."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / FILE
        if path.is_file():
            return path
    return None


def plotly_url() -> str | None:
    """Where the page gets the script, relative to itself; None where plotly is not installed."""
    if find_script() is None:
        return None
    try:
        version = importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        version = "0"
    return f"{PATH}?v={version}"


def plotly_route(script: Path | None = None) -> Route:
    """The route that serves the script.

    Parameters
    ----------
    script : Path, optional
        The file; by default that of the installed package. Where there is none, the route answers
        404.
    """
    path = script or find_script()
    lock = threading.Lock()

    @functools.cache
    def content(*, packed: bool) -> bytes:
        assert path is not None
        data = path.read_bytes()
        return gzip.compress(data, 6, mtime=0) if packed else data

    # Plain functions run in threads, so that nobody waits while it is compressed.
    def serve(request: Request) -> Response:
        if path is None:
            return Response(status_code=404)
        packed = _takes_gzip(request.headers.get("accept-encoding", ""))
        headers = {
            "Cache-Control": _FOREVER,
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
        }
        if packed:
            headers["Content-Encoding"] = "gzip"
        with lock:
            data = content(packed=packed)
        return Response(data, media_type="text/javascript", headers=headers)

    return Route(f"/{PATH}", serve, name="plotly")


def _takes_gzip(accepted: str) -> bool:
    """Whether an ``Accept-Encoding`` header allows gzip.

    >>> _takes_gzip("br, gzip;q=0.5"), _takes_gzip("gzip;q=0"), _takes_gzip("")
    (True, False, False)
    """
    for entry in accepted.split(","):
        name, *parameters = (part.strip().lower() for part in entry.split(";"))
        if name in ("gzip", "*"):
            weights = [p[2:] for p in parameters if p.startswith("q=")]
            return not weights or weights[0].strip("0.") != ""
    return False
