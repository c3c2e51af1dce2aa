"""The words of the map component, for its tools and for those who hear it."""

from __future__ import annotations

from collections.abc import Mapping

from tagger.languages import Language

_WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "map_label": "Map of pictures: those that are alike lie near each other",
        "map_keys": (
            "Arrow keys move, plus and minus zoom, 0 shows everything, V, L and B choose the tool,"
            " Escape ends a selection. The search finds every picture without the map."
        ),
        "map_tools": "Map tools",
        "map_pan": "Move the map",
        "map_turn": "Turn the map",
        "map_lasso": "Select with a lasso",
        "map_box": "Select with a box",
        "map_in": "Zoom in",
        "map_out": "Zoom out",
        "map_reset": "Show everything",
    },
    "ja": {
        "map_label": "画像の地図。似ている画像は近くにあります",
        "map_keys": (
            "矢印キーで移動、プラスとマイナスで拡大・縮小、0 で全体を表示、V・L・B でツールを選び、"
            "Esc で選択を終えます。地図を使わなくても、検索ですべての画像を探せます。"
        ),
        "map_tools": "地図のツール",
        "map_pan": "地図を動かす",
        "map_turn": "地図を回す",
        "map_lasso": "投げなわで選ぶ",
        "map_box": "四角で選ぶ",
        "map_in": "拡大",
        "map_out": "縮小",
        "map_reset": "全体を表示",
    },
}


def map_words(lang: Language) -> Mapping[str, str]:
    """What ``ExploreMap.create`` takes as ``words``."""
    return _WORDS[lang]
