"""The tables of the readings store, as text that every engine understands.

Raw reads are a set: the whole row but its origin is the key, so re-deliveries collapse and conflicts stay.
Measurements and roll-ups are versions by run. A receipt says what a batch held in one month, so that `verify`
can prove that all of it is still there. Inserts are synced to disk before they return, and what merges make
of them before the engine deletes the parts they came from (`_SETTINGS`). Reads never assume that a merge has
happened.
"""

import re

_SETTINGS = (
    "fsync_after_insert = 1, fsync_part_directory = 1,"
    " min_rows_to_fsync_after_merge = 1, min_compressed_bytes_to_fsync_after_merge = 1,"
    # merge what is sixteen times its largest part: a row is written anew 2-3 times; 4-80 as it was before
    " merge_selector_base = 16,"
    " auto_statistics_types = ''"  # made of every column at every merge, and no question of ours needs them
)

# a month (of roll-ups: a year) that got nothing for ten days becomes one part: a series' month lies in one or
# two granules then, not in so many of each part it came in; each row is written once more for it
REST_S = 10 * 86_400
_AT_REST = f"min_age_to_force_merge_seconds = {REST_S}, min_age_to_force_merge_on_partition_only = 1"

# what a question about one series reads of a column that says the same again and again is a block of it: the
# smaller, the sooner it is unpacked, and such a column is small either way
_SMALL_BLOCKS = "SETTINGS (min_compress_block_size = 65536)"

# which rows stay is found by the key alone, then the other columns follow: takes two thirds of the time
_COLUMN_BY_COLUMN = "vertical_merge_algorithm_min_columns_to_activate = 1"

INSERT_SETTINGS = {
    "max_partitions_per_insert_block": 0,  # a file may hold many years
    "optimize_on_insert": 0,  # re-deliveries collapse in merges; to look for them now doubles the cost
    "distributed_foreground_insert": 1,  # on a cluster: what is stored can be read, by whoever asks next
}

TABLES = {
    "raw_read": f"""
        CREATE TABLE IF NOT EXISTS raw_read (
            tenant_id Int64 CODEC(Delta(8), ZSTD(1)),
            channel_id Int64 CODEC(Delta(8), ZSTD(1)),
            measured_at DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
            source Int8 CODEC(ZSTD(1)),
            value Int64 CODEC(Delta(8), T64, ZSTD(1)),
            flags Int32 CODEC(ZSTD(1)),
            batch_id Int64 CODEC(Delta(8), ZSTD(1)),
            frame_index Int32 CODEC(Delta(4), ZSTD(1))
        )
        ENGINE = ReplacingMergeTree
        PARTITION BY toYYYYMM(measured_at)
        ORDER BY (tenant_id, channel_id, measured_at, source, value, flags)
        SETTINGS {_SETTINGS}, {_AT_REST}, {_COLUMN_BY_COLUMN}
    """,
    "raw_frame": f"""
        CREATE TABLE IF NOT EXISTS raw_frame (
            tenant_id Int64 CODEC(Delta(8), ZSTD(1)),
            batch_id Int64 CODEC(Delta(8), ZSTD(1)),
            frame_index Int32 CODEC(Delta(4), ZSTD(1)),
            link_id Int64 CODEC(ZSTD(1)),
            device_id Int64 CODEC(Delta(8), ZSTD(1)),
            received_at DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
            content String CODEC(ZSTD(3))
        )
        ENGINE = ReplacingMergeTree
        PARTITION BY toYYYYMM(received_at)
        ORDER BY (tenant_id, batch_id, frame_index)
        SETTINGS {_SETTINGS}
    """,
    "measurement": f"""
        CREATE TABLE IF NOT EXISTS measurement (
            tenant_id Int64 CODEC(Delta(8), ZSTD(1)),
            series_id Int64 CODEC(Delta(8), ZSTD(1)),
            starts_at DateTime('UTC') CODEC(Delta(4), ZSTD(1)) {_SMALL_BLOCKS},
            run_id Int64 CODEC(Delta(8), ZSTD(1)),
            value_milliwh Int64 CODEC(ZSTD(3)),
            provenance Int8 CODEC(ZSTD(1)) {_SMALL_BLOCKS},
            flags Int32 CODEC(ZSTD(1)) {_SMALL_BLOCKS},
            method Int8 CODEC(ZSTD(1)) {_SMALL_BLOCKS}
        )
        ENGINE = MergeTree
        PARTITION BY toYYYYMM(starts_at)
        ORDER BY (tenant_id, series_id, starts_at, run_id)
        SETTINGS {_SETTINGS}, {_AT_REST}, min_compress_block_size = 262144
    """,
    "roll_up": f"""
        CREATE TABLE IF NOT EXISTS roll_up (
            tenant_id Int64 CODEC(Delta(8), ZSTD(1)),
            grain Int8 CODEC(ZSTD(1)),
            series_id Int64 CODEC(Delta(8), ZSTD(1)),
            starts_at DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
            run_id Int64 CODEC(Delta(8), ZSTD(1)),
            expected_count Int32 CODEC(ZSTD(1)),
            energy_milliwh Int64 CODEC(T64, ZSTD(1)),
            measured_count Int32 CODEC(ZSTD(1)),
            estimated_count Int32 CODEC(ZSTD(1)),
            edited_count Int32 CODEC(ZSTD(1)),
            derived_count Int32 CODEC(ZSTD(1)),
            projected_count Int32 CODEC(ZSTD(1))
        )
        ENGINE = MergeTree
        PARTITION BY toYear(starts_at + INTERVAL 13 HOUR)
        ORDER BY (tenant_id, grain, series_id, starts_at, run_id)
        SETTINGS {_SETTINGS}, {_AT_REST}
    """,
    "rate_day": f"""
        CREATE TABLE IF NOT EXISTS rate_day (
            tenant_id Int64 CODEC(Delta(8), ZSTD(1)),
            series_id Int64 CODEC(Delta(8), ZSTD(1)),
            starts_at DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
            calendar_id Int64 CODEC(ZSTD(1)),
            rate_index Int8 CODEC(ZSTD(1)),
            run_id Int64 CODEC(Delta(8), ZSTD(1)),
            expected_count Int32 CODEC(ZSTD(1)),
            held_count Int32 CODEC(ZSTD(1)),
            estimated_count Int32 CODEC(ZSTD(1)),
            loose_count Int32 CODEC(ZSTD(1)),
            energy_milliwh Int64 CODEC(T64, ZSTD(1)),
            estimated_milliwh Int64 CODEC(ZSTD(1))
        )
        ENGINE = MergeTree
        PARTITION BY toYYYYMM(starts_at)
        ORDER BY (tenant_id, series_id, starts_at, calendar_id, rate_index, run_id)
        SETTINGS {_SETTINGS}, {_AT_REST}
    """,
    "raw_receipt": f"""
        CREATE TABLE IF NOT EXISTS raw_receipt (
            tenant_id Int64 CODEC(Delta(8), ZSTD(1)),
            batch_id Int64 CODEC(Delta(8), ZSTD(1)),
            first_at DateTime('UTC') CODEC(ZSTD(1)),
            last_at DateTime('UTC') CODEC(ZSTD(1)),
            received_at DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
            first_channel_id Int64 CODEC(ZSTD(1)),
            last_channel_id Int64 CODEC(ZSTD(1)),
            reads_count Int64 CODEC(ZSTD(1)),
            reads_mix UInt64 CODEC(NONE),
            frames_count Int64 CODEC(ZSTD(1)),
            frames_mix UInt64 CODEC(NONE)
        )
        ENGINE = ReplacingMergeTree
        PARTITION BY toYYYYMM(first_at)
        ORDER BY (tenant_id, batch_id, first_at, last_at, reads_count, reads_mix, frames_count, frames_mix)
        SETTINGS {_SETTINGS}
    """,
}

