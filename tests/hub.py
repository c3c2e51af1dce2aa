"""A stand-in for the Hugging Face Hub: the few answers that a download of a model asks for."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

COMMIT = hashlib.sha1(b"a commit").hexdigest()


class _Hub(ThreadingHTTPServer):
    folder: Path
    asked: list[str]


class _Handler(BaseHTTPRequestHandler):
    server: _Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.server.asked.append(path)
        files = {file.name: file for file in self.server.folder.iterdir()}
        if path.startswith("/api/models/owner/name/revision/v1"):
            siblings = [{"rfilename": name} for name in files]
            self.answer({"id": "owner/name", "sha": COMMIT, "siblings": siblings})
        elif path.startswith("/api/models/owner/name/tree/"):
            entries = [
                {"type": "file", "path": n, "size": f.stat().st_size, "oid": _etag(f)}
                for n, f in files.items()
            ]
            self.answer(entries)
        elif path.startswith("/owner/name/resolve/") and path.rpartition("/")[2] in files:
            file = files[path.rpartition("/")[2]]
            self.answer(file.read_bytes(), ETag=f'"{_etag(file)}"')
        else:
            self.answer({"error": "not found"}, 404)

    def answer(self, content: object, status: int = 200, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        kind = "application/octet-stream" if isinstance(content, bytes) else "application/json"
        all_headers = {"X-Repo-Commit": COMMIT, "Content-Type": kind, **headers}
        for name, value in {**all_headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _etag(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder as ``owner/name`` with a revision ``v1``; gives address and paths asked."""
    with _Hub(("127.0.0.1", 0), _Handler) as server:
        server.folder, server.asked = folder, []
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", server.asked
        finally:
            server.shutdown()
            thread.join()
