"""Units and currencies as English words: `5 km/h` becomes `5 kilometers per hour`.

In:  text with amounts in digits.   Out: the digits stay before the unit's words, but amounts of money are words.
"""

import re
from collections.abc import Callable

# symbol: (one, many). One-letter symbols are read as units only right behind their number.
_UNITS = {
    "km": ("kilometer", "kilometers"), "m": ("meter", "meters"), "cm": ("centimeter", "centimeters"),
    "mm": ("millimeter", "millimeters"), "µm": ("micrometer", "micrometers"), "nm": ("nanometer", "nanometers"),
    "mi": ("mile", "miles"), "ft": ("foot", "feet"), "yd": ("yard", "yards"),
    "kg": ("kilogram", "kilograms"), "g": ("gram", "grams"), "mg": ("milligram", "milligrams"),
    "µg": ("microgram", "micrograms"), "lb": ("pound", "pounds"), "lbs": ("pound", "pounds"),
    "oz": ("ounce", "ounces"), "L": ("liter", "liters"), "l": ("liter", "liters"),
    "ml": ("milliliter", "milliliters"), "mL": ("milliliter", "milliliters"), "cl": ("centiliter", "centiliters"),
    "dl": ("deciliter", "deciliters"), "tsp": ("teaspoon", "teaspoons"), "tbsp": ("tablespoon", "tablespoons"),
    "s": ("second", "seconds"), "sec": ("second", "seconds"), "secs": ("second", "seconds"),
    "ms": ("millisecond", "milliseconds"), "µs": ("microsecond", "microseconds"),
    "ns": ("nanosecond", "nanoseconds"), "min": ("minute", "minutes"), "mins": ("minute", "minutes"),
    "h": ("hour", "hours"), "hr": ("hour", "hours"), "hrs": ("hour", "hours"),
    "kB": ("kilobyte", "kilobytes"), "KB": ("kilobyte", "kilobytes"),
    "MB": ("megabyte", "megabytes"), "GB": ("gigabyte", "gigabytes"), "TB": ("terabyte", "terabytes"),
    "PB": ("petabyte", "petabytes"), "KiB": ("kibibyte", "kibibytes"), "MiB": ("mebibyte", "mebibytes"),
    "GiB": ("gibibyte", "gibibytes"), "TiB": ("tebibyte", "tebibytes"),
    "bps": ("bit per second", "bits per second"), "kbps": ("kilobit per second", "kilobits per second"),
    "Mbps": ("megabit per second", "megabits per second"), "Gbps": ("gigabit per second", "gigabits per second"),
    "Hz": ("hertz", "hertz"), "kHz": ("kilohertz", "kilohertz"), "MHz": ("megahertz", "megahertz"),
    "GHz": ("gigahertz", "gigahertz"), "V": ("volt", "volts"), "mV": ("millivolt", "millivolts"),
    "kV": ("kilovolt", "kilovolts"), "A": ("amp", "amps"), "mA": ("milliamp", "milliamps"),
    "mAh": ("milliamp hour", "milliamp hours"), "W": ("watt", "watts"), "mW": ("milliwatt", "milliwatts"),
    "kW": ("kilowatt", "kilowatts"), "MW": ("megawatt", "megawatts"), "GW": ("gigawatt", "gigawatts"),
    "Wh": ("watt hour", "watt hours"), "kWh": ("kilowatt hour", "kilowatt hours"),
    "J": ("joule", "joules"), "kJ": ("kilojoule", "kilojoules"), "cal": ("calorie", "calories"),
    "kcal": ("kilocalorie", "kilocalories"), "dB": ("decibel", "decibels"), "Pa": ("pascal", "pascals"),
    "hPa": ("hectopascal", "hectopascals"), "kPa": ("kilopascal", "kilopascals"),
    "psi": ("pound per square inch", "pounds per square inch"), "mph": ("mile per hour", "miles per hour"),
    "kph": ("kilometer per hour", "kilometers per hour"), "kmh": ("kilometer per hour", "kilometers per hour"),
    "rpm": ("revolution per minute", "revolutions per minute"), "px": ("pixel", "pixels"),
    "fps": ("frame per second", "frames per second"), "ha": ("hectare", "hectares"), "Ω": ("ohm", "ohms"),
    "°C": ("degree Celsius", "degrees Celsius"), "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "°": ("degree", "degrees"),
}  # fmt: skip
_GLUED_ONLY = frozenset("AJ")
_LENGTHS = frozenset(("km", "m", "cm", "mm", "mi", "ft"))
_PER = {
    "s": "second", "sec": "second", "second": "second", "min": "minute", "minute": "minute", "h": "hour",
    "hr": "hour", "hour": "hour", "day": "day", "week": "week", "month": "month", "year": "year", "m": "meter",
    "km": "kilometer", "kg": "kilogram", "L": "liter", "l": "liter", "ml": "milliliter", "mL": "milliliter",
}  # fmt: skip

