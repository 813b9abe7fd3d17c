"""What is written and what is said, language by language: the table is `spoken_cases.tsv`."""

import random
from pathlib import Path

import pytest

from processors.text.language_pack import pack_of
from processors.text.speakable import speakable
from processors.text.speakable_stream import SpeakableStream
from processors.text.spoken_words import roman_value
from tests.support.cpu_time import MOST, growth

CASES = [
    tuple(line.split("\t"))
    for line in (Path(__file__).parent / "spoken_cases.tsv").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
NEIGHBOURS = [
    tuple(line.split("\t"))
    for line in (Path(__file__).parent / "spoken_neighbours.tsv").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]
LANGUAGES = sorted({language for language, _, _ in CASES})


def streamed(tokens: list[str], language: str) -> list[str]:
    stream = SpeakableStream(language=language)
    pieces = [piece for token in tokens for piece in stream.push(token)]
    return [*pieces, *stream.flush()]


def bare(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize(("language", "text", "spoken"), CASES)
def test_a_token_is_said_as_what_it_is_in_its_language(language: str, text: str, spoken: str) -> None:
    assert speakable(text, language) == spoken


@pytest.mark.parametrize(
    ("language", "text", "spoken"),
    [
        ("de", "5,00 €", "5 Euro"),
        ("de", "0,99 €", "99 Cent"),
        ("de", "-3,50 €", "minus 3 Euro 50"),
        ("de", "1,01 €", "1 Euro und 1 Cent"),
        ("de", "3,5 €", "drei Komma fünf Euro"),
        ("de", "12.50 CHF", "12 Schweizer Franken 50"),
        ("fr", "3,50 €", "3 euros 50"),
        ("fr", "À 12€50.", "À 12 euros 50."),
        ("fr", "À 12€50, oui", "À 12 euros 50, oui"),
        ("fr", "0,99 €", "99 centimes"),
        ("fr", "1,05 €", "1 euro et 5 centimes"),
        ("es", "3,50 €", "3 euros con 50 céntimos"),
        ("es", "0,01 €", "1 céntimo"),
        ("it", "3,50 €", "3 euro e 50 centesimi"),
        ("pt", "R$ 3,50", "3 reais e 50 centavos"),
        ("pt", "2,99 €", "2 euros e 99 cêntimos"),
        ("de", "19,99 EUR", "19 Euro 99"),
        ("de", "19,99 USD", "19 US-Dollar 99"),
        ("es", "19,99 EUR", "19 euros con 99 céntimos"),
        ("pt", "2,99 BRL", "2 reais e 99 centavos"),
    ],
)
def test_hundredths_of_a_currency_have_their_name(language: str, text: str, spoken: str) -> None:
    assert speakable(text, language) == spoken


@pytest.mark.parametrize("language", sorted({language for language, _, _ in NEIGHBOURS}))
def test_the_neighbours_of_those_tokens_are_spoken_right_too(language: str) -> None:
    wanted = {text: spoken for name, text, spoken in NEIGHBOURS if name == language}
    assert {text: speakable(text, language) for text in wanted} == wanted


@pytest.mark.parametrize("language", sorted({language for language, _, _ in NEIGHBOURS} - {"ja", "zh"}))
def test_neighbours_in_any_order_are_spoken_the_same_whole_and_in_random_tokens(language: str) -> None:
    rng = random.Random(11)
    texts = [text for name, text, _ in (*CASES, *NEIGHBOURS) if name == language]
    for _ in range(60):
        joint = rng.choice((", ", " ", "; ", ". ", "\n", "\n\n", " - ", " ("))
        text = joint.join(rng.choices(texts, k=rng.randint(1, 5)))
        cuts = sorted(rng.choices(range(len(text) + 1), k=rng.randint(0, 8)))
        tokens = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        pieces = streamed(tokens, language)
        assert pieces == streamed(list(text), language)
        assert bare(" ".join(pieces)) == bare(speakable(text, language))


@pytest.mark.parametrize(("language", "text", "spoken"), CASES)
def test_what_is_spoken_stays_as_it_is(language: str, text: str, spoken: str) -> None:
    assert speakable(spoken, language) == spoken


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_spoken_does_not_depend_on_how_the_text_comes(language: str) -> None:
    rng = random.Random(5)
    texts = [text for name, text, _ in CASES if name == language]
    for _ in range(25):
        text = rng.choice((", ", " ", "; ")).join(rng.choices(texts, k=rng.randint(1, 4)))
        pieces = streamed(list(text), language)
        assert streamed([text], language) == pieces
        cuts = sorted(rng.choices(range(len(text) + 1), k=6))
        tokens = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        assert streamed(tokens, language) == pieces


@pytest.mark.parametrize(
    ("language", "text"),
    [(language, text) for language, text, _ in CASES if language not in ("ja", "zh")],
)
def test_pieces_joined_are_what_the_whole_text_would_be(language: str, text: str) -> None:
    assert bare(" ".join(streamed(list(text), language))) == bare(speakable(text, language))


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Wir treffen uns am 3. Mai in Berlin"),
        ("de", "Das war am 5. Nov. 2020 in Wien"),
        ("de", "Wir sind vom 1.–3. Mai in Berlin"),
        ("de", "Wir sind vom 1. - 3. Mai in Berlin"),
        ("en", "This is Martin Luther King Jr. Day"),
        ("de", "Er kam auf den 1. Platz der Liste"),
        ("de", "Das kostet 1,5 Mio. Euro im Jahr"),
        ("de", "Es geht z. B. Montag oder ca. Dienstag"),
        ("es", "Vive en EE. UU. desde siempre"),
        ("en", "Visit example.com today"),
        ("en", "Call 555-0123 ext. 12 today"),
        ("en", "He met Mt. Everest guide John Jr. and left"),
    ],
)
def test_spoken_text_is_never_cut_inside_an_ordinal_a_date_an_abbreviation_or_an_address(
    language: str, text: str
) -> None:
    assert len(streamed(list(text), language)) == 1


