"""What votes tell of a linear taste: Bayesian logistic regression on differences of pictures.

RankNet with a linear network (Burges et al. 2005) is logistic regression on the difference of two
pictures; with a normal prior its posterior is nearly normal, too (Laplace; MacKay, "The evidence
framework applied to classification networks", 1992), and says which pair would teach most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tagger.preference.ranker import sigmoid

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of a taste over K directions.

    Attributes
    ----------
    rows : float64, shape [M, K]
        Differences between two pictures.
    outcomes : float64, shape [M], 0..1
        1 where the first of the two was preferred, 0.5 for a tie.
    weights : float64, shape [M]
        As so many votes each counts.
    edges : float64, shape [E, K]
        Directions along which the taste was set by hand.
    levels : float64, shape [E]
        To what.
    width : float
        How exactly: standard deviation.
    """

    rows: Doubles
    outcomes: Doubles
    weights: Doubles
    edges: Doubles
    levels: Doubles
    width: float = 0.05


@dataclass(frozen=True, eq=False)
class Posterior:
    """A normal distribution over tastes.

    Attributes
    ----------
    mean : float64, shape [K]
        The most probable taste: scores are ``features @ mean``, their differences logits.
    covariance : float64, shape [K, K]
        How sure it is.
    evidence : float
        Logarithm of how probable the votes are under the prior (but for a constant).
    point : float64, shape [K]
        The mean in the prior's own coordinates: where a later fit begins.
    """

    mean: Doubles
    covariance: Doubles
    evidence: float
    point: Doubles

    def moments(self, rows: Doubles) -> tuple[Doubles, Doubles]:
        """Mean and variance of the logits of differences ``[M, K]``: two of shape ``[M]``."""
        return rows @ self.mean, np.maximum(((rows @ self.covariance) * rows).sum(axis=1), 0.0)

    def probability(self, rows: Doubles) -> Doubles:
        """P(the first is preferred), over all tastes that may be (MacKay's approximation)."""
        mean, variance = self.moments(rows)
        return sigmoid(mean / np.sqrt(1 + np.pi / 8 * variance))


def fit(
    known: Evidence,
    prior: Doubles,
    start: Doubles,
    *,
    begin: Doubles | None = None,
    iterations: int = 50,
    tolerance: float = 1e-9,
) -> Posterior:
    """Find the most probable taste by Newton's method, and how sure it is.

    The taste is ``start + prior @ v`` with v of independent standard normals. What is minimised,
    ``sum(weight * (log(1 + exp(s)) - outcome * s)) + |v|**2 / 2 + |edges - levels|**2 / (2 *
    width**2)``, is convex, so there is one minimum.

    Parameters
    ----------
    known : Evidence
        Votes and edits.
    prior : float64, shape [K, K]
        Square root of the prior's covariance.
    start : float64, shape [K]
        Its mean.
    begin : float64, shape [K], optional
        Near the answer, in the prior's coordinates.
    iterations, tolerance : int, float
        Steps at most; by how much the last one must lower the sum.
    """
    rows, edges = known.rows @ prior, known.edges @ prior / known.width
    base = known.rows @ start
    gap = (known.edges @ start - known.levels) / known.width

    def cost(v: Doubles) -> float:
        s = base + rows @ v
        loss = known.weights @ (np.logaddexp(0, s) - known.outcomes * s)
        return float(loss + 0.5 * v @ v + 0.5 * ((edges @ v + gap) ** 2).sum())

    def curvature(v: Doubles) -> tuple[Doubles, Doubles]:
        p = sigmoid(base + rows @ v)
        gradient = rows.T @ (known.weights * (p - known.outcomes)) + v
        gradient += edges.T @ (edges @ v + gap)
        hessian = (rows * (known.weights * p * (1 - p))[:, None]).T @ rows + edges.T @ edges
        hessian[np.diag_indices_from(hessian)] += 1
        return gradient, hessian

    v = np.zeros(len(start)) if begin is None else begin
    value = cost(v)
    for _ in range(iterations):
        gradient, hessian = curvature(v)
        step = np.linalg.solve(hessian, gradient)
        length = 1.0
        while (after := cost(v - length * step)) > value and length > 1e-6:
            length /= 2
        if after > value:
            break
        v, gained, value = v - length * step, value - after, after
        if gained < tolerance:
            break
    factor = np.linalg.cholesky(curvature(v)[1])
    # half @ half.T is the inverse of the curvature, seen in the space of the pictures.
    half = np.linalg.solve(factor, prior.T).T
    return Posterior(
        mean=start + prior @ v,
        covariance=half @ half.T,
        evidence=-value - float(np.log(np.diag(factor)).sum()),
        point=v,
    )
