"""The store over ClickHouse's HTTP dialect and Arrow streams.

The same client speaks to the embedded engine's process and to a server or cluster.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Self
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from wattkeeper.core.billing.determinants import RateDayRows
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.kernel.rising import rising
from wattkeeper.core.readings.rollups import Peaks, RollUpRows
from wattkeeper.store import bulk, queries, rate_days, rollup_queries
from wattkeeper.store.api import (
    Ids,
    LatestRead,
    Measurements,
    RawBatch,
    RawFrame,
    RawReads,
    StoreCounts,
)
from wattkeeper.store.columns import (
    READS,
    column_of,
    frame_table,
    measurement_columns,
    read_columns,
    reads_of,
    to_stream,
)
from wattkeeper.store.native import Columns, decode_blocks, encode_block
from wattkeeper.store.ranges import INSTANT_MAX_S, check_batch, check_measurements
from wattkeeper.store.receipts import receipt_table, receipts_of
from wattkeeper.store.schema import INSERT_SETTINGS, TABLES, TABLES_NOW, retunings
from wattkeeper.store.transport import (
    PATIENCE_S,
    PATIENCE_WITH_TABLES_S,
    StoreRefused,
    Transport,
    address_in,
    address_of,
    address_of_server,
)
from wattkeeper.store.windows import FIRST_WINDOW_S, Window, windows

_IDS_BYTES = 200_000  # a slice of ids keeps a query below the engine's 256 KiB
_FRAMES_COUNT = 5000  # and so does one of keys of frames
_SEARCHED_COUNT = 200  # and one that looks at every interval of months short for those who wait
_ROWS_COUNT = 1_000_000  # and a slice of rows an insert below 64 MB
_BLOCK_ROWS_COUNT = 2_000_000  # of narrow columns, by which a row takes half as much


class HttpReadingStore:
    """A `ReadingStore` behind an HTTP address; safe to use from several threads.

    With `is_bulk` its requests let those of others pass. Ids are asked for in slices, in rising order.
    """

    def __init__(self, url: str, secret: str, *, is_bulk: bool = False) -> None:
        self._transport = Transport(lambda: address_of(url, secret), is_bulk=is_bulk)

    @classmethod
    def of_file(cls, address_file: Path, *, is_bulk: bool = False) -> Self:
        """Return the store whose process keeps its address in this file; found again when it moves.

        :raises StoreUnreachable: ``store.not-running`` if there is no such file
        """
        store = cls.__new__(cls)
        store._transport = Transport(lambda: address_in(address_file), is_bulk=is_bulk)
        return store

    @classmethod
    def of_server(cls, url: str, *, is_bulk: bool = False) -> Self:
        """Return the store of a ClickHouse server at ``clickhouse://user:password@host:port/database``.

        :raises WattkeeperError: ``settings.readings-url``, ``settings.readings-insecure``
        """
        address = address_of_server(url)
        store = cls.__new__(cls)
        store._transport = Transport(lambda: address, is_bulk=is_bulk)
        return store

    def make_tables(self) -> None:
        """Create what is not there yet, and let what an earlier release made work as today's does."""
        for statement in TABLES.values():
            self._ask(statement)
        now = self._ask(TABLES_NOW).decode().splitlines()
        for statement in retunings("\n".join(line for line in now if "MergeTree" in line)):
            self._ask(statement)

    def insert_raw(self, batches: Sequence[RawBatch]) -> None:
        """Append the batches durably; frames first, so that no read points at nothing.

        :raises StoreOutOfRange: if a number fits no column; then nothing is stored
        """
        for batch in batches:
            check_batch(batch)
        frames = [
            (batch.tenant_id, batch.batch_id, index, frame)
            for batch in batches
            for index, frame in enumerate(batch.frames)
        ]
        if frames:
            self._insert("raw_frame", frame_table(frames))
        receipts = [receipt for batch in batches for receipt in receipts_of(batch)]
        if receipts:
            self._insert("raw_receipt", receipt_table(receipts))
        if any(len(batch.channel_id) for batch in batches):
            self._append("raw_read", read_columns(batches))

    def insert_measurements(self, tenant_id: int, measurements: Measurements) -> None:
        """Append the values of one run durably.

        :raises StoreOutOfRange: if a number fits no column; then nothing is stored
        """
        check_measurements(measurements)
        if not len(measurements.series_id):
            return
        self._append("measurement", measurement_columns(tenant_id, measurements))

    def raw_reads(
        self,
        tenant_id: int,
        channel_ids: Ids,
        from_s: int,
        to_s: int,
        *,
        has_origins: bool = True,
    ) -> RawReads:
        """Return the distinct reads with from_s <= measured_at_s < to_s."""
        asked = rising(channel_ids)
        blocks = self._blocks(
            *(
                bulk.read_query(tenant_id, ids, from_s, to_s, has_origins=has_origins)
                for ids in _slices(asked)
            )
        )
        return bulk.distinct_reads(blocks, asked)

    def nearest_reads(
        self, tenant_id: int, channel_ids: Ids, at_s: int, *, before: bool, sources: Sequence[int]
    ) -> RawReads:
        """Return, per channel, the newest read strictly before `at_s` (or the oldest at or after it)."""
        if before:
            first = (at_s - FIRST_WINDOW_S, at_s)
            later = self._windows(0, first[0], newest_first=True)
        else:
            first = (at_s, at_s + FIRST_WINDOW_S)
            later = self._windows(first[1], INSTANT_MAX_S + 1, newest_first=False)
        return self._nearest(
            channel_ids,
            chain([first], later),
            lambda ids, window: queries.nearest_reads(
                tenant_id, ids, window, newest_first=before, sources=sources
            ),
        )

    def measurements(
        self,
        tenant_id: int,
        series_ids: Ids,
        from_s: int,
        to_s: int,
        *,
        as_of_run_id: int | None = None,
    ) -> Measurements:
        """Return the current values, or those as of a run, ordered by series and start."""
        asked = rising(series_ids)
        is_ordered = not bulk.are_few(asked)
        blocks = self._blocks(
            *(
                bulk.measured_query(tenant_id, ids, from_s, to_s, as_of_run_id, is_ordered=is_ordered)
                for ids in _slices(asked)
            )
        )
        return bulk.newest_measured(blocks, asked)

    def series_with_methods(
        self, tenant_id: int, series_ids: Ids, from_s: int, to_s: int, methods: Sequence[int]
    ) -> Int64s:
        """Return the series, rising, that any run gave a value of one of `methods` in the span."""
        blocks = self._blocks(
            *(bulk.method_query(tenant_id, ids, from_s, to_s, methods) for ids in _slices(series_ids))
        )
        found = np.unique(column_of(blocks, "series_id"))
        return found[np.isin(found, series_ids)]

    def daily_energy(self, tenant_id: int, series_ids: Ids, bounds_s: Sequence[int]) -> dict[int, list[int]]:
        """Return, per series, the sums of current values (milliwatt-hours) between consecutive bounds."""
        sums = {int(series_id): [0] * (len(bounds_s) - 1) for series_id in series_ids}
        if len(bounds_s) < 2:
            return sums
        position = {int(bound): index for index, bound in enumerate(bounds_s)}
        for ids in _slices(series_ids):
            for row in self._select(queries.daily_energy(tenant_id, ids, bounds_s)).to_pylist():
                sums[row["series_id"]][position[row["bound_s"]]] = int(row["energy_milliwh"])
        return sums

    def peaks(
        self, tenant_id: int, series_ids: Ids, bounds_s: Sequence[int], provenances: Sequence[int]
    ) -> Peaks:
        """Return, per series, the highest current value of some provenances between consecutive bounds."""
        slices = _slices(series_ids, _SEARCHED_COUNT)
        blocks = self._blocks(*(queries.peaks(tenant_id, ids, bounds_s, provenances) for ids in slices))
        return Peaks(*(column_of(blocks, name) for name in Peaks.__slots__))

    def insert_roll_ups(self, tenant_id: int, run_id: int, rows: RollUpRows) -> None:
        """Append the days and months of one run durably."""
        if len(rows):
            self._append("roll_up", rollup_queries.roll_up_columns(tenant_id, run_id, rows))

    def insert_rate_days(self, tenant_id: int, run_id: int, rows: RateDayRows) -> None:
        """Append the determinants of one run durably."""
        if len(rows):
            self._append("rate_day", rate_days.rate_day_columns(tenant_id, run_id, rows))

    def rate_days(self, tenant_id: int, series_ids: Ids, from_s: int, to_s: int) -> RateDayRows:
        """Return the current determinants of days that start in the span, in order of their key."""
        asked = rising(series_ids)
        blocks = self._blocks(
            *(rate_days.rate_day_query(tenant_id, ids, from_s, to_s) for ids in _slices(asked))
        )
        return rate_days.newest_rate_days(blocks, asked)

    def roll_ups(
        self,
        tenant_id: int,
        series_ids: Ids,
        days: Sequence[Window],
        months_s: Sequence[int] = (),
        *,
        as_of_run_id: int | None = None,
    ) -> RollUpRows:
        """Return days that start in half-open spans and months that start at `months_s`."""
        asked = rising(series_ids)
        blocks = self._blocks(
            *(rollup_queries.read(tenant_id, ids, days, months_s, as_of_run_id) for ids in _slices(asked))
        )
        return rollup_queries.only(rollup_queries.rows_of(blocks), asked)

    def sum_days(
        self,
        tenant_id: int,
        series_ids: Ids,
        bounds_s: Sequence[int],
        without: Sequence[Window] = (),
    ) -> RollUpRows:
        """Return, per series, sums of current days between rising bounds, those of spans left out."""
        slices = _slices(series_ids)
        return rollup_queries.rows_of(
            self._blocks(*(rollup_queries.sum_days(tenant_id, ids, bounds_s, without) for ids in slices))
        )

    def latest(self, tenant_id: int, channel_ids: Sequence[int]) -> dict[int, LatestRead]:
        """Return the newest read of each channel that has one."""
        found = self._nearest(
            channel_ids,
            self._windows(0, INSTANT_MAX_S + 1, newest_first=True),
            lambda ids, window: queries.nearest_reads(tenant_id, ids, window, newest_first=True),
        )
        rows = zip(
            *(column.tolist() for column in (found.channel_id, found.measured_at_s, found.value)),
            found.flags.tolist(),
            found.source.tolist(),
            strict=True,
        )
        return {row[0]: LatestRead(*row) for row in rows}

    def stamps_held(
        self, tenant_id: int, channel_ids: Ids, from_s: int, to_s: int, *, sources: Sequence[int]
    ) -> dict[int, Int64s]:
        """Return, per channel, the instants held from these sources."""
        blocks = self._blocks(
            *(queries.stamps_held(tenant_id, ids, from_s, to_s, sources) for ids in _slices(channel_ids))
        )
        channels, stamps = column_of(blocks, "channel_id"), column_of(blocks, "measured_at_s")
        ids = np.asarray(channel_ids, np.int64)
        starts, ends = (np.searchsorted(channels, ids, side=side) for side in ("left", "right"))
        return {int(id_): stamps[start:end] for id_, start, end in zip(ids, starts, ends, strict=True)}

    def frames(self, tenant_id: int, keys: Sequence[tuple[int, int]]) -> dict[tuple[int, int], RawFrame]:
        """Return the frames named by (batch_id, frame_index)."""
        wanted = sorted(set(keys))
        return {
            (row["batch_id"], row["frame_index"]): RawFrame(
                row["link_id"], row["device_id"], row["received_at_s"], bytes(row["content"])
            )
            for start in range(0, len(wanted), _FRAMES_COUNT)
            for row in self._select(
                queries.frames(tenant_id, wanted[start : start + _FRAMES_COUNT])
            ).to_pylist()
        }

    def counts(self, tenant_id: int) -> StoreCounts:
        """Return how much is held."""
        row = self._select(queries.counts(tenant_id)).to_pylist()[0]
        return StoreCounts(
            int(row["raw_reads"]), int(row["raw_rows"]), int(row["measurements"]), int(row["frames"])
        )

    def select(self, query: str) -> pa.Table:
        """Return the answer to a question of ours that ends in ``FORMAT ArrowStream``."""
        return self._select(query, patience_s=PATIENCE_WITH_TABLES_S)

    def execute(self, statement: str) -> None:
        """Have the engine do something to its tables."""
        self._ask(statement, patience_s=PATIENCE_WITH_TABLES_S)

    def months(self, tenant_id: int) -> list[int]:
        """Return the months (yyyymm, UTC) that reads or values of a tenant are stored of, in order."""
        return [int(row["month"]) for row in self._select(queries.held_months(tenant_id)).to_pylist()]

    def insert_table(self, table_name: str, table: pa.Table) -> None:
        """Append rows as they were exported."""
        self._insert(table_name, table)

    def _windows(self, from_s: int, to_s: int, *, newest_first: bool) -> Iterator[Window]:
        yield from windows(self._months(), from_s, to_s, newest_first=newest_first)

    def _months(self) -> list[int]:
        return [int(month) for month in column_of(self._blocks(queries.MONTHS), "month")]

    def _nearest(
        self,
        channel_ids: Ids,
        windows_: Iterable[Window],
        query: Callable[[Ids, Window], str],
    ) -> RawReads:
        """Look for one read per channel, window after window; only missing channels are asked for again."""
        missing = rising(channel_ids)
        parts = [reads_of(())]
        for window in windows_ if len(missing) else ():
            found = reads_of(self._blocks(*(query(ids, window) for ids in _slices(missing))))
            parts.append(found.take(bulk.is_asked(found.channel_id, missing)))
            missing = missing[~np.isin(missing, found.channel_id)]
            if not len(missing):
                break
        found = RawReads(*(np.concatenate([getattr(part, name) for part in parts]) for name in READS))
        return found.take(np.argsort(found.channel_id))

    def _select(self, query: str, *, patience_s: float = PATIENCE_S) -> pa.Table:
        content = self._ask(query, patience_s=patience_s)
        try:
            return pa.ipc.open_stream(content).read_all()
        except pa.ArrowException as error:
            raise StoreRefused("store.refused", is_permanent=False, reason="answer") from error

    def _blocks(self, *questions: str) -> list[Columns]:
        """Return the answers to questions that end in ``FORMAT Native``, block after block."""
        try:
            return [
                block for question in questions for block in decode_blocks(self._ask(question, form="Native"))
            ]
        except ValueError as error:
            raise StoreRefused("store.refused", is_permanent=False, reason="answer") from error

    def _append(self, table_name: str, columns: Columns) -> None:
        path = _insert_path(table_name, list(columns), "Native")
        for start in range(0, len(next(iter(columns.values()))), _BLOCK_ROWS_COUNT):
            self._transport.ask(encode_block(columns, slice(start, start + _BLOCK_ROWS_COUNT)), path)

    def _insert(self, table_name: str, table: pa.Table) -> None:
        path = _insert_path(table_name, table.column_names, "ArrowStream")
        for start in range(0, table.num_rows, _ROWS_COUNT):
            self._transport.ask([to_stream(table.slice(start, _ROWS_COUNT))], path)

    def _ask(self, query: str, *, patience_s: float = PATIENCE_S, form: str = "") -> bytes:
        return self._transport.ask([query.encode()], "/", patience_s=patience_s, form=form)


def _insert_path(table_name: str, column_names: Sequence[str], format_name: str) -> str:
    statement = f"INSERT INTO {table_name} ({', '.join(column_names)}) FORMAT {format_name}"
    settings = "&".join(f"{name}={value}" for name, value in INSERT_SETTINGS.items())
    return f"/?{settings}&query={quote(statement)}"


def _slices(ids: Ids, count: int | None = None) -> list[Int64s]:
    """The distinct ids in rising order, in parts short enough for a query."""
    distinct = rising(ids)
    if not len(distinct):
        return []
    count = count or _IDS_BYTES // (len(str(distinct[-1])) + len(", "))
    return [distinct[start : start + count] for start in range(0, len(distinct), count)]
