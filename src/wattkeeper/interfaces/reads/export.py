"""Stored intervals of usage points as blocks that every format's writer takes."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import local_midnight, to_seconds
from wattkeeper.data.audit.former_lengths import former_lengths_s
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.registry.installed import told_otherwise
from wattkeeper.data.registry.models import Installation, InstallationPast, Series
from wattkeeper.data.registry.quantities import unit_of
from wattkeeper.formats.api import IntervalBlock
from wattkeeper.formats.blocks import quality_columns
from wattkeeper.store.api import Measurements, ReadingStore

CHANNELS = {
    "energy_import": "import",
    "energy_export": "export",
    "energy_reactive_import": "Q1",  # as NEM12 names them
    "energy_reactive_export": "K1",
}
BASE_UNITS = {"kWh": "Wh", "kvarh": "varh"}


def export_blocks(
    store: ReadingStore,
    *,
    tenant_id: int,
    codes: Sequence[str],
    first: date,
    last: date,
    as_of_run_id: int | None = None,
    as_of: datetime | None = None,
) -> list[IntervalBlock]:
    """Return the values of usage points from the first local day to the last, as of a run or as of now.

    A block is of one series for as long as one meter measured it, by what was recorded `as_of` an instant;
    without codes, of all usage points.

    :raises WattkeeperError: ``registry.not-found`` for a code that is nobody's
    """
    rows = find_series(tenant_id, codes)
    by_zone: dict[str, list[Series]] = defaultdict(list)
    for row in rows:
        by_zone[row.usage_point.site.time_zone].append(row)
    serials = _serials(tenant_id, sorted({row.usage_point_id for row in rows}), as_of)
    former_s = former_lengths_s(tenant_id, as_of)
    found: dict[int, list[IntervalBlock]] = {}
    for zone_name, own in by_zone.items():
        zone = ZoneInfo(zone_name)
        span = [to_seconds(local_midnight(day, zone)) for day in (first, last + timedelta(days=1))]
        values = store.measurements(
            tenant_id, [row.id for row in own], span[0], span[1], as_of_run_id=as_of_run_id
        )
        for row in own:
            row.interval_s = former_s.get(row.id, row.interval_s)
            found[row.id] = _blocks(row, values, serials.get(row.usage_point_id, []))
    return [block for row in rows for block in found[row.id]]


def find_series(tenant_id: int, codes: Sequence[str]) -> list[Series]:
    """Return the series of usage points; without codes, of all.

    :raises WattkeeperError: ``registry.not-found`` for a code that is nobody's
    """
    wanted = Series.objects.select_related("usage_point__site").filter(tenant_id=tenant_id)
    wanted = wanted.filter(usage_point__code__in=codes) if codes else wanted
    rows = [row for row in wanted.order_by("usage_point__code", "id") if row.quantity in CHANNELS]
    for code in codes:
        if not any(row.usage_point.code == code for row in rows):
            raise WattkeeperError("registry.not-found", kind="usagepoint", id=code)
    return rows


def _serials(
    tenant_id: int, point_ids: Sequence[int], as_of: datetime | None
) -> dict[int, list[tuple[int, str]]]:
    """Return since when which meter has been at each usage point, as recorded; nobody is an empty name."""
    since: dict[int, list[tuple[int, str]]] = defaultdict(list)
    installed = Installation.objects.filter(usage_point_id__in=point_ids).select_related("meter")
    former: Mapping[int, str] = {}
    otherwise: Mapping[int, InstallationPast] = {}
    if as_of is not None:
        installed, former = installed.filter(recorded_at__lte=as_of), _former_serials(tenant_id, as_of)
        otherwise = told_otherwise(tenant_id, as_of)
    for row in installed.order_by("starts_at"):
        serial = former.get(row.meter_id, row.meter.serial_number)
        starts_at = otherwise.get(row.id, row).starts_at
        since[row.usage_point_id].append((to_seconds(starts_at), serial))
    return since


def _former_serials(tenant_id: int, as_of: datetime) -> dict[int, str]:
    """Return what meters were called at an instant that have been called otherwise since."""
    edits = AuditRecord.objects.filter(
        tenant_id=tenant_id,
        recorded_at__gt=as_of,
        verb="registry.edit-meter",
        detail__has_key="serial_number",
    )
    rows = edits.order_by("-sequence").values_list("subject", "detail")
    return {int(subject.removeprefix("meter:")): detail["serial_number"][0] for subject, detail in rows}


def _blocks(series: Series, values: Measurements, serials: Sequence[tuple[int, str]]) -> list[IntervalBlock]:
    first, end = np.searchsorted(values.series_id, [series.id, series.id + 1]).tolist()
    starts_at_s = values.starts_at_s[first:end]
    cuts = first + np.searchsorted(starts_at_s, [since_s for since_s, _ in serials])
    blocks = []
    for (at, until), serial in zip(
        pairwise([first, *cuts.tolist(), end]), ["", *(name for _, name in serials)], strict=True
    ):
        part = slice(at, until)
        if until > at:
            index, kinds = quality_columns(values.provenance[part], values.flags[part], values.method[part])
            blocks.append(
                IntervalBlock(
                    usage_point=series.usage_point.code,
                    meter_serial=serial,
                    channel=CHANNELS[series.quantity],
                    unit=BASE_UNITS[unit_of(series.quantity)],
                    interval_s=series.interval_s,
                    starts_at_s=values.starts_at_s[part],
                    value_milli=values.value_milliwh[part],
                    kind_index=index,
                    kinds=kinds,
                )
            )
    return blocks
