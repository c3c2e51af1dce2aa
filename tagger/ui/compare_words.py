"""The words of the Compare tab, in English and Japanese."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tagger.languages import Language

# Of the choice of what judges, which several components have.
RANKERS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "ranker_file": "A file …",
        "ranker_named": "File: {name}",
        "ranker_not_ready": "{label} (vote a little first)",
    },
    "ja": {
        "ranker_file": "ファイル…",
        "ranker_named": "ファイル：{name}",
        "ranker_not_ready": "{label}（まず少し投票してください）",
    },
}


def ranker_labels(lang: Language) -> Mapping[str, str]:
    """The words of the choice of what judges, in one language."""
    return MappingProxyType(RANKERS[lang])
