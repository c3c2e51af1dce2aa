"""Why one of two pictures scores higher."""

from __future__ import annotations

import numpy as np
import pytest

from tagger.preference import Ranker, Taste
from tagger.preference.reasons import tag_weights, why
from tests.preference import pools


def test_the_weights_are_those_of_the_words() -> None:
    taste = pools.voted(60, tag=2)
    found = tag_weights(taste.ranker(), taste.space)
    assert int(np.abs(found).argmax()) == 2
    # But for the slope, by which a ranker is more moderate.
    for word in taste.words():
        assert np.sign(found[word.tag]) == np.sign(word.weight)
        assert abs(found[word.tag]) <= abs(word.weight) + 1e-6


def test_any_ranker_has_weights() -> None:
    space = pools.space()
    rng = np.random.default_rng(0)
    ranker = Ranker(
        "deep",
        pools.MODEL,
        rng.normal(size=4),
        kind="mlp",
        hidden_weights=rng.normal(size=(4, pools.DIMENSION)),
        hidden_bias=rng.normal(size=4),
    )
    found = tag_weights(ranker, space)
    for tag in range(pools.TAGS):
        typical = (space.mean + space.axes @ space.tags[tag])[None]
        p = ranker.probability(ranker.scores(typical), ranker.scores(space.mean[None]))
        assert found[tag] == pytest.approx(2 * p[0] - 1, abs=1e-4)
    assert not tag_weights(Taste(space).ranker(), space).any()


def test_tags_speak_by_weight_and_difference() -> None:
    found = why([0.5, -0.9, 0.0, 0.8], [0.9, 0.1, 1.0, 0.2], [0.1, 0.4, 0.0, 0.2])
    assert [(one.tag, one.speaks_for) for one in found] == [(0, "left"), (1, "left")]
    assert [one.weight for one in found] == pytest.approx([0.4, 0.27])
    assert (found[0].left, found[0].right) == (0.9, 0.1)
    assert len(why([1, 1, 1], [1, 1, 1], [0, 0, 0], limit=2)) == 2
    assert why([1.0], [0.2], [0.7])[0].speaks_for == "right"
    with pytest.raises(ValueError):
        why([1, 1], [1, 1], [1])
