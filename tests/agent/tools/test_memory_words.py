"""What a turn asks of the memory, in each language of the tables; no model is asked for it."""

import pytest

from agent.tools.memory_words import MemoryWords
from agent.tools.reflex_words import TABLES, words_of

LANGUAGES = sorted(path.stem for path in TABLES.glob("*.toml"))


def words(language: str) -> MemoryWords:
    table = words_of(language)
    assert table
    return table.memory


FACTS = [
    ("en", "Remember that my cat is called Tom.", "my cat is called Tom"),
    ("en", "please remember that I don't like olives", "I don't like olives"),
    ("en", "Remember that Dr. Smith is my doctor.", "Dr. Smith is my doctor."),
    ("en", "Could you remember that Anna's birthday is on 3 May?", "Anna's birthday is on 3 May"),
    ("en", "Keep in mind that the gate code is 4711.", "the gate code is 4711"),
    ("de", "Merk dir, dass mein Hund Rex heißt.", "mein Hund Rex heißt"),
    ("de", "Denk daran, dass Anna Vegetarierin ist.", "Anna Vegetarierin ist"),
    ("fr", "Souviens-toi que mon chat s'appelle Tom.", "mon chat s'appelle Tom"),
    ("fr", "Retiens qu'Anna est végétarienne.", "Anna est végétarienne"),
    ("es", "Recuerda que mi gato se llama Tom.", "mi gato se llama Tom"),
    ("it", "Ricordati che il mio gatto si chiama Tom.", "il mio gatto si chiama Tom"),
    ("pt", "Lembra-te de que o meu gato se chama Tom.", "o meu gato se chama Tom"),
    ("pt", "Lembre que o meu gato se chama Tom.", "o meu gato se chama Tom"),
]
NO_FACTS = [
    ("en", "I remember that day."),
    ("en", "Do you remember that my cat is called Tom?"),
    ("en", "Remember the milk."),
    ("en", "Remember that my cat is called Tom and then tell me a story."),
    ("en", "Remember that please."),
    ("en", "Remember that I don't like tea. No wait, don't."),
    ("de", "Merk dir, dass mein Hund Rex heißt. Ach nein, lass es."),
    ("de", "Merkst du, dass es regnet?"),
    ("fr", "Je me souviens que mon chat s'appelle Tom."),
]


@pytest.mark.parametrize(("language", "text", "fact"), FACTS)
def test_a_fact_is_kept_as_it_was_said(language: str, text: str, fact: str) -> None:
    assert words(language).fact(text) == fact


@pytest.mark.parametrize(("language", "text"), NO_FACTS)
def test_what_only_speaks_of_remembering_is_no_fact(language: str, text: str) -> None:
    assert words(language).fact(text) == ""


@pytest.mark.parametrize(
    ("language", "text", "fact"),
    [
        ("en", "Forget that my cat is called Tom.", "my cat is called Tom"),
        ("en", "please forget that I like olives", "I like olives"),
        ("de", "Vergiss, dass mein Hund Rex heißt.", "mein Hund Rex heißt"),
        ("fr", "Oublie que mon chat s'appelle Tom.", "mon chat s'appelle Tom"),
        ("es", "Olvida que mi gato se llama Tom.", "mi gato se llama Tom"),
        ("it", "Dimentica che il mio gatto si chiama Tom.", "il mio gatto si chiama Tom"),
        ("pt", "Esquece que o meu gato se chama Tom.", "o meu gato se chama Tom"),
        ("en", "Forget that.", ""),
        ("en", "Forget that idea.", ""),
        ("en", "I forget that my cat is called Tom.", ""),
        ("en", "Forget that my cat is called Tom. No, keep it.", ""),
    ],
)
def test_a_fact_is_forgotten_as_it_was_said(language: str, text: str, fact: str) -> None:
    assert words(language).forgotten(text) == fact


@pytest.mark.parametrize(
    ("about", "text", "answers"),
    [
        ("dog", "my dog is called Rex", True),
        ("dog", "my cat is called Tom", False),
        ("", "my cat is called Tom", True),
        ("I remember that day well.", "I am allergic to nuts", False),
        ("I remember that.", "I am allergic to nuts", False),
    ],
)
def test_what_a_model_looks_for_is_answered_by_what_has_its_words(about: str, text: str, answers: bool) -> None:
    asked = words("en").asked_of(about)
    assert (asked is not None and (not asked or words("en").tells_of(asked, text))) == answers


ANSWERED = [
    ("en", "What is my cat called?", "my cat is called Tom"),
    ("en", "what's my cat's name", "my cat is called Tom"),
    ("en", "What's my name?", "my name is Ben"),
    ("en", "What am I called?", "my name is Ben"),
    ("en", "What do I like?", "I like olives"),
    ("en", "When is Anna's birthday?", "Anna's birthday is on 3 May"),
    ("en", "Do you remember what I told you about Norway?", "we go to Norway in June"),
    ("de", "Wie heißt mein Hund?", "mein Hund Rex heißt"),
    ("de", "Wie heißt mein Hund noch mal?", "der Name meines Hundes ist Rex"),
    ("de", "Wie heiße ich?", "mein Name ist Ben"),
    ("fr", "Comment s'appelle mon chat ?", "mon chat s'appelle Tom"),
    ("es", "¿Cómo se llama mi gato?", "mi gato se llama Tom"),
    ("it", "Come si chiama il mio gatto?", "il mio gatto si chiama Tom"),
    ("pt", "Como se chama o meu gato?", "o meu gato se chama Tom"),
]
NOT_ANSWERED = [
    ("en", "What is my cat called?", "my dog is called Rex"),
    ("en", "How old is my car?", "my car is a red Volvo"),
    ("en", "What's my name?", "my cat is from Rome"),
    ("en", "What's my name?", "my cat is called Tom"),
    ("de", "Wie heiße ich?", "mein Hund heißt Rex"),
    ("en", "What is my dog called?", "my name is Ben"),
    ("en", "What is my cat called?", "What is my cat called?"),
    ("de", "Wie heißt mein Hund?", "meine Katze heißt Tom"),
    ("de", "Wann hat Anna Geburtstag?", "Anna ist Vegetarierin"),
]


@pytest.mark.parametrize(("language", "question", "text"), ANSWERED)
def test_a_question_is_answered_by_what_has_all_its_words(language: str, question: str, text: str) -> None:
    asked = words(language).asked_of(question)
    assert asked
    assert words(language).tells_of(asked, text)


@pytest.mark.parametrize(("language", "question", "text"), NOT_ANSWERED)
def test_a_question_is_not_answered_by_what_is_merely_like_it(language: str, question: str, text: str) -> None:
    asked = words(language).asked_of(question)
    assert asked
    assert not words(language).tells_of(asked, text)


@pytest.mark.parametrize(
    ("language", "text"),
    [("en", "What do you remember about me?"), ("de", "Was hast du dir gemerkt?"), ("es", "¿Qué recuerdas?")],
)
def test_who_asks_for_nothing_else_asks_for_the_latest(language: str, text: str) -> None:
    assert words(language).asked_about(text) == frozenset()


@pytest.mark.parametrize(
    ("language", "text"),
    [("en", "My cat is sick."), ("en", "Turn on my lamp."), ("en", "What is this?"), ("de", "Mein Hund ist krank.")],
)
def test_what_asks_for_nothing_is_not_looked_up(language: str, text: str) -> None:
    assert words(language).asked_about(text) is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_says_what_is_asked_of_the_memory(language: str) -> None:
    assert words(language).asked_about("") is None
    assert words(language).fact("") == ""
