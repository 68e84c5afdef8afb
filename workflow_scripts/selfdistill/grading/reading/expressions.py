r"""From tokens to an expression, with one meaning for each form of writing:

3\frac12 is three and a half, since a whole number stands right before a proper fraction of whole numbers; 3\cdot\frac12,
3\frac32, x\frac12 and 2\binom52 are products. 1/2x is half of x. \sin 2x takes the product up to the next sign, function or
dot. A bare letter is a symbol and never a unit, and R is not r.
"""

from selfdistill.grading.reading.nodes import PLUS_MINUS, Apply, Node, Number, Symbol, integer
from selfdistill.grading.reading.numerals import Numerals, decimal, repeating
from selfdistill.grading.reading.tokens import FUNCTIONS, NotOneObject, Token, Unread
from selfdistill.grading.reading.units import words

GREEK = words("""
alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi chi psi omega
Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell hbar imath jmath
""")
DECORATIONS = words("""
vec hat bar tilde dot ddot overline underline widehat widetilde overrightarrow overarc mathbb mathcal mathfrak
mathscr
""")  # fmt: skip
SIGNED = {"+": 1, "-": -1}
TIMES = frozenset({"cdot", "times", "ast"})
OPEN = {"(": ")", "[": "]", "{": "}"}
OF_SEVERAL = frozenset({"max", "min", "gcd", "lcm"})
APPROXIMATE = frozenset({"approx", "sim", "simeq", "cong"})
TRIGONOMETRIC = words("""
sin cos tan cot sec csc
""")
DEEPEST = 60


