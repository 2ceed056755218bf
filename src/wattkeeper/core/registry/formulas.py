"""Formulas of virtual meters: text to a sum of series with rational coefficients, and back to text.

    [MAIN] - subs([MAIN])          what the sub-meters of a main meter leave
    [A] + [B] + or_zero([C])       a sum; where C is missing it counts as zero
    ([A] + [B].export) * 0.97 / 3  exact rational constants, no floats

``[CODE]`` is what a usage point takes from the grid, ``[CODE].export`` what it gives back; ``]`` inside a
code is doubled. ``subs([CODE])``: the points that CODE feeds directly, each for the time in which it does.
``sum(a, b, ...)`` is ``a + b + ...``. Only sums of series are formulas: a product of two series, or a
constant that no series is multiplied by, is refused. Source: issue's ``+ - * rational``; the linear form is
what makes sums over days and parts exact.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from wattkeeper.core.kernel.errors import WattkeeperError

TEXT_MAX_COUNT = 20_000
DEPTH_MAX_COUNT = 40
COEFFICIENT_MAX = 10**12
QUANTITY_OF_SUFFIX = {"": "energy_import", "import": "energy_import", "export": "energy_export"}
_TOKEN = re.compile(
    r"\s*(?:(?P<code>\[(?:[^\[\]]|\]\])+\](?!\]))|(?P<number>\d+(?:\.\d+)?)|(?P<word>[a-z_]+)"
    r"|(?P<sign>[-+*/(),.]))"
)


class InvalidFormula(WattkeeperError):
    """Raised when a text is no formula: the code says why, `position` where (from 1)."""


class OperandKind(Enum):
    """What a name in a formula stands for."""

    SERIES = "series"  # one quantity of a usage point
    SUBS = "subs"  # the same quantity of all points that a usage point feeds directly


@dataclass(frozen=True, slots=True)
class Operand:
    """A usage point's `code` and `quantity`; `is_zero_when_missing`: a gap of it counts as zero."""

    kind: OperandKind
    code: str
    quantity: str
    is_zero_when_missing: bool = False


Linear = Mapping[Operand, Fraction]


def parse_formula(text: str) -> Linear:
    """Return the coefficient of each operand of a formula, in the order of the text, none of them zero.

    :raises InvalidFormula: ``formulas.syntax``, ``.not-linear``, ``.constant-alone``, ``.division-by-zero``,
        ``.empty``, ``.too-long``, ``.too-deep``, ``.coefficient``
    """
    if len(text) > TEXT_MAX_COUNT:
        raise InvalidFormula("formulas.too-long", limit=TEXT_MAX_COUNT)
    found = _Parser(text).whole()
    terms = {operand: coefficient for operand, coefficient in found.terms.items() if coefficient}
    if found.constant:
        raise InvalidFormula("formulas.constant-alone", constant=str(found.constant))
    if not terms:
        raise InvalidFormula("formulas.empty")
    for coefficient in terms.values():
        if max(abs(coefficient.numerator), coefficient.denominator) > COEFFICIENT_MAX:
            raise InvalidFormula("formulas.coefficient", coefficient=str(coefficient))
    return terms


def formula_text(terms: Linear) -> str:
    """Return a formula's canonical text: parsed again it is the same sum."""
    parts = [_term_text(operand, coefficient) for operand, coefficient in terms.items()]
    text = " ".join(f"{sign} {part}" for sign, part in parts)
    return text.removeprefix("+ ") if text.startswith("+") else "-" + text.removeprefix("- ")


def _term_text(operand: Operand, coefficient: Fraction) -> tuple[str, str]:
    size = abs(coefficient)
    factor = "" if size.numerator == 1 else f"{size.numerator} * "
    divisor = "" if size.denominator == 1 else f" / {size.denominator}"
    return "-" if coefficient < 0 else "+", f"{factor}{_operand_text(operand)}{divisor}"


def _operand_text(operand: Operand) -> str:
    text = "[" + operand.code.replace("]", "]]") + "]"
    if operand.quantity != QUANTITY_OF_SUFFIX[""]:
        text += "." + next(s for s, quantity in QUANTITY_OF_SUFFIX.items() if quantity == operand.quantity)
    if operand.kind is OperandKind.SUBS:
        text = f"subs({text})"
    return f"or_zero({text})" if operand.is_zero_when_missing else text


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


@dataclass(frozen=True, slots=True)
class _Sum:
    """A constant and a multiple of each operand."""

    constant: Fraction
    terms: Mapping[Operand, Fraction]

    @property
    def is_constant(self) -> bool:
        return not any(self.terms.values())

    def plus(self, other: "_Sum", sign: int) -> "_Sum":
        terms = dict(self.terms)
        for operand, coefficient in other.terms.items():
            terms[operand] = terms.get(operand, Fraction(0)) + sign * coefficient
        return _Sum(self.constant + sign * other.constant, terms)

    def times(self, factor: Fraction) -> "_Sum":
        return _Sum(self.constant * factor, {own: value * factor for own, value in self.terms.items()})