# symbol or code: (one, many, the hundredth, the hundredths).
_CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"), "€": ("euro", "euros", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"), "¥": ("yen", "yen", "", ""), "₹": ("rupee", "rupees", "paisa", "paise"),
    "₩": ("won", "won", "", ""), "USD": ("US dollar", "US dollars", "cent", "cents"),
    "EUR": ("euro", "euros", "cent", "cents"), "GBP": ("pound", "pounds", "penny", "pence"),
    "JPY": ("yen", "yen", "", ""), "CHF": ("Swiss franc", "Swiss francs", "", ""),
    "CAD": ("Canadian dollar", "Canadian dollars", "cent", "cents"),
    "AUD": ("Australian dollar", "Australian dollars", "cent", "cents"),
    "INR": ("rupee", "rupees", "paisa", "paise"), "CNY": ("yuan", "yuan", "", ""),
}  # fmt: skip
_MAGNITUDES = {
    "k": "thousand", "K": "thousand", "m": "million", "M": "million", "mn": "million", "B": "billion",
    "b": "billion", "bn": "billion", "tn": "trillion", "T": "trillion",
}  # fmt: skip

NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3}){1,5}(?:\.[0-9]{1,15})?|[0-9]{1,15}(?:\.[0-9]{1,15})?)"
NUMBER_START = r"(?<![0-9A-Za-z_])(?<![0-9][.,])"


def _any_of(words: dict[str, object] | dict[str, str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_GREEK_MICRO = re.compile(r"(?:(?<=[0-9])|(?<=[0-9] ))μ(?=[mgs]\b)")
_AMOUNT = re.compile(
    rf"{NUMBER_START}(?P<number>{NUMBER})(?P<gap>[ -]?)(?P<unit>{_any_of(dict(_UNITS))})(?P<power>[²³])?"
    rf"(?:/(?P<per>{_any_of(_PER)}))?(?![0-9A-Za-z])(?:\.(?= [a-z]))?"
)
_MAGNITUDE = rf"(?:\s?(?P<magnitude>thousand|million|billion|trillion)\b|(?P<suffix>{_any_of(_MAGNITUDES)})\b)?"
_SIGN_FIRST = re.compile(
    rf"(?:\bUS|\bC|\bA)?(?P<currency>[$€£¥₹₩])\s?(?P<number>{NUMBER})(?![0-9]){_MAGNITUDE}(?P<per>\s?/\s?(?=[a-z0-9]))?"
)
_CODE = r"(?:[$€£¥₹₩]|(?:USD|EUR|GBP|JPY|CHF|CAD|AUD|INR|CNY)\b)"
_SIGN_LAST = re.compile(
    rf"{NUMBER_START}(?P<number>{NUMBER}){_MAGNITUDE}\s?(?P<currency>{_CODE})(?P<per>\s?/\s?(?=[a-z0-9]))?"
)
_CODE_FIRST = re.compile(
    rf"\b(?P<currency>USD|EUR|GBP|JPY|CHF|CAD|AUD|INR|CNY)\s?(?P<number>{NUMBER})(?![0-9]){_MAGNITUDE}(?P<per>)"
)


def expand_units(text: str) -> str:
    """Write units behind numbers as words; the numbers stay digits."""
    return _AMOUNT.sub(_unit_words, _GREEK_MICRO.sub("µ", text))


def expand_currencies(text: str, spell: Callable[[str], str]) -> str:
    """Write amounts of money as words.

    Args:
        text: Text with amounts such as `$3.50`, `5 €`, `USD 20`, `$1.5 million`.
        spell: Turns a number's digits into words.
    """
    for pattern in (_SIGN_FIRST, _CODE_FIRST, _SIGN_LAST):
        text = pattern.sub(lambda match: _money_words(match, spell), text)
    return text


def _unit_words(match: re.Match[str]) -> str:
    unit, gap, number = match["unit"], match["gap"], match["number"]
    power = match["power"] or ""
    if (unit in _GLUED_ONLY and gap) or (power and unit not in _LENGTHS) or (gap == "-" and len(unit) == 1):
        return match[0]
    words = _UNITS[unit][0 if number == "1" or gap == "-" else 1]
    if power:
        words = f"{'square' if power == '²' else 'cubic'} {words}"
    if match["per"]:
        words = f"{words} per {_PER[match['per']]}"
    return f"{number}{gap or ' '}{words}"


def _money_words(match: re.Match[str], spell: Callable[[str], str]) -> str:
    number = match["number"].replace(",", "")
    one, many, hundredth, hundredths = _CURRENCIES[match["currency"]]
    per = " per " if match["per"] else ""
    magnitude = match["magnitude"] or _MAGNITUDES.get(match["suffix"] or "", "")
    if magnitude:
        return f"{spell(number)} {magnitude} {many}{per}"
    whole, _, fraction = number.partition(".")
    if fraction and (len(fraction) != 2 or not hundredth):
        return f"{spell(number)} {many}{per}"
    cents = int(fraction or 0)
    big = f"{spell(whole)} {one if int(whole) == 1 else many}"
    small = f"{spell(str(cents))} {hundredth if cents == 1 else hundredths}"
    if not cents:
        return big + per
    return (f"{big} and {small}" if int(whole) else small) + per
