"""The language of a sentence by its words, for ears that do not tell."""

import pytest

from processors.text.language_words import language_of_words

SENTENCES = {
    "cs": "Kde je nádraží, prosím?",
    "da": "Hvad er klokken, og hvor er jeg?",
    "de": "Ich möchte ein Glas Wasser.",
    "el": "Τι ώρα είναι;",
    "en": "Could you tell me the way to the station?",
    "es": "¿Dónde está la estación?",
    "fi": "Missä minä olen nyt?",
    "fr": "Je voudrais un verre d’eau, s’il vous plaît.",
    "hu": "Hol van az állomás, kérem?",
    "it": "Dove si trova la stazione?",
    "ja": "駅はどこですか。",
    "ko": "역이 어디예요?",
    "nl": "Hoe laat is het nu?",
    "pl": "Gdzie jest dworzec, proszę?",
    "pt": "Onde fica a estação, por favor? Não sei.",
    "ro": "Unde este gara, vă rog? Mulțumesc.",
    "ru": "Где находится вокзал?",
    "sv": "Var är jag, och vad är det?",
    "tr": "İstasyon nerede, bana söyler misiniz?",
    "zh": "火车站在哪里？",
}


@pytest.mark.parametrize("language", SENTENCES)
def test_a_sentence_is_known_by_its_smallest_words_or_its_letters(language: str) -> None:
    assert language_of_words(SENTENCES[language]) == language


def test_of_two_languages_that_are_likely_another_must_be_much_more_so() -> None:
    # "Dat" is Dutch, as far as it is known here, and counts more than "was" and "is", which several have.
    assert language_of_words("Was is dat?") == "nl"
    assert language_of_words("Was is dat für ein Haus?", ("de", "en")) == "de"
    assert language_of_words("Où est la gare, et quand part le train ?", ("de", "en")) == "fr"


@pytest.mark.parametrize("text", ["", "Okay.", "Berlin 1984", "!?", "\u0301\u0301"])
def test_where_no_word_tells_nothing_is_said(text: str) -> None:
    assert language_of_words(text, ("de", "en")) is None


def test_scripts_that_several_languages_have_go_by_what_is_likely() -> None:
    assert language_of_words("Добрий день, як ся маєте?", ("uk", "en")) == "uk"
    assert language_of_words("Добър ден", ("bg", "en")) == "bg"
    assert language_of_words("東京", ("ja", "en")) == "ja"
    assert language_of_words("سلام", ("fa", "en")) == "fa"
