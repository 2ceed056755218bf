"""Tables with a day a row: their columns are the intervals of the row's day, read as if each had a row."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from io import BytesIO
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.formats import tables
from wattkeeper.formats.api import FormatError, ParsedIntervals
from wattkeeper.formats.blocks import rows_of
from wattkeeper.formats.csv_intervals import read_csv
from wattkeeper.formats.csv_times import InstantParser, TimeWrong
from wattkeeper.formats.day_columns import find_day, starts_in_day
from wattkeeper.formats.files import read_file
from wattkeeper.formats.mapping import Mapping, Place, ValueColumn, parse_mapping
from wattkeeper.formats.mapping_detect import detect_mapping
from wattkeeper.formats.mapping_roles import compose, decompose
from wattkeeper.formats.table_head import columns_of, detect_content, read_head

BERLIN = "Europe/Berlin"
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)


def clock(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds % 3600 // 60:02d}"


def headings(count: int, kind: str) -> list[str]:
    """Return the headings of a day's columns."""
    step = 86_400 // count
    starts = [at * step for at in range(count)]
    return {
        "start": [clock(at) for at in starts],
        "end": [clock(at + step) for at in starts],
        "end at 0": [clock((at + step) % 86_400) for at in starts],
        "one digit": [clock(at).removeprefix("0") for at in starts],
        "span": [f"{clock(at)}-{clock(at + step)}" for at in starts],
        "V": [f"V{at + 1}" for at in range(count)],
        "bare": [str(at + 1) for at in range(count)],
        "第": [f"第{at + 1}点" for at in range(count)],
        "时": [f"{at + 1}时" for at in range(count)],
        "from 0": [f"H{at}" for at in range(count)],
    }[kind]


def wide(names: list[str], *rows: tuple[str, ...], head: str = "date,nmi") -> bytes:
    lines = [",".join([head, *names]), *(",".join(row) for row in rows)]
    return ("\n".join(lines) + "\n").encode()


