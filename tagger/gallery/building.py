"""A gallery of anyone's pictures: in bounded memory, and to go on with where it was interrupted.

What is done is kept in parts, each a small gallery of its own below ``building/``. At the end all
are put together into a whole one there, which then takes the place of the one that was; whoever
finds a whole one there goes on with that.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from tagger import atomic, images
from tagger.errors import GalleryError, ImageError, RequestError, TaggerError
from tagger.gallery.folder import (
    FACTS,
    MAP,
    Entry,
    Gallery,
    entry_of,
    open_gallery,
    read_facts,
    write_gallery,
)
from tagger.gallery.pictures import SIDE, make_picture, packs
from tagger.similarity import items

if TYPE_CHECKING:
    from tagger.services import Services, TagResult
    from tagger.tags import TagList

BUILDING = "building"
_WHOLE = "whole"
_LOCK = "lock"

# A part is written when it has so many pictures, or has taken so many seconds: of 100,000 pictures
# there are fewer parts, each an open file, than a program may hold.
_PART = 512
_PART_SECONDS = 60.0
# Pictures that are read ahead.
_AHEAD = 12
_MAX_CAPTION = 64 * 1024
_MAX_TAGS = 64
# Tags that are kept of each picture even if they do not reach their operating points.
_TOP = 10

_Progress = Callable[[], None]
_Stop = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Source:
    """A picture that is to go into a gallery: its name there, its file, and what is known of it."""

    name: str
    path: Path
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Built:
    """What came of a build.

    Attributes
    ----------
    count : int
        Pictures in the gallery; 0 if it was interrupted before there was one.
    added, unchanged, removed : int
        Of them, against what there was.
    interrupted : bool
        Whether it was, so that the rest is still to be done.
    problems : list of (str, TaggerError)
        Pictures that could not be taken, and why.
    """

    count: int = 0
    added: int = 0
    unchanged: int = 0
    removed: int = 0
    interrupted: bool = False
    problems: list[tuple[str, TaggerError]] = field(default_factory=list)


def build_gallery(
    services: Services,
    sources: Sequence[Source],
    folder: Path,
    *,
    name: str,
    licence: str = "",
    credits: str = "",
    captions: bool = True,
    anew: bool = False,
    progress: _Progress = lambda: None,
    stop: _Stop = lambda: False,
) -> Built:
    """Make a gallery, or bring one up to date. It has no map yet where anything has changed.

    Parameters
    ----------
    services : Services
        The model, and the limits under which pictures are read.
    sources : sequence of Source
        All its pictures in order; names are unique. What is in the gallery already, and has not
        changed since, is not looked at again; what is not named here is left out.
    folder : Path
        Of the gallery.
    captions : bool
        Whether tags beside a picture (``NAME.txt``, parted by commas) are what people gave it.
    anew : bool
        Do not use what is there, whatever it is.
    progress : callable
        Is called after each picture that was looked at.
    stop : callable
        Is asked before each picture whether to end early. What is done is kept.

    Raises
    ------
    GalleryError
        ``gallery-damaged``, ``gallery-foreign`` or ``gallery-too-new`` for what is there;
        ``gallery-busy`` while another process builds it.
    RequestError
        ``index-no-embedding`` if the model gives none.
    OSError
        If it cannot be written.
    """
    if len({source.name for source in sources}) < len(sources):
        raise ValueError("names must be unique")
    building = folder / BUILDING
    building.mkdir(parents=True, exist_ok=True)
    with _alone(building / _LOCK):
        _take_over(folder)
        parts = _Parts(services, building, captions, anew)
        built = Built()
        try:
            old = None if anew else _existing(folder, services)
            if old is not None:
                parts.galleries.insert(0, old)
            known = parts.known(sources)
            pending = [source for source in sources if source.name not in known]
            built.unchanged = len(sources) - len(pending)
            built.added = parts.fill(pending, built.problems, progress, stop)
            built.interrupted = stop() and built.added + len(built.problems) < len(pending)
            if built.interrupted:
                return built
            order = [source.name for source in sources]
            facts = {"name": name, "licence": licence, "credits": credits}
            built.count, built.removed = _put_together(services, parts, old, order, facts)
        finally:
            parts.close()
        _take_over(folder)
    shutil.rmtree(building, ignore_errors=True)
    return built


def _existing(folder: Path, services: Services) -> Gallery | None:
    if not (folder / FACTS).exists():
        return None
    return open_gallery(folder, model=services.hash, tags=len(services.tagger.tags))


def _put_together(
    services: Services,
    parts: _Parts,
    old: Gallery | None,
    order: Sequence[str],
    facts: Mapping[str, str],
) -> tuple[int, int]:
    """Write the whole gallery, unless it is there; how many it has and how many it has lost."""
    where = parts.where()
    names = [name for name in order if name in where]
    if old is not None:
        lost = len(set(old.number_of) - set(names))
        same = all(getattr(old, key) == value for key, value in facts.items())
        if same and all(where[id][0] is old for id in names) and names == list(old.number_of):
            return len(names), 0
    else:
        lost = 0
    if not names:
        return 0, lost
    write_gallery(
        parts.folder / _WHOLE,
        (entry_of(*where[name]) for name in names),
        model=services.hash,
        dimension=parts.galleries[0].index.dimension,
        tags=len(services.tagger.tags),
        **facts,
    )
    return len(names), lost


def _take_over(folder: Path) -> None:
    """Let a whole gallery below ``building/`` take its place; ``gallery.json`` goes last."""
    whole = folder / BUILDING / _WHOLE
    if not (whole / FACTS).exists():
        shutil.rmtree(whole, ignore_errors=True)
        return
    facts, _ = read_facts(whole)
    # Whoever opens the gallery meanwhile must not take it for the old one.
    (folder / MAP).unlink(missing_ok=True)
    for path in sorted(whole.iterdir()):
        if path.name != FACTS and not path.name.startswith("."):
            os.replace(path, folder / path.name)
    for path in packs(folder)[facts["packs"] :]:
        path.unlink()
    os.replace(whole / FACTS, folder / FACTS)
    atomic.sync(folder)
    for entry in (folder / BUILDING).iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)


# --- parts ---------------------------------------------------------------------------------------


class _Parts:
    """What is done: galleries whose pictures go into the whole one, the later ones first."""

    def __init__(self, services: Services, folder: Path, captions: bool, anew: bool) -> None:
        self.folder = folder
        self.galleries: list[Gallery] = []
        self._services = services
        self._captions = captions
        self._batch: list[Entry] = []
        self._next = 0
        for path in sorted(folder.glob("part-*")):
            try:
                if anew:
                    raise GalleryError("gallery-foreign")
                tags = len(services.tagger.tags)
                self.galleries.append(open_gallery(path, model=services.hash, tags=tags))
                self._next = int(path.name.partition("-")[2]) + 1
            except (GalleryError, ValueError):  # torn, or of another model: nobody misses it
                shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        for gallery in self.galleries:
            gallery.pictures.close()

    def where(self) -> dict[str, tuple[Gallery, int]]:
        """Where the newest of each name is."""
        return {
            name: (gallery, n)
            for gallery in self.galleries
            for name, n in gallery.number_of.items()
        }

    def known(self, sources: Sequence[Source]) -> set[str]:
        """Names of those that are there, and whose files are as they were."""
        where = self.where()
        found = set()
        for source in sources:
            if source.name in where:
                gallery, n = where[source.name]
                metadata = gallery.metadata(n)
                now = _stamps(source.path, self._captions)
                same = all(metadata.get(key) == value for key, value in source.metadata.items())
                if same and now == {key: metadata[key] for key in _STAMPS if key in metadata}:
                    found.add(source.name)
        return found

    def fill(
        self,
        sources: Sequence[Source],
        problems: list[tuple[str, TaggerError]],
        progress: _Progress,
        stop: _Stop,
    ) -> int:
        """Look at pictures and keep them; how many."""
        count = 0
        until = time.monotonic() + _PART_SECONDS
        read: dict[str, _Read] = {}
        seen = self._services.tag_many(self._pictures(sources, read, problems, progress), top=None)
        try:
            for outcome in seen:
                own = read.pop(outcome.name)
                try:
                    if outcome.error is not None:
                        raise outcome.error
                    assert outcome.result is not None
                    self._batch.append(self._entry(own, outcome.result))
                    count += 1
                except TaggerError as error:
                    if error.code == "index-no-embedding":
                        raise
                    problems.append((own.source.name, error))
                progress()
                if len(self._batch) >= _PART or time.monotonic() > until:
                    self._flush()
                    until = time.monotonic() + _PART_SECONDS
                if stop():
                    break
        finally:
            seen.close()  # type: ignore[attr-defined]  # a generator
            self._flush()
        return count

    def _pictures(
        self,
        sources: Sequence[Source],
        read: dict[str, _Read],
        problems: list[tuple[str, TaggerError]],
        progress: _Progress,
    ) -> Iterator[tuple[str, Image.Image]]:
        """Read pictures ahead, each once: for the model, and to be shown small."""
        limits = self._services.settings.image_limits
        target = max(SIDE, self._services.tagger.size)
        waiting: list[tuple[Source, Future[_Read]]] = []
        left = iter(sources)
        with ThreadPoolExecutor(self._services.settings.concurrency, "gallery-reader") as readers:
            try:
                while True:
                    for source in left:
                        job = readers.submit(_read, source, limits, target, self._captions)
                        waiting.append((source, job))
                        if len(waiting) >= _AHEAD:
                            break
                    if not waiting:
                        return
                    source, job = waiting.pop(0)
                    try:
                        own = job.result()
                    except TaggerError as error:
                        problems.append((source.name, error))
                        progress()
                        continue
                    read[source.name] = own
                    yield source.name, own.image
            finally:
                for _, job in waiting:
                    job.cancel()

    def _entry(self, own: _Read, result: TagResult) -> Entry:
        if result.embedding is None:
            raise RequestError("index-no-embedding")
        tags = self._services.tagger.tags
        metadata = {**_facts(own), **own.source.metadata}
        raw = metadata.get("given", [])
        given = labels_of(raw, tags)
        passing = [one.tag.index for one in result.tags if one.passes]
        # Checked one by one: the part is written as a whole.
        kept = items.item(own.source.name, given or passing, _fitting(metadata))
        items.unit(result.embedding, len(result.embedding))
        return Entry(
            id=kept.id,
            embedding=result.embedding,
            predicted=[
                (one.tag.index, one.probability)
                for place, one in enumerate(result.tags)
                if one.passes or place < _TOP
            ],
            labels=kept.labels,
            given=bool(given),
            metadata=kept.metadata,
            picture=own.picture,
        )

    def _flush(self) -> None:
        if not self._batch:
            return
        path = self.folder / f"part-{self._next:06}"
        tags = len(self._services.tagger.tags)
        write_gallery(
            path,
            self._batch,
            name="part",
            model=self._services.hash,
            dimension=len(self._batch[0].embedding),
            tags=tags,
        )
        self.galleries.append(open_gallery(path, model=self._services.hash, tags=tags))
        self._next += 1
        self._batch = []


def labels_of(raw: Sequence[str], tags: TagList) -> list[int]:
    """Numbers of the tags that people wrote; names that the model does not know are left."""
    found = (tags.find(name) for name in raw)
    return sorted({tag.index for tag in found if tag is not None})


# --- one picture ---------------------------------------------------------------------------------

_STAMPS = ("bytes", "modified", "caption")


@dataclass(frozen=True, slots=True)
class _Read:
    source: Source
    image: Image.Image
    picture: bytes
    width: int
    height: int
    stamps: Mapping[str, int]
    given: Sequence[str]


def _read(source: Source, limits: images.ImageLimits, target: int, captions: bool) -> _Read:
    # Before it is read: a file that changes meanwhile is looked at again.
    stamps = _stamps(source.path, captions)
    try:
        found = images.read(source.path, limits=limits, target=target)
        picture = make_picture(found.rgb)
    except TaggerError:
        raise
    except Exception as error:  # something that its decoder's author did not foresee
        raise ImageError("image-unreadable") from error
    image = Image.fromarray(found.rgb)
    given = _caption(source.path) if "caption" in stamps else []
    return _Read(source, image, picture, found.width, found.height, stamps, given)


def _stamps(path: Path, captions: bool) -> dict[str, int]:
    """What tells whether a picture, or its caption, has changed."""
    stamps = {}
    with contextlib.suppress(OSError):
        facts = path.stat()
        stamps = {"bytes": facts.st_size, "modified": facts.st_mtime_ns}
        if captions:
            stamps["caption"] = path.with_suffix(".txt").stat().st_mtime_ns
    return stamps


def _caption(path: Path) -> list[str]:
    try:
        with path.with_suffix(".txt").open("rb") as file:
            text = file.read(_MAX_CAPTION).decode("utf-8", "replace")
    except OSError:
        return []
    names = (name.strip() for name in text.replace("\n", ",").split(","))
    return [name for name in dict.fromkeys(names) if name][:_MAX_TAGS]


def _facts(own: _Read) -> dict[str, Any]:
    where, _, file = own.source.name.rpartition("/")
    title = Path(file).stem.replace("_", " ").replace("-", " ").strip()
    facts: dict[str, Any] = {"title": title or file, "width": own.width, "height": own.height}
    if where:
        facts["category"] = where
    if own.given:
        facts["given"] = list(own.given)
    return {**facts, **own.stamps}


def _fitting(metadata: dict[str, Any]) -> dict[str, Any]:
    """As much of it as an item of an index takes: of what people wrote, the rest is left."""
    given = list(metadata.get("given", ()))
    while given:
        try:
            items.item("x", (), {**metadata, "given": given})
        except RequestError:
            given = given[: len(given) // 2]
        else:
            return {**metadata, "given": given}
    return {key: value for key, value in metadata.items() if key != "given"}


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes from building the same gallery, where the system can do that."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with path.open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise GalleryError("gallery-busy") from error
        yield