_CODEC = r"CODEC\((?:[^()]|\(\d+\))*\)"
_COLUMN = re.compile(rf"(\w+)`? \w+(?:\('UTC'\))? ({_CODEC})(?: SETTINGS \(([^)]*)\))?")

TABLES_NOW = (
    "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase() FORMAT TSVRaw"
)


def retunings(tables_now: str) -> list[str]:
    """Return what makes tables of an earlier release work as today's; rows keep their form until merged.

    :param tables_now: the answer to `TABLES_NOW`
    """
    statements = []
    for line in tables_now.splitlines():
        table, _, made = line.partition("\t")
        wanted = TABLES.get(table)
        if wanted is None:
            continue
        if _settings_of(made) != _settings_of(wanted):
            settings = ", ".join(sorted(_settings_of(wanted)))
            statements += [
                f"ALTER TABLE {table} MODIFY SETTING {settings}",
                f"ALTER TABLE {table} RESET SETTING min_parts_to_merge_at_once",
            ]
        told, right = (_columns_of(text) for text in (made, wanted))
        for column, (codec, settings) in right.items():
            alter = f"ALTER TABLE {table} MODIFY COLUMN {column}"
            codec_now, settings_now = told.get(column, ("", ""))
            if codec != codec_now:
                statements.append(f"{alter} {codec}")
            if not settings and settings_now:
                names = ", ".join(setting.partition(" =")[0] for setting in settings_now.split(", "))
                statements.append(f"{alter} RESET SETTING {names}")
            elif settings != settings_now:
                statements.append(f"{alter} MODIFY SETTING {settings}")
    return statements


def _settings_of(made: str) -> set[str]:
    """The settings of a table by the text that makes it."""
    told = {setting.strip() for setting in made.rpartition("SETTINGS ")[2].split(",")}
    return told - {"index_granularity = 8192"}  # told by every table, asked for by none


def _columns_of(made: str) -> dict[str, tuple[str, str]]:
    """Codec and settings of each column by the text that makes the table."""
    return {name: (codec, settings) for name, codec, settings in _COLUMN.findall(made)}
