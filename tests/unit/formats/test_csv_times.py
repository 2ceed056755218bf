"""Times of tables: clocks of twelve hours, short years, names of months, midnight as 24:00."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.core.kernel.instants import from_seconds, to_seconds
from wattkeeper.formats.api import FormatError
from wattkeeper.formats.csv_times import InstantParser, TimeWrong, check_time_format
from wattkeeper.formats.mapping_detect import detect_mapping

MOMENTS = st.integers(978_307_200, 4_102_444_799)  # this century
WRITTEN = {
    "MM/DD/YYYY hh:mm:ss AM": "%m/%d/%Y %I:%M:%S %p",
    "DD.MM.YY hh:mm:ss": "%d.%m.%y %H:%M:%S",
    "DD-MMM-YYYY hh:mm:ss": "%d-%b-%Y %H:%M:%S",
    "MMM DD YY, hh:mm:ssAM": "%b %d %y, %I:%M:%S%p",
}


def seconds(*parts: int) -> int:
    return to_seconds(datetime(*parts, tzinfo=UTC))  # type: ignore[misc, arg-type]


@given(MOMENTS, st.sampled_from(sorted(WRITTEN)), st.sampled_from([str, str.lower, str.upper]))
def test_what_a_pattern_says_is_read_back(at_s: int, pattern: str, change: type[str]) -> None:
    check_time_format(pattern)
    text = from_seconds(at_s).strftime(WRITTEN[pattern])
    assert InstantParser("UTC", pattern).parse(change(text)) == at_s


@pytest.mark.parametrize(
    ("clock", "hour"),
    [
        *(("12:00 AM", 0), ("12:00 PM", 12), ("1:00 pm", 13), ("01:00 a.m.", 1), ("11:00P.M.", 23)),
        *(("1:00\u202fPM", 13), ("12:00 上午", 0), ("3:00 下午", 15)),
        *(("0:00 AM", None), ("13:00 PM", None), ("12:00", None), ("12:00 XM", None)),
    ],
)
def test_a_clock_of_twelve_hours(clock: str, hour: int | None) -> None:
    for pattern, day in (("DD/MM/YYYY hh:mm AM", "02/11/2026"), ("YYYY-MM-DD hh:mm AM", "2026-11-02")):
        parse = InstantParser("UTC", pattern).parse
        if hour is None and not (clock == "12:00" and day.startswith("2026")):  # as workbooks tell times
            with pytest.raises(TimeWrong):
                parse(f"{day} {clock}")
        else:
            assert parse(f"{day} {clock}") == seconds(2026, 11, 2, 12 if hour is None else hour)


@pytest.mark.parametrize("clock", [" 24:00", "T24:00:00", " 24:00:00+00:00", "T24:00Z"])
def test_midnight_at_the_end_of_a_day(clock: str) -> None:
    wanted = seconds(2027, 1, 1)
    assert InstantParser("UTC").parse(f"2026-12-31{clock}") == wanted
    for wrong in (" 24:01", " 24:00:01", " 25:00", " 24:00:00:00", "24:00"):
        with pytest.raises(TimeWrong):
            InstantParser("UTC").parse(f"2026-12-31{wrong}")


def test_midnight_at_the_end_of_a_day_of_23_hours() -> None:
    """It is the next day's own, by the wall clock."""
    parse = InstantParser("Europe/Berlin").parse
    assert parse("2026-03-29 24:00") == parse("2026-03-30 00:00") == seconds(2026, 3, 29, 22)


@pytest.mark.parametrize(
    "pattern", ["YY-YYYY-MM-DD", "MM-MMM-YYYY-DD", "YYYY-MM-DD mm AM", "YYYY-MM", "YYYY-DD hh", "DD.MM hh AM"]
)
def test_a_pattern_that_says_no_day_or_one_twice_is_refused(pattern: str) -> None:
    with pytest.raises(FormatError, match=r"mapping\.wrong"):
        check_time_format(pattern)


@pytest.mark.parametrize(
    ("written", "pattern", "is_sure"),
    [
        ("%m/%d/%Y %I:%M %p", "MM/DD/YYYY hh:mm AM", True),
        ("%Y-%m-%d %I:%M:%S %p", "YYYY-MM-DD hh:mm:ss AM", True),
        ("%d-%b-%Y %H:%M", "DD-MMM-YYYY hh:mm", True),
        ("%d.%m.%y %H:%M", "DD.MM.YY hh:mm", False),
    ],
)
def test_such_times_are_guessed(written: str, pattern: str, *, is_sure: bool) -> None:
    """They were no times, or a date without its time."""
    times = [datetime(2026, 11, 13, hour, tzinfo=UTC) for hour in range(24)]
    for head, join in (("time", " "), ("date,start", ",")):
        day, _space, clock = written.partition(" ")
        rows = [f"{at.strftime(day)}{join}{at.strftime(clock)},1.5" for at in times]
        found = detect_mapping("\n".join([f"{head},kWh", *rows]).encode())
        assert (found.mapping.time_format, len(found.mapping.time)) == (pattern, 1 + head.count(","))
        assert ("time_format" not in found.questions) == is_sure
        assert found.mapping.interval_s.constant == "3600"
