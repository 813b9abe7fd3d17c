"""Units are converted exactly, in the words of six languages, by a reflex or by the language model's call."""

from fractions import Fraction

import pytest

from agent.tools.conversion import conversion_tool
from agent.tools.reflex_words import TABLES, words_of
from agent.tools.tool import ToolError
from agent.tools.toolbox import Toolbox
from agent.tools.units import FACTORS, convert
from tests.agent.tools.test_reflexes import said, talk
from tests.support.virtual_time import in_virtual_time

F = Fraction
SAID = {
    "en": {
        "How many ounces are in a pound?": "16 ounces",
        "How many ounces are there in a cup?": "8 fluid ounces",
        "What is ten miles in kilometres?": "about 16.09 kilometers",
        "Convert 20 celsius to fahrenheit, please.": "68 degrees Fahrenheit",
        "What's 20°C in Fahrenheit?": "68 degrees Fahrenheit",
        "What is minus forty degrees Fahrenheit in Celsius?": "-40 degrees Celsius",
        "5 feet 11 inches in centimeters": "180.34 centimeters",
        "Half a mile in meters": "about 804.67 meters",
        "What is an hour and a half in minutes?": "90 minutes",
        "How many seconds are in a day?": "86,400 seconds",
        "Convert 100 km/h to mph": "about 62.14 miles per hour",
        "how many teaspoons in a tablespoon": "3 teaspoons",
        "How many kilos are in 3 stone?": "about 19.05 kilograms",
        "2 and a half miles in km": "about 4.023 kilometers",
        "A mile and a half in km.": "about 2.414 kilometers",
        "Two miles and a half in meters": "4,023.36 meters",
        "Convert 2 1/2 cups to tablespoons": "40 tablespoons",
        "3/4 cup in teaspoons": "36 teaspoons",
        "three quarters of a mile in yards": "1,320 yards",
        "two and a quarter hours in minutes": "135 minutes",
        "5 feet and a half inch in inches": "60.5 inches",
        "What is 100 km per hour in miles per hour?": "about 62.14 miles per hour",
        "60 miles an hour in km an hour": "about 96.56 kilometers per hour",
        "What's 5 m in feet?": "about 16.4 feet",
        "How many g are in 1 kg?": "1,000 grams",
        "half a gallon in l": "about 1.893 liters",
    },
    "de": {
        "Wie viele Unzen sind in einem Pfund?": "16 Unzen",
        "Was sind zehn Meilen in Kilometern?": "about 16,09 Kilometer",
        "Rechne 20 Grad Celsius in Fahrenheit um.": "68 Grad Fahrenheit",
        "Wie viel sind 5 Fuß in Zentimetern?": "152,4 Zentimeter",
        "Wie viele Minuten hat eine Stunde?": "60 Minuten",
        "Zweieinhalb Meilen in km": "about 4,023 Kilometer",
        "100 km pro Stunde in Meilen pro Stunde": "about 62,14 Meilen pro Stunde",
        "Wie viel sind 2 m in cm?": "200 Zentimeter",
    },
    "fr": {
        "Combien d'onces dans une livre ?": "16 onces",
        "Combien de grammes y a-t-il dans un kilo ?": "1 000 grammes",
        "Combien font dix miles en kilomètres ?": "about 16,09 kilomètres",
        "Convertis 20 degrés Celsius en Fahrenheit.": "68 degrés Fahrenheit",
        "Deux miles et demi en km": "about 4,023 kilomètres",
        "100 km par heure en miles par heure": "about 62,14 miles par heure",
    },
    "es": {
        "¿Cuántas onzas hay en una libra?": "16 onzas",
        "¿Cuánto son diez millas en kilómetros?": "about 16,09 kilómetros",
        "Convierte 20 grados Celsius a Fahrenheit.": "68 grados Fahrenheit",
        "Dos millas y media en km": "about 4,023 kilómetros",
        "100 km por hora en millas por hora": "about 62,14 millas por hora",
    },
    "it": {
        "Quante once ci sono in una libbra?": "16 once",
        "Quanto sono dieci miglia in chilometri?": "about 16,09 chilometri",
        "Converti 20 gradi Celsius in Fahrenheit.": "68 gradi Fahrenheit",
        "Due miglia e mezzo in km": "about 4,023 chilometri",
        "100 km all'ora in miglia all'ora": "about 62,14 miglia all’ora",
    },
    "pt": {
        "Quantas onças há em uma libra?": "16 onças",
        "Quanto são dez milhas em quilômetros?": "about 16,09 quilômetros",
        "Converte 20 graus Celsius para Fahrenheit.": "68 graus Fahrenheit",
        "Duas milhas e meia em km": "about 4,023 quilômetros",
        "100 km por hora em milhas por hora": "about 62,14 milhas por hora",
    },
}


