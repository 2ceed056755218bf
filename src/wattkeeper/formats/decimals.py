"""Decimal texts to exact integers, many at a time, without a float on the way.

A field is read as one or two words of eight bytes, right-aligned and filled with zeros on the left; all eight
digits of a word become a number in three multiplications (SWAR: SIMD within a register).
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CELL_BYTES_AT_MOST = 24
PADDING = b"\0" * 16  # stands before the first field of a buffer
_DIGITS_AT_MOST = 18
_BOUND = 2**62
_POWERS = 10 ** np.arange(19, dtype=np.int64)
_BOUNDS = _BOUND // _POWERS
_NUMBER = re.compile(rb"(\d*)\.?(\d*)")

FINE, NOT_A_NUMBER, TOO_FINE, TOO_LARGE, BLANK = 0, 1, 2, 3, 4
CODES = {
    NOT_A_NUMBER: "formats.not-a-number",
    TOO_FINE: "formats.value-too-fine",
    TOO_LARGE: "formats.value-too-large",
    BLANK: "formats.value-blank",
}

Bytes = NDArray[np.uint8]
Int64s = NDArray[np.int64]
Verdicts = NDArray[np.int8]
_Words = NDArray[np.uint64]


def _word(*octets: int) -> int:
    return int.from_bytes(bytes(octets), "little")


_ONES, _HIGHS = np.uint64(_word(*[1] * 8)), np.uint64(_word(*[0x80] * 8))
_DOTS, _ZEROS = np.uint64(_word(*b"........")), np.uint64(_word(*b"00000000"))
_PAST_NINE = np.uint64(_word(*[0x76] * 8))
_COUNTING = np.uint64(_word(1, 2, 3, 4, 5, 6, 7, 8))
# by the length of the field: which bytes are its own, and zeros in place of the others
_OWN = np.array([_word(*[0] * (8 - n), *[255] * n) for n in range(9)], np.uint64)
_FILL = np.array([_word(*b"0" * (8 - n), *[0] * n) for n in range(9)], np.uint64)
# by 1 + the number of decimals (0: no point): bytes after it, bytes to move over it, the byte left free
_AFTER = np.array([2**64 - 1, *[_word(*[0] * (9 - r), *[255] * (r - 1)) for r in range(1, 9)]], np.uint64)
_MOVED = np.array([0, *[_word(0, *[255] * (8 - r), *[0] * (r - 1)) for r in range(1, 9)]], np.uint64)
_FREE = np.array([0] + [48] * 8, np.uint64)


def to_integers(cells: Sequence[bytes], power: int | Int64s) -> tuple[Int64s, Verdicts]:
    """Return (each cell x 10**power as an exact integer, what is wrong with it), both of shape (n,).

    A cell is digits with at most one point, no sign and no exponent, at most `CELL_BYTES_AT_MOST` bytes.
    `power` is 0..18, one for all or one each. A value that is no whole number after the shift is TOO_FINE:
    nothing is ever rounded. What is wrong is 0 in value.
    """
    return to_integers_at(*_joined(cells), power)


def to_signed(cells: Sequence[bytes], power: int | Int64s) -> tuple[Int64s, Verdicts]:
    """Do as `to_integers`; a cell may begin with a minus."""
    return to_signed_at(*_joined(cells), power)


def _joined(cells: Sequence[bytes]) -> tuple[Bytes, Int64s, Int64s]:
    lengths = np.fromiter(map(len, cells), dtype=np.int64, count=len(cells))
    ends = len(PADDING) + np.cumsum(lengths)
    return np.frombuffer(PADDING + b"".join(cells), dtype=np.uint8), ends - lengths, ends


def to_signed_at(buffer: Bytes, starts: Int64s, ends: Int64s, power: int | Int64s) -> tuple[Int64s, Verdicts]:
    """Do as `to_integers_at`; a field may begin with a minus."""
    if len(starts) == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int8)
    is_negative = (buffer[np.minimum(starts, len(buffer) - 1)] == ord("-")) & (ends - starts > 1)
    values, wrong = to_integers_at(buffer, starts + is_negative, ends, power)
    return np.where(is_negative, -values, values), wrong


def steps_of(cells: Sequence[bytes], power: Int64s) -> Int64s:
    """Return what the last digit of each cell counts after the shift by `power`, at least 1, shape (n,)."""
    decimals = np.fromiter((len(cell.partition(b".")[2]) for cell in cells), np.int64, count=len(cells))
    steps: Int64s = _POWERS[np.clip(power - decimals, 0, 18)]
    return steps


def to_integers_at(
    buffer: Bytes, starts: Int64s, ends: Int64s, power: int | Int64s
) -> tuple[Int64s, Verdicts]:
    """Do as `to_integers` with fields of a buffer: field k is ``buffer[starts[k]:ends[k]]``.

    At least `PADDING` stands before the first field; fields may stand in any order.
    """
    if len(starts) == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int8)
    lengths = ends - starts
    words = np.ndarray((len(buffer) - 7,), "<u8", buffer.data, strides=(1,))
    value, point, is_wrong = _eight(words[ends - 8], np.minimum(lengths, 8))
    decimals = np.maximum(point - 1, 0)
    wrong = np.where(is_wrong | (lengths == (point > 0)), NOT_A_NUMBER, FINE).astype(np.int8)
    longest = int(lengths.max())
    if longest > 8:
        _take_second_words(words, ends, lengths, value, point, decimals, wrong)
    if longest > 16:
        for index in np.flatnonzero(lengths > 16).tolist():
            cell = buffer[starts[index] : ends[index]].tobytes()
            value[index], decimals[index], wrong[index] = _parse_long(cell)
    wrong[lengths == 0] = BLANK
    return _shift(value, power - decimals, wrong)


def _eight(words: _Words, lengths: Int64s) -> tuple[Int64s, Int64s, NDArray[np.bool_]]:
    """Return (number, 1 + decimals or 0 without a point, whether it is none) of each word's last bytes."""
    words = (words & _OWN[lengths]) | _FILL[lengths]
    is_dot = words ^ _DOTS
    is_dot = (is_dot - _ONES) & ~is_dot & _HIGHS
    point = (((is_dot >> np.uint64(7)) * _COUNTING) >> np.uint64(56)).astype(np.int64)
    moved = (words << np.uint64(8)) & _MOVED.take(point, mode="clip")
    digits = (words & _AFTER.take(point, mode="clip")) | moved | _FREE.take(point, mode="clip")
    digits ^= _ZEROS
    is_wrong = ((digits | (digits + _PAST_NINE)) & _HIGHS) != 0
    pairs = (digits * np.uint64(10) + (digits >> np.uint64(8))) & np.uint64(0x00FF00FF00FF00FF)
    fours = (pairs * np.uint64(100) + (pairs >> np.uint64(16))) & np.uint64(0x0000FFFF0000FFFF)
    value = (fours * np.uint64(10_000) + (fours >> np.uint64(32))) & np.uint64(0xFFFFFFFF)
    return value.astype(np.int64), point, is_wrong


