"""Measurements of series, newest reads of meters."""

import json
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.reading_types import READING_TYPES
from wattkeeper.core.readings.told import flags_of_device
from wattkeeper.data.audit.former_lengths import former_lengths_s
from wattkeeper.data.registry.facts import get_series_facts
from wattkeeper.data.registry.meters import ChannelRow, get_meter
from wattkeeper.formats.detect import Format
from wattkeeper.interfaces.reads.archived import months_away
from wattkeeper.interfaces.reads.versions import rules_between, run_as_of
from wattkeeper.interfaces.web.api.auth import actor_of
from wattkeeper.interfaces.web.api.found import found
from wattkeeper.interfaces.web.api.meter_schemas import LatestOut, MeasurementsOut
from wattkeeper.interfaces.web.export_file import export_file
from wattkeeper.interfaces.web.services import get_services, require_store
from wattkeeper.store.api import LatestRead, Measurements
from wattkeeper.store.standing import as_corrected, latest_standing

router = Router(tags=["measurements"])
SPAN_MAX_S = 400 * 86_400


@router.get("/series/{int:series_id}/measurements", response=MeasurementsOut)
def list_values(
    request: HttpRequest,
    series_id: int,
    starts_at: datetime,
    ends_at: datetime,
    as_of: datetime | None = None,
) -> Any:
    """List a series' values with their quality from `starts_at` up to `ends_at`, as known now or `as_of`."""
    actor = actor_of(request)
    facts = get_series_facts([series_id]).get(series_id)
    facts = found(facts if facts and facts.tenant_id == actor.tenant_id else None, "series", series_id)
    from_s, to_s = _span(starts_at, ends_at)
    run_id = run_as_of(tenant_id=actor.tenant_id, at=as_of)
    rows = require_store(get_services()).measurements(
        actor.tenant_id, [series_id], from_s, to_s, as_of_run_id=run_id
    )
    interval_s = former_lengths_s(actor.tenant_id, as_of).get(series_id, facts.interval_s)
    rules = rules_between(
        actor.tenant_id, series_id, interval_s, ZoneInfo(facts.time_zone), from_s, to_s, as_of
    )
    told = {
        "series_id": series_id,
        "usage_point_id": facts.usage_point_id,
        "quantity": facts.quantity,
        "interval_s": interval_s,
        "time_zone": facts.time_zone,
        "as_of_run_id": run_id,
        "archived_months": months_away(get_services().data_folder, "measurement", (from_s, to_s)),
        "values": _values(rows, rules),
    }
    # written as it is: to check each of a month's values against the schema takes ten times as long
    return HttpResponse(
        json.dumps(told, separators=(",", ":")), content_type="application/json; charset=utf-8"
    )


@router.get("/export", response={200: None})
def export(
    request: HttpRequest,
    form: Format,
    first: date,
    last: date,
    usage_point: Query[list[str]],
    as_of: datetime | None = None,
) -> HttpResponse:
    """Answer with a file: values of usage points, by their codes, from the first local day to the last.

    What is archived, and what the format can't hold, is told in the header ``Wattkeeper-Losses``: codes with
    counts of intervals.
    """
    tenant_id = actor_of(request).tenant_id
    answer, losses = export_file(
        get_services(),
        tenant_id=tenant_id,
        form=form,
        codes=usage_point,
        first=first,
        last=last,
        as_of=as_of,
    )
    if losses:
        told = (f"{loss.code}={loss.params['interval_count']}" for loss in losses)
        answer["Wattkeeper-Losses"] = ", ".join(told)
    return answer


@router.get("/meters/{int:meter_id}/latest", response=list[LatestOut])
def list_latest(request: HttpRequest, meter_id: int) -> Any:
    """List the newest read of each channel of a meter."""
    services, actor = get_services(), actor_of(request)
    detail = found(
        get_meter(tenant_id=actor.tenant_id, meter_id=meter_id, now=services.now()), "meter", meter_id
    )
    channels = {channel.channel_id: channel for channel in detail.channels}
    store, tenant_id = require_store(services), actor.tenant_id
    newest = as_corrected(store, tenant_id, latest_standing(store, tenant_id, list(channels)))
    return [_latest(channels[channel_id], read) for channel_id, read in sorted(newest.items())]


def _span(starts_at: datetime, ends_at: datetime) -> tuple[int, int]:
    if starts_at.tzinfo is None or ends_at.tzinfo is None:
        raise WattkeeperError("registry.instant-naive")
    from_s, to_s = int(starts_at.timestamp()), -int(-ends_at.timestamp() // 1)
    if not 0 < to_s - from_s <= SPAN_MAX_S:
        raise WattkeeperError("requests.span", limit_days=SPAN_MAX_S // 86_400)
    return from_s, to_s


def _values(rows: Measurements, rules: Mapping[int, list[str]]) -> list[dict[str, Any]]:
    instants = np.datetime_as_string(rows.starts_at_s.astype("datetime64[s]"), unit="s")
    columns = (rows.starts_at_s, rows.value_milliwh, rows.provenance, rows.flags, rows.method, rows.run_id)
    return [
        {
            "starts_at": f"{starts_at}Z",
            "value_milliwh": None if provenance == Provenance.MISSING else value_milliwh,
            "provenance": provenance,
            "flags": flags,
            "method": method,
            "run_id": run_id,
            "rules": rules.get(starts_at_s, []),
        }
        for starts_at, starts_at_s, value_milliwh, provenance, flags, method, run_id in zip(
            instants.tolist(), *(column.tolist() for column in columns), strict=True
        )
    ]


def _latest(channel: ChannelRow, read: LatestRead) -> dict[str, Any]:
    exact = channel.step * read.value
    return {
        "channel_id": channel.channel_id,
        "reading_type": channel.reading_type,
        "unit": READING_TYPES[channel.reading_type].unit,
        "value": f"{Decimal(exact.numerator) / Decimal(exact.denominator):f}",
        "measured_at": from_seconds(read.measured_at_s),
        "flags": flags_of_device(read.flags),
        "source": read.source,
    }
