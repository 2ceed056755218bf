"""What others do with the same day, month and reads: pandas, MyEMS's shape of pipeline, PostgreSQL's COPY.

    python benchmarks/peers.py [--meters 100]

All are written here, as `reference/performance.md` describes them, and measured beside ours in the same run:
CPU seconds of this process and of all processes of a peer's server. Each result is compared with the truth
that ours is compared with; a peer must be right wherever no fault was planted (else it was not run as meant,
and the benchmark is wrong), and how far it is off elsewhere is told. Servers are those of the tests and do
not wait for the disk, which flatters them.

- pandas: registers in memory, one series at a time: rollover, wrong reads, interpolation, spikes, rates.
- MyEMS: 100 points in three statements and three commits; a value below an earlier one is bad; a loop over
  meters that fetches their values, takes hours of registers and inserts one row an hour; a tariff that is
  built anew for each meter, hour by hour. MariaDB by PyMySQL, or SQLite where there is no server.
- PostgreSQL: COPY of texts made before, without an index; and into a staging table, from there into one with
  a primary key that takes no read twice; single series-months and latest values from a table with a key.
"""

import os
import random
import sqlite3
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import psycopg
import pymysql
import pytest
from mdm_rig import TICKS, calib, finish, parser_of, with_goals
from mdm_street import INTERVAL_S, MODULUS, READS, Day, make_day

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from conformance.mariadb import mariadb_binaries, mariadb_server
from conformance.postgres import postgres_binaries, postgres_server

HOUR = 3600 // INTERVAL_S
STEPS_PER_KWH = 100
RATE_OF_HOUR = np.repeat([2, 1, 0, 1, 2], [7, 3, 5, 7, 2])
PRICES = ("0.8123", "0.5283", "0.3083")
POINTS_OF_A_COMMIT = 100
HOURLY_LIMIT_KWH = Decimal(100)
COPY_ROWS = 50_000
INTERVALS_OF_DAY = 24 * HOUR
YEAR_INTERVALS = 365 * INTERVALS_OF_DAY
YEAR_S = 1_767_225_600  # 2026-01-01
MONTH_OF_SERIES = (
    "SELECT starts_at, value, provenance, flags, method FROM measurement"
    " WHERE series_id = %s AND starts_at >= %s AND starts_at < %s ORDER BY starts_at, run_id"
)
LATEST_OF_SERIES = (
    "SELECT starts_at, value FROM measurement WHERE series_id = %s"
    " ORDER BY starts_at DESC, run_id DESC LIMIT 1"
)
NOT_DURABLE = "commits do not wait for the disk"


def main() -> None:
    """Run all peers, check, print."""
    parser = parser_of(__doc__)
    parser.add_argument("--meters", type=int, default=100)
    options = parser.parse_args()
    day, at_s = make_day(2 * options.meters, 0), 1_780_243_200
    peers = {"pandas": pandas_day(day, at_s), "myems": myems_day(day, at_s)}
    series, place = np.nonzero(day.is_read)
    reads = (series, at_s + INTERVAL_S * place, day.told[series, place])
    peers |= postgres_copies([reads])
    is_right = all(peer.get("is_right", True) for peer in peers.values())
    result = {"figure": None, "unit": "values per core-second", "n": int(day.told.size), "peers": peers}
    finish(with_goals({**result, "calib_s": calib(), "is_right": is_right}), is_strict=options.strict)


