"""A first guess at a table's mapping, shown with a preview and with the questions a person must answer.

Nothing is imported by a guess: what the file can't say itself (zone, label of times, units without a name) is
among the questions, and what was found is a mapping to be looked at and saved.
"""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from wattkeeper.formats.api import FormatError
from wattkeeper.formats.csv_times import NOT_IN_PATTERN, NOT_ISO, InstantParser, TimeWrong
from wattkeeper.formats.mapping import (
    DELIMITERS,
    NOWHERE,
    PLAIN,
    REQUIRED_COLUMNS,
    Mapping,
    Place,
    ValueColumn,
)
from wattkeeper.formats.units import base_unit

PREVIEW_COUNT = 20
_LINES_LOOKED_AT = 200
_WRONG_ONE_IN = 10
_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)?|", re.ASCII)
_POINT, _COMMA = re.compile(r"-?\d+\.\d+", re.ASCII), re.compile(r"-?\d+,\d+", re.ASCII)
_CLOCK = re.compile(r"\d{1,2}:\d\d(?::\d\d)?", re.ASCII)
_UNIT_IN_NAME = re.compile(r"[\[(]\s*([A-Za-z]+)\s*[\])]|(?:^|[\s_])([kM]?(?:Wh|varh|VAh|W|var))$", re.ASCII)
_EXPORT = re.compile(r"export|lieferung|einspeis|abgabe|feed|generat|反向|上网|发电", re.IGNORECASE)
_PATTERNS = ("YYYY/MM/DD", "DD.MM.YYYY", "DD/MM/YYYY", "MM/DD/YYYY", "DD-MM-YYYY", "YYYYMMDD")
_CLOCKS = (" hh:mm", " hh:mm:ss", "")
_ALIKE = {"DD/MM/YYYY", "MM/DD/YYYY"}
_NAMES = {
    "usage_point": (
        "usage_point",
        "usage point",
        "nmi",
        "mpan",
        "meter point",
        "zählpunkt",
        "zaehlpunkt",
        "户号",
        "用电点",
    ),
    "meter_serial": ("meter_serial", "serial", "meter", "zähler", "zaehlernummer", "表号", "电表"),
    "quality": ("quality", "status", "qualität", "flag", "质量", "状态"),
}


@dataclass(frozen=True, slots=True)
class Detection:
    """A guess: the mapping, which of its fields a person must confirm, and the first rows as cells."""

    mapping: Mapping
    questions: tuple[str, ...]
    preview: tuple[tuple[str, ...], ...]


def detect_mapping(head: bytes) -> Detection:
    """Return a guess at the mapping of a CSV file by its first bytes.

    :raises FormatError: ``mapping.not-found`` where no column of times or of values can be made out
    """
    lines = head.decode("utf-8-sig", "replace").splitlines()[:_LINES_LOOKED_AT]
    delimiter = likely_delimiter(lines)
    return detect_table(list(csv.reader(lines, delimiter=delimiter)), delimiter)


def detect_table(rows: Sequence[Sequence[str]], delimiter: str = ",") -> Detection:
    """Return a guess at the mapping of a table's first rows, blank ones among them: they count for lines.

    :raises FormatError: as `detect_mapping` does
    """
    told = [row for row in rows if any(row)]
    preview = tuple(tuple(row) for row in told[:PREVIEW_COUNT])
    if told and {name.strip().lower() for name in told[0]} >= REQUIRED_COLUMNS:
        return Detection(replace(PLAIN, delimiter=delimiter), (), preview)
    width = Counter(len(row) for row in told).most_common(1)[0][0] if told else 0
    body = [row for row in told if len(row) == width]
    header = body[0] if body and not any(_is_value(cell) for cell in body[0]) else []
    columns = list(zip(*(body[1:] if header else body), strict=True))
    if not columns or not columns[0]:
        raise FormatError("mapping.not-found")
    return _guess(rows, header, columns, delimiter, preview)


def _guess(
    rows: Sequence[Sequence[str]],
    header: Sequence[str],
    columns: Sequence[Sequence[str]],
    delimiter: str,
    preview: tuple[tuple[str, ...], ...],
) -> Detection:
    questions = ["label"]
    names: list[str | int] = [*(name.strip() for name in header)] or list(range(1, len(columns) + 1))
    time_at, pattern, is_sure = _time_columns(columns)
    named = {field: _named(header, words) for field, words in _NAMES.items()}
    taken = {*time_at, *(at for at in named.values() if at is not None)}
    values_at = [at for at, cells in enumerate(columns) if at not in taken and _is_numeric(cells)]
    if not values_at:
        raise FormatError("mapping.not-found")
    texts = [" ".join(columns[at][row].strip() for at in time_at) for row in range(len(columns[0]))]
    has_offset = any(re.search(r"(?:Z|[+-]\d\d:?\d\d)$", text) for text in texts)
    interval_s = _interval_s(texts, pattern)
    questions += ["zone"] * (not has_offset) + ["time_format"] * (not is_sure)
    questions += ["interval_s"] * (interval_s is None) + ["usage_point"] * (named["usage_point"] is None)
    quality = Place(names[named["quality"]]) if named["quality"] is not None else Place(constant="raw")
    channels = _channels([str(names[at]) if header else f"channel-{at + 1}" for at in values_at])
    values = tuple(
        ValueColumn(
            names[at], Place(constant=name), Place(constant=_unit_of(str(names[at])) or "kWh"), quality
        )
        for at, name in zip(values_at, channels, strict=True)
    )
    questions += ["unit"] * any(_unit_of(str(names[at])) is None for at in values_at)
    words = sorted(set(columns[named["quality"]])) if named["quality"] is not None else []
    questions += ["qualities"] * any(words)
    mapping = Mapping(
        time=tuple(names[at] for at in time_at),
        values=values,
        delimiter=delimiter,
        decimal_mark=_decimal_mark([cell for at in values_at for cell in columns[at]], delimiter),
        header_line=_header_line(rows, header),
        zone=None if has_offset else "UTC",
        time_format=pattern,
        interval_s=Place(constant=str(interval_s or 900)),
        usage_point=_place(names, named["usage_point"], "UP-1"),
        meter_serial=_place(names, named["meter_serial"], ""),
        blank="missing",
    )
    return Detection(mapping, tuple(questions), preview)


