"""Import a file of intervals: every good row in, every bad row named, the same file twice changes nothing."""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.collection.file_meters import (
    BlockTarget,
    Refused,
    find_stored,
    parts_of,
    prepare_file_meters,
)
from wattkeeper.actions.job_work import Progress
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.quality import Provenance, Source
from wattkeeper.core.readings.told import Told, mark_told
from wattkeeper.core.vee.like_days import DAY_S, HISTORY_DAYS
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.collection.status import mark_read
from wattkeeper.data.collection.windows import mark_dirty
from wattkeeper.data.turns import let_others_write
from wattkeeper.formats.api import IntervalBlock, RowError
from wattkeeper.formats.csv_intervals import CsvOptions
from wattkeeper.formats.files import read_file
from wattkeeper.formats.mapping import Mapping
from wattkeeper.store.api import RawBatch, ReadingStore

CHUNK_COUNT = 100_000


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What became of a file: rows stored, meters met, and each row or block left out with its reason."""

    rows_count: int
    meters_count: int
    errors: tuple[RowError, ...]


def import_file(
    *,
    actor: Actor,
    now: datetime,
    services: Services,
    content: bytes,
    label: str,
    site_id: int | None = None,
    options: CsvOptions | Mapping | None = None,
    is_whole: bool = False,
    on_progress: Progress | None = None,
) -> ImportResult:
    """
    Import a file of any format (told by its first bytes) into meters of a site, made where they are missing.

    With `is_whole` nothing is stored unless every row is good.

    `on_progress(done_count, total_count)` is called as rows are stored. A row's reads are stored before their
    windows become dirty, and may be imported again after any failure.

    :raises WattkeeperError: ``store.not-running``, ``registry.not-found``, ``accounts.not-allowed``
    """
    actor.require(Role.OPERATOR)
    if services.store is None:
        raise WattkeeperError("store.not-running", is_permanent=False, folder=str(services.data_folder))
    options = options or CsvOptions()
    parsed = read_file(content, options)
    if is_whole:
        _, refused = _prepare(parsed.blocks, actor, now, services, label, site_id, options.zone, is_dry=True)
        if parsed.errors or refused:
            return ImportResult(0, 0, (*parsed.errors, *refused))
    targets, refused = _prepare(parsed.blocks, actor, now, services, label, site_id, options.zone)
    if is_whole and refused:  # something changed since
        return ImportResult(0, 0, (*parsed.errors, *refused))
    rows_count = _store(
        targets, services.store, actor.tenant_id, now, on_progress or (lambda _done, _total: None)
    )
    meters_count = len({target.serial_number for target in targets})
    return ImportResult(rows_count, meters_count, (*parsed.errors, *refused))


def try_import(
    *,
    actor: Actor,
    now: datetime,
    services: Services,
    content: bytes,
    label: str,
    site_id: int | None = None,
    options: CsvOptions | Mapping | None = None,
) -> tuple[ImportResult, Sequence[IntervalBlock]]:
    """
    Do all of an import but storing: return what would become of the file, and what was read of it.

    :raises WattkeeperError: as `import_file` does
    """
    actor.require(Role.OPERATOR)
    options = options or CsvOptions()
    parsed = read_file(content, options)
    targets, refused = _prepare(
        parsed.blocks, actor, now, services, label, site_id, options.zone, is_dry=True
    )
    rows_count = sum(int(np.count_nonzero(_is_there(target.block))) for target in targets)
    meters_count = len({target.serial_number for target in targets})
    return ImportResult(rows_count, meters_count, (*parsed.errors, *refused)), parsed.blocks


def _prepare(
    blocks: Sequence[IntervalBlock],
    actor: Actor,
    now: datetime,
    services: Services,
    label: str,
    site_id: int | None,
    zone: str | None,
    *,
    is_dry: bool = False,
) -> tuple[list[BlockTarget], list[RowError]]:
    """Return what `prepare_file_meters` does, part by part, also of what is not kept."""
    targets: list[BlockTarget] = []
    errors: list[RowError] = []
    for index, part in enumerate(parts_of(blocks)):
        if index:
            let_others_write()
        try:
            found, refused = prepare_file_meters(
                actor=actor,
                now=now,
                label=label,
                blocks=part,
                site_id=site_id,
                zone=zone or "UTC",
                stored_s=find_stored(actor.tenant_id, part, services.store),
                is_dry=is_dry,
            )
        except Refused as undone:
            found, refused = undone.targets, undone.errors
        targets += found
        errors += refused
    return targets, errors


def plain_row_error(error: RowError) -> dict[str, object]:
    """Return an error of a row as a job keeps it."""
    params = {name: str(value) for name, value in error.params.items()}
    return {"line": error.line, "column": error.column, "code": error.code, "params": params}


def _store(
    targets: Sequence[BlockTarget],
    reading_store: ReadingStore,
    tenant_id: int,
    now: datetime,
    on_progress: Progress,
) -> int:
    """Store the blocks, chunk by chunk, and return how many rows those were."""
    total_count = sum(len(target.block.starts_at_s) for target in targets)
    done_count = rows_count = 0
    on_progress(done_count, total_count)
    for target in targets:
        for batch in _batches(tenant_id, target, now):
            reading_store.insert_raw([batch])
            rows_count += len(batch.value)
            _note(target, batch, tenant_id, now)
        done_count += len(target.block.starts_at_s)
        on_progress(done_count, total_count)
    return rows_count


def _note(target: BlockTarget, batch: RawBatch, tenant_id: int, now: datetime) -> None:
    """Mark the reads' days, the gap before them and what may be estimated after them.

    Nobody looks at the days of years ago again: so a file in parts comes to what it comes to in one.
    """
    first_s = int(batch.measured_at_s.min())
    last_s = int(batch.measured_at_s.max()) + max(target.block.interval_s, 1) - 1
    reach_s = max(last_s, min(last_s + HISTORY_DAYS * DAY_S, int(now.timestamp()) - 1))
    mark_read([target.channel_id])
    mark_dirty(
        tenant_id=tenant_id,
        now=now,
        reason="import",
        channels={target.channel_id: (first_s - DAY_S, reach_s)},
    )


def _is_there(block: IntervalBlock) -> NDArray[np.bool_]:
    return np.not_equal(block.provenance, int(Provenance.MISSING))


def _batches(tenant_id: int, target: BlockTarget, now: datetime) -> Iterator[RawBatch]:
    """Yield the rows as raw reads, intervals named by their start, registers by their instant.

    What is missing is no read. Flags say too what the file calls estimated, edited or foreseen.
    """
    block = target.block
    is_there = _is_there(block)
    measured_at_s, value = block.starts_at_s[is_there], block.value_milli[is_there] // target.step_milli
    flags = mark_told(Told(block.provenance, block.flags, block.method))[is_there]
    for start in range(0, len(value), CHUNK_COUNT):
        part = slice(start, start + CHUNK_COUNT)
        zeros = np.zeros(len(value[part]), dtype=np.int64)
        yield RawBatch(
            tenant_id=tenant_id,
            batch_id=secrets.randbits(63),
            received_at_s=int(now.timestamp()),
            channel_id=zeros + target.channel_id,
            measured_at_s=measured_at_s[part],
            value=value[part],
            flags=flags[part],
            source=zeros + int(Source.FILE),
            frame_index=zeros - 1,
        )