def test_a_sentence_ends_behind_a_number_before_a_word_that_begins_one() -> None:
    assert streamed(list("Es waren nur 3. Dann ging er."), "de") == ["Es waren nur 3.", "Dann ging er."]


def test_a_dot_without_a_space_is_no_spoken_end_until_the_wait_is_long() -> None:
    stream = SpeakableStream(first_min_words=100)
    stream.push("Visit example.")
    assert stream.settle(behind_dot=False) == []
    assert stream.settle(behind_dot=True) == ["Visit example."]


def test_a_spoken_language_without_a_table_keeps_its_signs() -> None:
    assert speakable("-5 °C, 1.5 kg, 14:30, $5", "xx") == "-5 °C, 1.5 kg, 14:30, $5"


def test_every_pack_is_read_and_names_a_minus_for_the_spoken_text() -> None:
    packs = Path(__file__).parents[3] / "processors" / "text" / "packs"
    names = sorted(path.stem for path in packs.glob("*.toml") if path.stem != "units")
    assert len(names) >= 12
    assert [name for name in names if "minus" not in pack_of(name).words] == []


def test_a_spoken_date_follows_the_order_of_the_region() -> None:
    assert speakable("03/04/2024", "en-us") == "March fourth, twenty twenty-four"
    assert speakable("03/04/2024", "en-gb") == "the third of April, twenty twenty-four"


@pytest.mark.parametrize(
    ("numeral", "value"),
    [("IV", 4), ("XLII", 42), ("MCMXC", 1990), ("IIII", 0), ("IM", 0), ("VX", 0), ("", 0)],
)
def test_a_spoken_roman_numeral_has_its_value_or_is_none(numeral: str, value: int) -> None:
    assert roman_value(numeral) == value


HOSTILE = [
    *("7", "あ", "-5 ", "1,234,", "1.234.", "1 234 ", "5€-", "5 - ", "$x+", "$a ", "\\(", "\\frac{", "x^", "x^{", "{"),
    *("5'", '5"', "1/", "1:30 ", "14h", "5 May ", "3. A", "5 Mio. ", "IV ", "Dr. ", "St. A ", "/a", "a<", "1=", "²"),
    *("555-0123 ext. ", "+1 ", "0 1", "(1", "http://a.b/c", "a@b.", "Call 1 ", "1x", "€", "de ", "A "),
]


@pytest.mark.parametrize("unit", HOSTILE)
@pytest.mark.parametrize("language", ["en", "de"])
def test_the_work_of_spoken_text_grows_with_its_length(unit: str, language: str) -> None:
    assert growth(lambda text: speakable(text, language), unit, 16_000) < MOST
