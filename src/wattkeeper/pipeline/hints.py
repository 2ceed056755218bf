"""What is known of gaps from elsewhere than the series itself, asked only for series that have such gaps."""

from collections.abc import Iterator

import numpy as np

from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.vee.estimate import DayCalendar
from wattkeeper.pipeline.ports import Hints


def calendar_with(hints: Hints | None, series_id: int, calendar: DayCalendar) -> DayCalendar:
    """Return the calendar of a series with the holidays that are known of it."""
    found, _ = next(calendars_with(hints, np.array([series_id]), calendar))
    return found


def calendars_with(
    hints: Hints | None, series_id: Int64s, calendar: DayCalendar
) -> Iterator[tuple[DayCalendar, Int64s]]:
    """Yield calendars with the holidays that are known, and the places of the series that go by each."""
    ids = series_id.tolist()
    known = {} if hints is None else hints.get_holidays(ids)
    places: dict[DayCalendar, list[int]] = {}
    for place, own in enumerate(ids):
        days = known.get(own)
        each = calendar if not days else DayCalendar(calendar.zone, calendar.holidays | days)
        places.setdefault(each, []).append(place)
    for each, own_places in places.items():
        yield each, np.array(own_places)
