"""A stand-in for the Hugging Face Hub: what a push to a dataset repository asks for."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "hf_right"
REPOSITORY = "owner/drawings"
_BASE = f"/api/datasets/{REPOSITORY}"


class Hub(ThreadingHTTPServer):
    """The Hub as it is seen from outside, and what may be made to go wrong there.

    Attributes
    ----------
    files : dict of path to bytes, or None
        What is in the repository; None if there is none.
    private : bool or None
        As it was asked for when the repository was made.
    overwritten : list of str
        Paths that were sent although they were there: none should be.
    commits : list of list of str
        Paths of each commit.
    troubles : list of {"", "refuse", "silent"}
        For the next commits: none; not taken; taken, but the answer is lost.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] | None = None
        self.private: bool | None = None
        self.overwritten: list[str] = []
        self.commits: list[list[str]] = []
        self.troubles: list[str] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def lines(self, folder: str) -> list[dict[str, Any]]:
        """All lines of the files in a folder, in the order of their coming."""
        order = [path for commit in self.commits for path in commit]
        paths = [path for path in order if path.startswith(f"{folder}/")]
        return [
            json.loads(line) for path in paths for line in (self.files or {})[path].splitlines()
        ]


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self.respond(b"")

    def do_POST(self) -> None:
        self.respond(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def respond(self, body: bytes) -> None:
        hub = self.server
        path = urlsplit(self.path).path
        with hub.lock:
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self.answer({"error": "Invalid credentials"}, 401)
            elif path == "/api/repos/create":
                asked = json.loads(body)
                hub.private = asked.get("private") or asked.get("visibility") == "private"
                hub.files = {}
                self.answer({"url": f"{hub.url}/datasets/{REPOSITORY}", "id": REPOSITORY})
            elif path == "/api/validate-yaml":
                self.answer({"errors": [], "warnings": []})
            elif hub.files is None or not path.startswith(_BASE):
                self.answer(
                    {"error": "Repository not found"}, 404, **{"X-Error-Code": "RepoNotFound"}
                )
            elif path == _BASE:
                self.answer({"id": REPOSITORY, "sha": "0" * 40, "siblings": []})
            elif path == f"{_BASE}/paths-info/main":
                asked = parse_qs(body.decode())["paths"]  # a form, here alone
                known = [
                    {"type": "file", "path": p, "size": len(hub.files[p]), "oid": "0" * 40}
                    for p in asked
                    if p in hub.files
                ]
                self.answer(known)
            elif path == f"{_BASE}/preupload/main":
                files = [
                    {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                    for f in json.loads(body)["files"]
                ]
                self.answer({"files": files})
            elif path == f"{_BASE}/commit/main":
                self.commit(body)
            else:
                self.answer({"error": "not found"}, 404)

    def commit(self, body: bytes) -> None:
        hub = self.server
        assert hub.files is not None
        trouble = hub.troubles.pop(0) if hub.troubles else ""
        if trouble == "refuse":
            self.answer({"error": "not now"}, 400)
            return
        paths = []
        for entry in map(json.loads, body.splitlines()):
            assert entry["key"] in ("header", "file"), "only additions"
            if entry["key"] == "file":
                file = entry["value"]
                if file["path"] in hub.files:
                    hub.overwritten.append(file["path"])
                hub.files[file["path"]] = base64.b64decode(file["content"])
                paths.append(file["path"])
        hub.commits.append(paths)
        if trouble == "silent":
            self.close_connection = True
            self.connection.close()
            return
        url = f"{hub.url}/datasets/{REPOSITORY}/commit/{'0' * 40}"
        self.answer({"success": True, "commitUrl": url, "commitOid": "0" * 40})

    def answer(self, content: object, status: int = 200, **headers: str) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        all_headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        for name, value in {**all_headers, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[Hub]:
    """Serve a Hub on which ``owner/drawings`` does not exist yet."""
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()
