"""From a bill's line to its intervals, from an interval to raw reads and the frames they came in."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.billing.queries import get_bill
from wattkeeper.interfaces.reads.bills import line_intervals, trace_of
from wattkeeper.interfaces.reads.intervals import IntervalRow, get_series
from wattkeeper.interfaces.reads.trace import Advance, TracedRead, trace_interval
from wattkeeper.interfaces.web.api.auth import actor_of
from wattkeeper.interfaces.web.api.found import found
from wattkeeper.interfaces.web.api.work_schemas import IntervalTraceOut, LineTraceOut
from wattkeeper.interfaces.web.services import get_services, require_store

router = Router(tags=["bills"])


@router.get("/bills/{int:bill_id}/lines/{int:position}/intervals", response=LineTraceOut)
def list_line_intervals(request: HttpRequest, bill_id: int, position: int) -> Any:
    """List the intervals that a bill's line is made of, as they were when it was billed."""
    tenant_id = actor_of(request).tenant_id
    bill = found(get_bill(tenant_id=tenant_id, bill_id=bill_id), "bill", bill_id)
    line = found(next((row for row in bill.lines if row.position == position), None), "bill-line", position)
    trace = found(trace_of(line), "bill-line", position)
    store = require_store(get_services())
    intervals = line_intervals(store, tenant_id=tenant_id, bill=bill, line=line, trace=trace)
    return {
        "series_id": trace.series_id,
        "run_id": trace.run_id,
        "rate_code": trace.rate_code or "",
        "interval_count": len(intervals.rows),
        "held_milliwh": intervals.held_milliwh,
        "is_shared": intervals.is_shared,
        "intervals": [_interval(row) for row in intervals.rows],
    }


@router.get("/series/{int:series_id}/trace", response=IntervalTraceOut)
def trace(request: HttpRequest, series_id: int, starts_at: datetime, run_id: int | None = None) -> Any:
    """Show what the interval that starts at an instant rests on, as of a run or as known now."""
    if starts_at.tzinfo is None:
        raise WattkeeperError("registry.instant-naive")
    series = found(
        get_series(tenant_id=actor_of(request).tenant_id, series_id=series_id), "series", series_id
    )
    starts_at_s = int(starts_at.timestamp())
    store = require_store(get_services())
    traced = trace_interval(store, series=series, starts_at_s=starts_at_s, as_of_run_id=run_id)
    traced = found(traced, "interval", starts_at_s)
    return {
        "interval": _interval(traced.interval),
        "interval_s": traced.interval_s,
        "reads": [_read(row) for row in traced.reads],
        "advance": _advance(traced.advance) if traced.advance else None,
    }


def _interval(row: IntervalRow) -> dict[str, Any]:
    return {
        "starts_at": row.starts_at,
        "value_milliwh": None if row.is_missing else row.energy_milliwh,
        "part_milliwh": row.part_milliwh,
        "provenance": int(row.provenance),
        "flags": sum(row.flags),
        "method": row.method,
        "run_id": row.run_id,
    }


def _read(row: TracedRead) -> dict[str, Any]:
    return {
        "meter_id": row.meter_id,
        "serial_number": row.serial_number,
        "reading_type": row.reading_type,
        "measured_at": row.measured_at,
        "value": row.text,
        "unit": row.unit,
        "source": row.source_code,
        "is_corrected": row.is_corrected,
        "frame_hex": row.frame_hex,
        "received_at": row.received_at,
    }


def _advance(row: Advance) -> dict[str, Any]:
    return {
        "first": row.first_text,
        "last": row.last_text,
        "multiplier": row.multiplier_text,
        "energy_kwh": row.energy_kwh_text,
    }