@pytest.mark.parametrize(("language", "asked"), [(language, asked) for language in SAID for asked in SAID[language]])
def test_what_people_ask_is_answered_in_their_language(language: str, asked: str) -> None:
    words = words_of(language)
    assert words
    matched = words.match(asked)
    assert matched
    assert matched.name == "convert"
    assert matched.amount is not None
    text, is_exact = words.units.told(matched.amount, matched.unit)
    assert f"{'' if is_exact else 'about '}{text}" == SAID[language][asked]


@pytest.mark.parametrize(
    "asked",
    [
        *("What is love in French?", "ten dollars in euros", "How many miles are in a pound?", "2 in 3", "miles in"),
        *("How far is a marathon in miles?", "What is 20 degrees in Fahrenheit?", "two days in Rome", "in inches"),
        *("What is -500 celsius in kelvin?", "20 celsius 5 celsius in fahrenheit", "How many days in a month?"),
        *("how many people live in a mile", "the 5 miles in kilometers song", "five in miles"),
    ],
)
def test_what_is_no_conversion_is_left_to_the_language_model(asked: str) -> None:
    words = words_of("en")
    assert words
    assert words.match(asked) is None


def test_every_language_knows_every_unit_by_a_name_of_its_own() -> None:
    assert set(SAID) == {path.stem for path in TABLES.glob("*.toml")}
    for language in SAID:
        words = words_of(language)
        assert words
        for unit in (unit for units in FACTORS.values() for unit in units):
            text, _ = words.units.told(F(2), unit)
            name = text.removeprefix("2 ").casefold()
            # CLDR's key in place of a name.
            assert unit not in text.replace(" ", "-"), (language, text)
            assert words.units.unit(name.replace("-", " ").replace(".", "").replace("'", " ").replace("’", " ")), text


@pytest.mark.parametrize(
    ("value", "unit", "wanted", "expected"),
    [
        # The international yard and pound of 1959, NIST SP 811 and the gallon of 231 cubic inches.
        (1, "length-inch", "length-millimeter", F("25.4")),
        (1, "length-mile", "length-meter", F("1609.344")),
        (1, "mass-pound", "mass-gram", F("453.59237")),
        (1, "volume-gallon", "volume-milliliter", F("3785.411784")),
        (1, "area-acre", "area-square-foot", F(43_560)),
        (1, "power-horsepower", "power-watt", F("745.69987158227022")),
        (-40, "temperature-celsius", "temperature-fahrenheit", F(-40)),
        (0, "temperature-kelvin", "temperature-celsius", F("-273.15")),
        (F(1, 3), "length-yard", "length-foot", F(1)),
    ],
)
def test_factors_are_the_defined_ones(value: int | Fraction, unit: str, wanted: str, expected: Fraction) -> None:
    assert convert(F(value), unit, wanted) == expected
    assert convert(expected, wanted, unit) == value


def test_there_and_back_is_the_same_to_the_last_digit() -> None:
    value = F("123.456789")
    for units in FACTORS.values():
        for unit in units:
            for wanted in units:
                assert convert(convert(value, unit, wanted), wanted, unit) == value
    with pytest.raises(ToolError, match="measure different things"):
        convert(value, "length-mile", "mass-pound")


async def converted(value: object, unit: str, to: str) -> object:
    return await Toolbox([conversion_tool()]).call("convert", {"value": value, "unit": unit, "to": to})


async def test_the_model_converts_by_a_call_and_is_told_what_is_wrong() -> None:
    assert await converted(10, "miles", "Kilometers") == {"value": "16.09344", "unit": "Kilometers"}
    for unit, to, expected in (
        *(
            ("kilos", "pounds", "about 4.409245244"),
            ("miles an hour", "km/h", "3.218688"),
            ("m", "feet", "about 6.56167979"),
        ),
        *(("imperial gallons", "L", "9.09218"), ("°C", "°F", "35.6"), ("g", "kg", "0.002")),
        ("degrees Celsius", "degrees fahrenheit", "35.6"),
    ):
        assert await converted(2, unit, to) == {"value": expected, "unit": to}
    assert await converted(0.1, "km", "smoots") == {
        "error": "there is no unit 'smoots' here; there are those of " + ", ".join(FACTORS)
    }
    assert await converted(2, "cups", "ounces") == {"value": "16", "unit": "ounces"}
    assert await converted(1, "ounce", "cups") == {"value": "0.125", "unit": "cups"}
    assert await converted(1, "litre", "gallons") == {"value": "about 0.2641720524", "unit": "gallons"}
    assert await converted(1, "mile", "pounds") == {"error": "mile and pounds measure different things"}
    assert "error" in dict(await converted(float("nan"), "mile", "km"))  # pyright: ignore[reportCallIssue, reportArgumentType]
    assert "error" in dict(await converted(1e300, "mile", "km"))  # pyright: ignore[reportCallIssue, reportArgumentType]


@in_virtual_time
async def test_a_conversion_needs_no_language_model() -> None:
    held, asked = await talk("How many ounces are in a pound?", "What is ten miles in kilometers?")
    assert asked == []
    assert held.texts("bot_written") == ["That's 16 ounces.", "That's about 16.09 kilometers."]
    assert said(held).startswith("That's sixteen ounces.")