def _take_second_words(
    words: _Words,
    ends: Int64s,
    lengths: Int64s,
    value: Int64s,
    point: Int64s,
    decimals: Int64s,
    wrong: Verdicts,
) -> None:
    """Add what stands before the last eight bytes of the longer fields."""
    at = np.flatnonzero(lengths > 8)
    high, high_point, is_wrong = _eight(words[ends[at] - 16], np.minimum(lengths[at] - 8, 8))
    has_point = point[at] > 0
    value[at] += high * np.where(has_point, _POWERS[7], _POWERS[8])
    decimals[at] += np.where(high_point > 0, 7 + high_point, 0)
    wrong[at[is_wrong | (has_point & (high_point > 0))]] = NOT_A_NUMBER


def _parse_long(cell: bytes) -> tuple[int, int, int]:
    match = _NUMBER.fullmatch(cell)
    if match is None or len(cell) > CELL_BYTES_AT_MOST:
        return 0, 0, NOT_A_NUMBER
    digits = (match[1] + match[2]).lstrip(b"0")
    if len(digits) > _DIGITS_AT_MOST:
        return 0, 0, TOO_LARGE
    return int(digits or b"0"), len(match[2]), FINE


def _shift(value: Int64s, shift: Int64s, wrong: Verdicts) -> tuple[Int64s, Verdicts]:
    is_fine = wrong == FINE
    if int(shift.min()) < 0:
        down = _POWERS[np.clip(-shift, 0, 18)]
        value, rest = np.divmod(value, down)
        wrong[is_fine & (rest != 0)] = TOO_FINE
        shift = np.maximum(shift, 0)
    wrong[is_fine & (value > _BOUNDS[shift])] = TOO_LARGE
    value = value * _POWERS[shift]
    if wrong.any():
        value[wrong != FINE] = 0
    return value, wrong
