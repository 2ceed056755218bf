"""What a file of a format is written of: stored intervals, or of NEM13 what registers showed."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.instants import local_midnight, to_seconds
from wattkeeper.formats.api import IntervalBlock, LossList
from wattkeeper.formats.detect import Format
from wattkeeper.interfaces.reads.archived import away_spans, month_text
from wattkeeper.interfaces.reads.export import export_blocks, find_series
from wattkeeper.interfaces.reads.export_registers import export_advances
from wattkeeper.interfaces.reads.versions import run_as_of
from wattkeeper.store.api import ReadingStore

DAY = timedelta(days=1)


def blocks_for(
    form: Format,
    store: ReadingStore,
    losses: LossList,
    *,
    data_folder: Path,
    tenant_id: int,
    codes: Sequence[str],
    first: date,
    last: date,
    as_of: datetime | None = None,
) -> list[IntervalBlock]:
    """Return what is stored of usage points from the first local day to the last, for a writer of a format.

    Months that are in the archive alone are losses.

    :raises WattkeeperError: ``registry.not-found``, ``registry.instant-naive``; ``exports.as-of-registers``:
        since when a read that came again was known nobody can say, so such a file has no past version
    """
    if form == "nem13":
        if as_of is not None:
            raise WattkeeperError("exports.as-of-registers")
        _note_away(losses, data_folder, "raw_read", tenant_id, codes, (first, last))
        return export_advances(store, losses, tenant_id=tenant_id, codes=codes, first=first, last=last)
    run_id = run_as_of(tenant_id=tenant_id, at=as_of)
    _note_away(losses, data_folder, "measurement", tenant_id, codes, (first, last))
    return export_blocks(
        store, tenant_id=tenant_id, codes=codes, first=first, last=last, as_of_run_id=run_id, as_of=as_of
    )


def _note_away(
    losses: LossList,
    data_folder: Path,
    table: str,
    tenant_id: int,
    codes: Sequence[str],
    days: tuple[date, date],
) -> None:
    """Note the intervals, so many as there may be, of each month that is not in the store."""
    away = away_spans(data_folder, table)
    for row in find_series(tenant_id, codes) if away else ():
        zone = ZoneInfo(row.usage_point.site.time_zone)
        begins_s, ends_s = (to_seconds(local_midnight(day, zone)) for day in (days[0], days[1] + DAY))
        for month, (from_s, to_s) in away.items():
            if (count := (min(to_s, ends_s) - max(from_s, begins_s)) // row.interval_s) > 0:
                losses.add("exports.archived", count, month=month_text(month))
