"""Decimal texts to exact integers, many at a time, without a float on the way."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CELL_BYTES_AT_MOST = 24
_DIGITS_AT_MOST = 18
_BOUND = 2**62
_POWERS = 10 ** np.arange(19, dtype=np.int64)

FINE, NOT_A_NUMBER, TOO_FINE, TOO_LARGE, BLANK = 0, 1, 2, 3, 4
CODES = {
    NOT_A_NUMBER: "formats.not-a-number",
    TOO_FINE: "formats.value-too-fine",
    TOO_LARGE: "formats.value-too-large",
    BLANK: "formats.value-blank",
}

Int64s = NDArray[np.int64]


def to_integers(cells: Sequence[bytes], power: int | Int64s) -> tuple[Int64s, NDArray[np.int8]]:
    """Return (each cell x 10**power as an exact integer, what is wrong with it), both of shape (n,).

    A cell is digits with at most one point, no sign and no exponent, at most `CELL_BYTES_AT_MOST` bytes and
    without NUL (the caller checks both). `power` is 0..18, one for all or one each. A value that is no whole
    number after the shift is TOO_FINE: nothing is ever rounded. What is wrong is 0 in value.
    """
    if len(cells) == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int8)
    table = np.array(cells, dtype=np.bytes_)
    columns = np.ascontiguousarray(table.view(np.uint8).reshape(len(cells), -1).T)
    value = np.zeros(len(cells), dtype=np.int64)
    digit_count, decimal_count, dot_count = np.zeros((3, len(cells)), dtype=np.int8)
    is_other, has_digit = np.zeros((2, len(cells)), dtype=np.bool_)
    for column in columns:
        digit = column - np.uint8(48)
        is_digit = digit < 10
        is_dot = column == 46
        dot_count += is_dot
        digit_count += is_digit & ((digit_count > 0) | (digit > 0))
        decimal_count += is_digit & (dot_count > 0)
        has_digit |= is_digit
        value = np.where(is_digit & (digit_count <= _DIGITS_AT_MOST), value * 10 + digit, value)
        is_other |= ~is_digit & ~is_dot & (column != 0)
    wrong = np.where(is_other | (dot_count > 1) | ~has_digit, NOT_A_NUMBER, FINE).astype(np.int8)
    wrong[table == b""] = BLANK
    wrong[(wrong == FINE) & (digit_count > _DIGITS_AT_MOST)] = TOO_LARGE
    return _shift(value, power - decimal_count.astype(np.int64), wrong)


def _shift(value: Int64s, shift: Int64s, wrong: NDArray[np.int8]) -> tuple[Int64s, NDArray[np.int8]]:
    up, down = _POWERS[np.clip(shift, 0, 18)], _POWERS[np.clip(-shift, 0, 18)]
    is_fine = wrong == FINE
    wrong[is_fine & (value % down != 0)] = TOO_FINE
    wrong[is_fine & (value > _BOUND // up)] = TOO_LARGE
    shifted = value // down * np.where(wrong == FINE, up, 1)
    return np.where(wrong == FINE, shifted, 0), wrong