def of_days(names: list[str], **change: object) -> Mapping:
    values = ValueColumn(names[0], Place(constant="import"), Place(constant="kWh"), behind=tuple(names[1:]))
    fields: dict[str, object] = {
        "time": ("date",),
        "time_format": "YYYY-MM-DD",
        "values": (values,),
        "zone": BERLIN,
        "interval_s": Place(constant=str(86_400 // (len(names) // 24 * 24))),
        "usage_point": Place("nmi"),
        "blank": "missing",
    }
    return Mapping(**{**fields, **change})  # type: ignore[arg-type]


def day_of(day: date, cells: list[str], point: str = "UP-1") -> tuple[str, ...]:
    return (day.isoformat(), point, *cells)


def starts_of(parsed: ParsedIntervals) -> list[int]:
    return parsed.blocks[0].starts_at_s.tolist()


def midnight(day: date) -> int:
    return int(datetime.combine(day, time(), ZoneInfo(BERLIN)).timestamp())


@pytest.mark.parametrize(
    ("count", "kind", "label", "is_asked"),
    [
        (96, "start", "start", True),
        (96, "end", "end", False),
        (96, "end at 0", "end", False),
        (48, "start", "start", True),
        (48, "end", "end", False),
        (24, "one digit", "start", True),
        (24, "span", "start", False),
        (96, "span", "start", False),
        (96, "V", "start", True),
        (96, "bare", "start", True),
        (24, "bare", "start", True),
        (24, "from 0", "start", True),
        (96, "第", "start", True),
        (24, "时", "end", False),
        (288, "end", "end", False),
    ],
)
def test_guesses_of_headings(count: int, kind: str, label: str, *, is_asked: bool) -> None:
    text = wide(headings(count, kind), *(day_of(date(2026, 3, d), list("1" * count)) for d in (1, 2)))
    found = detect_mapping(text)
    mapping = found.mapping
    assert (mapping.label, "label" in found.questions) == (label, is_asked)
    assert mapping.interval_s == Place(constant=str(86_400 // count))
    assert [len(one.columns) for one in mapping.values] == [count]
    assert {"zone", "unit"} <= set(found.questions)
    parsed = read_csv(text, replace(mapping, zone=BERLIN))
    first_s = midnight(date(2026, 3, 1))
    assert parsed.errors == []
    assert starts_of(parsed) == list(range(first_s, first_s + 2 * 86_400, 86_400 // count))


@pytest.mark.parametrize(
    "names",
    [
        ["M1", "M2", "M3"],
        [str(day) for day in range(1, 32)],
        ["00:00", "00:15", "01:00"] * 8,
        [clock((at + 6) % 24 * 3600) for at in range(24)],  # a gas day is no day of the calendar
    ],
)
def test_other_columns_are_channels(names: list[str]) -> None:
    text = wide(names, *(day_of(date(2026, 3, d), list("1" * len(names))) for d in (1, 2)))
    assert not detect_mapping(text).mapping.has_days


def test_a_day_is_found_among_thousands_of_columns() -> None:
    day = headings(24, "V")
    assert find_day([*["00:00", "00:15"] * 9_000, *map(str, range(9_000)), "x", *day]) == range(
        27_001, 27_025
    )
    assert find_day(headings(96, "end") * 2) == range(96)


def test_units_and_channels_beside_the_days_and_power_is_no_energy() -> None:
    names = headings(24, "end")
    row = ("2026-03-01", "UP-1", "反向有功", "kW", *"1" * 24)
    found = detect_mapping(wide(names, row, head="date,户号,数据类型,单位"))
    assert found.mapping.values[0].channel == Place("数据类型")
    assert "unit" not in found.questions
    (block,) = read_csv(wide(names, row, head="date,户号,数据类型,单位"), found.mapping).blocks
    assert (block.unit, block.channel) == ("W", "反向有功")
    titled = detect_mapping(wide(names, ("2026-03-01", "UP-1", "9", *"1" * 24), head="date,nmi,最大负荷(kW)"))
    assert titled.mapping.values[0].unit == Place(constant="kW")


@st.composite
def day_tables(draw: st.DrawFn) -> tuple[bytes, Mapping, bytes, Mapping]:
    """Draw the same values as a table with a day a row, and as one with an interval a row."""
    count = draw(st.sampled_from([24, 48, 96]))
    kind = draw(st.sampled_from(["start", "end", "end at 0", "span", "V", "bare"]))
    zone = draw(
        st.sampled_from([BERLIN, "Asia/Shanghai", "Asia/Kolkata", "America/Havana", "Australia/Lord_Howe"])
    )
    names = headings(count, kind)
    first = draw(st.dates(date(2026, 1, 1), date(2026, 12, 20)))
    order = list(range(count))
    if kind in ("start", "end", "span"):
        order[1:] = draw(st.permutations(order[1:]))
    step = timedelta(days=1) / count
    wide_rows, long_rows = [], []
    for ahead in range(draw(st.integers(1, 4))):
        day = datetime.combine(first + timedelta(days=ahead), time(), ZoneInfo(zone))
        cells = draw(st.lists(st.sampled_from(["", "0", "1.5", "0.001"]), min_size=count, max_size=count))
        word = draw(st.sampled_from(["raw", "est"]))
        for at in range(count):
            begins = day + at * step
            last = begins + step - timedelta(seconds=1)
            is_unsure = any(one.replace(fold=1).utcoffset() != one.utcoffset() for one in (begins, last))
            if is_unsure:
                cells[at] = ""
            else:
                instant = begins.astimezone(UTC).isoformat()
                long_rows.append(("A", instant, cells[at], word))
        wide_rows.append((day.date().isoformat(), "A", *(cells[at] for at in order), word))
    shuffled = [names[at] for at in order]
    text = wide([*shuffled, "status"], *wide_rows)
    mapping = of_days(shuffled, zone=zone, label="end" if kind.startswith("end") else "start")
    mapping = replace(mapping, values=(replace(mapping.values[0], quality=Place("status")),))
    lines = ["nmi,at,kWh,status", *(",".join(row) for row in long_rows)]
    one = ValueColumn("kWh", Place(constant="import"), Place(constant="kWh"), Place("status"))
    plain = replace(mapping, time=("at",), time_format="iso", values=(one,), label="start", zone=None)
    return text, mapping, "\n".join(lines).encode(), plain


@given(day_tables())
@settings(max_examples=150, deadline=None)
def test_days_say_what_rows_of_intervals_say(drawn: tuple[bytes, Mapping, bytes, Mapping]) -> None:
    text, mapping, long, plain = drawn
    parsed, wanted = read_csv(text, mapping), read_csv(long, plain)
    assert parsed.errors == wanted.errors == []
    assert rows_of(parsed.blocks) == rows_of(wanted.blocks)
    assert parse_mapping(mapping.to_json()) == mapping
    columns = columns_of(read_head(text), 1)
    roles, rules = decompose(mapping, columns)
    again = read_csv(text, compose(roles, rules))
    assert rows_of(again.blocks) == rows_of(wanted.blocks)


class Careful(InstantParser):
    """One that looks at each interval by itself, and counts at how many instants it looks."""

    looks_count = 0

    def _is_steady(self, *_day: Any) -> bool:
        return False

    def _at(self, moment: datetime) -> int:
        self.looks_count += 1
        return super()._at(moment)


class Counting(Careful):
    """One that does as the real one, and counts."""

    _is_steady = InstantParser._is_steady


@pytest.mark.parametrize("zone", [BERLIN, "America/Havana", "Australia/Lord_Howe", "Africa/Cairo"])
@pytest.mark.parametrize("first_s", [0, -3600])
def test_a_day_whose_clocks_stand_is_looked_at_thrice(zone: str, first_s: int) -> None:
    """And is what each of its intervals by itself comes to; so are days on which clocks change."""
    starts_s = np.arange(first_s, first_s + 86_400, 3600)
    careful, counting = Careful(zone), Counting(zone)
    texts = [f"{date(2026, 3, 1) + timedelta(days=days)} 00:00:00" for days in range(60)]
    for text in texts:
        both = [told(parser, text, starts_s) for parser in (careful, counting)]
        assert both[0] == both[1], text
    assert counting.looks_count < 3 * len(texts) + 8 * 2 * len(starts_s) < careful.looks_count


def told(parser: InstantParser, text: str, starts_s: Any) -> Any:
    """Return what a parser says of a day, or the code of what is wrong with it."""
    try:
        return parser.parse_day(text, starts_s, 3600).tolist()
    except TimeWrong as wrong:
        return wrong.code


def positions(names: Sequence[str | int], interval_s: int, *, is_end: bool) -> list[int]:
    """A planted fault: columns are taken in their order, whatever stands above them."""
    return [at * interval_s for at in range(len(names))]


def earlier(names: Sequence[str | int], interval_s: int, *, is_end: bool) -> list[int]:
    """A planted fault: what names the start of its interval is taken for its end."""
    return [start_s - interval_s for start_s in starts_in_day(names, interval_s, is_end=is_end)]


def zeros(reader: Any, texts: Sequence[str], *others: Any) -> Any:
    """A planted fault: a blank cell counts as nothing used."""
    return TAKE_VALUES(reader, [text or "0" for text in texts], *others)


TAKE_VALUES = tables._Column._values


@pytest.mark.parametrize(
    ("place", "fault"),
    [
        ("wattkeeper.formats.mapping.starts_in_day", positions),
        ("wattkeeper.formats.mapping.starts_in_day", earlier),
        ("wattkeeper.formats.tables._Column._values", zeros),
    ],
    ids=["order of columns", "start and end mixed up", "a blank is zero"],
)
def test_planted_faults_are_seen(place: str, fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [*headings(24, "end")[:22], "24:00", "23:00"]
    text = wide(names, day_of(date(2026, 3, 1), ["", *map(str, range(1, 24))]))
    wanted = rows_of(read_csv(text, of_days(names, label="end")).blocks)
    monkeypatch.setattr(place, fault)
    assert rows_of(read_csv(text, of_days(names, label="end")).blocks) != wanted


def test_a_blank_is_missing_or_what_the_mapping_says() -> None:
    names = headings(24, "end")
    text = wide(names, day_of(date(2026, 3, 1), ["1", "", "0", *"1" * 21]))
    (block,) = read_csv(text, of_days(names, label="end")).blocks
    assert (len(block.value_milli), int((block.provenance == block.provenance[1]).sum())) == (24, 1)
    (block,) = read_csv(text, of_days(names, label="end", blank="skip")).blocks
    assert len(block.value_milli) == 23
    (error,) = read_csv(text, of_days(names, label="end", blank="error")).errors
    assert (error.line, error.column) == (2, 4)


def test_days_of_23_and_25_hours_with_24_columns() -> None:
    names = headings(24, "start")
    mapping = of_days(names)
    full = [str(at) for at in range(24)]
    spring = read_csv(wide(names, day_of(SPRING, full), day_of(date(2026, 3, 30), full)), mapping)
    assert [(one.line, one.column, one.code) for one in spring.errors] == [(2, 5, "csv.not-in-day")]
    assert starts_of(spring)[0] == midnight(date(2026, 3, 30)), "nothing of the wrong row is taken"
    right = read_csv(wide(names, day_of(SPRING, [*full[:2], "", *full[3:]])), mapping)
    assert right.errors == []
    assert starts_of(right) == [midnight(SPRING) + 3600 * at for at in range(23)]
    autumn = read_csv(wide(names, day_of(AUTUMN, full)), mapping)
    assert [(one.line, one.column, one.code) for one in autumn.errors] == [(2, 5, "csv.hour-twice")]
    after = [midnight(AUTUMN) + 3600 * at for at in (0, 1, *range(4, 25))]
    assert starts_of(autumn) == after


def test_clocks_that_go_back_within_an_hour_or_at_midnight() -> None:
    names = headings(24, "start")
    for zone, day, column in (
        ("Australia/Lord_Howe", date(2026, 4, 5), 4),  # 01:00 to 02:00 takes 90 minutes
        ("America/Havana", date(2026, 11, 1), 3),
    ):
        parsed = read_csv(wide(names, day_of(day, ["1"] * 24)), of_days(names, zone=zone))
        assert [(one.column, one.code) for one in parsed.errors] == [(column, "csv.hour-twice")]


def test_columns_of_25_hours_follow_each_other() -> None:
    names = headings(25, "V")
    mapping = of_days(names)
    for day, hours_count in ((SPRING, 23), (date(2026, 3, 1), 24), (AUTUMN, 25)):
        cells = ["1"] * hours_count + [""] * (25 - hours_count)
        parsed = read_csv(wide(names, day_of(day, cells)), mapping)
        assert parsed.errors == []
        assert starts_of(parsed) == [midnight(day) + 3600 * at for at in range(hours_count)]
    wrong = read_csv(wide(names, day_of(date(2026, 3, 1), ["1"] * 25)), mapping)
    assert [(one.column, one.code) for one in wrong.errors] == [(27, "csv.not-in-day")]
    assert wrong.blocks == []


def test_wrong_cells_are_named_by_row_and_column() -> None:
    names = headings(24, "V")
    good = ["1"] * 24
    text = wide(
        names,
        day_of(date(2026, 3, 1), ["1", "x", *good[2:]]),
        ("1.3.2026", "UP-1", *good),
        day_of(date(2026, 3, 1), good),
        day_of(date(2026, 3, 2), good[:-1]),
    )
    parsed = read_csv(text, of_days(names))
    assert [(one.line, one.column, one.code) for one in parsed.errors] == [
        (2, 4, "formats.not-a-number"),
        (3, 1, "csv.not-in-pattern"),
        (4, 1, "csv.interval-twice"),
        (5, 0, "csv.wrong-count"),
    ]


@pytest.mark.parametrize(
    ("names", "change", "field"),
    [
        (headings(24, "end"), {"label": "start"}, "label"),
        (headings(24, "end at 0"), {"label": "start"}, "label"),
        ([*headings(24, "end")[1:], "01:30"], {"label": "end"}, "label"),
        (headings(24, "V"), {"interval_s": Place(constant="900")}, "interval_s"),
        (headings(24, "V"), {"interval_s": Place("nmi")}, "interval_s"),
        (headings(24, "V"), {"interval_s": Place(constant="0")}, "interval_s"),
        (headings(48, "V"), {"interval_s": Place(constant="1790")}, "interval_s"),
        (headings(24, "V"), {"time_format": "YYYY-MM-DD hh:mm"}, "time_format"),
        (headings(24, "V"), {"time": ("date", "nmi")}, "time"),
    ],
)
def test_what_is_no_day_is_refused(names: list[str], change: dict[str, object], field: str) -> None:
    with pytest.raises(FormatError) as refusal:
        of_days(names, **change)
    assert (refusal.value.code, refusal.value.params["field"]) == ("mapping.wrong", field)


def test_the_first_column_and_a_count_are_enough() -> None:
    names = headings(24, "V")
    plain = '{"time": 1, "time_format": "YYYY-MM-DD", "zone": "UTC", "usage_point": "A", "interval_s": 3600,'
    mapping = parse_mapping(f'{plain} "values": [{{"column": 3, "count": 24, "channel": "import"}}]}}')
    assert mapping.values[0].columns == tuple(range(3, 27))
    (block,) = read_csv(wide(names, day_of(date(2026, 3, 1), ["1"] * 24)), mapping).blocks
    assert len(block.starts_at_s) == 24
    for wrong in ('"V1", "count": 24', '3, "count": 0', '3, "count": true', "[]", "[3, 0]"):
        with pytest.raises(FormatError, match=r"mapping\.wrong"):
            parse_mapping(f'{plain} "values": [{{"column": {wrong}, "channel": "import"}}]}}')


def test_a_first_column_of_midnight_that_names_its_end() -> None:
    names = headings(24, "start")
    parsed = read_csv(wide(names, day_of(date(2026, 3, 1), ["1"] * 24)), of_days(names, label="end"))
    assert starts_of(parsed)[0] == midnight(date(2026, 3, 1)) - 3600


def test_import_and_export_beside_each_other() -> None:
    names = [*(f"I{at}" for at in range(1, 25)), *(f"E{at}" for at in range(1, 25))]
    both = tuple(
        ValueColumn(part[0], Place(constant=channel), Place(constant="kWh"), behind=tuple(part[1:]))
        for part, channel in ((names[:24], "import"), (names[24:], "export"))
    )
    mapping = of_days(names[:24], values=both)
    text = wide(names, day_of(date(2026, 3, 1), [*"1" * 24, *"2" * 24]))
    roles, rules = decompose(mapping, columns_of(read_head(text), 1))
    assert compose(roles, rules) == mapping
    assert {one.channel: int(one.value_milli.sum()) for one in read_csv(text, mapping).blocks} == {
        "import": 24_000_000,
        "export": 48_000_000,
    }


def test_a_workbook_with_times_for_headings() -> None:
    out = BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        sheet = book.add_worksheet()
        formats = {
            "day": book.add_format({"num_format": "yyyy-mm-dd"}),
            "at": book.add_format({"num_format": "[hh]:mm"}),
        }
        sheet.write_row(0, 0, ["日期", "户号"])
        for at in range(24):
            sheet.write_number(0, at + 2, (at + 1) / 24, formats["at"])
        for row in (1, 2):
            sheet.write_datetime(row, 0, datetime(2026, 3, row), formats["day"])  # noqa: DTZ001
            sheet.write_string(row, 1, "UP-1")
            sheet.write_row(row, 2, [row / 4] * 24)
    found = detect_content(out.getvalue())
    assert (found.mapping.label, found.mapping.usage_point) == ("end", Place("户号"))
    parsed = read_file(out.getvalue(), replace(found.mapping, zone=BERLIN))
    assert parsed.errors == []
    assert starts_of(parsed) == [midnight(date(2026, 3, 1)) + 3600 * at for at in range(48)]
