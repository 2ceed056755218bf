"""The schema for a cluster: replicated tables on every shard, and one distributed table in front of each.

`schema.TABLES` with other engines: rows of a channel or series lie together on one shard, so that every
question of one series is answered by one shard. Clients use the names of the distributed tables.
"""

import re
from collections.abc import Iterator

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.store.schema import TABLES, retunings

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_CREATE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+) \(")
_ALTER = re.compile(r"ALTER TABLE (\w+)")
_ENGINE = re.compile(r"ENGINE = (\w*MergeTree)\b(?!\()")
_SHARDED_BY = ("channel_id", "series_id", "batch_id")  # the first that a table has


def cluster_statements(cluster: str, database: str = "wattkeeper") -> Iterator[str]:
    """
    Yield the statements that make the schema on every replica of `cluster`, in order.

    ``{shard}`` and ``{replica}`` are macros of each server's own configuration.

    :raises WattkeeperError: ``store.ddl-name`` for a name that is none
    """
    _check_names(cluster, database)
    yield f"CREATE DATABASE IF NOT EXISTS {database} ON CLUSTER {cluster}"
    for table, text in TABLES.items():
        yield _replicated(table, text, cluster, database)
        yield (
            f"CREATE TABLE IF NOT EXISTS {database}.{table} ON CLUSTER {cluster}"
            f" AS {database}.{table}_local\n"
            f"ENGINE = Distributed('{cluster}', '{database}', '{table}_local', {_sharding(text)})\n"
            "SETTINGS fsync_after_insert = 1, fsync_directories = 1"
        )


def cluster_retunings(cluster: str, database: str = "wattkeeper") -> Iterator[str]:
    """
    Yield the statements that make tables of an earlier release work as today's, on every replica.

    They may be run again. What is stored keeps its form until it is merged.

    :raises WattkeeperError: ``store.ddl-name`` for a name that is none
    """
    _check_names(cluster, database)
    made_otherwise = "".join(f"{table}\t\n" for table in TABLES)
    for statement in retunings(made_otherwise):
        yield _ALTER.sub(rf"ALTER TABLE {database}.\1_local ON CLUSTER {cluster}", statement, 1)


def _check_names(*names: str) -> None:
    for name in names:
        if not _NAME.fullmatch(name):
            raise WattkeeperError("store.ddl-name", name=name)


def _replicated(table: str, text: str, cluster: str, database: str) -> str:
    """Return the table of one shard."""
    place = f"/clickhouse/tables/{{shard}}/{database}/{table}"
    text = _CREATE.sub(f"CREATE TABLE IF NOT EXISTS {database}.{table}_local ON CLUSTER {cluster} (", text, 1)
    text = _ENGINE.sub(rf"ENGINE = Replicated\1('{place}', '{{replica}}')", text, 1)
    return "\n".join(line.strip() for line in text.strip().splitlines())


def _sharding(text: str) -> str:
    key = next(key for key in _SHARDED_BY if re.search(rf"^\s*{key} ", text, re.MULTILINE))
    return f"cityHash64(tenant_id, {key})"
