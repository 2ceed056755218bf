"""What a file of a format is written of: stored intervals, or of NEM13 what registers showed."""

from collections.abc import Sequence
from datetime import date, datetime

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.formats.api import IntervalBlock, LossList
from wattkeeper.formats.detect import Format
from wattkeeper.interfaces.reads.export import export_blocks
from wattkeeper.interfaces.reads.export_registers import export_advances
from wattkeeper.interfaces.reads.versions import run_as_of
from wattkeeper.store.api import ReadingStore


def blocks_for(
    form: Format,
    store: ReadingStore,
    losses: LossList,
    *,
    tenant_id: int,
    codes: Sequence[str],
    first: date,
    last: date,
    as_of: datetime | None = None,
) -> list[IntervalBlock]:
    """Return what is stored of usage points from the first local day to the last, for a writer of a format.

    :raises WattkeeperError: ``registry.not-found``, ``registry.instant-naive``; ``exports.as-of-registers``:
        since when a read that came again was known nobody can say, so such a file has no past version
    """
    if form == "nem13":
        if as_of is not None:
            raise WattkeeperError("exports.as-of-registers")
        return export_advances(store, losses, tenant_id=tenant_id, codes=codes, first=first, last=last)
    run_id = run_as_of(tenant_id=tenant_id, at=as_of)
    return export_blocks(
        store, tenant_id=tenant_id, codes=codes, first=first, last=last, as_of_run_id=run_id, as_of=as_of
    )
