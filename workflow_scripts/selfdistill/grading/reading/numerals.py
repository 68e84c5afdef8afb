r"""A place in a list of tokens, and the numbers that stand there: decimals, mixed numbers, numbers in a base."""

from fractions import Fraction

from selfdistill.grading.reading.nodes import Node, Number
from selfdistill.grading.reading.tokens import NotOneObject, Token, Unread

BASES = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


class Cursor:
    """`position` is how far a reader has come."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens, self.position = tokens, 0

    def peek(self, ahead: int = 0) -> Token:
        place = self.position + ahead
        return self.tokens[place] if place < len(self.tokens) else Token("end", "")

    def is_sign(self, *texts: str, ahead: int = 0) -> bool:
        token = self.peek(ahead)
        return token.kind == "sign" and token.text in texts

    def is_command(self, *names: str, ahead: int = 0) -> bool:
        token = self.peek(ahead)
        return token.kind == "command" and token.text in names

    def take(self) -> Token:
        token = self.peek()
        self.position += 1
        return token

    def expect(self, text: str) -> None:
        if self.take().text != text:
            raise Unread(f"a {text} is missing")


class Numerals(Cursor):
    def mixed_number(self) -> Node | None:
        """3\\frac12 and 3 1/2."""
        whole = self.peek()
        if whole.kind != "number" or "." in whole.text:
            return None
        start = self.position
        self.take()
        fraction = self.plain_fraction()
        if fraction is None or not 0 < fraction < 1:
            self.position = start
            return None
        return Number(Fraction(whole.text) + fraction)

    def plain_fraction(self) -> Fraction | None:
        if self.is_command("frac"):
            self.take()
            over, under = self.fraction_part(), self.fraction_part()
        elif self.peek().kind == "number" and self.peek().spaced and self.is_sign("/", ahead=1):
            over, under = self.take().text, self.peek(1).text if self.peek(1).kind == "number" else None
            self.position += 2
        else:
            return None
        if over is None or under is None or not (over.isdecimal() and under.isdecimal()) or not int(under):
            return None
        return Fraction(int(over), int(under))

    def fraction_part(self) -> str | None:
        if self.is_sign("{") and self.peek(1).kind == "number" and self.is_sign("}", ahead=2):
            self.position += 3
            return self.tokens[self.position - 2].text
        if self.peek().kind == "number":
            return self.digit()
        return None

    def digit(self) -> str:
        """TeX takes one digit: \\frac12 is one half."""
        token = self.peek()
        if len(token.text) > 1 and token.text.isdecimal():
            rest = Token("number", token.text[1:])
            self.tokens[self.position : self.position + 1] = [token._replace(text=token.text[0]), rest]
        return self.take().text

    def number(self, token: Token) -> Node:
        if self.is_sign("_"):
            return self.in_base(token.text)
        if self.is_command("dots") and (found := going_on(token.text)) is not None:
            self.take()
            return found
        return decimal(token.text)

    def in_base(self, digits: str) -> Node:
        self.take()
        base = self.index_of_base()
        if not isinstance(base, Number) or base.value.denominator != 1 or not 2 <= base.value <= 36:
            raise NotOneObject("a number with an index that is no base")
        try:
            return Number(Fraction(int(digits, int(base.value))), None, int(base.value))
        except ValueError:
            raise NotOneObject("digits that its base has not") from None

    def index_of_base(self) -> Node | None:
        """2 or {2} or {(2)}."""
        start = self.position
        while self.is_sign("{", "("):
            self.take()
        token = self.take()
        while self.position > start + 1 and self.is_sign("}", ")"):
            self.take()
        if token.kind == "text" and token.text.lower() in BASES:
            return Number(Fraction(2 + BASES.index(token.text.lower())))
        return decimal(token.text) if token.kind == "number" else None


def decimal(text: str) -> Number:
    return Number(Fraction(text), len(text.partition(".")[2]) or None)


def going_on(text: str) -> Number | None:
    """0.3636… and 0.1666…: the end repeats twice, or one figure three times."""
    whole, _, decimals = text.partition(".")
    for period in range(1, len(decimals) // 2 + 1):
        times = 3 if period == 1 else 2
        unit = decimals[-period:]
        if len(decimals) >= period * times and decimals.endswith(unit * times):
            return repeating(f"{whole}.{decimals[:-period]}|{unit}")
    return None


def repeating(text: str) -> Number:
    """0.1|6, as the tokens hold 0.1\\overline{6}."""
    before, _, again = text.partition("|")
    places = len(before.partition(".")[2])
    return Number(Fraction(f"{before}0") + Fraction(int(again), 10**places * (10 ** len(again) - 1)))
