"""How requests are taken in: so many at a time, so large, so slow, and no more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive

from tagger.errors import LimitError, RequestError

T = TypeVar("T")

# A body that sends nothing for so long, or is not done after so long, gives up its place.
STALL_SECONDS = 30.0
UPLOAD_SECONDS = 300.0


class WaitingLine:
    """How many requests may be in work or waiting; whoever comes after that is turned away."""

    def __init__(self, places: int) -> None:
        # Used from the event loop only, so that a plain counter will do.
        self._free = places

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place for as long as the block runs.

        Raises
        ------
        LimitError
            ``busy``, if there is none.
        """
        if self._free <= 0:
            raise LimitError("busy")
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


class Workers:
    """Threads in which a door does its work; beyond some requests it turns more away.

    Parameters
    ----------
    threads : int
        How many requests are in work at the same time.
    places : int
        How many may be in work or waiting.
    name : str
        Of the threads.
    """

    def __init__(self, threads: int, places: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(threads, name)
        self._line = WaitingLine(places)

    async def __call__(self, function: Callable[[], T]) -> T:
        """Call a function in one of the threads.

        Raises
        ------
        LimitError
            ``busy``, if all places are taken.
        """
        with self._line.place():
            return await asyncio.get_running_loop().run_in_executor(self._pool, function)


def check_announced(request: Request, max_bytes: int) -> None:
    """Refuse a body by the length that it announces, before any of it is read.

    Raises
    ------
    LimitError
        ``request-too-large``.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > max_bytes:
        raise LimitError("request-too-large", limit=max_bytes)


def bounded(receive: Receive, max_bytes: int) -> Receive:
    """Count a body while it arrives; refuse it where it grows too large or stalls."""
    received = 0

    async def counting() -> Message:
        nonlocal received
        try:
            async with asyncio.timeout(STALL_SECONDS):
                message = await receive()
        except TimeoutError:
            raise RequestError("request-timeout") from None
        received += len(message.get("body", b""))
        if received > max_bytes:
            raise LimitError("request-too-large", limit=max_bytes)
        return message

    return counting


async def read_json_body(request: Request, max_bytes: int) -> bytes:
    """Receive a body that is announced as JSON; it is not parsed yet.

    Raises
    ------
    TaggerError
        If it is announced as something else, is too large or too slow.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise RequestError("request-not-json")
    check_announced(request, max_bytes)
    counted = Request(request.scope, bounded(request.receive, max_bytes))
    try:
        async with asyncio.timeout(UPLOAD_SECONDS):
            return await counted.body()
    except TimeoutError:
        raise RequestError("request-timeout") from None
    except ClientDisconnect:  # nobody is left to read the answer
        raise RequestError("request-malformed") from None


def parse_json_object(body: bytes) -> dict[str, Any]:
    """Parse a body that must be an object.

    Raises
    ------
    RequestError
        ``request-malformed``, if it is not JSON or no object.
    """
    try:
        data = json.loads(body.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise RequestError("request-malformed") from None
    if not isinstance(data, dict):
        raise RequestError("request-malformed")
    return data


def _refuse(constant: str) -> Any:
    # Python reads NaN and Infinity, which JSON does not have.
    raise ValueError(constant)
