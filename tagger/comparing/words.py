"""What rankers are called, in both languages."""

from __future__ import annotations

from collections.abc import Mapping

TASTE = "taste"
FILE = "file"

# ``id: ((label, about) in English, (label, about) in Japanese)``
_RANKERS: Mapping[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "cheerfulness": (
        (
            "Cheerfulness",
            "How cheerful pictures look, learnt from the moods in which emoji are used.",
        ),
        ("朗らかさ", "画像がどれほど朗らかに見えるか。絵文字が使われる気分から学習しました。"),
    ),
    TASTE: (
        ("My taste", "What you like, learnt from your votes."),
        ("自分の好み", "あなたの投票から学習した好みです。"),
    ),
    FILE: (
        ("File", "A saved taste or a ranker."),
        ("ファイル", "保存した好みか、ランカーのファイルです。"),
    ),
}
_OTHER = (
    "Learnt from ratings by whoever runs this server.",
    "このサーバーの管理者の評価から学習しました。",
)


def label(id: str, name: str = "", lang: str = "en") -> str:
    """What to call a ranker: by its id; a file, and what is unknown, by its own name."""
    if id in _RANKERS and not (id == FILE and name):
        return _RANKERS[id][lang == "ja"][0]
    return name or id


def about(id: str, lang: str = "en") -> str:
    """What a ranker goes by, in a sentence."""
    return _RANKERS[id][lang == "ja"][1] if id in _RANKERS else _OTHER[lang == "ja"]