class Expressions(Numerals):
    """A reader of expressions over a list of tokens."""

    def __init__(self, tokens: list[Token]) -> None:
        super().__init__(tokens)
        self.depth = 0
        self.bars = 0  # open |

    # Sums and products

    def whole(self) -> Node:
        found = self.sum()
        if self.position < len(self.tokens):
            raise Unread(f"{self.peek().text} was not expected")
        return found

    def sum(self) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unread("too deep")
        terms = [self.signed_term()]
        while self.is_sign("+", "-") or self.is_command("pm", "mp"):
            terms.append(self.signed_term())
        found = terms[0] if len(terms) == 1 else Apply("sum", tuple(terms))
        if self.is_command("choose"):
            self.take()
            found = Apply("binom", (found, self.sum()))
        self.depth -= 1
        return found

    def signed_term(self) -> Node:
        if self.is_sign("+", "-"):
            sign = SIGNED[self.take().text]
            term = self.signed_term() if self.is_sign("+", "-") else self.product()
            return term if sign > 0 else Apply("neg", (term,))
        if self.is_command("pm", "mp"):
            sign = 1 if self.take().text == "pm" else -1
            return Apply(PLUS_MINUS, (self.product(), integer(sign)))
        return self.product()

    def product(self, argument: bool = False) -> Node:
        """`argument`: of a function without brackets, which ends before another function and before a dot or a slash."""
        found = self.power(first=True)
        while True:
            if not argument and (self.is_command(*TIMES) or self.is_sign("*")):
                self.take()
                found = Apply("product", (found, self.signed_factor()))
            elif (self.is_sign("/") or self.is_command("div")) and (not argument or _is_of_pi(found)):
                self.take()
                found = Apply("quotient", (found, self.signed_factor()))
            elif self.is_command(*APPROXIMATE):
                raise NotOneObject("an approximation")
            elif self.starts_factor(argument):
                if self.peek().kind == "number" and not self.number_may_follow():
                    raise Unread("a number without a sign before it")
                found = Apply("product", (found, self.power()))
            else:
                return found

    def number_may_follow(self) -> bool:
        """n2^{n} and (n-1)2 are products; x2, 3 4 and (b) 5, which marks a choice, are not."""
        before = self.tokens[: self.position]
        if before[-1].kind == "number":  # 2^6 3^5
            return len(before) > 1 and before[-2].text == "^" and self.peek().spaced and self.is_sign("^", ahead=1)
        marks_a_choice = len(before) > 2 and before[-3].text == "(" and before[-2].kind == "letter"
        return self.is_sign("^", ahead=1) or (before[-1].text == ")" and not marks_a_choice)

    def signed_factor(self) -> Node:
        if self.is_sign("+", "-"):
            sign = SIGNED[self.take().text]
            factor = self.power()
            return factor if sign > 0 else Apply("neg", (factor,))
        return self.power(first=True)

    def starts_factor(self, argument: bool) -> bool:
        token = self.peek()
        if token.kind in ("number", "repeating", "letter"):
            return True
        if token.kind == "command":
            if token.text in FUNCTIONS and token.text != "sqrt":
                return not argument
            return token.text in STARTING
        return token.kind == "sign" and (token.text in OPEN or (token.text == "|" and not self.bars))

    # Factors

    def power(self, first: bool = False) -> Node:
        if first and (mixed := self.mixed_number()) is not None:
            return self.with_marks(mixed)
        base = self.with_marks(self.atom())
        if not self.is_sign("^"):
            return base
        self.take()
        exponent = self.exponent()
        if isinstance(base, Symbol) and base.name.startswith("C_") and (of := self.chosen_from(base.name)) is not None:
            return self.with_marks(Apply("binom", (of, exponent)))  # C_n^k
        if isinstance(base, Symbol) and self.is_sign("_"):  # v^2_0 is v_0^2
            base = self.symbol(base.name)
        return self.with_marks(Apply("power", (base, exponent)))

    def chosen_from(self, name: str) -> Node | None:
        """The n of C_n^k: a letter or a whole number."""
        index = name.removeprefix("C_")
        if index.isdecimal():
            return decimal(index)
        return Symbol(index) if len(index) == 1 and index.isalpha() else None

    def exponent(self) -> Node:
        if self.is_sign("-", "+"):
            sign = SIGNED[self.take().text]
            atom = self.raised()
            return atom if sign > 0 else Apply("neg", (atom,))
        atom = self.raised()
        if self.is_sign("^"):
            self.take()
            return Apply("power", (atom, self.exponent()))
        return atom

    def raised(self) -> Node:
        """In v^2_0 the index is that of v."""
        return decimal(self.take().text) if self.peek().kind == "number" else self.atom()

    def with_marks(self, found: Node) -> Node:
        while True:
            if self.is_sign("!"):
                self.take()
                double = self.is_sign("!")
                if double:
                    self.take()
                found = Apply("double factorial" if double else "factorial", (found,))
            elif self.is_sign("_") and isinstance(found, Number) and found.value.denominator == 1:
                found = self.in_base(str(found.value))  # (1011)_2
            elif self.is_command("degree"):
                self.take()
                found = Apply("degree", (found,))
            elif self.is_sign("%"):
                self.take()
                found = Apply("percent", (found,))
            else:
                return found

    def atom(self) -> Node:
        token = self.take()
        if token.kind == "number":
            return self.number(token)
        if token.kind == "repeating":
            return repeating(token.text)
        if token.kind == "letter":
            return self.symbol(token.text)
        if token.kind == "command":
            return self.command(token.text)
        if token.kind == "sign" and token.text in OPEN:
            return self.bracketed(token.text)
        if token.kind == "sign" and token.text == "|":
            self.bars += 1
            found = self.sum()
            self.bars -= 1
            self.expect("|")
            return Apply("abs", (found,))
        if token.kind == "end":
            raise NotOneObject("it ends in the middle")
        raise Unread(f"{token.text} was not expected")

    def bracketed(self, opening: str) -> Node:
        start = self.position
        outer, self.bars = self.bars, 0
        found = self.sum()
        self.bars = outer
        self.expect(OPEN[opening])
        inside = self.tokens[start : self.position - 1]
        # [n/2] is a floor, as Gauss wrote it; brackets around brackets, of a whole expression and under a power are brackets.
        divided = any(token.text in ("frac", "/", "sqrt") for token in inside)
        is_floor = (
            opening == "[" and divided and not any(token.text == "(" for token in inside) and not self.is_sign("^")
        )
        return Apply("floor", (found,)) if is_floor else found

    def symbol(self, name: str) -> Node:
        while True:
            if self.is_sign("_"):
                self.take()
                name += "_" + self.index()
            elif self.is_sign("'"):
                self.take()
                name += "'"
            else:
                return Symbol(name)

    def index(self) -> str:
        if not self.is_sign("{"):
            return self.take().text
        start, depth = self.position + 1, 0
        while True:
            token = self.take()
            if token.kind == "end":
                raise Unread("an index does not close")
            depth += (token.text == "{") - (token.text == "}")
            if not depth:
                return "".join(
                    part.text.lower() if part.kind == "text" else part.text
                    for part in self.tokens[start : self.position - 1]
                )

    def group(self) -> Node:
        """What a command takes: {…} or the next thing."""
        if self.is_sign("{"):
            self.take()
            return self.bracketed("{")
        if self.peek().kind == "number":
            return decimal(self.digit())
        return self.atom()

    # Commands

    def command(self, name: str) -> Node:
        if name in FUNCTIONS and name != "sqrt":
            return self.function(name)
        if name == "frac":
            return Apply("quotient", (self.group(), self.group()))
        if name == "binom":
            return Apply("binom", (self.group(), self.group()))
        if name == "sqrt":
            return self.root()
        if name in ("lfloor", "lceil"):
            found = self.sum()
            self.expect(name.replace("l", "r", 1))
            return Apply("floor" if name == "lfloor" else "ceil", (found,))
        if name in ("floor", "ceil", "abs"):
            self.expect("(")
            return Apply(name, (self.bracketed("("),))
        if name == "pi" or name == "infty":
            return Symbol(name)
        if name in GREEK:
            return self.symbol(name)
        if name == "dots":
            return Symbol("dots")
        if name in DECORATIONS:
            return self.symbol(f"{name} {self.index()}")
        if name in ("angle", "triangle"):
            return self.symbol(f"{name} {self.letters()}")
        if name in APPROXIMATE:
            raise NotOneObject("an approximation")
        raise Unread(f"\\{name}")

    def letters(self) -> str:
        found = ""
        while self.peek().kind == "letter" or self.is_sign("{", "}"):
            found += self.take().text.strip("{}")
        return found

    def root(self) -> Node:
        degree: Node = integer(2)
        if self.is_sign("["):
            self.take()
            degree = self.sum()
            self.expect("]")
        if self.is_sign("(", "{"):
            of = self.bracketed(self.take().text)
        elif self.peek().kind == "number":
            of = self.number(self.take())
        else:
            of = self.atom()
        return Apply("root", (of, degree))

    def function(self, name: str) -> Node:
        base: Node | None = None
        power: Node | None = None
        while self.is_sign("_", "^"):
            if self.take().text == "_":
                base = decimal(self.take().text) if self.peek().text == "10" else self.group()
            else:
                power = self.signed_group()
        if power == integer(-1) and name in TRIGONOMETRIC:
            name, power = f"arc{name}", None
        found: Node = Apply(name, self.arguments(name) if base is None else (*self.arguments(name), base))
        if name in ("log", "lg", "ln") and base is not None:
            assert isinstance(found, Apply)
            found = Apply("log to", found.of)
        return found if power is None else Apply("power", (found, power))

    def signed_group(self) -> Node:
        if self.is_sign("{"):
            self.take()
            found = self.sum()
            self.expect("}")
            return _folded(found)
        if self.is_sign("-"):
            self.take()
            return _folded(Apply("neg", (self.group(),)))
        return self.group()

    def arguments(self, name: str) -> tuple[Node, ...]:
        opening = next((text for text in ("(", "{", "[", r"\{") if self.is_sign(text)), None)
        if opening is None:
            return (self.product(argument=True),)
        self.take()
        found = [self.sum()]
        while self.is_sign(","):
            self.take()
            found.append(self.sum())
        self.expect({r"\{": r"\}"}.get(opening, OPEN.get(opening, "")))
        if len(found) > 1 and name not in OF_SEVERAL:
            raise Unread("several arguments")
        return tuple(found)


STARTING = (
    GREEK | DECORATIONS | FUNCTIONS
    | {"frac", "binom", "lfloor", "lceil", "floor", "ceil", "abs", "pi", "infty", "angle", "triangle", "dots"}
)  # fmt: skip


def _folded(node: Node) -> Node:
    """-1 as a number, so that it is told from other exponents."""
    if isinstance(node, Apply) and node.name == "neg" and isinstance(node.of[0], Number):
        return Number(-node.of[0].value)
    return node


def _is_of_pi(node: Node) -> bool:
    return node == Symbol("pi") or (isinstance(node, Apply) and node.name == "product" and any(map(_is_of_pi, node.of)))
