"""Small pictures of a gallery, many in a file: ZIP archives in which nothing is compressed."""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import threading
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from tagger.atomic import replacing
from tagger.errors import GalleryError

#: Longest side of a picture, in pixels.
SIDE = 160
#: Bytes of one file of pictures: below what the Hub takes without Git LFS.
PACK_BYTES = 9_000_000

_MAX_PICTURE = 256 * 1024
_MAX_PACK = 64 * 2**20
_MEMBER = re.compile(r"(0|[1-9][0-9]{0,8})\.webp", re.ASCII)
_PACK = re.compile(r"pictures-([0-9]{3,6})\.zip", re.ASCII)
# What an archive spends on a member besides its content and twice its name.
_MEMBER_BYTES = 76
_END_BYTES = 22
_QUALITY = 82
_TIME = (1980, 1, 1, 0, 0, 0)


class Pictures:
    """The pictures of a gallery by their numbers. For any thread.

    Parameters
    ----------
    folder : Path
        Of the packs.
    count : int
        N: there must be a picture of each number below it.

    Raises
    ------
    ValueError
        If one is missing, too large, or the packs are torn.
    OSError
        If they cannot be opened.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self._lock = threading.Lock()
        self._files: list[IO[bytes]] = []
        self._pack = np.full(count, -1, np.int32)
        self._place = np.zeros(count, np.int64)
        self._size = np.zeros(count, np.int32)
        self._sum = np.zeros(count, np.uint32)
        try:
            for path in packs(folder):
                self._open(path)
            if bool((self._pack < 0).any()):
                raise ValueError("pictures are missing")
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._pack)

    @property
    def sums(self) -> str:
        """A hash of all pictures, made of their check sums."""
        return sums(self._size, self._sum)

    def get(self, n: int) -> bytes:
        """A picture: a WebP file.

        Raises
        ------
        IndexError
            If there is none of that number.
        GalleryError
            ``gallery-damaged`` if its file is gone or torn.
        """
        if not 0 <= n < len(self):
            raise IndexError(n)
        try:
            with self._lock:
                file = self._files[self._pack[n]]
                file.seek(self._place[n])
                head = file.read(30)
                # Its names may be longer here than in the directory.
                names = [int.from_bytes(head[at : at + 2], "little") for at in (26, 28)]
                file.seek(sum(names), io.SEEK_CUR)
                data: bytes = file.read(int(self._size[n]))
        except (OSError, ValueError) as error:
            raise GalleryError("gallery-damaged") from error
        if zlib.crc32(data) != self._sum[n] or not is_webp(data):
            raise GalleryError("gallery-damaged")
        return data

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            with contextlib.suppress(OSError):
                file.close()

    def _open(self, path: Path) -> None:
        file = path.open("rb")
        self._files.append(file)
        length = file.seek(0, io.SEEK_END)
        if length > _MAX_PACK:
            raise ValueError("a pack is too large")
        for info in _members(file):
            match = _MEMBER.fullmatch(info.filename)
            number = int(match[1]) if match else len(self)
            good = (
                number < len(self)
                and self._pack[number] < 0
                and info.compress_type == zipfile.ZIP_STORED
                and info.file_size == info.compress_size
                and 0 < info.file_size <= _MAX_PICTURE
                and 0 <= info.header_offset < length
            )
            if not good:
                raise ValueError("not a picture of this gallery")
            self._pack[number] = len(self._files) - 1
            self._place[number] = info.header_offset
            self._size[number] = info.file_size
            self._sum[number] = info.CRC


class PackWriter:
    """Writes pictures into packs, in the order of their numbers.

    Parameters
    ----------
    folder : Path
        Is made; packs of another gallery that lie there go when this one is complete.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self._pack = 0
        self._sizes: list[int] = []
        self._sums: list[int] = []
        self._begin()
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write the last pack, unless something went wrong."""
        if kind is None:
            self._flush()
            for path in packs(self._folder):
                match = _PACK.fullmatch(path.name)
                if match is not None and int(match[1]) >= self._pack:
                    path.unlink()

    @property
    def packs(self) -> int:
        """How many were written."""
        return self._pack

    @property
    def sums(self) -> str:
        """As :attr:`Pictures.sums` of what was written."""
        return sums(np.array(self._sizes, np.int32), np.array(self._sums, np.uint32))

    def add(self, picture: bytes) -> None:
        """Write the next picture, a WebP file.

        Raises
        ------
        ValueError
            If it is none, or too large.
        """
        if not is_webp(picture) or len(picture) > _MAX_PICTURE:
            raise ValueError("not a small picture")
        name = f"{self._count}.webp"
        own = len(picture) + 2 * len(name) + _MEMBER_BYTES
        if self._inside and self._bytes + own + _END_BYTES > PACK_BYTES:
            self._flush()
        info = zipfile.ZipInfo(name, _TIME)
        info.external_attr = 0o644 << 16
        self._archive.writestr(info, picture)
        self._sizes.append(len(picture))
        self._sums.append(zlib.crc32(picture))
        self._bytes += own
        self._inside += 1
        self._count += 1

    def _begin(self) -> None:
        self._data = io.BytesIO()
        self._archive = zipfile.ZipFile(self._data, "w", zipfile.ZIP_STORED)
        self._bytes = self._inside = 0

    def _flush(self) -> None:
        self._archive.close()
        if self._inside:
            with replacing(self._folder / f"pictures-{self._pack:03}.zip") as file:
                file.write(self._data.getbuffer())
            self._pack += 1
        self._begin()


def make_picture(rgb: npt.NDArray[np.uint8], side: int = SIDE) -> bytes:
    """Make a picture small: a WebP file, its longest side at most `side` pixels.

    Parameters
    ----------
    rgb : uint8, shape [h, w, 3]
        Upright, on white.
    """
    image = Image.fromarray(rgb)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=_QUALITY, method=4)
    return file.getvalue()


def packs(folder: Path) -> list[Path]:
    """The packs in a folder, in the order of their numbers."""
    found = [(_PACK.fullmatch(path.name), path) for path in folder.iterdir()]
    return [path for _, path in sorted((int(match[1]), path) for match, path in found if match)]


def sums(sizes: npt.NDArray[np.int32], checks: npt.NDArray[np.uint32]) -> str:
    """Hash pictures by their sizes and check sums, in hexadecimal digits."""
    whole = hashlib.sha256(sizes.astype("<i4").tobytes())
    whole.update(checks.astype("<u4").tobytes())
    return whole.hexdigest()


def is_webp(data: bytes) -> bool:
    """Whether this begins as a WebP file does and is as long as it says."""
    return (
        data[:4] == b"RIFF"
        and data[8:12] == b"WEBP"
        and int.from_bytes(data[4:8], "little") + 8 == len(data)
    )


def _members(file: IO[bytes]) -> Iterator[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(file) as archive:
            yield from archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, MemoryError) as error:
        raise ValueError("torn") from error
