"""Units and their exact factors: fractions all the way, after the definitions of NIST SP 811 and the BIPM.

In:  a value in one unit.   Out: the same in another, as a Fraction.

A table, and not pint: that costs 1.9 s of CPU to load and knows no names but English ones, while CLDR's names of these
units come with babel, which is loaded anyway. Keys are CLDR's. Pints, gallons, cups and spoons are those of the US.
"""

from fractions import Fraction

from agent.tools.tool import ToolError

F = Fraction
_INCH = F("0.0254")
_FOOT = 12 * _INCH
_MILE = 5280 * _FOOT
_POUND_G = F("453.59237")
_GALLON_L = F("3.785411784")
_POUND_FORCE = _POUND_G / 1000 * F("9.80665")

# In the unit of the kind that has 1.
FACTORS: dict[str, dict[str, Fraction]] = {
    "length": {
        "length-kilometer": F(1000),
        "length-meter": F(1),
        "length-decimeter": F(1, 10),
        "length-centimeter": F(1, 100),
        "length-millimeter": F(1, 1000),
        "length-micrometer": F(1, 10**6),
        "length-mile": _MILE,
        "length-yard": 3 * _FOOT,
        "length-foot": _FOOT,
        "length-inch": _INCH,
        "length-nautical-mile": F(1852),
    },
    "mass": {
        "mass-tonne": F(10**6),
        "mass-kilogram": F(1000),
        "mass-gram": F(1),
        "mass-milligram": F(1, 1000),
        "mass-pound": _POUND_G,
        "mass-ounce": _POUND_G / 16,
        "mass-stone": 14 * _POUND_G,
        "mass-ton": 2000 * _POUND_G,
    },
    "volume": {
        "volume-cubic-meter": F(1000),
        "volume-hectoliter": F(100),
        "volume-liter": F(1),
        "volume-deciliter": F(1, 10),
        "volume-centiliter": F(1, 100),
        "volume-milliliter": F(1, 1000),
        "volume-cubic-centimeter": F(1, 1000),
        "volume-gallon": _GALLON_L,
        "volume-gallon-imperial": F("4.54609"),
        "volume-quart": _GALLON_L / 4,
        "volume-pint": _GALLON_L / 8,
        "volume-cup": _GALLON_L / 16,
        "volume-fluid-ounce": _GALLON_L / 128,
        "volume-tablespoon": _GALLON_L / 256,
        "volume-teaspoon": _GALLON_L / 768,
    },
    "speed": {
        "speed-meter-per-second": F(1),
        "speed-kilometer-per-hour": F(1000, 3600),
        "speed-mile-per-hour": _MILE / 3600,
        "speed-knot": F(1852, 3600),
    },
    "area": {
        "area-square-kilometer": F(10**6),
        "area-hectare": F(10**4),
        "area-square-meter": F(1),
        "area-square-centimeter": F(1, 10**4),
        "area-square-mile": _MILE**2,
        "area-acre": _MILE**2 / 640,
        "area-square-yard": (3 * _FOOT) ** 2,
        "area-square-foot": _FOOT**2,
        "area-square-inch": _INCH**2,
    },
    "duration": {
        "duration-week": F(604_800),
        "duration-day": F(86_400),
        "duration-hour": F(3600),
        "duration-minute": F(60),
        "duration-second": F(1),
        "duration-millisecond": F(1, 1000),
    },
    "digital": {
        "digital-terabyte": F(10**12),
        "digital-gigabyte": F(10**9),
        "digital-megabyte": F(10**6),
        "digital-kilobyte": F(10**3),
        "digital-byte": F(1),
        "digital-bit": F(1, 8),
    },
    "energy": {
        "energy-kilowatt-hour": F(3_600_000),
        "energy-kilojoule": F(1000),
        "energy-joule": F(1),
        "energy-kilocalorie": F(4184),
        "energy-calorie": F("4.184"),
    },
    "power": {
        "power-kilowatt": F(1000),
        "power-watt": F(1),
        "power-horsepower": 550 * _FOOT * _POUND_FORCE,
    },
    "pressure": {
        "pressure-bar": F(100_000),
        "pressure-hectopascal": F(100),
        "pressure-pound-force-per-square-inch": _POUND_FORCE / _INCH**2,
    },
    "temperature": {
        "temperature-kelvin": F(1),
        "temperature-celsius": F(1),
        "temperature-fahrenheit": F(5, 9),
    },
}
# What is nought on these scales, in kelvins.
_NOUGHT = {"temperature-celsius": F("273.15"), "temperature-fahrenheit": F("459.67") * F(5, 9)}
_KINDS = {unit: kind for kind, units in FACTORS.items() for unit in units}


def kind_of(unit: str) -> str:
    """What a unit measures, such as length."""
    return _KINDS[unit]


def convert(value: Fraction, unit: str, wanted: str) -> Fraction:
    """A value in another unit, exactly.

    Args:
        value: In `unit`.
        unit: A key of the table.
        wanted: Another.

    Raises:
        ToolError: They measure different things, or it is colder than anything can be.
    """
    kind = kind_of(unit)
    if kind != kind_of(wanted):
        raise ToolError(f"{unit} and {wanted} measure different things")
    base = value * FACTORS[kind][unit] + _NOUGHT.get(unit, 0)
    if kind == "temperature" and base < 0:
        raise ToolError("nothing is as cold as that")
    return (base - _NOUGHT.get(wanted, 0)) / FACTORS[kind][wanted]
