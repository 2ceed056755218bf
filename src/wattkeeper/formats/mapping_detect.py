"""A first guess at a table's mapping, shown with a preview and with the questions a person must answer.

Nothing is imported by a guess: what the file can't say itself (zone, label of times, units without a name) is
among the questions, and what was found is a mapping to be looked at and saved.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import StringIO
from itertools import islice, pairwise

from wattkeeper.formats.api import FormatError
from wattkeeper.formats.column_names import (
    OF_ONE_VALUE,
    columns_named,
    find_commodities,
    names_no_energy,
    names_register,
)
from wattkeeper.formats.commodity_words import names_other_commodity
from wattkeeper.formats.csv_cells import cells_of, join_lines
from wattkeeper.formats.csv_times import NOT_IN_PATTERN, NOT_ISO, InstantParser, TimeWrong, bare_day
from wattkeeper.formats.day_columns import find_day, label_of, length_of
from wattkeeper.formats.detect import BOM, HEAD_BYTES, plain_text
from wattkeeper.formats.encodings import Encoding, find_encoding
from wattkeeper.formats.lines import with_line_feeds
from wattkeeper.formats.mapping import (
    DELIMITERS,
    NOWHERE,
    PLAIN,
    REQUIRED_COLUMNS,
    Mapping,
    Place,
    ValueColumn,
)
from wattkeeper.formats.number_marks import is_mark_unsure, is_number, marks_of
from wattkeeper.formats.units import base_unit

PREVIEW_COUNT = 20
LINES_LOOKED_AT = 200
_WRONG_ONE_IN = 10
_NO_TIME = re.compile(r"-?\d{0,7}(?:[.,]\d+)?", re.ASCII)
_CLOCK = re.compile(r"\d{1,2}:\d\d(?::\d\d)?(?:\s*[AaPp]\.?[Mm]\.?)?")
_UNIT_IN_NAME = re.compile(r"[\[(]\s*([A-Za-z]+)\s*[\])]|(?:^|[\s_])([kM]?(?:Wh|varh|VAh|W|var))$", re.ASCII)
_EXPORT = re.compile(r"export|lieferung|einspeis|abgabe|feed|generat|反向|上网|发电", re.IGNORECASE)
_PATTERNS = (
    *("YYYY-MM-DD", "YYYY/MM/DD", "DD.MM.YYYY", "DD/MM/YYYY", "MM/DD/YYYY", "DD-MM-YYYY", "YYYYMMDD"),
    *("YYYY年MM月DD日", "DD-MMM-YYYY", "DD MMM YYYY", "DD.MM.YY", "DD/MM/YY", "MM/DD/YY"),
)
_CLOCKS = (" hh:mm", " hh:mm:ss", " hh:mm AM", " hh:mm:ss AM", "")
_ALIKE = {"DD/MM/YYYY", "MM/DD/YYYY", "DD/MM/YY", "MM/DD/YY"}


@dataclass(frozen=True, slots=True)
class Detection:
    """A guess: the mapping, which of its fields a person must confirm, and the first rows as cells."""

    mapping: Mapping
    questions: tuple[str, ...]
    preview: tuple[tuple[str, ...], ...]


def detect_mapping(content: bytes) -> Detection:
    """Return a guess at the mapping of a CSV file by its first lines; at its encoding by all of them.

    :raises FormatError: ``mapping.not-found`` where no column of times or of values can be made out
    """
    encoding = encoding_of(content)
    lines = lines_of(content, encoding.name or encoding.candidates[0])
    delimiter = likely_delimiter(lines)
    found = detect_table(cells_of(lines, delimiter), delimiter)
    return with_encoding(found, content, encoding)


def encoding_of(content: bytes, named: str = "") -> Encoding:
    """Return the encoding of a CSV file, as its reader finds it."""
    return find_encoding(with_line_feeds(plain_text(content)), named)


def with_encoding(found: Detection, content: bytes, encoding: Encoding) -> Detection:
    """Return a guess with the encoding; a file of ASCII alone speaks for none."""
    questions = found.questions if encoding.name else ("encoding", *found.questions)
    name = "" if content.isascii() else encoding.name
    return replace(found, mapping=replace(found.mapping, encoding=name), questions=questions)


def lines_of(content: bytes, encoding: str) -> list[str]:
    """Return the first lines of a text, to look at: LF, CR LF or CR alone ends one, as for its reader."""
    head = plain_text(content[:HEAD_BYTES])
    name = "utf-8-sig" if encoding == "utf-8" or head.startswith(BOM) else encoding
    text = StringIO(head.decode(name, "replace"), newline=None)
    return join_lines([line.rstrip("\n") for line in islice(text, LINES_LOOKED_AT)])


def detect_table(rows: Sequence[Sequence[str]], delimiter: str = ",") -> Detection:
    """Return a guess at the mapping of a table's first rows, blank ones among them: they count for lines.

    :raises FormatError: as `detect_mapping` does
    """
    preview = tuple(tuple(row) for row in rows if any(row))[:PREVIEW_COUNT]
    rows = _without_blank_tails(rows)
    for number, row in enumerate(rows, 1):
        if {name.strip().lower() for name in row} >= REQUIRED_COLUMNS:
            return Detection(replace(PLAIN, delimiter=delimiter, header_line=number), (), preview)
    first, last = _data_span(rows)
    header_line = _header_line(rows, first)
    header = rows[header_line - 1] if header_line else []
    body = [row for row in rows[header_line or first : last + 1] if any(map(_is_value, row))]
    width = len(header) or Counter(map(len, body)).most_common(1)[0][0] if body else 0
    columns = list(zip(*(row for row in body if len(row) == width), strict=True))
    if not columns:
        raise FormatError("mapping.not-found")
    day = find_day(header)
    found = day and _guess_days(header_line, header, columns, delimiter, day)
    mapping, questions = found or _guess(header_line, header, columns, delimiter)
    return Detection(mapping, tuple(questions), preview)


def _without_blank_tails(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Return the rows without the columns behind the last that holds anything: delimiters end some lines."""
    width = max((at for row in rows for at, cell in enumerate(row, 1) if cell.strip()), default=0)
    return [row[:width] for row in rows]


