"""The words of the owner's report on votes, in English and Japanese."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tagger.languages import Language

# Used by the script of the section; {names} are filled in there.
REPORT: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "report": "What all votes say",
        "door": "For the owner: which pictures win, and whether the votes can be trusted. "
        "Of the votes that were given with consent.",
        "token": "Owner’s token",
        "enter": "Open",
        "wrong_token": "That is not the owner’s token. It is what TAGGER_OWNER_TOKEN is set to.",
        "leave": "Lock again",
        "left": "Locked.",
        "opened": "Open.",
        "renew": "Look again",
        "renewed": "Looked again.",
        "loading": "Counting …",
        "empty": "No vote has been given with consent yet. What they say will stand here.",
        "sum": "Votes: {votes}, voters: {voters}",
        "choices": "How the votes fell",
        "choice": "{label}: {count} ({percent})",
        "choice_left": "Left",
        "choice_tie": "Equal",
        "choice_right": "Right",
        "choice_bad": "Neither",
        "choice_skip": "Skipped",
        "trust": "Can they be trusted?",
        "side_none": "No vote has been for a side yet.",
        "side_even": "The left one was chosen in {value} of {count} decided votes "
        "({low} to {high}): neither side is preferred.",
        "side_left": "The left one was chosen in {value} of {count} decided votes "
        "({low} to {high}): more often than by chance. Places should not matter.",
        "side_right": "The left one was chosen in {value} of {count} decided votes "
        "({low} to {high}): more seldom than by chance. Places should not matter.",
        "doubles_none": "Nobody has voted on a pair twice without being asked.",
        "doubles_one": "1 vote is on a pair that the same voter had judged before; "
        "only the first counts.",
        "doubles": "{count} votes are on pairs that the same voter had judged before; "
        "only the first counts.",
        "suspects_none": "No voter stands out.",
        "suspects": "Voters to look at",
        "suspect": "Voter {voter}, {count} votes: {reasons}",
        "one_sided": "nearly always the same side",
        "unlike_others": "unlike all others",
        "too_quick": "quicker than one can look",
        "standings": "Strengths",
        "standings_hint": "A difference of 1 means that the stronger one wins 73 of 100 times "
        "(Bradley and Terry). The line is where the strength lies with a probability of 95%: "
        "where lines overlap widely, the order is open.",
        "standing": "Rank {rank}: {title}, strength {strength}, {low} to {high}, "
        "{wins} of {votes} won. Show it on the map.",
        "interval": "{low} to {high}",
        "won": "{wins} of {votes} won",
        "untitled": "Untitled",
        "gone": "A picture that is no longer there",
        "all": "Show all {count}",
        "export": "All votes with consent",
        "jsonl": "JSON lines",
        "csv": "CSV",
        "parquet": "Parquet",
        "exporting": "Writing …",
        "exported": "{name} has been written.",
        "no_answer": "The server did not answer. Check the connection and try again.",
        "dismiss": "Close this message",
        "comma": ", ",
    },
    "ja": {
        "report": "全員の投票から分かること",
        "door": "管理者用：どの画像が勝つか、投票は信頼できるか。"
        "同意のうえ提供された投票だけを数えます。",
        "token": "管理者トークン",
        "enter": "開く",
        "wrong_token": "管理者トークンが違います。TAGGER_OWNER_TOKENに設定した値です。",
        "leave": "閉じてロック",
        "left": "ロックしました。",
        "opened": "開きました。",
        "renew": "数え直す",
        "renewed": "数え直しました。",
        "loading": "数えています…",
        "empty": "同意のうえ提供された投票は、まだありません。結果はここに出ます。",
        "sum": "{voters}人の{votes}票",
        "choices": "投票の内訳",
        "choice": "{label}：{count}（{percent}）",
        "choice_left": "左",
        "choice_tie": "同じ",
        "choice_right": "右",
        "choice_bad": "なし",
        "choice_skip": "とばした",
        "trust": "投票は信頼できるか",
        "side_none": "左右を選んだ投票は、まだありません。",
        "side_even": "左右を決めた{count}票のうち左は{value}（{low}～{high}）。"
        "左右の偏りは見られません。",
        "side_left": "左右を決めた{count}票のうち左は{value}（{low}～{high}）。"
        "偶然より多く、場所に影響されています。",
        "side_right": "左右を決めた{count}票のうち左は{value}（{low}～{high}）。"
        "偶然より少なく、場所に影響されています。",
        "doubles_none": "頼まれずに同じ組へ二度投票した人はいません。",
        "doubles_one": "1票は同じ人が前に判定した組へのもの。最初の票だけを数えます。",
        "doubles": "{count}票は同じ人が前に判定した組へのもの。最初の票だけを数えます。",
        "suspects_none": "目立つ投票者はいません。",
        "suspects": "気になる投票者",
        "suspect": "投票者{voter}、{count}票：{reasons}",
        "one_sided": "ほとんど同じ側ばかり",
        "unlike_others": "ほかの全員と違う",
        "too_quick": "見るより速い",
        "standings": "強さ",
        "standings_hint": "差が1なら、強いほうが100回中73回勝ちます（Bradley–Terryモデル）。"
        "線は強さが95%の確率で入る範囲です。線が大きく重なる画像の順は決まっていません。",
        "standing": "{rank}位：{title}、強さ{strength}、{low}～{high}、{votes}回中{wins}勝。"
        "地図で見る。",
        "interval": "{low}～{high}",
        "won": "{votes}回中{wins}勝",
        "untitled": "無題",
        "gone": "もうない画像",
        "all": "{count}件すべて表示",
        "export": "同意のある全投票",
        "jsonl": "JSON Lines",
        "csv": "CSV",
        "parquet": "Parquet",
        "exporting": "書き出し中…",
        "exported": "{name}を書き出しました。",
        "no_answer": "サーバーから返事がありません。接続を確かめて、もう一度お試しください。",
        "dismiss": "この知らせを閉じる",
        "comma": "、",
    },
}


def report_labels(lang: Language) -> Mapping[str, str]:
    """All fixed words that the script of the section writes in one language."""
    return MappingProxyType(dict(REPORT[lang]))
