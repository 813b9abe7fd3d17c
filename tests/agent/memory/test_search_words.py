"""Queries are quoted words, whatever the text; several languages are found."""

import random
import sqlite3

import pytest

from agent.memory.search_words import MAX_WORDS, indexed, queries

SIGNS = "\"'*():^-+{}[]~,;.\\%_&|<>=!?/@#\0\t\n aBé東京ไทยß½٣ 한국\ud800\U0001f600NEAR AND OR NOT words:"


def any_of(text: str) -> str:
    return " OR ".join(queries(text))


def all_of(text: str) -> str:
    return " AND ".join(queries(text))


@pytest.fixture
def index() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:")
    db.execute("create virtual table i using fts5(words, tokenize='unicode61 remove_diacritics 2')")
    return db


def found(db: sqlite3.Connection, kept: str, query: str) -> bool:
    db.execute("delete from i")
    db.execute("insert into i values (?)", (indexed(kept),))
    return bool(query) and db.execute("select count(*) from i where i match ?", (query,)).fetchone() == (1,)


def test_no_text_is_ever_more_than_words_to_fts5(index: sqlite3.Connection) -> None:
    chance = random.Random(14)
    for _ in range(3_000):
        text = "".join(chance.choices(SIGNS, k=chance.randrange(40)))
        for query in (any_of(text), all_of(text)):
            # A syntax error raises; a word that stands in the text finds it.
            assert found(index, text, query) == bool(query), (text, query)


@pytest.mark.parametrize(
    "text", ['a" OR words : "b', "NEAR(a b)", "-secret", "^a*", "words:b", "a AND NOT b", "(((", "'; --"]
)
def test_what_is_a_command_to_fts5_is_only_words_here(text: str, index: sqlite3.Connection) -> None:
    assert not found(index, "nothing of that stands here", any_of(text.replace("a", "").replace("b", "")) or '"zzz"')
    assert found(index, f"before {text} after", any_of(text)) == any(sign.isalnum() for sign in text)


@pytest.mark.parametrize(
    ("kept", "asked"),
    [
        ("My sister's birthday is on May 5.", "When are the birthdays?"),
        ("Der Schlüssel liegt unter der Matte.", "schlussel"),
        ("Le café ferme à huit heures.", "CAFE"),
        ("Mi contraseña está en el cajón.", "contrasena"),
        ("私の妹は東京に住んでいます。", "東京の妹"),
        ("我的钥匙在厨房里", "钥匙在哪里"),
        ("กุญแจอยู่ในครัว", "กุญแจ"),
        ("내 여동생은 서울에 살아요", "서울"),
        ("내 여동생은 서울 근처에 살아요", "서울에서"),
        ("Мой врач принимает по средам", "врача зовут"),
        ("ＦＵＬＬ width", "full"),
        ("Die Straße ist gesperrt.", "STRASSE"),
        ("مفتاحي في المطبخ", "المطبخ"),
    ],
)
def test_words_are_found_in_their_language(kept: str, asked: str, index: sqlite3.Connection) -> None:
    assert found(index, kept, any_of(asked))
    assert not found(index, "something else entirely 別の話 别的事", any_of(asked))


def test_a_query_has_few_words_however_long_the_text() -> None:
    assert len(queries(" ".join(f"word{number}" for number in range(10_000)))) == MAX_WORDS
    assert queries("?!") == queries("") == []