def _data_span(rows: Sequence[Sequence[str]]) -> tuple[int, int]:
    """Return where the first and the last row of values are; titles stand above and sums below them."""
    times_at = [_times_at(row) for row in rows]
    often = Counter(one for one in times_at if one).most_common(1)
    found = [at for at, one in enumerate(times_at) if often and one == often[0][0]]
    return (found[0], found[-1]) if found else (0, len(rows) - 1)


def _header_line(rows: Sequence[Sequence[str]], first: int) -> int:
    """Return the line that names the columns of the first row of values, 0 where none does.

    It is the last one above that has no value itself, but for numbers of a day's intervals, and a name for
    each of that row's.
    """
    for at in range(first - 1, -1, -1):
        day = find_day(rows[at]) or ()
        others = [cell for place, cell in enumerate(rows[at]) if place not in day]
        has_names = len(rows[at]) == len(rows[first]) and not any(map(_is_value, others))
        named = zip(rows[at], rows[first], strict=False)
        if has_names and all(name.strip() for name, cell in named if _is_value(cell)):
            return at + 1
    return 0


def _times_at(row: Sequence[str]) -> tuple[bool, ...]:
    """Return which cells of a row are times; nothing where it has none, or no number beside them."""
    is_time = tuple(bool(_pattern_of([cell])[0]) for cell in row)
    others = (cell.strip() for cell, is_one in zip(row, is_time, strict=True) if not is_one)
    has_number = any(cell and is_number(cell) for cell in others)
    return is_time if any(is_time) and has_number else ()


