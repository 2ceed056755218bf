"""Numbers as tables write them: the mark before decimals and the one between thousands, as far as sure."""

import re
from collections import Counter
from collections.abc import Sequence

THOUSANDS_MARKS = ("", ",", ".", " ", "'")
_WRITTEN = {" ": "[ \u00a0\u202f]", "'": "['\u2019]"}  # as spreadsheets of France and Switzerland write them
_ANY_MARK = "[.,'\u2019 \u00a0\u202f]"
_PLAIN = re.compile(r"-?\d+(?:[.,]\d+)?(?:[eE][+-]?\d{1,2})?|", re.ASCII)
_GROUPED = re.compile(rf"-?\d{{1,3}}({_ANY_MARK})\d{{3}}((?:\1\d{{3}})*)(?:(?!\1)([.,])\d+)?", re.ASCII)
_POINT, _COMMA = re.compile(r"-?\d+\.\d+", re.ASCII), re.compile(r"-?\d+,\d+", re.ASCII)
_EITHER = re.compile(r"-?[1-9]\d{0,2}[.,]\d{3}", re.ASCII)  # thousands, or three decimals


def is_number(cell: str) -> bool:
    """Whether a cell is a number in some way of writing them; an empty one may be."""
    return bool(_PLAIN.fullmatch(cell) or _GROUPED.fullmatch(cell))


def grouped(mark: str, decimal_mark: str) -> re.Pattern[str]:
    """Return the expression of a number whose thousands a mark parts."""
    own = _WRITTEN.get(mark, re.escape(mark))
    return re.compile(rf"-?\d{{1,3}}(?:{own}\d{{3}})+(?:{re.escape(decimal_mark)}\d+)?", re.ASCII)


def without_groups(text: str, pattern: re.Pattern[str], mark: str) -> str:
    """Return a number without its marks of thousands; what is none of the pattern as it is."""
    return re.sub(_WRITTEN.get(mark, re.escape(mark)), "", text) if pattern.fullmatch(text) else text


def marks_of(cells: Sequence[str], delimiter: str) -> tuple[str, str]:
    """Return the decimal mark and that of thousands, most likely: the latter only where it can be no other.

    That is where it comes twice in a number, before a decimal mark, or is neither a point nor a comma. A
    comma that parts columns too marks decimals only where it can't be one of thousands.
    """
    told: Counter[tuple[str, str]] = Counter()
    for cell in cells:
        if match := _GROUPED.fullmatch(cell):
            mark, more, decimal = match.groups("")
            if more or decimal or mark not in ".,":
                told[_plain(mark), decimal] += 1
    commas = sum(bool(_COMMA.fullmatch(cell)) for cell in cells)
    points = sum(bool(_POINT.fullmatch(cell)) for cell in cells)
    usual = "," if commas > points and not (delimiter == "," and is_mark_unsure(cells)) else "."
    if not told:
        return usual, ""
    thousands = Counter(mark for mark, _decimal in told.elements()).most_common(1)[0][0]
    decimals = Counter(decimal for mark, decimal in told.elements() if decimal and mark == thousands)
    if decimals:
        return decimals.most_common(1)[0][0], thousands
    return {",": ".", ".": ","}.get(thousands, usual), thousands


def is_mark_unsure(cells: Sequence[str]) -> bool:
    """Whether each mark may be one of thousands: three digits stand behind it, no zero before it."""
    marked = [cell for cell in cells if "." in cell or "," in cell]
    return bool(marked) and all(map(_EITHER.fullmatch, marked))


def _plain(mark: str) -> str:
    """Return the mark that stands for all that look alike."""
    return next((own for own, written in _WRITTEN.items() if mark in written), mark)
