"""Everything that can go wrong and is worth telling a person, as one small hierarchy.

An error carries a stable code, an HTTP status and plain values; the sentence is made only when
it is shown, in the reader's language. So the page, the API and the command line say the same
thing, and no message can leak a path, a traceback or the text of a library's exception.
"""

from __future__ import annotations

from typing import Any

from tagger.languages import Language
from tagger.messages import MESSAGES, render


class TaggerError(Exception):
    """A failure with a reason that a person understands and can act on.

    Parameters
    ----------
    code : str
        Key of `tagger.messages.MESSAGES`, for example ``"image-truncated"``; part of the public
        API. An unknown code is shown as ``"internal"``: an error must not fail while being raised.
    status : int, optional
        HTTP status; by default the one in the table.
    **params
        Values for the message. Never paths, never text of other exceptions.

    Attributes
    ----------
    code : str
    status : int
    params : dict
    """

    def __init__(self, code: str, /, *, status: int | None = None, **params: Any) -> None:
        self.code = code
        self.status = status if status is not None else MESSAGES.get(code, MESSAGES["internal"])[0]
        self.params = params
        super().__init__(code)

    def message(self, language: Language | str = "en") -> str:
        """Say what happened and what to do, in English (``"en"``) or Japanese (``"ja"``).

        Tags such as ``"ja-JP"`` are understood; any other language gets English.
        """
        return render(self.code, self.params, language)

    def __str__(self) -> str:
        return self.message("en")

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are rebuilt from `args`, which hold only the code: keep the rest across
        # process boundaries.
        return _rebuild, (type(self), self.code, self.status, self.params)


class ImageError(TaggerError):
    """A file that cannot be read as a picture."""


class StrokesError(TaggerError):
    """A drawing whose strokes make no sense."""


class MemoryFileError(TaggerError):
    """A file of learnt words that is torn, or made by another recogniser."""


class IndexFileError(TaggerError):
    """A file of an index that is missing, torn, or made with another model."""


class GalleryError(TaggerError):
    """A gallery that is missing, torn, or made with another model, or a map that failed."""


class PreferenceError(TaggerError):
    """A ranker or taste that is torn or of another model, or a vote that makes no sense."""


class StoreError(TaggerError):
    """A collection that cannot be read or written now, or a value that it does not take."""


class LimitError(TaggerError):
    """Input that is well-formed but larger, or arrives faster, than the settings allow."""


class BundleError(TaggerError):
    """A model bundle that is missing, incomplete or made for something else."""


class RequestError(TaggerError):
    """A request whose parameters make no sense."""


class SettingsError(TaggerError):
    """A setting whose value cannot be used."""


def _rebuild(
    kind: type[TaggerError], code: str, status: int, params: dict[str, Any]
) -> TaggerError:
    return kind(code, status=status, **params)
