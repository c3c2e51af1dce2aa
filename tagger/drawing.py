"""What the doors call to recognise, collect and teach drawings.

One object for the page, the REST API and the command line: it checks what comes in, bounds how
much is worked on at a time and how often one visitor may ask, keeps what is given, and lets it
teach the recogniser at once.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from tagger import fewshot, images, strokes, tracing, tuning
from tagger.bundlefiles import ModelFacts
from tagger.collection import Drawing, NewDrawing, Store, clean_label, formats
from tagger.collection.records import MAX_KEY, Source
from tagger.errors import LimitError, MemoryFileError, RequestError, TaggerError
from tagger.fewshot import Bank, Lesson, Memory, MemorySpec
from tagger.ratelimit import Gate, TokenBuckets
from tagger.settings import DEFAULT_SKETCH_BUNDLE, Settings
from tagger.sketch import SketchPrediction, SketchRecogniser
from tagger.strokes import Strokes
from tagger.tuning import TuningService
from tagger.words import WordList, match, normalise

_log = logging.getLogger(__name__)

# Of one address may come the requests of so many visitors: a school, an office.
_CROWD = 8.0
# Drawings that a visitor may save in a second, for any length of time; at once, ten times as many.
_SAVES = 2.0
# Beyond so many points, as many more count as one more request.
_POINTS = 2000
_PAGE = 200
_MAX_VISITOR = 200
_LEARN_BATCH = 64


@dataclass(frozen=True, slots=True)
class RankedWord:
    """A word for a drawing.

    Attributes
    ----------
    word : str
        As it is kept and sent back: English for the words that the model knows, as typed for a
        learnt one.
    probability : float
        Calibrated; those of all words add up to one.
    name_ja : str or None
        Japanese name, where there is one.
    learnt : bool
        Whether people taught it.
    """

    word: str
    probability: float
    name_ja: str | None = None
    learnt: bool = False

    def label(self, lang: str = "en") -> str:
        """The name to show."""
        return self.name_ja or self.word if lang == "ja" else self.word

    def to_dict(self, lang: str = "en") -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "word": self.word,
            "label": self.label(lang),
            "probability": round(self.probability, 4),
            "learnt": self.learnt,
        }


@dataclass(frozen=True, slots=True)
class Recognition:
    """What is said about a drawing: words, most probable first; seconds in the model."""

    words: tuple[RankedWord, ...]
    seconds: float
    model: ModelFacts

    def to_dict(self, lang: str = "en") -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "words": [word.to_dict(lang) for word in self.words],
            "model": self.model.to_dict(),
            "seconds": round(self.seconds, 4),
        }


@dataclass(frozen=True, slots=True)
class KnownWord:
    """A word that may be given to a drawing.

    Attributes
    ----------
    word, name_ja
        As in `RankedWord`.
    kind : {"word", "digit", "learnt"}
        Words and digits are the model's own; learnt ones people taught, to the model or beside it.
    drawings : int
        How many there are of it: the visitor's own, or everybody's.
    """

    word: str
    name_ja: str | None = None
    kind: str = "word"
    drawings: int = 0

    def label(self, lang: str = "en") -> str:
        """The name to show."""
        return self.name_ja or self.word if lang == "ja" else self.word

    def to_dict(self, lang: str = "en") -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "word": self.word,
            "label": self.label(lang),
            "kind": self.kind,
            "drawings": self.drawings,
        }


@dataclass(frozen=True, slots=True)
class SavedDrawing:
    """The receipt of a drawing; when it is there, the drawing is on the disk.

    Attributes
    ----------
    id : str
        Cannot be guessed.
    label : str
        As it is kept: a name that the model knows by another spelling or in Japanese has become
        the model's word.
    created : int
        UTC milliseconds.
    duplicate : bool
        Whether it was there already: a save that was sent again.
    drawings : int
        How many of this word the visitor has given now.
    """

    id: str
    label: str
    created: int
    duplicate: bool
    drawings: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "id": self.id,
            "label": self.label,
            "created": self.created,
            "duplicate": self.duplicate,
            "drawings": self.drawings,
        }


@dataclass(frozen=True, slots=True)
class GalleryDrawing:
    """One of a visitor's drawings. ``strokes`` is JSON-ready, in Quick, Draw!'s simplified form."""

    id: str
    label: str
    created: int
    consent: bool
    source: Source
    strokes: list[list[list[float]]]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "id": self.id,
            "label": self.label,
            "created": self.created,
            "consent": self.consent,
            "source": self.source,
            "strokes": self.strokes,
        }


@dataclass(frozen=True, slots=True)
class Gallery:
    """A page of drawings, newest first; `total` counts those of all pages."""

    drawings: tuple[GalleryDrawing, ...]
    total: int


class Recogniser(Protocol):
    """What is needed of a model; tests put their own in."""

    @property
    def words(self) -> WordList:
        """W words, in the order of the probabilities."""

    @property
    def hash(self) -> str:
        """Of the bundle."""

    @property
    def embedding_hash(self) -> str:
        """Of what makes the embeddings; models that have it in common embed alike."""

    @property
    def dimension(self) -> int:
        """D, the length of an embedding."""

    @property
    def ready(self) -> bool:
        """Whether it has answered its warm-up."""

    def predict(self, drawings: Sequence[Strokes]) -> SketchPrediction:
        """Recognise drawings."""


@dataclass(frozen=True, eq=False)
class LiveModel:
    """A recogniser and what belongs to it: all of it is exchanged at once.

    Attributes
    ----------
    recogniser : Recogniser
        The model.
    facts : ModelFacts
        Who it is.
    spec : MemorySpec
        How few drawings teach it a word.
    memory : Memory
        What was taught beside it.
    about : mapping
        JSON-ready facts of its bundle.
    """

    recogniser: Recogniser
    facts: ModelFacts
    spec: MemorySpec
    memory: Memory
    about: Mapping[str, Any]


class DrawServices:
    """Recognises, collects and teaches drawings. May be called from any thread.

    A visitor is told apart by an opaque random id that their browser keeps. It is never stored:
    what they give is kept under a salted hash of it.

    Parameters
    ----------
    settings : Settings
        Limits, rates, the owner's token, the folder for what is learnt.
    recogniser : Recogniser
        The model.
    facts : ModelFacts
        Who it is.
    store : Store
        The collection; closed by :meth:`close`.
    spec : MemorySpec
        How few drawings teach the model a word.
    about : mapping
        JSON-ready facts of the model's bundle.
    clock : callable
        Seconds, for the rates.

    Attributes
    ----------
    tuning : TuningService or None
        What learns for good and goes back to earlier versions; set by :func:`build_draw`.
    """

    def __init__(
        self,
        settings: Settings,
        recogniser: Recogniser,
        facts: ModelFacts,
        store: Store,
        spec: MemorySpec,
        *,
        about: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.store = store
        rate = settings.live_rate
        self._asking = TokenBuckets(rate, max(1.0, rate), clock=clock)
        self._sources = TokenBuckets(_CROWD * rate, _CROWD * max(1.0, rate), clock=clock)
        self._saving = TokenBuckets(_SAVES, 10 * _SAVES, clock=clock)
        self._saving_sources = TokenBuckets(_CROWD * _SAVES, 10 * _CROWD * _SAVES, clock=clock)
        self._gate = Gate(settings.threads, 16 * settings.threads, each=4, patience=5.0)
        self._tracers = Gate(1, 4, each=2, patience=60.0)
        self._syncing = threading.Lock()
        # What was changed while the collection is being read: drawings, and whole contributors.
        self._touched: set[str] | None = None
        self._withdrawn: set[str] | None = None
        self._touch_lock = threading.Lock()
        self._stopping = threading.Event()
        self._swapping = threading.Lock()
        self.tuning: TuningService | None = None
        # What takes over next: it must not miss what is taught or taken back meanwhile.
        self._next: LiveModel | None = None
        self._model = self._prepare(recogniser, facts, spec, about or {})
        self._synced = threading.Thread(
            target=self._sync, args=(self._model,), name="draw-memory", daemon=True
        )
        self._synced.start()

    # --- recognising ----------------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether the recogniser has answered its warm-up."""
        return self._model.recogniser.ready

    @property
    def live(self) -> LiveModel:
        """The recogniser that answers, with all that belongs to it."""
        return self._model

    @property
    def model(self) -> ModelFacts:
        """Name, version and hash of the recogniser."""
        return self._model.facts

    @property
    def about(self) -> Mapping[str, Any]:
        """JSON-ready: who the recogniser is, what it was trained on, how well it does."""
        model = self._model
        words = len(model.recogniser.words)
        return {**model.facts.to_dict(), "words": words, "ready": self.ready, **model.about}

    @property
    def prompts(self) -> tuple[KnownWord, ...]:
        """The words that a draw-this game may ask for."""
        words = self._model.recogniser.words
        return tuple(KnownWord(w.word, w.name_ja, w.kind) for w in words if w.kind == "word")

    def admit(self, visitor: str = "", client: str = "") -> None:
        """Count a request to recognise, before anything is done for it.

        Raises
        ------
        LimitError
            ``too-fast``, if it is one too many.
        """
        self._admit(self._asking, self._sources, _who(visitor, client), client)

    def recognise(
        self,
        data: Any,
        *,
        top: int = 10,
        visitor: str = "",
        client: str = "",
        admitted: bool = False,
    ) -> Recognition:
        """Say what a drawing shows.

        Parameters
        ----------
        data : list
            Strokes as JSON, see `tagger.strokes.parse`.
        top : int
            How many words.
        visitor : str
            Whose learnt words count, besides those that all share.
        client : str
            Where the request comes from, for the rate limit: an address, or empty.
        admitted : bool
            Whether :meth:`admit` has counted it already.

        Raises
        ------
        StrokesError
            If the drawing makes no sense.
        LimitError
            ``too-fast`` for a visitor who asks too often, ``busy`` if too many do at once.
        """
        key = _who(visitor, client)
        if not admitted:
            self.admit(visitor, client)
        drawn = strokes.parse(data)
        # Large drawings take longer, and count for more.
        extra = max(0, sum(map(len, drawn)) - _POINTS) / _POINTS
        self._asking.charge(key, extra)
        self._sources.charge(client, extra)
        model, bank = self._answering(visitor)
        with self._gate.place(key):
            start = time.perf_counter()
            prediction = model.recogniser.predict([drawn])
            seconds = time.perf_counter() - start
        ranked = _ranked(prediction, bank, model.recogniser.words, model.spec, top)
        return Recognition(ranked, seconds, model.facts)

    def trace(self, source: images.Source) -> list[list[list[float]]]:
        """Turn a picture of a drawing into JSON-ready strokes, in the picture's pixels.

        Parameters
        ----------
        source : bytes, Path, binary file or PIL image
            Checked against the limits of the settings. A large picture is reduced, so that its
            pixels are not those of the file.

        Raises
        ------
        TaggerError
            If it cannot be read, or shows no lines.
        """
        with self._tracers.place():
            limits = self.settings.image_limits
            picture = images.read(source, limits=limits, target=tracing.TraceOptions().max_side)
            return strokes.dump(tracing.trace(picture.rgb), decimals=1)

    # --- collecting -----------------------------------------------------------------------------

    def save(
        self,
        data: Any,
        label: str,
        *,
        visitor: str,
        consent: bool = False,
        predicted: Sequence[tuple[str, float]] = (),
        source: Source = "canvas",
        key: str | None = None,
        client: str = "",
    ) -> SavedDrawing:
        """Keep a drawing and learn from it. When this returns, it is on the disk.

        Parameters
        ----------
        data : list
            Strokes as JSON, as drawn.
        label : str
            What it shows: a word that is known, in either language, or a new one.
        visitor : str
            Whose it is.
        consent : bool
            Whether others may have it. Without, it teaches this visitor's recogniser only.
        predicted : sequence of (word, probability)
            What was answered when the label was given, most probable first.
        source : {"canvas", "game", "api"}
            Where it was drawn.
        key : str, optional
            The client's own, random; a save that is sent again with it is kept once.
        client : str
            Where the request comes from, for the rate limit.

        Raises
        ------
        TaggerError
            If the drawing or the label cannot be taken, or could not be written.
        """
        contributor = self._somebody(visitor)
        if key is not None and not 1 <= len(key) <= MAX_KEY:
            raise RequestError("request-invalid", field="key", reason=f"1 to {MAX_KEY} characters")
        self._admit(self._saving, self._saving_sources, contributor, client)
        drawn = strokes.parse(data)
        model = self._model
        word = self._word(label, contributor)
        saved = self.store.save(
            NewDrawing(
                word,
                drawn,
                contributor,
                consent=consent,
                source=source,
                model_hash=model.facts.hash,
                predicted=tuple(predicted),
                key=key,
            )
        )
        if not saved.duplicate:
            self._touch(saved.id)
            taught = _Taught(saved.id, saved.label, contributor, consent, drawn)
            for learning in self._models():
                self._learn(learning, [taught])
        count = self._model.memory.counts(contributor).get(saved.label, 0)
        return SavedDrawing(saved.id, saved.label, saved.created, saved.duplicate, count)

    def gallery(
        self, visitor: str, *, label: str | None = None, offset: int = 0, limit: int = 50
    ) -> Gallery:
        """A page of a visitor's own drawings, newest first."""
        contributor = self._somebody(visitor)
        page = self.store.gallery(
            contributor=contributor,
            label=label,
            offset=max(0, offset),
            limit=max(0, min(limit, _PAGE)),
        )
        counts = self.store.counts(contributor=contributor)
        total = sum(counts.values()) if label is None else counts.get(label, 0)
        return Gallery(tuple(_shown(drawing) for drawing in page), total)

    def counts(self, visitor: str | None = None) -> tuple[KnownWord, ...]:
        """Words with the number of drawings, most first: a visitor's, or everybody's.

        Of everybody's, new words are counted only where their drawings were given with consent:
        what somebody calls their drawings is theirs, too.
        """
        words = self._model.recogniser.words
        if visitor is None:
            shared = self.store.counts(consented_only=True)
            every = self.store.counts()
            counts = {w: n if words.get(w) else shared.get(w, 0) for w, n in every.items()}
        else:
            counts = self.store.counts(contributor=self._somebody(visitor))
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return tuple(_known(words, word, count) for word, count in ordered if count)

    def relabel(self, id: str, label: str, visitor: str) -> GalleryDrawing:
        """Change the label of one of a visitor's own drawings."""
        contributor = self._somebody(visitor)
        drawing = self.store.relabel(id, self._word(label, contributor), by=contributor)
        self._touch(id)
        for model in self._models():
            model.memory.relabel(id, drawing.label)
        return _shown(drawing)

    def delete(self, id: str, visitor: str) -> None:
        """Remove one of a visitor's own drawings, and what was learnt from it."""
        self.store.delete(id, by=self._somebody(visitor))
        self._touch(id)
        for model in self._models():
            model.memory.forget([id])
        self._write_memory()

    def withdraw(self, visitor: str) -> int:
        """Remove all drawings that a visitor gave; how many it were."""
        contributor = self._somebody(visitor)
        count = self.store.withdraw(contributor, "drawing")
        with self._touch_lock:
            if self._withdrawn is not None:
                self._withdrawn.add(contributor)
        for model in self._models():
            model.memory.forget_contributor(contributor)
        self._write_memory()
        return count

    # --- words ----------------------------------------------------------------------------------

    def words(
        self, query: str = "", *, lang: str = "en", visitor: str = "", limit: int = 20
    ) -> tuple[KnownWord, ...]:
        """Complete a label: the best match first, in either language, learnt words among them.

        Without a query, those come first that the visitor has drawn most.
        """
        model = self._model
        contributor = self._contributor(visitor)
        own = model.memory.counts(contributor) if contributor else {}
        known = [
            KnownWord(word.word, word.name_ja, word.kind, own.get(word.word, 0))
            for word in model.recogniser.words
        ]
        learnt = dict.fromkeys([*own, *sorted(model.memory.accepted)])
        known += [
            KnownWord(word, None, "learnt", own.get(word, 0))
            for word in learnt
            if model.recogniser.words.get(word) is None
        ]
        wanted = normalise(query) if query.strip() else ""
        found = []
        for place, word in enumerate(known):
            rank = match(wanted, word.word, word.name_ja)
            if rank is not None:
                found.append((rank, -word.drawings, place, word))
        return tuple(word for *_, word in sorted(found, key=lambda entry: entry[:3])[:limit])

    def learnt(self, visitor: str | None = None) -> tuple[KnownWord, ...]:
        """Words that the model did not know: a visitor's, or with None everybody's."""
        return tuple(word for word in self.counts(visitor) if word.kind == "learnt")

    # --- for the owner; a door asks `check_owner` first ------------------------------------------

    def check_owner(self, token: str, client: str = "") -> None:
        """Let the owner pass and nobody else. Wrong tokens count as saves of their address.

        Raises
        ------
        RequestError
            ``owner-only``, for any other token.
        LimitError
            ``too-fast``, where too many wrong ones came from there before, whatever this one is.
        """
        key = f"owner:{client}"
        self._admit(self._saving, self._saving_sources, key, client)
        if not self.is_owner(token):
            raise RequestError("owner-only")
        # Given back: the owner may ask as often as they like.
        self._saving.charge(key, -1.0)
        self._saving_sources.charge(client, -1.0)

    def is_owner(self, token: str) -> bool:
        """Whether this is the owner's token; False for all if none is set."""
        return self.settings.is_owner(token)

    @property
    def accepted(self) -> tuple[str, ...]:
        """The accepted words."""
        return self.store.accepted_words()

    def accept(self, word: str) -> str:
        """Let all visitors' recognisers know a word that somebody taught; gives it as kept.

        They learn it from the drawings that were given with consent.

        Raises
        ------
        RequestError
            ``word-not-drawn``, if there are none.
        """
        word = clean_label(word)
        if not self.store.counts(consented_only=True).get(word):
            raise RequestError("word-not-drawn", word=word)
        word = self.store.accept_word(word)
        self._spread()
        return word

    def reject(self, word: str) -> None:
        """Undo :meth:`accept`."""
        self.store.forget_word(word)
        self._spread()

    def _spread(self) -> None:
        """Let memories know the accepted words that their models do not know by themselves."""
        accepted = self.store.accepted_words()
        for model in self._models():
            words = model.recogniser.words
            model.memory.accept(word for word in accepted if words.get(word) is None)

    def export(self, file: BinaryIO, format: str, *, visitor: str | None = None) -> int:
        """Write drawings to a file; how many it were.

        Parameters
        ----------
        file : binary file
            Open for writing.
        format : str
            One of `tagger.collection.formats.FORMATS`.
        visitor : str, optional
            Whose drawings; with None, all that were given with consent.
        """
        if visitor is None:
            return formats.write(self.store.iterate(consented_only=True), file, format)
        own = self.store.iterate(consented_only=False, contributor=self._somebody(visitor))
        # Consent is to others having them; these go back to whoever drew them.
        return formats.write((replace(drawing, consent=True) for drawing in own), file, format)

    def swap(
        self,
        recogniser: Recogniser,
        facts: ModelFacts,
        spec: MemorySpec,
        *,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        """Put another recogniser in place of this one, between two requests.

        Where it embeds as this one does, what was taught holds for it, too. Else that is learnt
        anew from the drawings, before the first request sees it.
        """
        with self._swapping:
            old = self._model
            same = recogniser.embedding_hash == old.recogniser.embedding_hash
            if same and recogniser.dimension == old.recogniser.dimension:
                # A word that one of the two does not know is never missing.
                old.memory.accept(self.store.accepted_words())
                self._model = LiveModel(recogniser, facts, spec, old.memory, about or {})
            else:
                model = self._prepare(recogniser, facts, spec, about or {})
                self._next = model
                try:
                    self._sync(model)
                    self._model = model
                finally:
                    self._next = None
            self._spread()
        self._write_memory()

    # --- learning -------------------------------------------------------------------------------

    def settle(self) -> None:
        """Wait until all that is in the collection has been learnt."""
        self._synced.join()

    def close(self) -> None:
        """End what is running, write what was learnt, close the collection."""
        self._stopping.set()
        if self.tuning is not None:
            self.tuning.close()
        self.settle()
        self._write_memory()
        self.store.close()

    def _answering(self, visitor: str) -> tuple[LiveModel, Bank | None]:
        """The recogniser, and what a visitor has it know besides, of one moment.

        When it is exchanged for one that knows a word by itself, the memory that both share drops
        that word: a request must not fall between the two.
        """
        contributor = self._contributor(visitor)
        while True:
            model = self._model
            bank = model.memory.bank(contributor)
            if self._model is model:
                return model, bank

    def _models(self) -> tuple[LiveModel, ...]:
        """Whatever is to know what was just written to the collection.

        What takes over next is read first: when it has done so, it is the one that answers.
        """
        following, model = self._next, self._model
        return (model,) if following is None or following is model else (model, following)

    def _prepare(
        self,
        recogniser: Recogniser,
        facts: ModelFacts,
        spec: MemorySpec,
        about: Mapping[str, Any],
    ) -> LiveModel:
        """A recogniser with what was taught, as far as it was written down."""
        key, dimension = recogniser.embedding_hash, recogniser.dimension
        try:
            memory = Memory.load(self._memory_file, key, dimension)
        except FileNotFoundError:
            memory = Memory(key, dimension)
        except (MemoryFileError, OSError) as error:
            # Nothing is lost: the drawings themselves are in the collection.
            _log.warning("the learnt words are learnt anew: %s", error)
            memory = Memory(key, dimension)
        words = recogniser.words
        memory.accept(word for word in self.store.accepted_words() if words.get(word) is None)
        return LiveModel(recogniser, facts, spec, memory, about)

    def _sync(self, model: LiveModel) -> None:
        """Learn what is in the collection and not yet learnt; forget what is no more in it."""
        with self._syncing:
            with self._touch_lock:
                self._touched, self._withdrawn = set(), set()
            try:
                self._read_collection(model)
            except Exception:
                # The page works without; what is drawn from now on is learnt.
                _log.exception("not all that was collected could be learnt")
            finally:
                with self._touch_lock:
                    touched, self._touched = self._touched or set(), None
                    withdrawn, self._withdrawn = self._withdrawn or set(), None
            # What was changed meanwhile may have been read before or after.
            doubtful = touched | {
                lesson.id
                for lesson in (model.memory.lessons() if withdrawn else ())
                if lesson.contributor in withdrawn
            }
            for id in doubtful:
                with contextlib.suppress(TaggerError):
                    drawing = self.store.get(id)
                    if drawing is None:
                        model.memory.forget([id])
                    else:
                        model.memory.relabel(id, drawing.label)
        if len(model.memory):
            self._write_memory(model)

    def _read_collection(self, model: LiveModel) -> None:
        seen: set[str] = set()
        waiting: list[_Taught] = []
        for drawing in self.store.iterate(consented_only=False):
            if self._stopping.is_set():
                return
            # What nobody gave teaches nobody until its word is accepted for all.
            contributor = drawing.contributor or ""
            seen.add(drawing.id)
            if drawing.id in model.memory:
                model.memory.relabel(drawing.id, drawing.label)
                continue
            waiting.append(
                _Taught(drawing.id, drawing.label, contributor, drawing.consent, drawing.strokes)
            )
            if len(waiting) == _LEARN_BATCH:
                self._learn(model, waiting)
                waiting = []
        self._learn(model, waiting)
        gone = [lesson.id for lesson in model.memory.lessons() if lesson.id not in seen]
        with self._touch_lock:
            model.memory.forget(set(gone) - (self._touched or set()))

    def _learn(self, model: LiveModel, taught: Sequence[_Taught]) -> None:
        if not taught:
            return
        try:
            embeddings = model.recogniser.predict([t.strokes for t in taught]).embedding
        except TaggerError:
            _log.exception("a saved drawing could not be learnt")
            return
        model.memory.teach(
            Lesson(t.id, t.word, t.contributor, t.shared, embedding)
            for t, embedding in zip(taught, embeddings, strict=True)
        )

    def _touch(self, *ids: str) -> None:
        with self._touch_lock:
            if self._touched is not None:
                self._touched.update(ids)

    @property
    def _memory_file(self) -> Path:
        return self.settings.data_dir.expanduser() / "drawings-learnt.npz"

    def _write_memory(self, model: LiveModel | None = None) -> None:
        """Keep what was learnt, so that the next start is quick. Never worth an error."""
        try:
            (model or self._model).memory.save(self._memory_file)
        except OSError as error:
            _log.warning("what was learnt could not be written: %s", error.strerror)

    # --- who and how often ----------------------------------------------------------------------

    def _admit(self, own: TokenBuckets, all_: TokenBuckets, key: str, client: str) -> None:
        # What is refused to a visitor does not count for the others at the same address.
        if (key and not own.take(key)) or (client and not all_.take(client)):
            raise LimitError("too-fast")

    def _contributor(self, visitor: str) -> str | None:
        return self.store.contributor_of(visitor) if visitor else None

    def _somebody(self, visitor: str) -> str:
        if not isinstance(visitor, str) or not visitor or len(visitor) > _MAX_VISITOR:
            raise RequestError("visitor-missing")
        return self.store.contributor_of(visitor)

    def _word(self, label: str, contributor: str) -> str:
        """The word that a label means: one that is known, in its own spelling, or a new one."""
        cleaned = clean_label(label)
        known = self._model.recogniser.words.find(cleaned)
        if known is not None:
            return known.word
        wanted = normalise(cleaned)
        memory = self._model.memory
        for word in [*memory.counts(contributor), *memory.accepted]:
            if normalise(word) == wanted:
                return word
        return cleaned


@dataclass(frozen=True, slots=True, eq=False)
class _Taught:
    id: str
    word: str
    contributor: str
    shared: bool
    strokes: Strokes


def _who(visitor: str, client: str) -> str:
    """Under which key somebody's requests are counted."""
    return f"v:{visitor}" if visitor else f"c:{client}" if client else ""


def _known(words: WordList, word: str, drawings: int) -> KnownWord:
    found = words.get(word)
    if found is None:
        return KnownWord(word, None, "learnt", drawings)
    return KnownWord(word, found.name_ja, found.kind, drawings)


def _shown(drawing: Drawing) -> GalleryDrawing:
    return GalleryDrawing(
        drawing.id,
        drawing.label,
        drawing.created,
        drawing.consent,
        drawing.source,
        strokes.dump(strokes.simplify(drawing.strokes)),
    )


def _ranked(
    prediction: SketchPrediction, bank: Bank | None, words: WordList, spec: MemorySpec, top: int
) -> tuple[RankedWord, ...]:
    """The most probable words, the network's and the learnt ones."""
    shares = prediction.probabilities
    new: list[str] = []
    if bank is not None:
        places = [words.get(word) for word in bank.words]
        known = np.array([-1 if p is None else p.index for p in places], np.int64)
        near = fewshot.similarity(
            prediction.embedding, bank.embeddings, bank.owners, spec.sharpness
        )
        odds = fewshot.log_odds(near, bank.shots, shares, spec)
        shares = fewshot.mix(shares, odds, known)
        new = [word for word, place in zip(bank.words, places, strict=True) if place is None]
    row: npt.NDArray[np.float32] = shares[0]
    best = np.argsort(-row, kind="stable")[: max(0, top)]
    ranked = []
    for index in best.tolist():
        if index < len(words):
            word = words[index]
            taught = word.kind == "learnt"
            ranked.append(RankedWord(word.word, float(row[index]), word.name_ja, taught))
        else:
            ranked.append(RankedWord(new[index - len(words)], float(row[index]), learnt=True))
    return tuple(ranked)


def build_draw(settings: Settings) -> DrawServices | None:
    """Load the recogniser that the settings name, and open the collection.

    Returns
    -------
    DrawServices or None
        None if drawings are turned off, or nothing is set and there is no default recogniser.

    Raises
    ------
    TaggerError
        If the recogniser or the collection cannot be opened.
    """
    ref = settings.sketch_bundle
    if ref in ("", "none") or (ref == DEFAULT_SKETCH_BUNDLE and not Path(ref).is_dir()):
        return None
    # The last one that was learnt, if it can be opened.
    version, recogniser = tuning.open_versions(settings).open_current(SketchRecogniser)
    bundle = recogniser.bundle
    store = Store.open(settings.database_url)
    try:
        draw = DrawServices(
            settings, recogniser, bundle.facts, store, bundle.config.memory, about=bundle.about
        )
    except BaseException:
        store.close()
        raise
    draw.tuning = tuning.TuningService(settings, draw, live=version)
    return draw
