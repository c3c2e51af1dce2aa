"""What the doors call to recognise, collect and teach drawings.

One object for the page, the REST API and the command line: it checks what comes in, bounds how
much is worked on at a time and how often one visitor may ask, keeps what is given, and lets it
teach the recogniser at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tagger.bundles import ModelFacts
from tagger.collection.records import Source

Language = Literal["en", "ja"]
ExportFormat = Literal["ndjson", "ndjson-simplified", "parquet", "npz"]


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
        Whether people taught it: the model itself does not know it.
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
        Words and digits are the model's own.
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


class DrawServices:
    """Recognises, collects and teaches drawings. May be called from any thread.

    A visitor is told apart by an opaque random id that their browser keeps. It is never stored:
    what they give is kept under a salted hash of it.
    """

    @property
    def ready(self) -> bool:
        """Whether the recogniser has answered its warm-up."""
        raise NotImplementedError

    @property
    def model(self) -> ModelFacts:
        """Name, version and hash of the recogniser."""
        raise NotImplementedError

    @property
    def prompts(self) -> tuple[KnownWord, ...]:
        """The words that a draw-this game may ask for."""
        raise NotImplementedError

    def recognise(
        self, data: Any, *, top: int = 10, visitor: str = "", client: str = ""
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

        Raises
        ------
        StrokesError
            If the drawing makes no sense.
        LimitError
            ``too-fast`` for a visitor who asks too often, ``busy`` if too many do at once.
        """
        raise NotImplementedError

    def trace(self, source: Any) -> list[list[list[float]]]:
        """Turn a picture of a drawing into JSON-ready strokes, in the picture's pixels.

        Parameters
        ----------
        source : bytes, Path, binary file or PIL image
            Checked against the limits of the settings.

        Raises
        ------
        TaggerError
            If it cannot be read, or shows no lines.
        """
        raise NotImplementedError

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
        """
        raise NotImplementedError

    def gallery(
        self, visitor: str, *, label: str | None = None, offset: int = 0, limit: int = 50
    ) -> Gallery:
        """A page of a visitor's own drawings, newest first."""
        raise NotImplementedError

    def counts(self, visitor: str | None = None) -> tuple[KnownWord, ...]:
        """Words with the number of drawings, most first: a visitor's, or everybody's."""
        raise NotImplementedError

    def relabel(self, id: str, label: str, visitor: str) -> GalleryDrawing:
        """Change the label of one of a visitor's own drawings."""
        raise NotImplementedError

    def delete(self, id: str, visitor: str) -> None:
        """Remove one of a visitor's own drawings, and what was learnt from it."""
        raise NotImplementedError

    def withdraw(self, visitor: str) -> int:
        """Remove all that a visitor gave; how many drawings it were."""
        raise NotImplementedError

    def words(
        self, query: str = "", *, lang: str = "en", visitor: str = "", limit: int = 20
    ) -> tuple[KnownWord, ...]:
        """Complete a label: the best match first, in either language, learnt words among them."""
        raise NotImplementedError

    def learnt(self, visitor: str | None = None) -> tuple[KnownWord, ...]:
        """Words that the model did not know: a visitor's, or with None everybody's."""
        raise NotImplementedError

    # --- for the owner; a door asks `is_owner` first ---------------------------------------------

    def is_owner(self, token: str) -> bool:
        """Whether this is the owner's token; False for all if none is set."""
        raise NotImplementedError

    def accept(self, word: str) -> str:
        """Let all visitors' recognisers know a word that somebody taught; gives it as kept."""
        raise NotImplementedError

    def reject(self, word: str) -> None:
        """Undo :meth:`accept`."""
        raise NotImplementedError

    @property
    def accepted(self) -> tuple[str, ...]:
        """The accepted words."""
        raise NotImplementedError

    def export(self, format: ExportFormat, *, visitor: str | None = None) -> Iterator[bytes]:
        """Drawings as a file: a visitor's own, or with None all that were given with consent."""
        raise NotImplementedError
