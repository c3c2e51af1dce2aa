"""What the doors call to explore: the maps of a gallery and of the collected drawings.

One object for the page, the REST API and programs. It opens the gallery behind the server's back,
checks what comes in, and bounds how much one address may ask for.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from tagger import strokes
from tagger.atlas import Atlas, MapWorker, place
from tagger.bundlefiles import ModelFacts
from tagger.drawing import DrawServices
from tagger.errors import GalleryError, LimitError, RequestError, TaggerError
from tagger.exploring import drawings, exporting, masks
from tagger.exploring.chart import PLACING, Chart, MapName, Near
from tagger.exploring.exporting import Format
from tagger.gallery import Gallery, open_gallery
from tagger.ratelimit import Gate, TokenBuckets
from tagger.settings import DEFAULT_GALLERY, Settings
from tagger.tags import RankedTag, TagList

Floats = npt.NDArray[np.float32]
Status = Literal["ready", "loading", "computing", "failed", "empty"]

_log = logging.getLogger(__name__)

MAPS: tuple[MapName, ...] = get_args(MapName)
MAX_NUMBERS = 200
MAX_NEIGHBOURS = 100
MAX_QUERY = 200
TOP = 10

# What requests cost, in tokens: an address gets so many times the rate of drawings in a second,
# since many may share one, and ten seconds' worth at once.
_CROWD = 4.0
_SECONDS = 10.0
_COSTS = {"look": 1.0, "search": 2.0, "select": 4.0, "neighbours": 10.0, "place": 40.0}
_EXPORT = 100.0
# How often the collection is asked whether there are new drawings, in seconds.
_LOOK_AGAIN = 5.0
# UMAP's own placing may take so long before the neighbours' is taken.
_PATIENCE = 1.5


class Seen(Protocol):
    """What the model says about a picture; `tagger.services.TagResult` is one."""

    @property
    def tags(self) -> Sequence[RankedTag]:
        """Most probable first."""

    @property
    def picture(self) -> Any:
        """Facts of the file, with a ``to_dict``."""

    @property
    def embedding(self) -> Floats | None:
        """Of length one."""


Look = Callable[[Any], Seen]


@dataclass(frozen=True, eq=False)
class _Query:
    """A picture that somebody asks with."""

    embedding: Floats
    ranked: list[dict[str, Any]]
    held: tuple[int, ...]
    facts: dict[str, Any] | None


class _Slot:
    """One of the maps: what it is, or why it is not there. Read without a lock, as a whole."""

    def __init__(self, status: Status) -> None:
        self.status: Status = status
        self.chart: Chart | None = None
        self.working = False
        self.stamp: object = None
        self.checked = -float("inf")


class ExploreServices:
    """Maps that can be asked. May be used from any thread.

    Nothing is read before :meth:`start`, which comes back at once; until the gallery is open, its
    status is ``"loading"``.

    Parameters
    ----------
    settings : Settings
        Folders, rates, the search.
    look : callable
        Tags a picture: bytes, path, binary file or PIL image to `Seen`.
    tags : TagList
        Tags of the model behind it.
    model : ModelFacts
        That model.
    draw : DrawServices, optional
        The collected drawings, for the second map.
    worker : MapWorker, optional
        What makes maps; by default one that keeps them in the data folder.
    clock : callable
        Seconds, for the rates.
    """

    def __init__(
        self,
        settings: Settings,
        look: Look,
        tags: TagList,
        model: ModelFacts,
        *,
        draw: DrawServices | None = None,
        worker: MapWorker | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.tags = tags
        self.model = model
        self.worker = worker or MapWorker(settings.data_dir.expanduser() / "atlas")
        self._look = look
        self._draw = draw
        self._clock = clock
        rate = _CROWD * settings.live_rate
        self._tokens = TokenBuckets(rate, _SECONDS * rate, clock=clock)
        self._exports = Gate(1, 4, each=1, patience=60.0)
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._opened = threading.Event()
        self._gallery: Gallery | None = None
        # The map that UMAP's placing was prepared for.
        self._warmed: Chart | None = None
        self._slots: dict[MapName, _Slot] = {"gallery": _Slot("loading")}
        if draw is not None:
            self._slots["drawings"] = _Slot("loading")

    # --- opening ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to open the gallery, unless that was begun before."""
        slot = self._slots["gallery"]
        with self._lock:
            if slot.working or slot.status != "loading" or self._closed:
                return
            slot.working = True
        self._behind(self._open)

    def settle(self) -> None:
        """Wait until all maps that were asked for are there, or have failed."""
        self.start()
        while threads := [thread for thread in self._threads if thread.is_alive()]:
            for thread in threads:
                thread.join()

    def wait(self) -> None:
        """Wait until the gallery is ready or has failed, or all ends."""
        self.start()
        self._opened.wait()

    def close(self) -> None:
        """End what is being made, and close the gallery's files."""
        with self._lock:
            self._closed = True
        self._opened.set()
        self.worker.close()
        for thread in self._threads:
            thread.join()
        if self._gallery is not None:
            self._gallery.pictures.close()

    def _behind(self, work: Callable[[], None]) -> None:
        with self._lock:
            if self._closed:
                return
            thread = threading.Thread(target=work, name="explore", daemon=True)
            # Whoever waits for all threads finds only such as have begun.
            thread.start()
            self._threads = [other for other in self._threads if other.is_alive()] + [thread]

    def _open(self) -> None:
        slot = self._slots["gallery"]
        try:
            folder = Path(self.settings.gallery).expanduser()
            gallery = open_gallery(
                folder,
                model=self.model.hash,
                tags=len(self.tags),
                search=self.settings.search,
                graphs=self.settings.data_dir.expanduser() / "graphs",
            )
            self._gallery = gallery
            atlas = gallery.atlas
            if len(gallery) == 0:
                slot.status = "empty"
                return
            if atlas is None:
                slot.status = "computing"
                # Not the gallery's own, which it would keep: 100 MB for 100,000 pictures.
                atlas = drawings.fit(self.worker, gallery.index.snapshot().embeddings)
            chart = Chart(
                map="gallery",
                name=gallery.name,
                hash=gallery.hash if gallery.atlas is not None else _with_map(gallery, atlas),
                model=self.model,
                tags=self.tags,
                index=gallery.index,
                labels=gallery.labels,
                predicted=gallery.predicted,
                given=gallery.given,
                atlas=atlas,
                pictures=gallery.pictures,
                licence=gallery.licence,
                credits=gallery.credits,
            )
            slot.chart = chart
            slot.status = "ready"
            chart.warm()
        except Exception as error:
            slot.status = "failed"
            self._report("the gallery cannot be shown", error)
        finally:
            slot.working = False
            self._opened.set()

    def _report(self, what: str, error: Exception) -> None:
        """Log why a map is not there, unless it is because all ends."""
        if self._closed:
            return
        if isinstance(error, TaggerError):
            _log.error("%s: %s", what, error)
        else:
            _log.error(what, exc_info=error)

    # --- which maps ------------------------------------------------------------------------------

    def status(self, map: MapName = "gallery") -> Status:
        """How far a map is."""
        slot = self._slots.get(map)
        return slot.status if slot is not None else "empty"

    def chart(self, map: str = "gallery", hash: str | None = None) -> Chart:
        """A map that is ready.

        Parameters
        ----------
        map : {"gallery", "drawings"}
            Which.
        hash : str, optional
            Of the map that the caller knows.

        Raises
        ------
        TaggerError
            ``explore-loading``, ``explore-failed``, ``explore-empty``, or ``explore-stale`` if the
            map is another one by now.
        """
        slot = self._slot(map)
        chart, status = slot.chart, slot.status
        if chart is None:
            if status in ("failed", "empty"):
                raise TaggerError(f"explore-{status}")
            raise TaggerError("explore-loading")
        if hash is not None and hash != chart.hash:
            raise RequestError("explore-stale")
        return chart

    def about(self, map: str = "gallery", lang: str = "en") -> dict[str, Any]:
        """JSON-ready: the map, what its columns mean, which others there are; see ``GET /map``.

        Never refuses: before the map is ready, it says how far it is.
        """
        slot = self._slot(map)
        chart, status = slot.chart, slot.status
        known = {} if chart is None else chart.about(lang)
        return {
            "map": map,
            "hash": None if chart is None else chart.hash,
            "status": status if chart is None else "ready",
            "placement": self._placement(chart),
            **known,
            "count": 0 if chart is None else len(chart),
            "maps": [self._summary(name) for name in self._slots],
        }

    def _placement(self, chart: Chart | None) -> str:
        warm = chart is not None and self._warmed is chart and self.worker.ready
        return "umap" if warm else "neighbours"

    def _summary(self, map: MapName) -> dict[str, Any]:
        slot = self._slots[map]
        chart = slot.chart
        if chart is not None:
            return {"map": map, "count": len(chart), "status": "ready"}
        count, status = 0, slot.status
        if map == "drawings" and status in ("loading", "empty") and self._draw is not None:
            with contextlib.suppress(TaggerError):
                count = min(drawings.MOST, self._draw.store.teaching_stamp()[0])
                status = "loading" if count else "empty"
        return {"map": map, "count": count, "status": status}

    def _slot(self, map: str) -> _Slot:
        if map not in MAPS:
            raise RequestError("request-invalid", field="map", reason=" or ".join(MAPS))
        name: MapName = map
        if name not in self._slots:
            raise TaggerError("explore-empty")
        if name == "drawings":
            self._look_again()
        else:
            self.start()
        return self._slots[name]

    # --- the drawings' map -----------------------------------------------------------------------

    def _look_again(self) -> None:
        """Make the map of the drawings, if there are others than on the one that is there."""
        draw, slot = self._draw, self._slots["drawings"]
        assert draw is not None
        with self._lock:
            now = self._clock()
            if self._closed or now - slot.checked < _LOOK_AGAIN:
                return
            slot.checked = now
        stamp = (draw.store.teaching_stamp(), draw.live.recogniser.embedding_hash)
        if stamp == slot.stamp:
            return
        chart = slot.chart
        if chart is not None and not _all_there(draw, chart):
            # Somebody took a drawing back: it is not shown any more from now on.
            slot.chart, slot.status = None, "computing"
        with self._lock:
            if slot.working or self._closed:
                return
            slot.working = True
        if slot.chart is None:
            slot.status = "computing"
        self._behind(lambda: self._draw_map(draw, slot, stamp))

    def _draw_map(self, draw: DrawServices, slot: _Slot, stamp: object) -> None:
        try:
            drawn = drawings.collect(draw)
            if drawn is None:
                slot.chart, slot.status, slot.stamp = None, "empty", stamp
                return
            few = len(drawn) < drawings.FEW or not self.worker.available
            if few or slot.chart is None:
                # There is something to see while UMAP takes its time.
                self._show(draw, slot, drawn.chart(drawings.at_once(drawn.embeddings)))
            if not few:
                self._show(draw, slot, drawn.chart(drawings.fit(self.worker, drawn.embeddings)))
            slot.stamp = stamp
        except Exception as error:
            if slot.chart is None:
                slot.status = "failed"
            self._report("the map of the drawings cannot be made", error)
        finally:
            slot.working = False

    @staticmethod
    def _show(draw: DrawServices, slot: _Slot, chart: Chart) -> None:
        """Put a map in place, unless one of its drawings was taken back while it was made."""
        if _all_there(draw, chart):
            slot.chart, slot.status = chart, "ready"

    # --- points ----------------------------------------------------------------------------------

    def points(self, map: str = "gallery", hash: str | None = None) -> bytes:
        """All points; see `tagger.exploring.chart.Chart.points`."""
        return self.chart(map, hash).points

    def column(self, name: str, map: str = "gallery", hash: str | None = None) -> bytes:
        """A column of all points: ``z``, or ``tag-`` and a tag's number.

        Raises
        ------
        TaggerError
            ``explore-no-column``, ``explore-no-tag``, or as :meth:`chart`.
        """
        chart = self.chart(map, hash)
        if name == "z" and chart.depth is not None:
            return chart.depth
        kind, _, number = name.partition("-")
        if kind != "tag" or not (number.isascii() and number.isdecimal() and len(number) <= 8):
            raise RequestError("explore-no-column", name=name[:40])
        return chart.tag_column(int(number))

    # --- pictures --------------------------------------------------------------------------------

    def briefs(
        self,
        numbers: Sequence[int],
        *,
        map: str = "gallery",
        hash: str | None = None,
        lang: str = "en",
        client: str | None = "",
    ) -> dict[str, Any]:
        """JSON-ready: what is shown of some pictures at a glance; at most 200."""
        chart = self.chart(map, hash)
        if len(numbers) > MAX_NUMBERS:
            raise LimitError("explore-too-many", limit=MAX_NUMBERS)
        self._admit("look", client)
        return {"pictures": [chart.brief(chart.check(number), lang) for number in numbers]}

    def detail(
        self,
        number: int,
        *,
        k: int = 12,
        map: str = "gallery",
        hash: str | None = None,
        lang: str = "en",
        client: str | None = "",
    ) -> dict[str, Any]:
        """JSON-ready: all that is known of a picture, and its k nearest neighbours."""
        chart = self.chart(map, hash)
        chart.check(number)
        self._admit("neighbours", client)
        return chart.detail(number, _k(k), lang)

    def image(
        self, number: int, *, map: str = "gallery", hash: str | None = None
    ) -> tuple[bytes, str]:
        """A picture's file, small, and its media type."""
        chart = self.chart(map, hash)
        return chart.pictures.get(chart.check(number)), chart.media_type

    def search(
        self,
        query: str,
        *,
        limit: int = 50,
        map: str = "gallery",
        hash: str | None = None,
        lang: str = "en",
        client: str | None = "",
    ) -> dict[str, Any]:
        """JSON-ready: pictures and tags by a few typed letters, best first."""
        chart = self.chart(map, hash)
        self._admit("search", client)
        found = chart.search(query[:MAX_QUERY], max(0, min(limit, MAX_NUMBERS)), lang)
        return {"map": map, "hash": chart.hash, **found}

    # --- selections ------------------------------------------------------------------------------

    def selection(
        self,
        mask: object,
        *,
        map: str = "gallery",
        hash: str | None = None,
        lang: str = "en",
        client: str | None = "",
    ) -> dict[str, Any]:
        """JSON-ready: what a set of pictures shares; the mask as in `tagger.exploring.masks`."""
        begun = time.perf_counter()
        chart = self.chart(map, hash)
        self._admit("select", client)
        answer = chart.select(masks.decode(mask, len(chart)), lang)
        return {**answer, "milliseconds": round(1000 * (time.perf_counter() - begun), 1)}

    def export(
        self,
        file: BinaryIO,
        mask: object,
        format: str,
        edits: object = None,
        *,
        map: str = "gallery",
        hash: str | None = None,
        client: str | None = "",
    ) -> None:
        """Write a set of pictures to a file; see `tagger.exploring.exporting`.

        Parameters
        ----------
        file : binary file
            Open for writing, seekable.
        mask : object
            As in `tagger.exploring.masks`.
        format : {"csv", "json", "zip"}
            Of the file.
        edits : object
            As somebody sent them: ``{"add": {"tag": [number, ...]}, "remove": {...}}``.
        """
        if "drawings" in self._slots:
            # What leaves the server tells of nothing that was taken back, however shortly before.
            self._slots["drawings"].checked = -float("inf")
        chart = self.chart(map, hash)
        if format not in get_args(Format):
            reason = " or ".join(get_args(Format))
            raise RequestError("request-invalid", field="format", reason=reason)
        chosen = masks.decode(mask, len(chart))
        changes = exporting.parse_edits(edits, chart.tags, len(chart))
        self._admit("export", client)
        with self._exports.place(client or ""):
            exporting.write(file, chart, chosen, format, changes)  # type: ignore[arg-type]

    # --- pictures from outside -------------------------------------------------------------------

    def expect(self, map: str, client: str) -> None:
        """Count a picture that somebody is about to send to :meth:`place` or :meth:`similar`.

        Raises
        ------
        TaggerError
            As :meth:`chart`, or ``too-fast``.
        """
        self.chart(map)
        self._admit("place", client)

    def place(
        self, source: Any, *, map: str = "gallery", lang: str = "en", client: str | None = ""
    ) -> dict[str, Any]:
        """JSON-ready: where a picture would lie on the map, and what is near it.

        It is placed at once by its neighbours, or by UMAP itself, where that is ready.

        Parameters
        ----------
        source : bytes, Path, binary file or PIL image
            Checked against the limits of the settings. On the map of drawings, a picture of one.
        client : str or None
            Where the request comes from, for the rate limit: an address, or empty. None if
            :meth:`expect` has counted it.
        """
        chart = self.chart(map)
        self._admit("place", client)
        query = self._query(chart, source, lang)
        found = chart.nearest(query.embedding, PLACING)
        position, by = self._position(chart, query.embedding, found)
        return {
            "map": map,
            "hash": chart.hash,
            "position": [round(float(value), 5) for value in position],
            "by": by,
            "trust": round(chart.trust_at(position, found), 4),
            "tags": query.ranked,
            "neighbours": chart.shown(found, query.held, lang),
            "picture": query.facts,
        }

    def similar(
        self,
        *,
        source: Any = None,
        embedding: Any = None,
        id: str | None = None,
        k: int = 10,
        map: str = "gallery",
        lang: str = "en",
        client: str | None = "",
    ) -> dict[str, Any]:
        """JSON-ready: the k pictures nearest to a picture, to an embedding, or to one of them.

        Parameters
        ----------
        source, embedding, id
            One of them: a picture as in :meth:`place`, D numbers, or a picture's name.
        """
        chart = self.chart(map)
        self._admit("neighbours" if source is None else "place", client)
        k = _k(k)
        if source is not None:
            query = self._query(chart, source, lang)
            found, held = chart.nearest(query.embedding, k), query.held
        elif id is not None:
            number = chart.number(id)
            own = chart.index.embedding(id)
            assert own is not None
            found, held = chart.nearest(own, k, skip=number), chart.held(number)
        else:
            found, held = chart.nearest(embedding, k), ()
        return {
            "map": map,
            "hash": chart.hash,
            "neighbours": chart.shown(found, held, lang),
            "model": chart.model.to_dict(),
        }

    def _query(self, chart: Chart, source: Any, lang: str) -> _Query:
        if chart.map == "drawings":
            return self._drawing_query(chart, source, lang)
        seen = self._look(source)
        if seen.embedding is None:
            raise RequestError("index-no-embedding")
        ranked = [{"tag": one.tag.index, **one.to_dict(lang)} for one in seen.tags]
        held = tuple(one.tag.index for one in seen.tags if one.passes)
        return _Query(seen.embedding, ranked, held, seen.picture.to_dict())

    def _drawing_query(self, chart: Chart, source: Any, lang: str) -> _Query:
        """A picture of a drawing, seen as the recogniser sees it."""
        assert self._draw is not None
        drawn = strokes.parse(self._draw.trace(source))
        live = self._draw.live
        if live.recogniser.embedding_hash != chart.index.model:
            raise RequestError("explore-stale")
        prediction = live.recogniser.predict([drawn])
        shares = prediction.probabilities[0]
        best = np.argsort(-shares, kind="stable")[:TOP].tolist()
        ranked = [
            {
                "tag": number,
                "name": chart.tags[number].name,
                "label": chart.tags[number].display(lang),
                "group": chart.tags[number].group,
                "probability": round(float(shares[number]), 4),
                "passes": bool(shares[number] >= 0.5),
            }
            for number in best
        ]
        held = tuple(best[:1])
        return _Query(prediction.embedding[0], ranked, held, None)

    def _position(
        self, chart: Chart, embedding: Floats, found: Sequence[Near]
    ) -> tuple[Floats, str]:
        with self._lock:
            first = self._warmed is not chart and chart.map == "gallery"
            if first:
                self._warmed = chart
        if first:
            # Whoever places one picture may well place another.
            with contextlib.suppress(GalleryError):
                # As they are kept, for the worker keeps them, too.
                self.worker.warm(chart.index.snapshot().vectors[: len(chart)], chart.atlas)
        elif self._placement(chart) == "umap":
            try:
                rows = self.worker.transform(embedding[None]).result(timeout=_PATIENCE)
                return np.asarray(rows[0], np.float32), "umap"
            except (TaggerError, TimeoutError) as error:
                _log.warning("placed by the neighbours: %s", error)
        numbers = [near.number for near in found]
        cosines = np.array([near.cosine for near in found], np.float32)
        return place(chart.atlas.positions[numbers], cosines), "neighbours"

    # --- how often -------------------------------------------------------------------------------

    def _admit(self, what: str, client: str | None) -> None:
        """Count a request of an address, before much is done for it.

        Raises
        ------
        LimitError
            ``too-fast``.
        """
        if client and not self._tokens.take(client, _COSTS.get(what, _EXPORT)):
            raise LimitError("too-fast")


def _all_there(draw: DrawServices, chart: Chart) -> bool:
    there = {id for id, _, _ in draw.store.teaching()}
    items = chart.index.snapshot().items[: len(chart)]
    return all(item.id in there for item in items)


def _with_map(gallery: Gallery, atlas: Atlas) -> str:
    """Hash of a gallery and a map that is not part of its folder."""
    whole = hashlib.sha256(gallery.hash.encode())
    whole.update(atlas.positions.tobytes())
    return whole.hexdigest()[:32]


def _k(value: int) -> int:
    return max(1, min(value, MAX_NEIGHBOURS))


def build_explore(
    settings: Settings,
    look: Look,
    tags: TagList,
    model: ModelFacts,
    draw: DrawServices | None = None,
) -> ExploreServices | None:
    """Make what explores the gallery that the settings name; it is opened later.

    Returns
    -------
    ExploreServices or None
        None if galleries are turned off, or nothing is set and there is no default one.
    """
    folder = settings.gallery
    if folder in ("", "none") or (folder == DEFAULT_GALLERY and not Path(folder).is_dir()):
        return None
    return ExploreServices(settings, look, tags, model, draw=draw)
