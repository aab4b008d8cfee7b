r"""A strict reader of everyday algebra in LaTeX: what it reads has one meaning, and the rest is left to math-verify.

Covers: numbers, letters with subscripts, `+ - \cdot / ^`, implicit products, roots, fractions, binomials, factorials,
absolute values, and the elementary functions. Does not cover (returns none): whatever people read in two ways
(`1/2x`, `f(x)`, `\log 8`, `8 8`), calculus, sums, sets, relations.
"""

import re
from fractions import Fraction

from kat_data.verifiers.math.node import FUNCTIONS, Node

NESTING = 24
ATOMS = 100

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.\d+|\.\d+|\d+)|(?P<command>\\[A-Za-z]+)|(?P<letter>[A-Za-z])|(?P<sign>[-+*/^!(){}\[\]|_]))"
)
_WORD = re.compile(
    r"(?<!\\)(?<![A-Za-z])[A-Za-z]{4,}|(?<![\\A-Za-z])(?:if|or|is|mod|and|not|gcd|lcm|min|max|log|exp)\b"
)
_PLAIN_FUNCTION = re.compile(r"(?<![\\A-Za-z])(sin|cos|tan|sec|csc|cot|ln|sqrt)(?=\s*[({])")
_UPRIGHT = re.compile(r"\\(?:mathrm|text|mathit)\s*\{\s*([A-Za-z])\s*\}")
_DIFFERENTIAL = re.compile(r"\\[dt]?frac\s*\{\s*(?:\\mathrm\s*\{?\s*)?d(?![a-z]*\})|\\frac\s*\{\s*d[a-z]\s*\}\s*\{\s*d")
_SUBSCRIPT = re.compile(r"\s*_\s*(?:\{\s*(\w+)\s*\}|(\w))")
_SHORT = re.compile(r"\s*(?:(\d)|([A-Za-z])|(\\pi\b))")
_GREEK = re.compile(
    "alpha|beta|gamma|delta|(?:var)?epsilon|zeta|eta|(?:var)?theta|iota|kappa|lambda|mu|nu|xi|rho|sigma|tau|upsilon"
    "|(?:var)?phi|chi|psi|omega|Gamma|Delta|Theta|Lambda|Xi|Sigma|Phi|Psi|Omega"
)
_FUNCTION_NAMES = frozenset("fghFGHP")
_PRODUCTS = frozenset({"*", "\\cdot", "\\times"})


class UnreadableError(Exception):
    """The text is not everyday algebra, or has more than one reading."""


def read(text: str) -> Node | None:
    """Return the expression that `text` is, or none where it is anything else or could mean two things."""
    text = _UPRIGHT.sub(r" \1 ", _PLAIN_FUNCTION.sub(r"\\\1", text))
    if _WORD.search(text) or _DIFFERENTIAL.search(text):
        return None
    try:
        reader = _Reader(text)
        node = reader.sum()
        reader.expect_end()
    except (UnreadableError, RecursionError):
        return None
    return node


