"""Texts to integers: exact, or refused."""

import re
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.formats.decimals import BLANK, FINE, NOT_A_NUMBER, TOO_FINE, TOO_LARGE, to_integers, to_signed
from wattkeeper.formats.units import base_unit

texts = st.from_regex(rb"[0-9]{0,12}(\.[0-9]{0,8})?", fullmatch=True)


def slow(cell: bytes, power: int) -> tuple[int, int]:
    """Return value and verdict by Decimal."""
    if not cell:
        return 0, BLANK
    if cell == b".":
        return 0, NOT_A_NUMBER
    value = Decimal(cell.decode()).scaleb(power)
    if value != int(value):
        return 0, TOO_FINE
    return int(value), FINE


@given(st.lists(texts, min_size=1, max_size=20), st.integers(0, 6))
@settings(max_examples=200, deadline=None)
def test_against_decimal(cells: list[bytes], power: int) -> None:
    values, wrong = to_integers(cells, np.full(len(cells), power, dtype=np.int64))
    for cell, value, verdict in zip(cells, values.tolist(), wrong.tolist(), strict=True):
        if verdict != TOO_LARGE:
            assert (value, verdict) == slow(cell, power), cell
        else:
            assert (
                len(cell.replace(b".", b"").lstrip(b"0")) > 18 or Decimal(cell.decode()).scaleb(power) > 2**61
            )


@pytest.mark.parametrize(
    ("cell", "value", "verdict"),
    [
        (b"1.25", 1_250_000, FINE),
        (b".5", 500_000, FINE),
        (b"7.", 7_000_000, FINE),
        (b"1.2500000000", 1_250_000, FINE),
        (b"000000000000000000000001", 1_000_000, FINE),
        (b"4611686018427.387", 4_611_686_018_427_387_000, FINE),
        (b"4611686018428", 0, TOO_LARGE),
        (b"0.0000001", 0, TOO_FINE),
        (b"1234567890123456789", 0, TOO_LARGE),
        (b"1.2.3", 0, NOT_A_NUMBER),
        (b"+1", 0, NOT_A_NUMBER),
        (b"-0", 0, NOT_A_NUMBER),
        (b"1 ", 0, NOT_A_NUMBER),
        (b"\xff", 0, NOT_A_NUMBER),
        (b"", 0, BLANK),
    ],
)
def test_edges(cell: bytes, value: int, verdict: int) -> None:
    values, wrong = to_integers([cell, b"1"], 6)
    assert (int(values[0]), int(wrong[0])) == (value, verdict)
    assert (int(values[1]), int(wrong[1])) == (1_000_000, FINE)


def test_none() -> None:
    assert to_integers([], 6)[0].tolist() == []


def test_units() -> None:
    assert base_unit(" KWH ") == ("Wh", 6)
    assert base_unit("MVArh") == ("varh", 9)
    assert base_unit("kVA") == ("VA", 6)
    assert base_unit("") == ("", 3)
    assert base_unit("GWh") is None


anything = st.lists(st.binary(min_size=0, max_size=26) | texts, min_size=1, max_size=30)


@given(anything, st.integers(0, 9))
@settings(max_examples=200, deadline=None)
def test_signs_and_garbage_against_decimal(cells: list[bytes], power: int) -> None:
    """Whatever the bytes: a number is exact, and everything else is refused."""
    values, wrong = to_signed([b"-" + cells[0], *cells], power)
    for cell, value, verdict in zip([b"-" + cells[0], *cells], values.tolist(), wrong.tolist(), strict=True):
        plain = cell.removeprefix(b"-") if len(cell) > 1 else cell
        is_number = re.fullmatch(rb"[0-9]*\.?[0-9]*", plain) and plain != b"." and len(plain) <= 24
        assert is_number or verdict != FINE, cell
        if verdict == FINE:
            assert value == Decimal(cell.decode()).scaleb(power), cell
        else:
            assert value == 0


def test_both_words_of_every_length() -> None:
    """A point at every place of fields of every length up to two words and beyond."""
    digits = "123456789012345678"
    cells = [
        (digits[:length][:at] + "." + digits[:length][at:]).encode()
        for length in range(1, 19)
        for at in range(length + 1)
    ]
    values, wrong = to_signed(cells, 18)
    exact = [Decimal(cell.decode()).scaleb(18) for cell in cells]
    assert [verdict == FINE for verdict in wrong.tolist()] == [value <= 2**62 for value in exact]
    assert values.tolist() == [int(value) if value <= 2**62 else 0 for value in exact]
