"""Intervals of a series: a day of them, a profile to draw, and the trace of one."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

from django.http import HttpResponse, JsonResponse
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _

from wattkeeper.core.kernel.instants import local_day, to_seconds
from wattkeeper.data.audit.former_lengths import former_lengths_s
from wattkeeper.data.registry.models import Series
from wattkeeper.data.registry.quantities import unit_of
from wattkeeper.interfaces.reads.intervals import (
    WHOLE,
    get_series,
    intervals_between,
    load_profile,
    sum_milliwh,
)
from wattkeeper.interfaces.reads.trace import trace_interval
from wattkeeper.interfaces.reads.versions import interval_history, rules_between, run_as_of
from wattkeeper.interfaces.reads.virtual_trace import trace_parts
from wattkeeper.interfaces.web.console import texts
from wattkeeper.interfaces.web.console.csv_export import at_text, csv_answer
from wattkeeper.interfaces.web.console.show import FIRST_YEAR, LAST_YEAR, asked_id, asked_instant, show
from wattkeeper.interfaces.web.console.tables import is_export
from wattkeeper.interfaces.web.console.templatetags.console import as_kwh, method_text
from wattkeeper.interfaces.web.console.visit import Visit, found, page


@page()
def profile(visit: Visit, series_id: int) -> JsonResponse:
    """Return a load profile to draw: of 24 hours, 7 days, 31 days, or all there is."""
    series = _own(visit, series_id)
    range_code = visit.request.GET.get("range", WHOLE)
    now = visit.services.now()
    empty = {"starts_at_s": [], "energy_wh": [], "is_estimated": [], "interval_s": series.interval_s}
    drawn = visit.ask(lambda store: load_profile(store, series=series, range_code=range_code, now=now), empty)
    return JsonResponse({**drawn, "power_unit": unit_of(series.quantity).removesuffix("h")})


@page()
def intervals(visit: Visit, series_id: int) -> HttpResponse:
    """Show a local day's intervals with the quality of each."""
    series = _own(visit, series_id)
    zone = ZoneInfo(series.usage_point.site.time_zone)
    today = visit.services.now().astimezone(zone).date()
    day = _asked_day(visit.request.GET.get("day", ""), today)
    period = local_day(day, zone)
    assert period.ends_at is not None
    ends_at = period.ends_at
    as_of = asked_instant(visit, "as_of", zone.key)
    run_id = run_as_of(tenant_id=visit.tenant_id, at=as_of)
    rows = visit.ask_rows(
        lambda store: intervals_between(
            store, series=series, starts_at=period.starts_at, ends_at=ends_at, as_of_run_id=run_id
        )
    )
    span = to_seconds(period.starts_at), to_seconds(ends_at)
    interval_s = former_lengths_s(visit.tenant_id, as_of).get(series_id, series.interval_s)
    rules = rules_between(visit.tenant_id, series_id, interval_s, zone, *span, as_of)
    if is_export(visit):
        header = [
            _("Starts"),
            texts.ENERGY_HEADS[unit_of(series.quantity)],
            _("Quality"),
            _("Flags"),
            _("Method"),
            _("Run"),
            _("Rules"),
        ]
        cells = (
            (
                at_text(row.starts_at, zone.key),
                "" if row.is_missing else as_kwh(row.energy_milliwh),
                texts.PROVENANCES[row.provenance],
                " ".join(str(texts.FLAGS[flag]) for flag in row.flags),
                method_text(row.method),
                row.run_id,
                " ".join(rules.get(row.starts_at_s, ())),
            )
            for row in rows
        )
        return csv_answer(f"intervals-{series_id}-{day}", header, cells)
    context = {
        "series": series,
        "usage_point": series.usage_point,
        "day": day,
        "day_before": day - timedelta(days=1),
        "day_after": day + timedelta(days=1) if day < today else None,
        "intervals": rows,
        "as_of": as_of,
        "run_id": run_id,
        "rules": rules,
        "missing_count": sum(row.is_missing for row in rows),
        "sum_milliwh": sum_milliwh(rows),
        "energy_head": texts.ENERGY_HEADS[unit_of(series.quantity)],
        "energy_unit": unit_of(series.quantity),
        "all_series": [
            (each.id, texts.SERIES.get(each.quantity, each.quantity))
            for each in series.usage_point.series.order_by("id")
        ],
    }
    return show(visit, "intervals.html", context, zone=zone.key)


@page()
def trace(visit: Visit, series_id: int, starts_at_s: int) -> HttpResponse:
    """Show what one interval rests on: raw reads and the frames they came in."""
    series = _own(visit, series_id)
    run_id = asked_id(visit, "run")
    traced = visit.ask(
        lambda store: trace_interval(store, series=series, starts_at_s=starts_at_s, as_of_run_id=run_id), None
    )
    if traced is None and visit.store_problem is None:
        found(traced, "interval", starts_at_s)
    parts = visit.ask_rows(
        lambda store: trace_parts(store, series=series, starts_at_s=starts_at_s, as_of_run_id=run_id)
    )
    history = visit.ask(lambda store: interval_history(store, series=series, starts_at_s=starts_at_s), None)
    context = {
        "series": series,
        "usage_point": series.usage_point,
        "energy_unit": unit_of(series.quantity),
        "energy_head": texts.ENERGY_HEADS[unit_of(series.quantity)],
        "traced": traced,
        "parts": parts,
        "history": history,
    }
    return show(visit, "trace.html", context, zone=series.usage_point.site.time_zone)


def _own(visit: Visit, series_id: int) -> Series:
    return found(get_series(tenant_id=visit.tenant_id, series_id=series_id), "series", series_id)


def _asked_day(text: str, today: date) -> date:
    try:
        day = parse_date(text)
    except ValueError:
        day = None
    return day if day is not None and FIRST_YEAR <= day.year < LAST_YEAR else today
