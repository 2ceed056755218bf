"""Formulas of virtual meters: what is one, what it says, and clear refusals of what is none."""

from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.core.registry.formulas import (
    InvalidFormula,
    Operand,
    OperandKind,
    formula_text,
    parse_formula,
)

IMPORT, EXPORT = "energy_import", "energy_export"


def series(code: str, quantity: str = IMPORT, *, zero: bool = False) -> Operand:
    return Operand(OperandKind.SERIES, code, quantity, is_zero_when_missing=zero)


def subs(code: str) -> Operand:
    return Operand(OperandKind.SUBS, code, IMPORT)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("[A]", {series("A"): 1}),
        ("[MAIN] - subs([MAIN])", {series("MAIN"): 1, subs("MAIN"): -1}),
        ("[A] + [B].export - [A] * 1/3", {series("A"): Fraction(2, 3), series("B", EXPORT): 1}),
        ("sum([A], [B], -[C])", {series("A"): 1, series("B"): 1, series("C"): -1}),
        ("2 * ([A] - 0.5*[B]) / 4", {series("A"): Fraction(1, 2), series("B"): Fraction(-1, 4)}),
        ("or_zero([A] + [B])", {series("A", zero=True): 1, series("B", zero=True): 1}),
        ("--[A].import", {series("A"): 1}),
        ("[odd ]] 1-2]", {series("odd ] 1-2"): 1}),
        ("[A] + (3 - 3)", {series("A"): 1}),
        ("[A] - [A] + [B]", {series("B"): 1}),
    ],
)
def test_a_formula_is_a_sum_of_series(text: str, terms: dict[Operand, int | Fraction]) -> None:
    assert parse_formula(text) == terms


@pytest.mark.parametrize(
    ("text", "code", "position"),
    [
        ("", "formulas.syntax", 1),
        ("[A] +", "formulas.syntax", 6),
        ("[A] [B]", "formulas.syntax", 5),
        ("[A] + #", "formulas.syntax", 7),
        ("A + [B]", "formulas.syntax", 1),
        ("[A].reactive", "formulas.syntax", 5),
        ("subs(3)", "formulas.syntax", 6),
        ("([A]", "formulas.syntax", 5),
        ("[A] * [B]", "formulas.not-linear", 5),
        ("1 / [B]", "formulas.not-linear", 3),
        ("or_zero([A] + 1)", "formulas.not-linear", 1),
        ("[A] / (2 - 2)", "formulas.division-by-zero", 5),
        ("[A] + 5", "formulas.constant-alone", None),
        ("[A] - [A]", "formulas.empty", None),
        ("[A] * 10000000000000", "formulas.coefficient", None),
        ("(" * 60 + "[A]" + ")" * 60, "formulas.too-deep", None),
        ("[A]+" * 6000 + "[A]", "formulas.too-long", None),
    ],
)
def test_what_is_no_formula_says_why_and_where(text: str, code: str, position: int | None) -> None:
    with pytest.raises(InvalidFormula) as refusal:
        parse_formula(text)
    assert (refusal.value.code, refusal.value.params.get("position")) == (code, position)


OPERANDS = st.builds(
    Operand,
    st.sampled_from(list(OperandKind)),
    st.text("AB]-+ 1", min_size=1, max_size=6).map(str.strip).filter(bool),
    st.sampled_from([IMPORT, EXPORT]),
    st.booleans(),
)
COEFFICIENTS = st.fractions(-1000, 1000, max_denominator=1000).filter(bool)


@given(st.dictionaries(OPERANDS, COEFFICIENTS, min_size=1, max_size=6))
def test_the_text_of_a_formula_is_the_same_formula(terms: dict[Operand, Fraction]) -> None:
    assert parse_formula(formula_text(terms)) == terms


@given(st.text("[]AB+-*/()., 12subsor_zero", max_size=40))
def test_any_text_is_a_formula_or_refused(text: str) -> None:
    with suppress(InvalidFormula):
        assert parse_formula(text)