def _guess(
    header_line: int,
    header: Sequence[str],
    columns: Sequence[Sequence[str]],
    delimiter: str,
) -> tuple[Mapping, list[str]]:
    questions = ["label"]
    titles = [name.strip() for name in header] or [""] * len(columns)
    names = _column_names(titles)
    time_at, pattern, is_sure = _time_columns(columns)
    named = columns_named(header)
    taken = {*time_at, *(at for at in named.values() if at is not None)}
    values_at = [at for at, cells in enumerate(columns) if at not in taken and _is_numeric(cells)]
    if not values_at:
        raise FormatError("mapping.not-found")
    units = {at: _unit_of(titles[at]) for at in values_at}
    values_at = [at for at in values_at if units[at] or not names_no_energy(titles[at])] or values_at
    if len(values_at) > 1:
        named |= dict.fromkeys(OF_ONE_VALUE)
    elif named["channel"] is None:
        named["channel"] = find_commodities(columns)
    times = [columns[at] for at in time_at]
    days = [bare_day(cell) if len(time_at) > 1 else cell.strip() for cell in columns[time_at[0]]]
    texts = [" ".join(map(str.strip, cells)) for cells in zip(days, *times[1:], strict=True)]
    has_offset = any(re.search(r"(?:Z|[+-]\d\d:?\d\d)$", text) for text in texts)
    is_register = all(names_register(titles[at]) for at in values_at)
    interval_s = 0 if is_register else _interval_s(texts, pattern)
    questions += ["zone"] * (not has_offset) + ["time_format"] * (not is_sure)
    questions += ["interval_s"] * (not interval_s) + ["usage_point"] * (named["usage_point"] is None)
    quality = Place(names[named["quality"]]) if named["quality"] is not None else Place(constant="raw")
    by_number = {at for at in values_at if names[at] == at + 1 and not names_other_commodity(titles[at])}
    channels = _channels([f"channel-{at + 1}" if at in by_number else titles[at] for at in values_at])
    values = tuple(
        ValueColumn(
            names[at],
            _place(names, named["channel"], name),
            _place(names, named["unit"], units[at] or "kWh"),
            quality,
        )
        for at, name in zip(values_at, channels, strict=True)
    )
    is_unit_told = named["unit"] is not None or all(units[at] for at in values_at)
    questions += ["unit"] * (not is_unit_told)
    cells = [columns[at][row].strip() for at in values_at for row in range(len(columns[at]))]
    decimal_mark, thousands_mark = marks_of(cells, delimiter)
    questions += ["decimal_mark"] * is_mark_unsure(cells)
    words = _quality_words(columns, named["quality"])
    questions += ["qualities"] * any(words)
    mapping = Mapping(
        time=tuple(names[at] for at in time_at),
        values=values,
        delimiter=delimiter,
        decimal_mark=decimal_mark,
        thousands_mark=thousands_mark,
        header_line=header_line,
        zone=None if has_offset else "UTC",
        time_format=pattern,
        interval_s=Place(constant=str(900 if interval_s is None else interval_s)),
        usage_point=_place(names, named["usage_point"], "UP-1"),
        meter_serial=_place(names, named["meter_serial"], ""),
        qualities={"": "raw"} if "" in words else {},
        blank="missing",
    )
    return mapping, questions


def _guess_days(
    header_line: int, header: Sequence[str], columns: Sequence[Sequence[str]], delimiter: str, day: range
) -> tuple[Mapping, list[str]] | None:
    """Return a guess at a table whose rows hold the intervals of a day; None where no column is the day."""
    titles = [name.strip() for name in header]
    names = _column_names(titles)
    patterns = {
        at: _pattern_of(list(map(bare_day, cells))) for at, cells in enumerate(columns) if at not in day
    }
    day_at = next((at for at, (pattern, _sure) in patterns.items() if pattern in _PATTERNS), None)
    cells = [cell.strip() for at in day for cell in columns[at]]
    if day_at is None or not _is_numeric(cells):
        return None
    pattern, is_sure = patterns[day_at]
    named = columns_named(header)
    interval_s = length_of(len(day))
    decimal_mark, thousands_mark = marks_of(cells, delimiter)
    label, is_label_sure = label_of(titles[day.start : day.stop], interval_s)
    unit = next((unit for title in titles if (unit := _unit_of(title))), "")
    first, *behind = (names[at] for at in day)
    channel, quality = _place(names, named["channel"], "import"), _place(names, named["quality"], "raw")
    values = ValueColumn(first, channel, _place(names, named["unit"], unit or "kWh"), quality, tuple(behind))
    words = _quality_words(columns, named["quality"])
    is_asked = {
        "label": not is_label_sure,
        "zone": True,
        "time_format": not is_sure,
        "usage_point": named["usage_point"] is None,
        "unit": not unit and named["unit"] is None,
        "decimal_mark": is_mark_unsure(cells),
        "qualities": any(words),
    }
    mapping = Mapping(
        time=(names[day_at],),
        values=(values,),
        delimiter=delimiter,
        decimal_mark=decimal_mark,
        thousands_mark=thousands_mark,
        header_line=header_line,
        zone="UTC",
        label=label,
        time_format=pattern,
        interval_s=Place(constant=str(interval_s)),
        usage_point=_place(names, named["usage_point"], "UP-1"),
        meter_serial=_place(names, named["meter_serial"], ""),
        qualities={"": "raw"} if "" in words else {},
        blank="missing",
    )
    return mapping, [question for question, is_one in is_asked.items() if is_one]


