"""Whatever says which of two pictures is preferred, in one form: a ranker, a taste, a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tagger.comparing import words
from tagger.errors import PreferenceError
from tagger.preference import Profile, Ranker, Space, Taste
from tagger.preference import profiles as saved
from tagger.preference.posterior import Posterior
from tagger.preference.ranker import sigmoid
from tagger.preference.reasons import tag_weights
from tagger.preference.space import TAG_SCALE
from tagger.safetext import is_shown

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Verdict = Literal["left", "right", "tie"]

_MAX_LABEL = 80


@dataclass(frozen=True, eq=False)
class Judge:
    """A ranker that is asked now. Immutable; may be used from any thread.

    Attributes
    ----------
    id : str
        ``"taste"``, ``"file"``, or that of the server's own ranker.
    name : str
        The ranker's own, for people.
    ranker : Ranker
        What scores.
    space, posterior : Space and Posterior, or None
        Of a taste: then scores are 0 for the average picture, and probabilities moderate where
        little is known.
    """

    id: str
    name: str
    ranker: Ranker
    space: Space | None = None
    posterior: Posterior | None = None

    @classmethod
    def of_taste(cls, taste: Taste) -> Judge:
        """A taste as it is now, whatever becomes of it."""
        return cls(words.TASTE, "", taste.ranker(), taste.space, taste.posterior)

    @classmethod
    def of_file(cls, data: Any, model: str) -> Judge:
        """A saved taste or a ranker, as somebody sent it.

        Parameters
        ----------
        data : dict
            Any JSON.
        model : str
            Hash of the model that it must be of.

        Raises
        ------
        PreferenceError
            If it is neither, or of another model.
        """
        if isinstance(data, dict) and data.get("format") == saved.FORMAT:
            ranker = Profile.from_dict(data, model=model).ranker
        else:
            ranker = Ranker.from_dict(data, model=model)
        return cls(words.FILE, shown_name(ranker.name), ranker)

    def to_dict(self, lang: str = "en") -> dict[str, str]:
        """JSON-ready: which one it is."""
        return {"id": self.id, "label": words.label(self.id, self.name, lang)}

    def scores(self, descriptions: Floats) -> Doubles:
        """Score pictures by their descriptions ``[N, D]``: float64, shape [N].

        Raises
        ------
        PreferenceError
            ``ranker-damaged`` or ``ranker-foreign``, if it has no numbers for them.
        """
        if self.space is not None and self.posterior is not None:
            return _finite(self.space.features(descriptions) @ self.posterior.mean)
        if self.ranker.dimension > descriptions.shape[1]:
            raise PreferenceError("ranker-foreign")
        with np.errstate(over="ignore", invalid="ignore"):
            return _finite(self.ranker.scores(descriptions))

    def probability(self, left: Floats, right: Floats) -> float:
        """P(left preferred) of two descriptions ``[D]``."""
        if self.space is not None and self.posterior is not None:
            both = self.space.features(np.stack([left, right]))
            return float(self.posterior.probability(both[:1] - both[1:])[0])
        scores = self.scores(np.stack([left, right]))
        return float(self.ranker.probability(scores[0], scores[1]))

    def verdict(self, p_left: float) -> Verdict:
        """What to say of a probability; a tie where it is one."""
        if bool(self.ranker.is_tie(p_left)):
            return "tie"
        return "left" if p_left > 0.5 else "right"

    def weights(self, tags: int, space: Space | None) -> Doubles:
        """What it thinks of each tag: float64, shape [T], -1..1.

        By the pictures that have it, where there is a pool; else by what the tag alone does, all
        else being equal.
        """
        if space is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                return np.nan_to_num(tag_weights(self.ranker, space))
        ranker = self.ranker
        if ranker.kind != "linear" or ranker.dimension <= tags:
            return np.zeros(tags)
        alone = ranker.weights[-tags:].astype(np.float64)
        weights: Doubles = 2 * sigmoid(ranker.slope * TAG_SCALE * alone) - 1
        return weights


def shown_name(name: str) -> str:
    """A name of a stranger's file as it may be shown; empty if it may not."""
    return name[:_MAX_LABEL].strip() if is_shown(name) else ""


def _finite(scores: npt.NDArray[Any]) -> Doubles:
    if not np.isfinite(scores).all():
        raise PreferenceError("ranker-damaged")
    return scores.astype(np.float64)
