"""Where tastes live: the main directions of a pool of pictures, and what tags mean in it.

A taste is a linear function of a picture's description (:func:`describe`): its embedding, and
beside it the tags that the model sees, which say sharply what an embedding has only roughly. What
it may be before any vote is a normal distribution over such functions, which decides how much few
votes teach. Two are on offer, and the votes choose (:class:`tagger.preference.taste.Taste`): all
directions alike, as far as pictures differ along them; or mostly those along which pictures gain
and lose tags.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from tagger.gallery import Gallery, TagRows

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]

COMPONENTS = 128
#: By which tags are multiplied beside an embedding: both then differ about as much from picture to
#: picture (measured on the shipped gallery).
TAG_SCALE = 1.3
#: So many tags of a picture count: as many as galleries keep of each at least.
TOP_TAGS = 10
#: Of the variance of the second prior, what is along tags.
TAG_SHARE = 0.9
# So many pictures, evenly spread, are enough to learn a space from.
_SAMPLE = 20_000
# A tag of fewer pictures has no direction that could be trusted.
_LEAST = 5
_RIDGE = 1e-3
_TINY = 1e-12


def describe(embeddings: npt.ArrayLike, probabilities: npt.ArrayLike) -> Floats:
    """Put embeddings and tags of pictures together, as tastes take them.

    Parameters
    ----------
    embeddings : float, shape [N, E]
        Of length one.
    probabilities : float, shape [N, T], 0..1
        Of all tags, by the same model; each picture's ten most probable ones count.

    Returns
    -------
    float32, shape [N, E + T]

    Raises
    ------
    ValueError
        If they are not of as many pictures.
    """
    rows, tags = np.asarray(embeddings, np.float32), np.asarray(probabilities, np.float32)
    if rows.ndim != 2 or tags.ndim != 2 or len(rows) != len(tags):
        raise ValueError("embeddings [N, E] and probabilities [N, T] are needed")
    if tags.shape[1] > TOP_TAGS:
        least = np.partition(tags, -TOP_TAGS, axis=1)[:, -TOP_TAGS, None]
        tags = np.where(tags >= least, tags, 0)
    return np.concatenate([rows, np.float32(TAG_SCALE) * tags], axis=1)


def describe_all(embeddings: npt.ArrayLike, predicted: TagRows) -> tuple[Floats, Floats]:
    """Describe pictures whose tags are kept in little room, as galleries keep them.

    Returns
    -------
    tuple of float32
        Descriptions ``[N, E + T]`` as of :func:`describe`, and the tags ``[N, T]``, 0 where too
        small to be kept.
    """
    tags = np.zeros((len(predicted), predicted.tags), np.float32)
    tags[predicted.rows, predicted.tag] = predicted.probability
    return describe(embeddings, tags), tags


@dataclass(frozen=True, eq=False)
class Space:
    """N pictures, seen along K directions.

    Attributes
    ----------
    model : str
        Hash of the model that describes the pictures.
    mean : float64, shape [D]
        The average picture.
    axes : float64, shape [D, K]
        Principal directions, of length one; what varies most comes first.
    pool : float32, shape [N, K]
        The pictures: ``(descriptions - mean) @ axes``.
    priors : tuple of float64, shape [K, K]
        Square roots of covariances of tastes: ``axes @ prior @ normal numbers`` is a taste. Each
        gives the scores of the pool a variance of 1.
    tags : float64, shape [T, K]
        For each tag, how the pictures with it differ from the average one; 0 where too few have
        it.
    known : bool, shape [T]
        Which tags have a direction.
    hash : str
        Of model and pool: numbers of pictures mean the same where this is the same.
    """

    model: str
    mean: Doubles
    axes: Doubles
    pool: Floats
    priors: tuple[Doubles, ...]
    tags: Doubles
    known: npt.NDArray[np.bool_]
    hash: str

    def __len__(self) -> int:
        return len(self.pool)

    @property
    def dimension(self) -> int:
        """D, of the descriptions."""
        return len(self.mean)

    @property
    def components(self) -> int:
        """K."""
        return int(self.axes.shape[1])

    def features(self, descriptions: npt.ArrayLike) -> Doubles:
        """Along the K directions: ``[N, D]`` to ``[N, K]``.

        Raises
        ------
        ValueError
            If they have another width.
        """
        rows = np.asarray(descriptions, np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.dimension:
            raise ValueError(f"descriptions must be [N, {self.dimension}]")
        seen: Doubles = (rows - self.mean) @ self.axes
        return seen

    @classmethod
    def of(cls, gallery: Gallery, *, components: int = COMPONENTS) -> Space:
        """The space of a gallery; its pictures are described as :func:`describe` does."""
        rows, tags = describe_all(gallery.embeddings, gallery.predicted)
        return cls.learn(rows, gallery.model, tags, components=components)

    @classmethod
    def learn(
        cls,
        descriptions: npt.ArrayLike,
        model: str,
        tags: npt.ArrayLike | None = None,
        *,
        components: int = COMPONENTS,
    ) -> Space:
        """Find the directions of a pool.

        Parameters
        ----------
        descriptions : float, shape [N, D]
            Of the pool; at least one.
        model : str
            Hash of the model that made them.
        tags : float, shape [N, T] or [S, T], optional, 0..1
            Probabilities that the model gave; 0 where too small to be kept. Of more than 20,000
            pictures only S = 20,000, evenly spread, are looked at: then these rows alone do.
        components : int
            K at most.

        Raises
        ------
        ValueError
            If there is no picture, or shapes differ.
        """
        rows = np.asarray(descriptions)
        if rows.ndim != 2 or not len(rows) or components < 1:
            raise ValueError("descriptions must be [N, D], N at least 1")
        chosen = _spread(len(rows))
        sample = rows[chosen].astype(np.float64)
        mean = sample.mean(axis=0)
        sample -= mean
        variances, vectors = np.linalg.eigh(sample.T @ sample / len(sample))
        count = min(components, len(mean), max(1, len(sample) - 1))
        order = np.arange(len(mean))[::-1][:count]
        axes = vectors[:, order]
        # A direction and its opposite are the same: let the greatest part be positive.
        axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(count)])
        variances = np.maximum(variances[order], _TINY)
        seen = sample @ axes
        plain = np.eye(count) / np.sqrt(variances.sum())
        priors, means, known = (plain,), np.zeros((0, count)), np.zeros(0, np.bool_)
        if tags is not None:
            given = np.asarray(tags)
            given = given[chosen] if len(given) == len(rows) else given
            if given.ndim != 2 or len(given) != len(chosen):
                raise ValueError("tags must be [N, T]")
            means, known, more = _along_tags(seen, variances, given.astype(np.float64), plain)
            priors = (*priors, *more)
        pool = np.empty((len(rows), count), np.float32)
        for start in range(0, len(rows), _SAMPLE):
            part = slice(start, start + _SAMPLE)
            pool[part] = (rows[part] - mean) @ axes
        digest = hashlib.sha256(f"{model}\n{rows.shape}\n".encode())
        digest.update(np.ascontiguousarray(rows, np.float32).tobytes())
        return cls(model, mean, axes, pool, priors, means, known, digest.hexdigest()[:32])


def _along_tags(
    seen: Doubles, variances: Doubles, tags: Doubles, plain: Doubles
) -> tuple[Doubles, npt.NDArray[np.bool_], tuple[Doubles, ...]]:
    """What the tags mean, and the prior that follows them."""
    totals = tags.sum(axis=0)
    known = ((tags > 0).sum(axis=0) >= _LEAST) & (totals > 0.5)
    means = np.zeros((tags.shape[1], seen.shape[1]))
    means[known] = (tags.T @ seen)[known] / totals[known, None]
    if not known.any():
        return means, known, ()
    # The linear functions that follow each tag's probability best, each as strong as the tag is
    # common: tastes are made of common tags more often than of rare ones.
    centred = tags[:, known] - tags[:, known].mean(axis=0)
    gram = seen.T @ seen / len(seen) + _RIDGE * np.mean(variances) * len(variances) * np.eye(
        len(variances)
    )
    weights = np.linalg.solve(gram, seen.T @ centred / len(seen))
    spread = np.maximum((seen @ weights).std(axis=0), _TINY)
    weights *= np.sqrt(tags[:, known].mean(axis=0)) / spread
    covariance = weights @ weights.T
    along = covariance / np.trace(covariance * variances)
    mixed = TAG_SHARE * along + (1 - TAG_SHARE) * plain @ plain.T
    return means, known, (np.linalg.cholesky(mixed),)


def _spread(count: int) -> npt.NDArray[Any]:
    """At most 20,000 of so many numbers, evenly spread."""
    if count <= _SAMPLE:
        return np.arange(count)
    return np.linspace(0, count - 1, _SAMPLE).astype(np.int64)