def _column_names(titles: Sequence[str]) -> list[str | int]:
    """Return how a mapping names columns: by title, by number where that is none or another's too."""
    often = Counter(map(str.lower, titles))
    return [title if title and often[title.lower()] == 1 else at for at, title in enumerate(titles, 1)]


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
    return bool(cell.strip()) and (is_number(cell.strip()) or bool(_pattern_of([cell])[0]))


def _is_numeric(cells: Sequence[str]) -> bool:
    """Whether cells are values: a file may hold a wrong one here and there."""
    wrong_count = sum(not is_number(cell.strip()) for cell in cells)
    return any(cell.strip() for cell in cells) and wrong_count <= len(cells) // _WRONG_ONE_IN


def _time_columns(columns: Sequence[Sequence[str]]) -> tuple[tuple[int, ...], str, bool]:
    """Return the column or columns that say when, their pattern, and whether no other fits."""
    for at, cells in enumerate(columns):
        pattern, is_sure = _pattern_of(cells)
        if not pattern:
            continue
        clock = next((c for c, other in enumerate(columns) if c != at and _is_clock(other)), None)
        days = [bare_day(cell) for cell in cells]
        if clock is None or any(":" in day for day in days):
            return (at,), pattern, is_sure
        both = [f"{day} {time.strip()}" for day, time in zip(days, columns[clock], strict=True)]
        pattern, is_sure = _pattern_of(both)
        return (at, clock), pattern, is_sure
    raise FormatError("mapping.not-found")


def _is_clock(cells: Sequence[str]) -> bool:
    return sum(not _CLOCK.fullmatch(cell.strip()) for cell in cells) <= len(cells) // _WRONG_ONE_IN


def _pattern_of(cells: Sequence[str]) -> tuple[str, bool]:
    """Return the pattern of most cells, and whether no other would do as well; nothing where none does."""
    texts = [cell.strip() for cell in cells if cell.strip()]
    if all(map(_NO_TIME.fullmatch, texts)):
        return "", False
    wrong_counts = {pattern: sum(not _fits(text, pattern) for text in texts) for pattern in _PARSERS}
    least = min(wrong_counts.values())
    fitting = [pattern for pattern, count in wrong_counts.items() if count == least]
    if not texts or least > len(texts) // _WRONG_ONE_IN:
        return "", False
    days = {pattern.partition(" ")[0] for pattern in fitting}
    is_year_told = "YYYY" in fitting[0] or fitting[0] == "iso"  # of three numbers of two digits any is it
    return fitting[0], fitting[0] == "iso" or (is_year_told and len(days & _ALIKE) < 2)


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


def _quality_words(columns: Sequence[Sequence[str]], at: int | None) -> set[str]:
    return set() if at is None else {cell.strip() for cell in columns[at]}


def _unit_of(name: str) -> str | None:
    match = _UNIT_IN_NAME.search(name)
    text = (match[1] or match[2]) if match else ""
    return text if text and base_unit(text) else None


def _channels(names: Sequence[str]) -> list[str]:
    """Return the channels of columns of values: the direction that one column of electricity alone has, else
    its name.
    """
    told = [
        "" if names_other_commodity(name) else "export" if _EXPORT.search(name) else "import"
        for name in names
    ]
    return [way if way and told.count(way) == 1 else name for name, way in zip(names, told, strict=True)]


def _place(names: Sequence[str | int], at: int | None, constant: str) -> Place:
    if at is not None:
        return Place(names[at])
    return Place(constant=constant) if constant else NOWHERE