def likely_delimiter(lines: Sequence[str]) -> str:
    """Return the mark that most lines have, equally often."""
    best, most = ",", (0, 0)
    for delimiter in DELIMITERS:
        counts = Counter(line.count(delimiter) for line in lines if line.strip())
        count, line_count = counts.most_common(1)[0] if counts else (0, 0)
        if count and (line_count, count) > most:
            best, most = delimiter, (line_count, count)
    return best


def _is_value(cell: str) -> bool:
    return bool(cell.strip()) and (bool(_NUMBER.fullmatch(cell.strip())) or bool(_pattern_of([cell])[0]))


def _is_numeric(cells: Sequence[str]) -> bool:
    """Whether cells are values: a file may hold a wrong one here and there."""
    wrong_count = sum(not _NUMBER.fullmatch(cell.strip()) for cell in cells)
    return any(cell.strip() for cell in cells) and wrong_count <= len(cells) // _WRONG_ONE_IN


def _time_columns(columns: Sequence[Sequence[str]]) -> tuple[tuple[int, ...], str, bool]:
    """Return the column or columns that say when, their pattern, and whether no other fits."""
    for at, cells in enumerate(columns):
        pattern, is_sure = _pattern_of(cells)
        if not pattern:
            continue
        clock = next((c for c, other in enumerate(columns) if c != at and all(map(_is_clock, other))), None)
        if clock is None or pattern == "iso" or "hh" in pattern:
            return (at,), pattern, is_sure
        both = [f"{day.strip()} {time.strip()}" for day, time in zip(cells, columns[clock], strict=True)]
        pattern, is_sure = _pattern_of(both)
        return (at, clock), pattern, is_sure
    raise FormatError("mapping.not-found")


def _is_clock(cell: str) -> bool:
    return bool(_CLOCK.fullmatch(cell.strip()))


def _pattern_of(cells: Sequence[str]) -> tuple[str, bool]:
    """Return the pattern of most cells, and whether no other would do as well; nothing where none does."""
    texts = [cell.strip() for cell in cells if cell.strip()]
    wrong_counts = {pattern: sum(not _fits(text, pattern) for text in texts) for pattern in _PARSERS}
    least = min(wrong_counts.values())
    fitting = [pattern for pattern, count in wrong_counts.items() if count == least]
    if not texts or least > len(texts) // _WRONG_ONE_IN:
        return "", False
    return fitting[0], fitting[0] == "iso" or len({pattern[:10] for pattern in fitting} & _ALIKE) < 2


def _fits(text: str, pattern: str) -> bool:
    try:
        _PARSERS[pattern].parse(text)
    except TimeWrong as wrong:
        return wrong.code not in (NOT_ISO, NOT_IN_PATTERN)
    return not (text.isdecimal() and pattern != "YYYYMMDD" and len(text) != 8)


_PARSERS = {
    pattern: InstantParser("UTC", pattern)
    for pattern in ("iso", *(day + clock for day in _PATTERNS for clock in _CLOCKS))
}


def _interval_s(texts: Sequence[str], pattern: str) -> int | None:
    """Return the step most often found between times that follow each other, the shortest of several."""
    parse = _PARSERS[pattern].parse
    found: list[int] = []
    for text in texts:
        try:
            found.append(parse(text))
        except TimeWrong:
            continue
    steps = Counter(after - before for before, after in pairwise(found) if after > before)
    return max(steps, key=lambda step: (steps[step], -step)) if steps else None


def _named(header: Sequence[str], words: Sequence[str]) -> int | None:
    for word in words:
        for at, name in enumerate(header):
            if name.strip().lower() == word:
                return at
    return None


def _unit_of(name: str) -> str | None:
    match = _UNIT_IN_NAME.search(name)
    text = (match[1] or match[2]) if match else ""
    return text if text and base_unit(text) else None


def _channels(names: Sequence[str]) -> list[str]:
    """Return the channels of columns of values: the direction that one column alone has, else its name."""
    told = ["export" if _EXPORT.search(name) else "import" for name in names]
    return [way if told.count(way) == 1 else name for name, way in zip(names, told, strict=True)]


def _decimal_mark(cells: Sequence[str], delimiter: str) -> str:
    commas = sum(bool(_COMMA.fullmatch(cell.strip())) for cell in cells)
    points = sum(bool(_POINT.fullmatch(cell.strip())) for cell in cells)
    return "," if commas > points and delimiter != "," else "."


def _header_line(rows: Sequence[Sequence[str]], header: Sequence[str]) -> int:
    return next((number for number, row in enumerate(rows, 1) if header and row == header), 0)


def _place(names: Sequence[str | int], at: int | None, constant: str) -> Place:
    if at is not None:
        return Place(names[at])
    return Place(constant=constant) if constant else NOWHERE
