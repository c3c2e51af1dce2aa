"""Pictures as they are uploaded: the files of a form, so many, so large, so slow, and no more."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from tagger import intake
from tagger.errors import LimitError, RequestError

# A request may hold as many bytes as this many of the largest pictures: enough for a full request
# of ordinary ones, while what waits on disk stays bounded.
LARGEST_PICTURES = 5
_FILE_FIELDS = ("file", "files")
_FORM_OVERHEAD = 64 * 1024
_MAX_TEXT_FIELDS = 16
_MAX_TEXT_FIELD_BYTES = 1024


def request_bytes(max_bytes: int, pictures: int = LARGEST_PICTURES) -> int:
    """How large a form may be that holds so many of the largest pictures."""
    return pictures * max_bytes + _FORM_OVERHEAD


@asynccontextmanager
async def uploads(
    request: Request, max_files: int, max_bytes: int
) -> AsyncIterator[list[UploadFile]]:
    """Receive the pictures of a form; they lie on disk, if large, until the block ends.

    Raises
    ------
    TaggerError
        As :func:`received`, and if it holds no file.
    """
    async with received(request, max_files, max_bytes) as form:
        yield _pictures(form)


@asynccontextmanager
async def received(
    request: Request, max_files: int, max_bytes: int, max_text: int = _MAX_TEXT_FIELD_BYTES
) -> AsyncIterator[FormData]:
    """Receive a form; its files lie on disk, if large, until the block ends.

    Parameters
    ----------
    request : Request
        Of which nothing has been read.
    max_files, max_bytes : int
        That the whole form may hold.
    max_text : int
        Bytes of a field that is no file.

    Raises
    ------
    TaggerError
        If the body is no form, too large (said before it is read, where its length is given),
        too slow, or holds too many files or fields.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0]
    if content_type.strip().lower() != "multipart/form-data":
        raise RequestError("request-not-multipart")
    intake.check_announced(request, max_bytes)
    counted = Request(request.scope, intake.bounded(request.receive, max_bytes))
    try:
        async with asyncio.timeout(intake.UPLOAD_SECONDS):
            form = await counted.form(
                max_files=max_files,
                max_fields=_MAX_TEXT_FIELDS,
                max_part_size=max_text,
            )
    except TimeoutError:
        raise RequestError("request-timeout") from None
    except ClientDisconnect:  # nobody is left to read the answer
        raise RequestError("request-malformed") from None
    except HTTPException as error:
        if error.detail.startswith("Too many files"):
            count = f"{max_files + 1}+"
            raise LimitError("request-too-many-files", count=count, limit=max_files) from None
        raise RequestError("request-malformed") from None
    try:
        yield form
    finally:
        await form.close()


def _pictures(form: FormData) -> list[UploadFile]:
    files: list[UploadFile] = []
    for field, value in form.multi_items():
        # A browser sends a form's empty file field as a nameless empty file.
        if not isinstance(value, UploadFile) or not (value.filename or value.size):
            continue
        if field not in _FILE_FIELDS:
            reason = "pictures go into fields named “file”"
            raise RequestError("request-invalid", field=file_name(field), reason=reason)
        files.append(value)
    if not files:
        raise RequestError("request-no-file")
    return files


def file_name(name: str | None) -> str:
    """The last part of a client's file name, without what could disturb a screen or a log."""
    last = re.split(r"[/\\]", name or "")[-1][:255]
    kept = "".join(c for c in last if unicodedata.category(c) not in {"Cc", "Cf", "Cs"})
    return kept.strip() or "file"