_NOTHING = _Sum(Fraction(0), {})


class _Parser:
    """Recursive descent: sum of products of factors."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._place = 0
        self._depth = 0

    def whole(self) -> _Sum:
        found = self._sum()
        if self._next.kind != "end":
            raise self._unexpected()
        return found

    @property
    def _next(self) -> _Token:
        return self._tokens[self._place]

    def _take(self) -> _Token:
        token = self._next
        self._place += 1
        return token

    def _is_sign(self, signs: str) -> bool:
        return self._next.kind == "sign" and self._next.text in signs

    def _expect(self, sign: str) -> None:
        if not self._is_sign(sign):
            raise self._unexpected()
        self._take()

    def _unexpected(self) -> InvalidFormula:
        return InvalidFormula("formulas.syntax", position=self._next.position, found=self._next.text or "…")

    def _sum(self) -> _Sum:
        found = self._product()
        while self._is_sign("+-"):
            sign = 1 if self._take().text == "+" else -1
            found = found.plus(self._product(), sign)
        return found

    def _product(self) -> _Sum:
        found = self._factor()
        while self._is_sign("*/"):
            token = self._take()
            other = self._factor()
            found = _divided(found, other, token) if token.text == "/" else _multiplied(found, other, token)
        return found

    def _factor(self) -> _Sum:
        self._depth += 1
        if self._depth > DEPTH_MAX_COUNT:
            raise InvalidFormula("formulas.too-deep", limit=DEPTH_MAX_COUNT)
        found = self._factor_inside()
        self._depth -= 1
        return found

    def _factor_inside(self) -> _Sum:
        if self._is_sign("-"):
            self._take()
            return self._factor().times(Fraction(-1))
        if self._is_sign("("):
            return self._bracketed()
        if self._next.kind == "number":
            return _Sum(Fraction(self._take().text), {})
        if self._next.kind == "code":
            return _Sum(Fraction(0), {self._point(OperandKind.SERIES): Fraction(1)})
        if self._next.kind == "word":
            return self._call()
        raise self._unexpected()

    def _bracketed(self) -> _Sum:
        self._expect("(")
        found = self._sum()
        self._expect(")")
        return found

    def _call(self) -> _Sum:
        token = self._take()
        if token.text == "sum":
            return self._total()
        if token.text == "or_zero":
            return self._filled(token)
        if token.text == "subs":
            self._expect("(")
            operand = self._point(OperandKind.SUBS)
            self._expect(")")
            return _Sum(Fraction(0), {operand: Fraction(1)})
        raise InvalidFormula("formulas.syntax", position=token.position, found=token.text)

    def _total(self) -> _Sum:
        self._expect("(")
        found = _NOTHING.plus(self._sum(), 1)
        while self._is_sign(","):
            self._take()
            found = found.plus(self._sum(), 1)
        self._expect(")")
        return found

    def _filled(self, token: _Token) -> _Sum:
        inner = self._bracketed()
        if inner.constant:
            raise InvalidFormula("formulas.not-linear", position=token.position)
        terms: dict[Operand, Fraction] = {}
        for own, coefficient in inner.terms.items():
            filled = Operand(own.kind, own.code, own.quantity, is_zero_when_missing=True)
            terms[filled] = terms.get(filled, Fraction(0)) + coefficient
        return _Sum(Fraction(0), terms)

    def _point(self, kind: OperandKind) -> Operand:
        if self._next.kind != "code":
            raise self._unexpected()
        code = self._take().text[1:-1].replace("]]", "]").strip()
        suffix = ""
        if self._is_sign("."):
            self._take()
            suffix = self._next.text
            if suffix not in QUANTITY_OF_SUFFIX or not suffix:
                raise self._unexpected()
            self._take()
        return Operand(kind, code, QUANTITY_OF_SUFFIX[suffix])


def _multiplied(one: _Sum, other: _Sum, token: _Token) -> _Sum:
    if one.is_constant:
        return other.times(one.constant)
    if other.is_constant:
        return one.times(other.constant)
    raise InvalidFormula("formulas.not-linear", position=token.position)


def _divided(one: _Sum, other: _Sum, token: _Token) -> _Sum:
    if not other.is_constant:
        raise InvalidFormula("formulas.not-linear", position=token.position)
    if not other.constant:
        raise InvalidFormula("formulas.division-by-zero", position=token.position)
    return one.times(1 / other.constant)


def _tokens(text: str) -> Iterator[_Token]:
    place = 0
    end = len(text.rstrip())
    while place < end:
        match = _TOKEN.match(text, place)
        if match is None:
            rest = text[place:].lstrip()
            raise InvalidFormula(
                "formulas.syntax", position=end - len(rest.rstrip()) + 1, found=rest.split(maxsplit=1)[0][:20]
            )
        kind = match.lastgroup or ""
        yield _Token(kind, match[kind], match.start(kind) + 1)
        place = match.end()
    yield _Token("end", "", end + 1)
