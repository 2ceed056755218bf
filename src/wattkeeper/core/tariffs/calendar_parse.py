"""The calendar part of a tariff document."""

from datetime import date, timedelta

from wattkeeper.core.tariffs.model import Calendar, DayType, Season, Switch
from wattkeeper.core.tariffs.node import Node

LEAST_SPAN_MINUTES = 15  # a rate holds at least this long; billing relies on it
_LEAP_DAYS = [(day.month, day.day) for day in (date(2024, 1, 1) + timedelta(days=i) for i in range(366))]


def parse_calendar(node: Node | None, rate_codes: list[str], owner: Node) -> Calendar:
    """Return the calendar of `node`, or the one of a single rate where there is none.

    :raises TariffInvalid: if seasons leave out or share a day of the year, a switch is out of order, or there
        are several rates and no calendar
    """
    if node is None:
        if len(rate_codes) > 1:
            raise Node(None, f"{owner.path}.calendar").wrong("missing-field")
        always = dict.fromkeys(DayType, (Switch(0, 0),))
        return Calendar((Season((1, 1), (12, 31), always),))
    node.only("holidays", "workdays", "seasons")
    seasons = tuple(_season(item, rate_codes) for item in node.get("seasons").items(at_most=50))
    _refuse_uncovered_days(node.get("seasons"), seasons)
    holidays, workdays = _days(node, "holidays"), _days(node, "workdays")
    if holidays & workdays:
        raise node.get("workdays").wrong("day-in-both", day=min(holidays & workdays).isoformat())
    return Calendar(seasons, holidays, workdays)


def _days(node: Node, name: str) -> frozenset[date]:
    if not node.has(name):
        return frozenset()
    return frozenset(item.day() for item in node.get(name).items(at_most=5000))


def _refuse_uncovered_days(node: Node, seasons: tuple[Season, ...]) -> None:
    for month_day in _LEAP_DAYS:
        count = sum(season.contains(month_day) for season in seasons)
        if count != 1:
            code = "day-in-no-season" if count == 0 else "day-in-two-seasons"
            raise node.wrong(code, month=month_day[0], day=month_day[1])


def _season(item: Node, rate_codes: list[str]) -> Season:
    item.only("from", "to", "days")
    days = item.get("days").only(*(day_type.value for day_type in DayType))
    schedules = {DayType.WEEKDAY: _switches(days.get("weekday"), rate_codes)}
    schedules[DayType.WEEKEND] = (
        _switches(days.get("weekend"), rate_codes) if days.has("weekend") else schedules[DayType.WEEKDAY]
    )
    schedules[DayType.HOLIDAY] = (
        _switches(days.get("holiday"), rate_codes) if days.has("holiday") else schedules[DayType.WEEKEND]
    )
    return Season(_month_day(item.get("from")), _month_day(item.get("to")), schedules)


def _month_day(node: Node) -> tuple[int, int]:
    try:
        day = date.fromisoformat(f"2024-{node.text()}")
    except ValueError:
        raise node.wrong("not-a-month-day") from None
    return day.month, day.day


def _switches(node: Node, rate_codes: list[str]) -> tuple[Switch, ...]:
    switches: list[Switch] = []
    for item in node.items(at_most=96):
        pair = item.items(at_most=2)
        if len(pair) != 2:
            raise item.wrong("wrong-count", expected=2)
        minute = _minute(pair[0])
        if switches and minute < switches[-1].minute + LEAST_SPAN_MINUTES:
            raise pair[0].wrong("switch-too-early", least_minutes=LEAST_SPAN_MINUTES)
        if pair[1].text() not in rate_codes:
            raise pair[1].wrong("rate-unknown")
        switches.append(Switch(minute, rate_codes.index(pair[1].text())))
    if not switches or switches[0].minute != 0 or switches[-1].minute > 1440 - LEAST_SPAN_MINUTES:
        raise node.wrong("day-starts-at-midnight")
    return tuple(switches)


def _minute(node: Node) -> int:
    hours, colon, minutes = node.text().partition(":")
    shape_ok = colon and len(hours) == 2 and len(minutes) == 2 and (hours + minutes).isascii()
    if not shape_ok or not (hours + minutes).isdigit() or int(hours) > 23 or int(minutes) > 59:
        raise node.wrong("not-a-time")
    return int(hours) * 60 + int(minutes)
