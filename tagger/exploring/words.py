"""Names of what the legends of a map tell, in both languages."""

from __future__ import annotations

from collections.abc import Mapping

from tagger.exploring.columns import UNKNOWN
from tagger.tags import TagList, display_name

#: Languages by their codes: ``code: (English, Japanese)``.
LANGUAGE_NAMES: Mapping[str, tuple[str, str]] = {
    "ar": ("Arabic", "アラビア語"),
    "bg": ("Bulgarian", "ブルガリア語"),
    "ca": ("Catalan", "カタルーニャ語"),
    "cs": ("Czech", "チェコ語"),
    "da": ("Danish", "デンマーク語"),
    "de": ("German", "ドイツ語"),
    "el": ("Greek", "ギリシャ語"),
    "en": ("English", "英語"),
    "eo": ("Esperanto", "エスペラント"),
    "es": ("Spanish", "スペイン語"),
    "et": ("Estonian", "エストニア語"),
    "fi": ("Finnish", "フィンランド語"),
    "fr": ("French", "フランス語"),
    "he": ("Hebrew", "ヘブライ語"),
    "hu": ("Hungarian", "ハンガリー語"),
    "id": ("Indonesian", "インドネシア語"),
    "it": ("Italian", "イタリア語"),
    "ja": ("Japanese", "日本語"),
    "ko": ("Korean", "韓国語"),
    "nl": ("Dutch", "オランダ語"),
    "no": ("Norwegian", "ノルウェー語"),
    "pl": ("Polish", "ポーランド語"),
    "pt": ("Portuguese", "ポルトガル語"),
    "ro": ("Romanian", "ルーマニア語"),
    "ru": ("Russian", "ロシア語"),
    "sv": ("Swedish", "スウェーデン語"),
    "tr": ("Turkish", "トルコ語"),
    "uk": ("Ukrainian", "ウクライナ語"),
    "vi": ("Vietnamese", "ベトナム語"),
    "zh": ("Chinese", "中国語"),
}

# Categories of the gallery that comes with the app, where no tag has that name.
_CATEGORIES_JA: Mapping[str, str] = {
    "animals": "動物",
    "astronomy": "天文",
    "buildings": "建物",
    "computer": "コンピューター",
    "container": "容器",
    "decorations": "飾り",
    "education": "教育",
    "electronics": "電子機器",
    "food": "食べ物",
    "map": "地図",
    "music": "音楽",
    "office": "オフィス",
    "party": "パーティー",
    "pattern": "模様",
    "people": "人物",
    "plants": "植物",
    "recreation": "レジャー",
    "religion": "宗教",
    "science": "科学",
    "shapes": "図形",
    "signs_and_symbols": "標識と記号",
    "sports": "スポーツ",
    "tools": "道具",
    "toys": "おもちゃ",
    "transportation": "乗り物",
    "unsorted": "未分類",
    "weather": "天気",
}

# Where drawings come from.
_SOURCES: Mapping[str, tuple[str, str]] = {
    "canvas": ("drawn on the page", "ページで描画"),
    "game": ("drawn in the game", "ゲームで描画"),
    "api": ("sent by a program", "プログラムから送信"),
}
_UNKNOWN = ("unknown", "不明")
_OTHER = ("other", "その他")


def legend_label(legend: str, value: str | None, tags: TagList, lang: str = "en") -> str:
    """What to call a value of a legend.

    Parameters
    ----------
    legend : {"category", "source", "language"}
        Whose value it is.
    value : str or None
        None for the rest of many.
    tags : TagList
        Whose names a category may have.
    lang : {"en", "ja"}
        The reader's language.
    """
    column = 1 if lang == "ja" else 0
    if value is None:
        return _OTHER[column]
    if value == UNKNOWN:
        return _UNKNOWN[column]
    if legend == "language":
        names = LANGUAGE_NAMES.get(value.lower().partition("-")[0])
        return names[column] if names else value
    if legend == "source" and value in _SOURCES:
        return _SOURCES[value][column]
    if legend == "category" and lang == "ja":
        tag = tags.find(value)
        if tag is not None and tag.name_ja:
            return tag.name_ja
        return _CATEGORIES_JA.get(value, display_name(value))
    return display_name(value)