def with_ratios(figure: float, peers: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return peers with how many times faster a figure is than theirs; skipped ones as they are."""
    return {
        name: row | {"ratio": round(figure / row["figure"], 1)} if "figure" in row else row
        for name, row in peers.items()
    }


# ---- CPU seconds ----


def _stat(pid: str) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


def _living() -> dict[int, list[str]]:
    found = {}
    for folder in os.listdir("/proc"):  # noqa: PTH208
        if folder.isdigit():
            try:
                found[int(folder)] = _stat(folder)
            except OSError:
                continue  # it has ended
    return found


def children() -> set[int]:
    """Return the processes that this one has started."""
    return {pid for pid, fields in _living().items() if int(fields[1]) == os.getpid()}


def tree_cpu_s(roots: set[int]) -> float:
    """Return CPU seconds of processes, their living descendants and those that ended and were awaited."""
    living, tree, ticks = _living(), set(roots), 0
    while True:
        more = {pid for pid, fields in living.items() if int(fields[1]) in tree} | tree
        if more == tree:
            break
        tree = more
    for pid in tree & living.keys():
        ticks += sum(int(field) for field in living[pid][11:15])
    return ticks / TICKS


class Meter:
    """CPU seconds of this process and some servers, by phase."""

    def __init__(self, servers: set[int]) -> None:
        self._servers = servers
        self.phases: dict[str, float] = defaultdict(float)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Charge the block."""
        before_s = time.process_time() + tree_cpu_s(self._servers)
        yield
        self.phases[name] += time.process_time() + tree_cpu_s(self._servers) - before_s

    def told(self) -> dict[str, float]:
        """Return the phases, rounded."""
        return {name: round(spent_s, 3) for name, spent_s in self.phases.items()}


# ---- pandas ----


def pandas_day(day: Day, at_s: int) -> dict[str, Any]:
    """An average engineer's day: registers to energy, validated and summed by rate."""
    series, place = np.nonzero(day.is_read)
    frame = pd.DataFrame(
        {
            "series": series,
            "at": pd.to_datetime(at_s + INTERVAL_S * place, unit="s"),
            "kwh": day.told[series, place] / STEPS_PER_KWH,
        }
    )
    ends = pd.date_range(pd.to_datetime(at_s, unit="s"), periods=READS + 1, freq=f"{INTERVAL_S}s")
    meter = Meter(set())
    energy = np.zeros(day.energy.shape)
    rated = np.zeros((len(day.energy), 3))
    surges = set()
    with meter.phase("all"):
        rate = pd.Series(np.repeat(RATE_OF_HOUR, HOUR), index=ends[1:])
        for number, own in frame.groupby("series"):
            kwh = _pandas_energy(own.set_index("at")["kwh"], ends)
            if _is_spiky(kwh):
                surges.add(number)
            energy[number] = kwh.to_numpy()
            rated[number] = kwh.groupby(rate).sum().to_numpy()
    steps = energy * STEPS_PER_KWH
    is_whole = day.is_known[:, 1:] & day.is_known[:, :-1]
    is_off = np.abs(steps - day.energy) > 1e-3
    is_plain = plain_series(day)
    is_rated = np.isclose(rated.sum(axis=1), energy.sum(axis=1))
    true_surges = set(np.flatnonzero(day.surge_index >= 0).tolist())
    return {
        "figure": round(day.energy.size / sum(meter.phases.values())),
        "n_values": day.energy.size,
        "intervals_off": int((is_off & is_whole).sum()),
        "energy_off_percent": _off_percent(steps.sum(axis=1), day.energy.sum(axis=1)),
        "surges": {"true": len(true_surges), "found": len(surges), "both": len(surges & true_surges)},
        "does_not": "store, keep versions or quality, reconcile",
        "is_right": bool(is_plain.any() and not is_off[is_plain].any() and is_rated.all()),
    }


def _pandas_energy(told: "pd.Series[float]", ends: pd.DatetimeIndex) -> "pd.Series[float]":
    step = told.diff()
    whole = told + MODULUS / STEPS_PER_KWH * (step < -MODULUS / STEPS_PER_KWH / 2).cumsum()
    whole[whole.diff().shift(-1) < 0] = np.nan  # up and down again: a wrong read
    quarters = whole.resample(f"{INTERVAL_S}s").last().reindex(ends)
    return quarters.interpolate().diff().iloc[1:]


def _is_spiky(kwh: "pd.Series[float]") -> bool:
    top = kwh.nlargest(3)
    return bool(top.iloc[0] > 2.8 * top.iloc[-1])


# ---- MyEMS ----

TABLES = (
    (
        "CREATE TABLE tbl_energy_value (id BIGINT AUTO_INCREMENT PRIMARY KEY, point_id BIGINT NOT NULL,"
        " utc_date_time DATETIME NOT NULL, actual_value DECIMAL(21, 6) NOT NULL, is_bad BOOL)"
    ),
    "CREATE INDEX tbl_energy_value_point ON tbl_energy_value (point_id, utc_date_time)",
    (
        "CREATE TABLE tbl_energy_value_latest (id BIGINT AUTO_INCREMENT PRIMARY KEY,"
        " point_id BIGINT NOT NULL, utc_date_time DATETIME NOT NULL, actual_value DECIMAL(21, 6) NOT NULL)"
    ),
    "CREATE INDEX tbl_energy_value_latest_point ON tbl_energy_value_latest (point_id)",
    (
        "CREATE TABLE tbl_meter_hourly (id BIGINT AUTO_INCREMENT PRIMARY KEY, meter_id BIGINT NOT NULL,"
        " start_datetime_utc DATETIME NOT NULL, actual_value DECIMAL(21, 6) NOT NULL)"
    ),
    "CREATE INDEX tbl_meter_hourly_meter ON tbl_meter_hourly (meter_id, start_datetime_utc)",
    (
        "CREATE TABLE tbl_meter_billing (id BIGINT AUTO_INCREMENT PRIMARY KEY, meter_id BIGINT NOT NULL,"
        " start_datetime_utc DATETIME NOT NULL, actual_value DECIMAL(21, 6) NOT NULL)"
    ),
    "CREATE INDEX tbl_meter_billing_meter ON tbl_meter_billing (meter_id, start_datetime_utc)",
)
INSERT_VALUE = "INSERT INTO {} (point_id, utc_date_time, actual_value) VALUES (%s, %s, %s)"
INSERT_HOUR = "INSERT INTO {} (meter_id, start_datetime_utc, actual_value) VALUES (%s, %s, %s)"


class Sql:
    """A connection to either engine, its cursor, and the processes that serve it."""

    def __init__(self, connection: Any, engine: str, servers: set[int]) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._is_sqlite = engine.startswith("SQLite")
        self.engine = engine
        self.servers = servers
        for statement in TABLES:
            self.do(statement.replace("BIGINT AUTO_INCREMENT", "INTEGER") if self._is_sqlite else statement)

    def do(self, statement: str, given: Sequence[Any] = ()) -> None:
        """Execute one statement."""
        self._cursor.execute(self._own(statement), [self._bound(value) for value in given])

    def do_many(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        """Execute a statement for many rows."""
        if self._is_sqlite:
            rows = [tuple(map(self._bound, row)) for row in rows]
        self._cursor.executemany(self._own(statement), rows)

    def values(self, query: str, given: Sequence[Any]) -> Iterator[tuple[datetime, Decimal]]:
        """Yield times and values, row after row."""
        self.do(query, given)
        while (row := self._cursor.fetchone()) is not None:
            if self._is_sqlite:
                yield datetime.fromisoformat(row[0]), Decimal(str(row[1]))
            else:
                yield row

    def commit(self) -> None:
        """Commit."""
        self._connection.commit()

    def _own(self, statement: str) -> str:
        return statement.replace("%s", "?") if self._is_sqlite else statement

    def _bound(self, value: Any) -> Any:
        return str(value) if self._is_sqlite and isinstance(value, datetime | Decimal) else value


@contextmanager
def sql_server(*, is_sqlite: bool = False) -> Iterator[Sql]:
    """Serve MariaDB, or SQLite where it is not installed or not wanted."""
    try:
        if not is_sqlite:
            mariadb_binaries()
    except pytest.skip.Exception:
        is_sqlite = True
    if is_sqlite:
        with tempfile.TemporaryDirectory() as folder:
            connection = sqlite3.connect(Path(folder) / "myems")
            yield Sql(connection, f"SQLite {sqlite3.sqlite_version}", set())
            connection.close()
        return
    before = children()
    with mariadb_server() as url:
        at = urlsplit(url)
        connection = pymysql.connect(
            host=at.hostname, port=at.port or 0, user=at.username, database=at.path[1:]
        )
        yield Sql(connection, f"MariaDB {connection.get_server_info()} by PyMySQL", children() - before)
        connection.close()


def myems_day(day: Day, at_s: int, *, is_sqlite: bool = False) -> dict[str, Any]:
    """The pipeline over a day: acquire, clean, normalise to hours, bill."""
    hours_count = READS // HOUR
    with sql_server(is_sqlite=is_sqlite) as sql:
        meter = Meter(sql.servers)
        with meter.phase("acquire"):
            acquire(sql, day.told, day.is_read, at_s)
        steps, _costs = run_pipeline(sql, meter, len(day.told), at_s, hours_count)
        engine = sql.engine
    truth = day.energy.reshape(len(steps), hours_count, HOUR).sum(axis=2)
    is_plain = plain_series(day)
    return {
        "figure": round(day.energy.size / sum(meter.phases.values())),
        "n_values": day.energy.size,
        "engine": engine,
        "durability": NOT_DURABLE,
        "cpu_s": meter.told(),
        "hours_wrong": int((steps != truth).sum()),
        "n_hours": truth.size,
        "energy_off_percent": _off_percent(steps.sum(axis=1), truth.sum(axis=1)),
        "does_not": "estimate, keep intervals, versions or quality, reconcile",
        "is_right": bool(is_plain.any() and (steps == truth)[is_plain].all()),
    }


def myems_month(
    energy_milliwh: Any, truth: Sequence[int], at_s: int, *, is_sqlite: bool = False
) -> dict[str, Any]:
    """Clean, normalise and bill months that lie in the database; bills in fen are compared with the truth."""
    told = 1000 + np.cumsum(energy_milliwh, axis=1) // (10**6 // STEPS_PER_KWH)
    told = np.concatenate((np.full((len(told), 1), 1000), told), axis=1)
    with sql_server(is_sqlite=is_sqlite) as sql:
        load(sql, told, at_s)
        meter = Meter(sql.servers)
        _steps, costs = run_pipeline(sql, meter, len(told), at_s, energy_milliwh.shape[1] // HOUR)
        engine = sql.engine
    bills = [sum(int((100 * line).quantize(Decimal(1), ROUND_HALF_UP)) for line in own) for own in costs]
    wrong_count = sum(bill != true for bill, true in zip(bills, truth, strict=False))
    return {
        "figure": round(len(told) / sum(meter.phases.values()), 1),
        "n": len(told),
        "engine": engine,
        "durability": NOT_DURABLE,
        "cpu_s": meter.told(),
        "bills_wrong": wrong_count,
        "is_right": len(told) > 0 and wrong_count == 0,
    }


def acquire(sql: Sql, told: Any, is_read: Any, at_s: int) -> None:
    """Insert what the meters say, instant after instant: three statements and commits for 100 points."""
    start = datetime.fromtimestamp(at_s, UTC).replace(tzinfo=None)
    for place in range(told.shape[1]):
        at = start + timedelta(seconds=INTERVAL_S * place)
        points = np.flatnonzero(is_read[:, place]).tolist()
        for first in range(0, len(points), POINTS_OF_A_COMMIT):
            own = points[first : first + POINTS_OF_A_COMMIT]
            rows = [(point, at, Decimal(int(told[point, place])) / STEPS_PER_KWH) for point in own]
            sql.do_many(INSERT_VALUE.format("tbl_energy_value"), rows)
            sql.commit()
            listed = ", ".join(map(str, own))
            sql.do(f"DELETE FROM tbl_energy_value_latest WHERE point_id IN ({listed})")
            sql.commit()
            sql.do_many(INSERT_VALUE.format("tbl_energy_value_latest"), rows)
            sql.commit()


def load(sql: Sql, told: Any, at_s: int) -> None:
    """Insert what the meters said, meter after meter: for what is not charged."""
    start = datetime.fromtimestamp(at_s, UTC).replace(tzinfo=None)
    ats = [start + timedelta(seconds=INTERVAL_S * place) for place in range(told.shape[1])]
    for point, row in enumerate(told.tolist()):
        rows = [(point, at, Decimal(value) / STEPS_PER_KWH) for at, value in zip(ats, row, strict=True)]
        sql.do_many(INSERT_VALUE.format("tbl_energy_value"), rows)
    sql.commit()


def run_pipeline(
    sql: Sql, meter: Meter, points_count: int, at_s: int, hours_count: int
) -> tuple[Any, list[list[Decimal]]]:
    """Return hourly steps of a hundredth of a kWh, (points, hours), and costs by point and rate."""
    start = datetime.fromtimestamp(at_s, UTC).replace(tzinfo=None)
    hours = [start + timedelta(hours=hour) for hour in range(hours_count + 1)]
    with meter.phase("clean"):
        for point in range(points_count):
            clean(sql, point)
    with meter.phase("normalise"):
        for point in range(points_count):
            normalise(sql, point, hours)
    with meter.phase("bill"):
        costs = [bill(sql, point, hours) for point in range(points_count)]
    query = "SELECT start_datetime_utc, actual_value FROM tbl_meter_hourly WHERE meter_id = %s"
    steps = np.zeros((points_count, hours_count), dtype=np.int64)
    for point in range(points_count):
        for at, value in sql.values(query, (point,)):
            steps[point, int((at - start).total_seconds()) // 3600] = int(value * STEPS_PER_KWH)
    return steps, costs


def clean(sql: Sql, point: int) -> None:
    """Mark every value below an earlier one as bad, the others as good."""
    query = (
        "SELECT utc_date_time, actual_value FROM tbl_energy_value"
        " WHERE point_id = %s AND is_bad IS NULL ORDER BY utc_date_time"
    )
    highest, bad = Decimal(-1), []
    for at, value in sql.values(query, (point,)):
        if value < highest:
            bad.append(at)
        highest = max(highest, value)
    for at in bad:
        own = "point_id = %s AND utc_date_time = %s"
        sql.do(f"UPDATE tbl_energy_value SET is_bad = 1 WHERE {own}", (point, at))
    sql.do("UPDATE tbl_energy_value SET is_bad = 0 WHERE point_id = %s AND is_bad IS NULL", (point,))
    sql.commit()


def normalise(sql: Sql, point: int, hours: list[datetime]) -> None:
    """Insert the energy of each hour: what the register advanced, nothing where that is above the limit."""
    query = (
        "SELECT utc_date_time, actual_value FROM tbl_energy_value WHERE point_id = %s"
        " AND utc_date_time >= %s AND utc_date_time <= %s AND is_bad = 0 ORDER BY utc_date_time"
    )
    values = list(sql.values(query, (point, hours[0], hours[-1])))
    rows, place, before = [], 0, values[0][1]
    for start, end in pairwise(hours):
        last = before
        while place < len(values) and values[place][0] <= end:
            last = values[place][1]
            place += 1
        energy_kwh = last - before
        rows.append((point, start, energy_kwh if energy_kwh <= HOURLY_LIMIT_KWH else Decimal(0)))
        before = last
    sql.do_many(INSERT_HOUR.format("tbl_meter_hourly"), rows)
    sql.commit()


def bill(sql: Sql, point: int, hours: list[datetime]) -> list[Decimal]:
    """Build the tariff of the whole time anew, price the hours, insert a row each; return costs by rate."""
    ranges = []
    for hour, rate in enumerate(RATE_OF_HOUR.tolist()):
        ranges.append((3600 * hour, 3600 * hour + 3599, rate, Decimal(PRICES[rate])))
    tariff = {}
    for at in hours[:-1]:
        second = int((at - hours[0]).total_seconds()) % 86_400  # local: the time begins at a midnight
        for first, last, rate, price in ranges:
            if first <= second <= last:
                tariff[at] = rate, price
    costs, rows = [Decimal(0)] * 3, []
    query = (
        "SELECT start_datetime_utc, actual_value FROM tbl_meter_hourly"
        " WHERE meter_id = %s AND start_datetime_utc >= %s ORDER BY start_datetime_utc"
    )
    for at, value in sql.values(query, (point, hours[0])):
        rate, price = tariff[at]
        costs[rate] += value * price
        rows.append((point, at, value * price))
    sql.do_many(INSERT_HOUR.format("tbl_meter_billing"), rows)
    sql.commit()
    return costs


# ---- PostgreSQL ----


def postgres_copies(parts: Sequence[tuple[Any, Any, Any]]) -> dict[str, dict[str, Any]]:
    """COPY reads (channels, seconds, values) as they come, bare and into a key; or why that was skipped."""
    try:
        postgres_binaries()
    except pytest.skip.Exception as reason:
        return {"postgresql_copy": {"skipped": str(reason)}}
    held = [sum(len(part[0]) for part in parts), *(sum(int(part[i].sum()) for part in parts) for i in (0, 2))]
    texts = [text for part in parts for text in _texts(*part)]
    before = children()
    with postgres_server() as url, psycopg.connect(url) as connection:
        servers = children() - before
        version = connection.execute("SHOW server_version").fetchone()[0]  # type: ignore[index]
        told = {
            "postgresql_copy": _copy(connection, servers, texts, held, is_keyed=False),
            "postgresql_copy_keyed": _copy(connection, servers, texts, held, is_keyed=True),
        }
    common = {"version": version, "durability": NOT_DURABLE, "texts": "made before, not charged"}
    return {name: row | common for name, row in told.items()}


def postgres_questions(values_count: int, questions_count: int) -> dict[str, Any]:
    """Ask series-months and latest values of a table keyed by series and start; or why that was skipped.

    Series of a year of quarter hours; values are numbers of a formula, and every answer is compared with it.
    The server is idle and its pages are in memory, which flatters it.
    """
    try:
        postgres_binaries()
    except pytest.skip.Exception as reason:
        return {"skipped": str(reason)}
    series_count = max(1, values_count // YEAR_INTERVALS)
    dice = random.Random(4)
    asked = [(dice.randint(1, series_count), dice.randrange(12)) for _ in range(questions_count)]
    with postgres_server() as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE measurement (series_id int, starts_at timestamptz, value bigint,"
            " provenance smallint, flags int, method smallint, run_id bigint,"
            " PRIMARY KEY (series_id, starts_at, run_id))"
        )
        connection.execute(
            "INSERT INTO measurement SELECT series, to_timestamp(%s + %s * place),"
            " (series * 7919 + place) %% 1048576, 1, 1, 0, 1"
            " FROM generate_series(1, %s) AS series, generate_series(0, %s) AS place",
            (YEAR_S, INTERVAL_S, series_count, YEAR_INTERVALS - 1),
        )
        connection.execute("VACUUM ANALYZE measurement")

        def ask(query: str, parameters: Sequence[Any], wanted: Any) -> float:
            before_s = time.perf_counter()
            rows = connection.execute(query, parameters, prepare=True, binary=True).fetchall()
            spent_s = time.perf_counter() - before_s
            if [row[1] for row in rows] != wanted:
                raise AssertionError(parameters)
            return 1000 * spent_s

        months_ms, latest_ms = [], []
        for series, month in asked:
            first = 30 * INTERVALS_OF_DAY * month
            place = np.arange(first, first + 30 * INTERVALS_OF_DAY)
            bounds = [
                datetime.fromtimestamp(YEAR_S + INTERVAL_S * int(at), UTC) for at in (place[0], place[-1] + 1)
            ]
            wanted = ((series * 7919 + place) % 1048576).tolist()
            months_ms.append(ask(MONTH_OF_SERIES, [series, *bounds], wanted))
            last = (series * 7919 + YEAR_INTERVALS - 1) % 1048576
            latest_ms.append(ask(LATEST_OF_SERIES, [series], [last]))
        version = connection.execute("SHOW server_version").fetchone()[0]  # type: ignore[index]
    return {
        "version": version,
        "n_values": series_count * YEAR_INTERVALS,
        **{
            f"{name}_{part}_ms": round(
                float(np.percentile(spent_ms[len(spent_ms) // 10 :], int(part[1:]))), 3
            )
            for name, spent_ms in (("latest", latest_ms), ("series_month", months_ms))
            for part in ("p50", "p99")
        },
    }


def _copy(
    connection: Any, servers: set[int], texts: list[bytes], held: list[int], *, is_keyed: bool
) -> dict[str, Any]:
    columns = "(channel_id bigint, measured_at timestamptz, value bigint"
    table = "raw_keyed" if is_keyed else "raw_bare"
    key = ", PRIMARY KEY (channel_id, measured_at)" if is_keyed else ""
    connection.execute(f"CREATE TABLE {table} {columns}{key})")
    if is_keyed:
        connection.execute(f"CREATE UNLOGGED TABLE staging {columns})")
    connection.commit()

    def deliver(text: bytes) -> None:
        with connection.cursor().copy(f"COPY {'staging' if is_keyed else table} FROM STDIN") as copy:
            copy.write(text)
        if is_keyed:
            connection.execute(f"INSERT INTO {table} SELECT * FROM staging ON CONFLICT DO NOTHING")
            connection.execute("TRUNCATE staging")
        connection.commit()

    meter = Meter(servers)
    with meter.phase("all"):
        for text in texts:
            deliver(text)
    size_bytes = connection.execute(f"SELECT pg_total_relation_size('{table}')").fetchone()[0]
    if is_keyed:
        deliver(texts[0])  # once more: nothing may change
    told = connection.execute(f"SELECT count(*), sum(channel_id), sum(value) FROM {table}").fetchone()
    return {
        "figure": round(held[0] / max(0.01, meter.phases["all"])),
        "n_values": held[0],
        "bytes_per_value": round(size_bytes / held[0], 1),
        "is_right": [int(number) for number in told] == held,
    }


def _texts(channel_id: Any, at_s: Any, value: Any) -> Iterator[bytes]:
    stamps = np.datetime_as_string(np.asarray(at_s).astype("datetime64[s]"), timezone="UTC")
    rows = zip(channel_id.tolist(), stamps, value.tolist(), strict=True)
    lines = ["\t".join(map(str, row)) + "\n" for row in rows]
    for first in range(0, len(lines), COPY_ROWS):
        yield "".join(lines[first : first + COPY_ROWS]).encode()


# ---- truth ----


def plain_series(day: Day) -> Any:
    """Which series have no fault at all: nothing lost, wrong, surging or coming round."""
    return day.is_known.all(axis=1) & (day.surge_index < 0) & ~day.rolls


def _off_percent(found: Any, truth: Any) -> float:
    """How much of all energy is in the wrong place, over and under alike."""
    return round(float(np.abs(found - truth).sum() / truth.sum()) * 100, 3)


if __name__ == "__main__":
    main()
