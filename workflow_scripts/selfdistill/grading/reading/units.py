"""Units, a closed list: what may stand behind a number without changing it, and which of them are the same."""

import re

NAMES = """
mm millimeter millimetre | cm centimeter centimetre | m meter metre | km kilometer kilometre | in inch inches | ft foot feet |
yd yard | mi mile | mg milligram | g gram gramme gm | kg kilogram kilo | t ton tonne | lb lbs pound | oz ounce | ml mL milliliter millilitre |
l L liter litre | gal gallon | qt quart | pt pint | ms millisecond | s sec second | min minute | h hr hrs hour | day | week | month |
yr year | N newton | J joule | kJ kilojoule | W watt | kW kilowatt | V volt | A amp ampere | Pa pascal | Hz hertz | K kelvin |
mol mole | dollar buck USD | cent ¢ | euro | yen | rad radian | degree deg | unit | acre | cup | mi/h mph | km/h kmh kph |
"""
UNITS = {name: group.split()[0] for group in NAMES.split("|") if group.strip() for name in group.split()}
POWERS = {"square": "2", "sq": "2", "sq.": "2", "cubic": "3", "cu": "3"}
ABOUT = ("of", "the", "long", "tall", "each", "old")


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What may be counted: any word but these, which say something of the number itself.
MEANING = words("""
not no isn't isnt never none without except neither nor or and if when where than less more least most at about
over under approximately around roughly nearly almost plus minus times divided mod modulo to through between
from half thirds quarters dozen hundred thousand million billion trillion hundreds thousands millions billions
only but false wrong incorrect true is are be was equals equal the answer base for all some any every prime odd
even factorial squared cubed root percent degree degrees either approx halves fourths fifths sixths eighths
tenths hundredths thousandths pair pairs too large small upper lower bound max min impossible undefined infinity
infinite first second third fourth
""")
SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}


# A unit in another one.
IN_OTHERS = {"cent": ("dollar", "1/100"), "g": ("kg", "1/1000"), "mg": ("kg", "1/1000000"), "cm": ("m", "1/100"),
             "mm": ("m", "1/1000"), "km": ("m", "1000"), "min": ("h", "1/60"), "s": ("h", "1/3600"), "ml": ("l", "1/1000"),
             "in": ("ft", "1/12")}  # fmt: skip


def unit_of(text: str) -> str | None:
    """The unit's one name: `km/h` for `kilometers per hour`, cm^2 for `square centimeters`; None where it is no unit."""
    words = re.sub(r"\\?[\s~]+", " ", text.strip().strip(".")).replace("{", "").replace("}", "")
    over, _, under = re.sub(r"\s+per\s+|\s*/\s*", "/", words).partition("/")
    names = [_simple(part) for part in (over, under) if part]
    return "/".join(names) if names and all(names) else None  # type: ignore[arg-type]


def _simple(text: str) -> str | None:
    words, _, power = text.replace("²", "^2").replace("³", "^3").partition("^")
    found = words.split()
    if found and found[0].lower() in POWERS:
        power, found = POWERS[found[0].lower()], found[1:]
    found = [word for word in found if word.lower() not in ABOUT]
    if len(found) != 1:
        return None
    name = _name(found[0])
    return f"{name}^{power.strip()}" if name and power else name


def _name(word: str) -> str | None:
    for candidate in (word, word.lower(), word.lower().removesuffix("s"), word.lower().removesuffix("es")):
        if candidate in UNITS:
            return UNITS[candidate]
    return None


def counts_something(text: str) -> bool:
    """`apples`, `different ways`: one to three words of which none says something of the number."""
    words = re.findall(r"[A-Za-z']+", text)
    if not 1 <= len(words) <= 3 or re.search(r"[^A-Za-z'\s.,()-]", text):
        return False
    if all(unit_of(word) is not None for word in words):  # dollars and cents of one number
        return False
    return all(word.lower() not in MEANING for word in words) and any(len(word) > 2 for word in words)
