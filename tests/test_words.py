"""The words of a recogniser: reading the list, finding and completing."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.words import (
    Word,
    WordList,
    WordsFormatError,
    format_words,
    is_name,
    match,
    normalise,
    parse_words,
)

HEADER = "index,word,name_ja,kind,recall\n"


def test_a_list_is_read_in_full() -> None:
    words = parse_words(
        "\ufeff" + HEADER + "0,cat,猫,word,0.9\r\n1,hot dog,,word,\r\n2,0,ゼロ,digit,\r\n"
    )
    assert list(words) == [
        Word(0, "cat", "猫", "word"),
        Word(1, "hot dog", None, "word"),
        Word(2, "0", "ゼロ", "digit"),
    ]
    assert words[1:] == (Word(1, "hot dog"), Word(2, "0", "ゼロ", "digit"))
    assert [word.label("ja") for word in words] == ["猫", "hot dog", "ゼロ"]
    assert [word.label() for word in words] == ["cat", "hot dog", "0"]


def test_a_list_is_written_as_it_is_read() -> None:
    words = [
        Word(0, 'say "hi", twice', "猫"),
        Word(1, "0", "ゼロ", "digit"),
        Word(2, "うちの猫", None, "learnt"),
        Word(3, "=1+1", None, "learnt"),
    ]
    assert list(parse_words(format_words(words))) == words


@given(st.text(max_size=70))
def test_what_is_a_name_can_be_written_and_read(text: str) -> None:
    if is_name(text.strip()):
        word = Word(0, text.strip(), None, "learnt")
        assert list(parse_words(format_words([word]))) == [word]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name\ncat\n",
        HEADER,
        HEADER + "1,cat,,word\n",
        HEADER + "x,cat,,word\n",
        HEADER + "0,,,word\n",
        HEADER + "0,cat,,word\n1,cat,,word\n",
        HEADER + "0,cat,,animal\n",
        HEADER + f"0,{'a' * 65},,word\n",
        HEADER + "0,a\u200bb\u0000,,word\n",
        HEADER + '0,"a\nb",,word\n',
        HEADER + '0,"' + "a" * 200_000,
    ],
)
def test_a_list_that_cannot_be_used_is_refused(text: str) -> None:
    with pytest.raises(WordsFormatError):
        parse_words(text)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    for whole in (text, HEADER + text):
        with contextlib.suppress(WordsFormatError):
            assert len(parse_words(whole)) >= 1


WORDS = WordList([Word(0, "T-shirt", "Tシャツ"), Word(1, "hot dog", "ホットドッグ"), Word(2, "-")])


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("T-shirt", "T-shirt"),
        ("t shirt", "T-shirt"),
        ("TSHIRT", "T-shirt"),
        ("Ｔ＿ＳＨＩＲＴ", "T-shirt"),
        ("tシャツ", "T-shirt"),
        ("ﾎｯﾄﾄﾞｯｸﾞ", "hot dog"),
        ("Hot_Dog", "hot dog"),
        ("-", "-"),
        ("dog", None),
        ("", None),
        ("_", None),
    ],
)
def test_a_word_is_found_by_any_of_its_names(name: str, word: str | None) -> None:
    found = WORDS.find(name)
    assert (found.word if found else None) == word


def test_an_english_name_wins_over_a_japanese_one() -> None:
    words = WordList([Word(0, "x", "dog"), Word(1, "dog")])
    assert words.find("DOG") == words[1]
    assert words.get("DOG") is None


@pytest.mark.parametrize(
    ("query", "rank"),
    [
        ("hot dog", 0),
        ("ホットドッグ", 0),
        ("ho", 1),
        ("ホット", 1),
        ("d", 2),
        ("og", 3),
        ("x", None),
        ("", 1),
    ],
)
def test_the_better_a_word_completes_the_lower_its_rank(query: str, rank: int | None) -> None:
    assert match(normalise(query) if query else "", "hot dog", "ホットドッグ") == rank
