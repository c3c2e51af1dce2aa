"""The page's own words, in English and Japanese.

Two readers take them: the page's script gets one language's table as data, and Gradio's labels get
them through ``gr.I18n``. Names of tags come from the model's list, reasons of refusal from
:mod:`tagger.errors`; neither is repeated here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tagger.languages import Language

# Label and header, translated by Gradio in the browser.
PAGE: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "title": "Illustration tagger",
        "tab_tag": "Tag",
        "tab_draw": "Draw",
        "tab_explore": "Explore",
        "tab_compare": "Compare",
        "lead": "Give it a drawing and read ten tags for it. "
        "The picture is read on this server and not kept.",
        "lead_many": "{done}. {kept}",
        "do_tag": "Read the tags of an illustration",
        "do_draw": "draw and watch it being named",
        "do_explore": "walk a map on which like pictures lie together",
        "do_compare": "vote and see your taste put pictures in order",
        "do_gap": ", ",
        "do_last": ", or ",
        "kept_": "The pictures you give are not kept.",
        "kept_draw": "Pictures are not kept, drawings only when you save them.",
        "kept_compare": "Pictures are not kept, votes until you take them back.",
        "kept_draw_compare": "Pictures are not kept, drawings only when you save them, "
        "votes until you take them back.",
        "model": "The model, {name}, knows {count} tags{data}. "
        "Photographs, paintings and crowded scenes are new to it: expect poor tags there.",
        "programs": "For programs there is a [REST API]({root}/api/docs).",
        "model_data": " and was trained on {data}",
        "more_data": "{first} and {count} more collections",
    },
    "ja": {
        "title": "イラストタガー",
        "tab_tag": "タグ付け",
        "tab_draw": "お絵かき",
        "tab_explore": "地図",
        "tab_compare": "くらべる",
        "lead": "イラストを置くと、合いそうなタグを十個示します。"
        "画像はこのサーバーで読むだけで、保存しません。",
        "lead_many": "{done}できます。{kept}",
        "do_tag": "イラストにタグを付けたり",
        "do_draw": "描いた絵が何かを当てたり",
        "do_explore": "似た画像が集まる地図を見て回ったり",
        "do_compare": "投票で学ばせた好みの順に並べたり",
        "do_gap": "、",
        "do_last": "、",
        "kept_": "渡された画像は保存しません。",
        "kept_draw": "画像は保存せず、絵は保存を押したときだけ残します。",
        "kept_compare": "画像は保存せず、投票は取り消すまで残します。",
        "kept_draw_compare": "画像は保存せず、絵は保存を押したときだけ、"
        "投票は取り消すまで残します。",
        "model": "モデル「{name}」は{count}個のタグを知っています{data}。"
        "写真、絵画、込み入った場面は学んでいないため、正しく付けられないことがあります。",
        "programs": "プログラムからは [REST API]({root}/api/docs) で使えます。",
        "model_data": "（学習データ：{data}）",
        "more_data": "{first}ほか{count}種",
    },
}

# Used by the script of the Tag tab; {names} are filled in there.
TAG_TAB: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "picture": "Picture",
        "invite": "Drop a picture here",
        "invite_touch": "Give it a picture",
        "invite_paste": "or paste it with {keys}",
        "choose": "Choose a picture",
        "choose_other": "Choose another",
        "release": "Let go to read its tags",
        "formats": "PNG, JPEG, WebP, GIF, AVIF, HEIC, TIFF or BMP, up to {limit}",
        "preview": "The picture you gave: {name}",
        "no_preview": "This browser cannot show {name}; its tags are right all the same.",
        "reading": "Reading {name} …",
        "examples": "Or try one of these",
        "examples_credit": "Public-domain clip art, not among the training pictures, by {authors} "
        "(Open Clip Art Library).",
        "example": "Example: {label}, by {author}",
        "example_credit": "“{title}” by {author}, public domain",
        "example_failed": "The example could not be loaded. Check the connection and try again.",
        "yours": "Your pictures",
        "clear": "Clear the list",
        "tile": "{name}",
        "tile_busy": "{name}, being read",
        "tile_failed": "{name}, could not be read",
        "tags": "Tags",
        "empty": "The ten most likely tags will stand here, most likely first.",
        "passes": "passes its cut-off",
        "below": "below its cut-off",
        "cutoff": "cut-off {value}",
        "cutoff_below": "below cut-off {value}",
        "legend": "A tick: the confidence reaches the tag's own cut-off, marked on its bar.",
        "row": "{rank}. {tag}, {group}, {percent}, {verdict}",
        "see_pictures": "See pictures with “{tag}” on the map",
        "see_place": "See it on the map",
        "hint": "Point at a tag, or tap it, to see how far it can be trusted.",
        "detail": "{tag}: from its cut-off of {threshold} up, {precision} of its suggestions were "
        "right and it found {recall} of its pictures, measured on {support} of them.",
        "detail_few": "That is few: take these figures with care.",
        "detail_unknown": "{tag}: this model brings no measured figures for it.",
        "copy_as": "Copy as",
        "format_text": "Text",
        "format_danbooru": "Danbooru",
        "format_hashtags": "Hashtags",
        "format_json": "JSON",
        "only_passing": "Only ticked tags",
        "copy": "Copy",
        "copied": "Copied",
        "copy_failed": "Select the text and copy it by hand: the browser did not allow it.",
        "output": "Tags to copy",
        "output_none": "No tag reaches its cut-off. Untick the box to copy all ten.",
        "done": "{count} tags for {name}: {tags}.",
        "done_tag": "{tag} {percent}",
        "problem": "{name}: {message}",
        "dismiss": "Close this message",
        "retry": "Try again",
        "too_large": "The file has {size}; the limit is {limit}. "
        "Save it smaller or as JPEG and try again.",
        "too_many": "{limit} pictures at a time: the first {limit} were taken, the rest left out.",
        "no_answer": "The server did not answer. Check the connection and try again.",
        "not_a_file": "That was a link or text, not a picture. "
        "Save the picture and drop its file, or copy the picture itself and paste it.",
        "folder": "A folder cannot be read here: drop the pictures in it.",
        "nothing_to_paste": "The clipboard holds no picture: copy one and paste again.",
        "model_line": "{model} · {milliseconds} ms",
        "kilobytes": "{value} KB",
        "megabytes": "{value} MB",
        "separator": " · ",
        "gap": " ",
    },
    "ja": {
        "picture": "画像",
        "invite": "ここに画像をドロップ",
        "invite_touch": "画像を渡してください",
        "invite_paste": "{keys} で貼り付けもできます",
        "choose": "画像を選ぶ",
        "choose_other": "別の画像を選ぶ",
        "release": "離すとタグを付けます",
        "formats": "PNG、JPEG、WebP、GIF、AVIF、HEIC、TIFF、BMP（{limit}まで）",
        "preview": "渡した画像：{name}",
        "no_preview": "このブラウザーでは {name} を表示できませんが、タグは正しく付きます。",
        "reading": "{name} を読んでいます…",
        "examples": "例で試す",
        "examples_credit": "学習に使っていないパブリックドメインのクリップアートです。"
        "作者：{authors}（Open Clip Art Library）",
        "example": "例：{label}（作者 {author}）",
        "example_credit": "「{title}」{author} 作、パブリックドメイン",
        "example_failed": "例を読み込めませんでした。接続を確かめて、もう一度お試しください。",
        "yours": "渡した画像",
        "clear": "一覧を消す",
        "tile": "{name}",
        "tile_busy": "{name}（読み取り中）",
        "tile_failed": "{name}（読めませんでした）",
        "tags": "タグ",
        "empty": "ここに、合いそうなタグが確からしい順に十個並びます。",
        "passes": "基準に達しています",
        "below": "基準に達していません",
        "cutoff": "基準 {value}",
        "cutoff_below": "基準 {value} 未満",
        "legend": "チェックは、確信度がそのタグの基準（棒の目盛り）に達した印です。",
        "row": "{rank}. {tag}、{group}、{percent}、{verdict}",
        "see_pictures": "「{tag}」の画像を地図で見る",
        "see_place": "地図で見る",
        "hint": "タグを指すか触れると、どのくらい信じてよいかを示します。",
        "detail": "{tag}：基準の{threshold}以上のとき、提案の{precision}が正しく、"
        "該当する画像の{recall}を見つけました（{support}枚で測定）。",
        "detail_few": "枚数が少ないので、目安とお考えください。",
        "detail_unknown": "{tag}：このモデルには測定値がありません。",
        "copy_as": "コピーの形式",
        "format_text": "テキスト",
        "format_danbooru": "Danbooru",
        "format_hashtags": "ハッシュタグ",
        "format_json": "JSON",
        "only_passing": "チェックの付いたタグだけ",
        "copy": "コピー",
        "copied": "コピーしました",
        "copy_failed": "ブラウザーに許可されませんでした。文字を選んで手でコピーしてください。",
        "output": "コピーするタグ",
        "output_none": "基準に達したタグがありません。チェックを外すと十個すべてをコピーできます。",
        "done": "{name} のタグ{count}個：{tags}。",
        "done_tag": "{tag} {percent}",
        "problem": "{name}：{message}",
        "dismiss": "この知らせを閉じる",
        "retry": "もう一度",
        "too_large": "ファイルは{size}あり、上限は{limit}です。"
        "小さくするか JPEG で保存して、もう一度お試しください。",
        "too_many": "一度に{limit}枚までです。最初の{limit}枚を読み、残りは省きました。",
        "no_answer": "サーバーから返事がありません。接続を確かめて、もう一度お試しください。",
        "not_a_file": "画像ではなくリンクか文字でした。画像を保存してそのファイルをドロップするか、"
        "画像そのものをコピーして貼り付けてください。",
        "folder": "フォルダーは読めません。中の画像をドロップしてください。",
        "nothing_to_paste": "クリップボードに画像がありません。"
        "画像をコピーしてから貼り付けてください。",
        "model_line": "{model}・{milliseconds} ミリ秒",
        "kilobytes": "{value} KB",
        "megabytes": "{value} MB",
        "separator": "・",
        "gap": "",
    },
}

# The kinds of things that tag lists know; a kind without a word here is shown as it is written.
GROUPS: Mapping[Language, Mapping[str, str]] = {
    "en": {"color": "colour"},
    "ja": {
        "activity": "動作",
        "animal": "動物",
        "artist": "作者",
        "body": "体",
        "building": "建物",
        "character": "キャラクター",
        "clothing": "服装",
        "color": "色",
        "concept": "概念",
        "copyright": "作品",
        "emotion": "感情",
        "event": "行事",
        "expression": "表情",
        "face": "顔",
        "flag": "旗",
        "food": "食べ物",
        "general": "一般",
        "group": "集まり",
        "meta": "メタ",
        "music": "音楽",
        "nature": "自然",
        "object": "物",
        "person": "人",
        "place": "場所",
        "plant": "植物",
        "rating": "レーティング",
        "shape": "形",
        "species": "種",
        "sport": "スポーツ",
        "style": "画風",
        "symbol": "記号",
        "time": "時",
        "tool": "道具",
        "transport": "乗り物",
        "weather": "天気",
        "year": "年",
    },
}

# What was done to a picture before it was read, by the codes of tagger.images.
NOTES: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "first-frame": "animation of {frames} frames, the first was read",
        "first-page": "{frames} pages, the first was read",
        "profile-applied": "colour profile applied",
        "profile-ignored": "colour profile unreadable, ignored",
        "rotated": "turned upright",
        "tones-stretched": "dark 16-bit tones stretched",
        "transparent": "transparent, seen on white",
    },
    "ja": {
        "first-frame": "{frames}コマのアニメーション（最初のコマを使用）",
        "first-page": "{frames}ページ（最初のページを使用）",
        "profile-applied": "カラープロファイルを適用",
        "profile-ignored": "カラープロファイルは読めないため無視",
        "rotated": "正しい向きに回転",
        "tones-stretched": "16ビットの階調を伸長",
        "transparent": "透明部分は白として処理",
    },
}


def group_label(group: str, lang: Language) -> str:
    """A kind of tag as a person reads it, such as ``food`` or ``食べ物``."""
    return GROUPS[lang].get(group, group.replace("_", " "))


def labels(lang: Language) -> Mapping[str, str]:
    """All fixed words that the script of the Tag tab writes in one language."""
    return MappingProxyType({**TAG_TAB[lang], "title": PAGE[lang]["title"]})
