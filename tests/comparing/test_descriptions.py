"""Pictures that were put in order once, judged again by what the model saw in them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tagger.comparing import CompareServices
from tagger.errors import TaggerError
from tagger.preference import Ranker
from tests.comparing.made import DIMENSION, VISITOR, write_ranker
from tests.fakes import picture

COLOURS = [(240, 10, 10), (10, 10, 240), (10, 200, 30), (128, 128, 128)]

NAN = base64.b64encode(np.full(DIMENSION, np.nan, "<f2").tobytes()).decode()


def order(compare: CompareServices, **more: Any) -> dict[str, dict[str, Any]]:
    """What is said of each picture, by its name."""
    sources = [(str(n), picture(colour, (40, 40))) for n, colour in enumerate(COLOURS)]
    answer = compare.rank([*sources, ("bad", b"no picture")], **more)
    return {one["name"]: one for one in answer["pictures"]}


def test_another_ranker_judges_descriptions_as_it_would_pictures(
    compare: CompareServices, toy_bundle: Path, tmp_path: Path
) -> None:
    weights = np.random.default_rng(0).normal(size=DIMENSION).astype(np.float32)
    other = write_ranker(tmp_path / "other.json", toy_bundle, weights=weights)
    profile = Ranker.load(other).to_dict()
    first = order(compare, described=True)
    assert "description" not in first["bad"]
    assert all("description" not in one for one in order(compare).values())
    texts = [first[str(n)]["description"] for n in range(len(COLOURS))]
    for chosen in ({}, {"profile": profile}):
        seen = order(compare, described=True, **chosen)
        again = compare.rescore(texts, model=compare.model.hash, **chosen)
        assert again["scores"] == [seen[str(n)]["score"] for n in range(len(COLOURS))]
        plain = order(compare, **chosen)
        assert again["scores"] == pytest.approx(
            [plain[str(n)]["score"] for n in range(len(COLOURS))], abs=0.02
        )
    assert again["ranker"]["id"] == "file"

    # A taste judges them, too.
    compare.edit(VISITOR, "red", 1.0)
    taste = compare.rescore(texts, model=compare.model.hash, ranker="taste", visitor=VISITOR)
    assert int(np.argmax(taste["scores"])) == 0


@pytest.mark.parametrize(
    ("texts", "code"),
    [
        ("zDA=", "request-invalid"),
        ([], "request-invalid"),
        ([7], "request-invalid"),
        ([""], "request-invalid"),
        (["no base64!"], "request-invalid"),
        (["zDAA"], "request-invalid"),  # three bytes
        (["zDA=", "zDDMMA=="], "request-invalid"),
        (["A" * 2**18], "request-invalid"),
        ([NAN], "request-invalid"),
        (["zDA="], "ranker-foreign"),
        (["zDA="] * 2001, "explore-too-many"),
    ],
)
def test_what_strangers_send_is_checked(compare: CompareServices, texts: Any, code: str) -> None:
    with pytest.raises(TaggerError) as caught:
        compare.rescore(texts, model=compare.model.hash)
    assert caught.value.code == code


def test_descriptions_of_another_model_are_not_mixed_in(compare: CompareServices) -> None:
    text = order(compare, described=True)["0"]["description"]
    compare.edit(VISITOR, "red", 1.0)
    for texts, model in ([text], "0" * 16), (["zDA="], compare.model.hash):
        with pytest.raises(TaggerError) as caught:
            compare.rescore(texts, model=model, ranker="taste", visitor=VISITOR)
        assert caught.value.code == "compare-stale"