class _Reader:
    def __init__(self, text: str) -> None:
        self._text, self._at, self._depth, self._bars, self._atoms = text, 0, 0, 0, 0

    def expect_end(self) -> None:
        if self._text[self._at :].strip():
            raise UnreadableError

    def sum(self) -> Node:
        self._depth += 1
        if self._depth > NESTING:
            raise UnreadableError
        node = self._signed()
        while (sign := self._peek()) in {"+", "-"}:
            self._next()
            node = Node({"+": "add", "-": "subtract"}[sign], (node, self._product()))
        self._depth -= 1
        return node

    def _signed(self) -> Node:
        if self._peek() not in {"+", "-"}:
            return self._product()
        sign, node = self._next(), self._product()
        return Node("negate", (node,)) if sign == "-" else node

    def _product(self) -> Node:
        node, divided = self._power(), False
        while True:
            sign = self._peek()
            if sign in _PRODUCTS or sign == "/":
                self._next()
                negative = self._peek() == "-" and bool(self._next())
                factor = self._power()
                node = Node(
                    "divide" if sign == "/" else "multiply", (node, Node("negate", (factor,)) if negative else factor)
                )
                divided = sign == "/" or divided
            elif self._starts_factor(sign):
                if divided or sign[0] in "0123456789." or (sign == "{" and node.head == "number"):
                    raise UnreadableError
                node = self._joined(node, self._power())
            else:
                return node

    @staticmethod
    def _joined(left: Node, right: Node) -> Node:
        """`2\\frac{1}{2}` is a mixed number, everything else side by side a product."""
        whole = left.head == "number" and isinstance(left.value, Fraction) and left.value.denominator == 1
        plain = right.head == "divide" and all(part.head == "number" for part in right.parts)
        return Node("add" if whole and plain else "multiply", (left, right))

    def _starts_factor(self, sign: str) -> bool:
        if not sign or sign in {")", "}", "]", "+", "-", "/", "^", "!", "_", "["} or sign in _PRODUCTS:
            return False
        return not (sign == "|" and self._bars)

    def _power(self) -> Node:
        node = self._atom()
        while (sign := self._peek()) in {"^", "!"}:
            self._next()
            if sign == "!":
                if node.head == "factorial":
                    raise UnreadableError
                node = Node("factorial", (node,))
            else:
                if node.head == "power" or node.head in FUNCTIONS:
                    raise UnreadableError
                node = Node("power", (node, self._exponent()))
        return node

    def _exponent(self) -> Node:
        sign = self._peek()
        if sign == "{":
            return self._group()
        if sign == "-":
            self._next()
            return Node("negate", (self._atom(),))
        if sign == "(" or sign[:1].isalnum() or sign == "." or sign in {"\\pi", "\\frac"}:
            return self._atom()
        raise UnreadableError

    def _atom(self) -> Node:
        self._atoms += 1
        if self._atoms > ATOMS:  # a chain of operations is as deep a tree, which others walk by recursion
            raise UnreadableError
        sign = self._next()
        if sign[0].isdigit() or sign[0] == ".":
            return Node("decimal" if "." in sign else "number", value=Fraction(sign))
        if sign in {"(", "{"}:
            return self._closed({"(": ")", "{": "}"}[sign])
        if sign == "|":
            return self._absolute()
        if sign.isalpha():
            return self._name(sign)
        if sign.startswith("\\"):
            return self._command(sign[1:])
        raise UnreadableError

    def _closed(self, closing: str) -> Node:
        bars, self._bars = self._bars, 0
        node = self.sum()
        if self._next() != closing:
            raise UnreadableError
        self._bars = bars
        return node

    def _absolute(self) -> Node:
        self._bars += 1
        node = self.sum()
        if self._next() != "|":
            raise UnreadableError
        self._bars -= 1
        return Node("absolute", (node,))

    def _name(self, letter: str) -> Node:
        subscript = _SUBSCRIPT.match(self._text, self._at)
        if subscript:
            self._at = subscript.end()
            return Node("name", value=f"{letter}_{subscript.group(1) or subscript.group(2)}")
        if self._peek() == "(" and (
            letter in _FUNCTION_NAMES or re.match(r"\s*\(\s*-?(?:\w|\d+)\s*\)", self._text[self._at :])
        ):
            raise UnreadableError
        return Node({"e": "euler", "i": "imaginary"}.get(letter, "name"), value=letter)

    def _command(self, name: str) -> Node:
        if name == "pi":
            return Node("pi")
        if _GREEK.fullmatch(name):
            return self._name("\\" + name)
        if name in {"frac", "dfrac", "tfrac"}:
            return Node("divide", (self._argument(), self._argument()))
        if name == "binom":
            return Node("binomial", (self._argument(), self._argument()))
        if name == "sqrt":
            return self._root()
        if name in FUNCTIONS or name == "log":
            return self._function(name)
        raise UnreadableError

    def _root(self) -> Node:
        degree = None
        if self._peek() == "[":
            self._next()
            degree = self._closed("]")
        radicand = self._closed(")") if self._peek() == "(" and self._next() else self._argument()
        return Node("root", (radicand, degree or Node("number", value=Fraction(2))))

    def _function(self, name: str) -> Node:
        base = power = None
        if name == "log":
            if self._peek() != "_":
                raise UnreadableError
            self._next()
            base = self._argument()
        if self._peek() == "^":
            self._next()
            power = self._exponent()
            if power.head != "number":
                raise UnreadableError
        node = Node(name, (self._operand(), *((base,) if base else ())))
        return Node("power", (node, power)) if power else node

    def _operand(self) -> Node:
        """What a function applies to: a bracket that nothing clings to, or a product up to the next sign."""
        if self._peek() in {"(", "{"}:
            node = self._closed({"(": ")", "{": "}"}[self._next()])
            if self._peek() in {"^", "!"}:
                raise UnreadableError
            return node
        node = self._power()
        while (sign := self._peek()) and self._starts_factor(sign):
            if sign[1:] in FUNCTIONS or sign == "\\log":
                break
            if sign in {"(", "|"} or sign[0].isdigit():
                raise UnreadableError
            node = self._joined(node, self._power())
        if self._peek() == "/":
            raise UnreadableError
        return node

    def _argument(self) -> Node:
        """A group in braces, or one digit, letter or pi, as TeX takes it."""
        if self._peek() == "{":
            return self._group()
        match = _SHORT.match(self._text, self._at)
        if match is None:
            raise UnreadableError
        self._at = match.end()
        if match.group(1):
            return Node("number", value=Fraction(match.group(1)))
        return self._name(match.group(2)) if match.group(2) else Node("pi")

    def _group(self) -> Node:
        if self._next() != "{":
            raise UnreadableError
        return self._closed("}")

    def _peek(self) -> str:
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            if self._text[self._at :].strip():
                raise UnreadableError
            return ""
        return match.group().strip()

    def _next(self) -> str:
        sign = self._peek()
        if not sign:
            raise UnreadableError
        match = _TOKEN.match(self._text, self._at)
        assert match is not None
        self._at = match.end()
        return sign
