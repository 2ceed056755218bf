"""What each table holds as a set: how many distinct rows, and the sum of their hashes."""

from wattkeeper.store import archive_queries
from wattkeeper.store.schema import TABLES
from wattkeeper.store.verify import SqlStore

_ORIGIN = ("batch_id", "frame_index")  # which delivery a read stands for is not part of the set


def state(store: SqlStore) -> dict[str, str]:
    """Return a text for each table; equal for equal sets."""
    return {table: _state(store, table) for table in sorted(TABLES)}


def _state(store: SqlStore, table: str) -> str:
    columns = [row["name"] for row in store.select(archive_queries.columns(table)).to_pylist()]
    names = ", ".join(name for name in columns if table != "raw_read" or name not in _ORIGIN)
    row = store.select(
        f"SELECT toInt64(count()) AS rows, sum(cityHash64({names})) AS mixed"
        f" FROM (SELECT DISTINCT {names} FROM {table}) FORMAT ArrowStream"
    ).to_pylist()[0]
    return f"{row['rows']} {row['mixed']}"
