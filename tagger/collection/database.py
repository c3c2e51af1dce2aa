"""SQLite and PostgreSQL behind one small interface: read, and write durably.

What differs between the two is here and nowhere else: how they are opened, how a write becomes
durable, and what their errors mean.

Writes of one process go through one connection. While it waits for the disk, other writers queue
up, and the next transaction takes all of them: one wait for the disk serves many, and none is told
that it is done before the disk has said so. A write that fails takes back its own part only.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, Connection, Engine

from tagger.errors import StoreError

T = TypeVar("T")

_log = logging.getLogger(__name__)

# Writes in one transaction, and how often one is tried that others got in the way of.
_GROUP = 256
_ATTEMPTS = 5

# Primary result codes of SQLite (sqlite.org/rescode.html) and two of its extended ones.
_SQLITE = {
    5: "store-busy",  # BUSY
    6: "store-busy",  # LOCKED
    8: "store-read-only",  # READONLY
    10: "store-full",  # IOERR, which is what a file at its limit gives
    11: "store-damaged",  # CORRUPT
    13: "store-full",  # FULL
    14: "store-unavailable",  # CANTOPEN
    26: "store-damaged",  # NOTADB
}
_SQLITE_READ_ERRORS = (266, 522)

# Classes and codes of PostgreSQL (appendix A of its manual), the longest match first.
_POSTGRES = {
    "53100": "store-full",
    "25006": "store-read-only",
    "42501": "store-read-only",
    "55P03": "store-busy",  # lock not available
    "57014": "store-busy",  # statement timeout
    "53": "store-busy",  # insufficient resources
    "08": "store-unavailable",
    "28": "store-unavailable",  # wrong password
    "3D": "store-unavailable",  # no such database
    "57": "store-unavailable",  # shutting down
    "XX": "store-damaged",
}
# Serialisation failure, deadlock; and a row that another transaction removed or made meanwhile.
_PASSING = frozenset({"40001", "40P01", "23503", "23505"})


class _Job(Generic[T]):
    def __init__(self, work: Callable[[Connection], T]) -> None:
        self.work = work
        self.result: T
        self.error: BaseException | None = None
        self.done = False


class Database:
    """An open database. May be used from any thread.

    Parameters
    ----------
    url : str
        ``sqlite:///FILE`` or ``postgresql://...``.
    timeout : float
        Seconds to wait for others before ``store-busy``.

    Raises
    ------
    StoreError
        ``store-bad-url``, ``store-no-driver``, ``store-unavailable``, ``store-damaged``...
    """

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        self._timeout = timeout
        self._changed = threading.Condition()
        self._waiting: list[_Job[Any]] = []
        self._busy = False
        self._engine = _create_engine(_parse(url), timeout)
        self._writer = self._engine.execution_options(tagger_writes=True)
        self._sqlite = self._engine.dialect.name == "sqlite"
        if self._sqlite:
            self._prepare_file()

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection in a transaction that sees one state of the database."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except Exception as error:
            raise _translate(error) from error.__cause__

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do `work` in a transaction; what it did is on the disk when this returns.

        Parameters
        ----------
        work : callable
            Takes the connection. May be called again, after what it did was rolled back.
        """
        job = _Job(work)
        if self._is_first(job):
            try:
                while not job.done:
                    with self._changed:
                        group, self._waiting = self._waiting[:_GROUP], self._waiting[_GROUP:]
                    self._run(group)
                    with self._changed:
                        self._changed.notify_all()
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()
        if job.error is not None:
            raise _translate(job.error) from job.error.__cause__
        return job.result

    def _is_first(self, job: _Job[Any]) -> bool:
        """Queue up; whether the caller is to work for all who queue, or somebody else has done it.

        Raises
        ------
        StoreError
            ``store-busy`` if nobody did in time.
        """
        with self._changed:
            self._waiting.append(job)
            self._changed.wait_for(lambda: job.done or not self._busy, self._timeout)
            if self._busy and not job.done:
                if job in self._waiting:
                    self._waiting.remove(job)
                    raise StoreError("store-busy")
                # Somebody is at it, and will end within a timeout of the database's own.
                self._changed.wait_for(lambda: job.done)
            if job.done:
                return False
            self._busy = True
            return True

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Be the only one, over all processes that have this database open, to do a thing.

        Ends with the process, however that ends.

        Raises
        ------
        StoreError
            ``{name}-running`` if somebody else is at it.
        """
        with self._lock_file(name) if self._sqlite else self._advisory_lock(name) as is_ours:
            if not is_ours:
                raise StoreError(f"{name}-running")
            yield

    @contextmanager
    def _lock_file(self, name: str) -> Iterator[bool]:
        try:
            import fcntl
        except ImportError:  # a system without such locks
            yield True
            return
        with open(f"{self._engine.url.database}.{name}", "ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            yield True

    @contextmanager
    def _advisory_lock(self, name: str) -> Iterator[bool]:
        key = zlib.crc32(f"tagger {name}".encode())
        with self._engine.connect() as connection:
            # The lock is the connection's, which must not be in a transaction for so long.
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            ours = bool(connection.scalar(sa.select(sa.func.pg_try_advisory_lock(key))))
            try:
                yield ours
            finally:
                if ours:
                    connection.execute(sa.select(sa.func.pg_advisory_unlock(key)))

    def erase(self) -> None:
        """Take deleted content out of the files, too, as far as others let us.

        Deleted rows are overwritten at once; the write-ahead log holds what was written before.
        """
        if not self._sqlite:
            return
        try:
            with contextlib.closing(self._engine.raw_connection()) as raw:
                cursor = raw.cursor()
                cursor.execute("PRAGMA busy_timeout=200")
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                cursor.execute(f"PRAGMA busy_timeout={int(self._timeout * 1000)}")
        except (exc.SQLAlchemyError, sqlite3.Error):  # others read: a later checkpoint will do it
            _log.debug("the write-ahead log could not be emptied", exc_info=True)

    def _run(self, jobs: list[_Job[Any]]) -> None:
        try:
            try:
                self._run_together(jobs)
            except Exception as error:
                if not _is_passing(error) or self._sqlite:
                    raise
                for job in jobs:
                    self._run_alone(job)
        except BaseException as error:
            for job in jobs:
                job.error = job.error or error
            if not isinstance(error, Exception):
                raise
        finally:
            for job in jobs:
                job.done = True

    def _run_together(self, jobs: list[_Job[Any]]) -> None:
        with self._writer.begin() as connection:
            for job in jobs:
                job.error = None
                savepoint = connection.begin_nested() if len(jobs) > 1 else None
                try:
                    job.result = job.work(connection)
                except Exception as error:
                    # Some errors end the whole transaction, savepoints and all: all must know.
                    if savepoint is None or _is_passing(error) or self._is_over(connection):
                        raise
                    job.error = error
                    savepoint.rollback()
                else:
                    if savepoint is not None:
                        savepoint.commit()

    def _run_alone(self, job: _Job[Any]) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._run_together([job])
                return
            except Exception as error:
                if attempt == _ATTEMPTS or not _is_passing(error):
                    job.error = error
                    return

    def _is_over(self, connection: Connection) -> bool:
        """Whether an error has ended the whole transaction, as a full disk may, or a lost line."""
        if connection.invalidated or not self._sqlite:
            return connection.invalidated
        raw = connection.connection.dbapi_connection
        return raw is not None and not raw.in_transaction

    def _prepare_file(self) -> None:
        file = Path(self._engine.url.database or "")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            # What people draw is theirs: not for other users of the machine.
            os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
        except PermissionError as error:
            if not file.is_file():
                raise StoreError("store-unavailable") from error
        except OSError as error:
            raise StoreError("store-unavailable") from error
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                with self._engine.connect() as connection:
                    raw = connection.connection.cursor()
                    mode = raw.execute("PRAGMA journal_mode=WAL").fetchone()
                    if mode is None or mode[0] != "wal":  # a file system without shared memory
                        _log.warning("the collection's file cannot use a write-ahead log")
                return
            except Exception as error:
                problem = _translate(error)
                busy = isinstance(problem, StoreError) and problem.code == "store-busy"
                # SQLite does not wait here by itself.
                if not busy or time.monotonic() > deadline:
                    raise problem from None
                time.sleep(0.02)


def _parse(url: str) -> URL:
    try:
        parsed = sa.make_url(url)
    except (exc.ArgumentError, ValueError):  # the latter for a port that is no number
        raise StoreError("store-bad-url") from None  # its text may hold a password
    kind = parsed.drivername
    if kind == "sqlite" and parsed.database and parsed.database != ":memory:":
        return parsed
    if kind in ("postgresql", "postgres", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    raise StoreError("store-bad-url")


def _create_engine(url: URL, timeout: float) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = sa.create_engine(
            url, pool_timeout=timeout, connect_args={"timeout": timeout}, future=True
        )
        event.listen(engine, "connect", _connect_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    milliseconds = max(1, int(timeout * 1000))
    own = url.query.get("options", "")
    options = f"-c lock_timeout={milliseconds} -c statement_timeout={6 * milliseconds} {own}"
    arguments = {"connect_timeout": max(2, int(timeout)), "options": options}
    try:
        engine = sa.create_engine(
            url, pool_pre_ping=True, pool_timeout=timeout, connect_args=arguments
        )
    except ImportError as error:
        raise StoreError("store-no-driver") from error
    event.listen(engine, "connect", _connect_postgres)
    return engine


def _connect_sqlite(raw: Any, record: Any) -> None:
    # Transactions begin where `_begin_sqlite` says, not where Python's module guesses.
    raw.isolation_level = None
    cursor = raw.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    # Each commit waits for the disk; on a Mac, for its cache, too.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA fullfsync=ON")
    cursor.execute("PRAGMA secure_delete=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A writer asks for its lock at once: one that asks after it has read may be refused.
    writes = connection.get_execution_options().get("tagger_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _connect_postgres(raw: Any, record: Any) -> None:
    # A server may be set to answer before the disk does; one that waits for more is left to it.
    with raw.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false) "
            "WHERE current_setting('synchronous_commit') = 'off'"
        )
    raw.commit()


def _is_passing(error: BaseException) -> bool:
    return getattr(getattr(error, "orig", None), "sqlstate", None) in _PASSING


def _translate(error: BaseException) -> BaseException:
    """What an error of a database means to a person; its text goes to the log only."""
    original = getattr(error, "orig", error)
    number = getattr(original, "sqlite_errorcode", None)
    state = getattr(original, "sqlstate", None)
    if not isinstance(error, exc.SQLAlchemyError | sqlite3.Error) and state is None:
        return error
    code = "store-failed"
    if isinstance(error, exc.TimeoutError):
        code = "store-busy"
    elif number is not None:
        damaged = number in _SQLITE_READ_ERRORS
        code = "store-damaged" if damaged else _SQLITE.get(number & 0xFF, code)
    elif state is not None:
        code = _POSTGRES.get(state) or _POSTGRES.get(state[:2]) or code
    elif isinstance(error, exc.OperationalError):  # no answer from a server
        code = "store-unavailable"
    _log.warning("%s: %s", code, original)
    return StoreError(code)
