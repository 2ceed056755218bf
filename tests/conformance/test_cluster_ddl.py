"""The cluster's schema against the engine's own parser, and run as far as one engine goes."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Set

import numpy as np
import pytest

from conformance.stores import RUN, client, running_store
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.store import conformance
from wattkeeper.store.api import ReadingStore
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.cluster_ddl import cluster_retunings, cluster_statements
from wattkeeper.store.columns import measurement_columns
from wattkeeper.store.conformance_data import MONTH_START_S, measured
from wattkeeper.store.schema import TABLES
from wattkeeper.store.transport import StoreRefused
from wattkeeper.store.verify import run_check
from wattkeeper.store.verify_store import store_checks
from wattkeeper.store.verify_written import Told, Written


class NoRuns:
    """Nobody says that a run wrote anything."""

    def spans(self) -> list[tuple[int, int]]:
        return [(-(1 << 63), (1 << 63) - 1)]

    def written(self, _first_id: int, _last_id: int) -> Written:
        nothing = Told(*(np.zeros(0, dtype=np.int64),) * 3)
        return Written(nothing, nothing)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpReadingStore]:
    with running_store(tmp_path_factory.mktemp("store")) as store:
        yield store


def formatted(store: HttpReadingStore, statement: str) -> str:
    quoted = statement.replace("\\", "\\\\").replace("'", "\\'")
    answer = store.select(f"SELECT formatQuery('{quoted}') AS text FORMAT ArrowStream")
    return str(answer.to_pylist()[0]["text"])


def alone(statement: str) -> str:
    """Return the statement for one server without the coordination service."""
    plain = re.sub(r"Replicated(\w*MergeTree)\([^)]*\)", r"\1", statement)
    return re.sub(r" ON CLUSTER \w+", "", plain)


def test_the_engine_parses_every_statement(store: HttpReadingStore) -> None:
    statements = list(cluster_statements("main", "readings"))
    assert len(statements) == 1 + 2 * len(TABLES)
    for statement in statements:
        text = formatted(store, statement)
        assert "ON CLUSTER main" in text
        assert formatted(store, text) == text
    with pytest.raises(StoreRefused):
        formatted(store, statements[1].replace("ENGINE =", "ENGIN ="))


def test_each_table_is_replicated_and_sharded_by_its_series_or_channel(store: HttpReadingStore) -> None:
    for table, (local, distributed) in zip(TABLES, _pairs(list(cluster_statements("main"))), strict=True):
        text = formatted(store, local)
        kind = "Replacing" if "ReplacingMergeTree" in TABLES[table] else ""
        place = f"'/clickhouse/tables/{{shard}}/wattkeeper/{table}', '{{replica}}'"
        assert f"ENGINE = Replicated{kind}MergeTree({place})" in text
        assert re.search(
            rf"Distributed\('main', 'wattkeeper', '{table}_local', cityHash64\(tenant_id, ", distributed
        )
    text = "\n".join(cluster_statements("main"))
    assert "'raw_read_local', cityHash64(tenant_id, channel_id)" in text
    assert "'measurement_local', cityHash64(tenant_id, series_id)" in text


def test_the_statements_make_the_tables_that_one_engine_has(store: HttpReadingStore) -> None:
    """Without the coordination service the columns, keys and settings still have to be those of `TABLES`."""
    for statement in cluster_statements("main", "alone"):
        if "Distributed" in statement:
            continue
        store.execute(alone(statement))
    for table in TABLES:
        made, own = (
            store.select(
                f"SELECT name, type, compression_codec FROM system.columns WHERE {where} FORMAT ArrowStream"
            )
            for where in (
                f"database = 'alone' AND table = '{table}_local'",
                f"database = currentDatabase() AND table = '{table}'",
            )
        )
        assert made.to_pylist() == own.to_pylist()
        assert made.num_rows


OLD = ("merge_selector_base = 16", "min_parts_to_merge_at_once = 10")  # as an earlier release made them


def test_tables_of_an_earlier_release_are_retuned_by_what_is_printed(store: HttpReadingStore) -> None:
    """As far as one engine goes, twice: what is retuned already stays."""

    def settings_of(table: str) -> str:
        told = store.select(
            "SELECT create_table_query AS made FROM system.tables WHERE database = 'older'"
            f" AND name = '{table}' FORMAT ArrowStream"
        )
        return str(told.to_pylist()[0]["made"]).rpartition("SETTINGS ")[2]

    statements = list(cluster_statements("main", "older"))
    for statement in [statements[0], *statements[1::2]]:
        store.execute(alone(statement).replace(*OLD))
    assert all("merge_selector_base" not in settings_of(f"{table}_local") for table in TABLES)
    retunings = list(cluster_retunings("main", "older"))
    for statement in 2 * retunings:
        assert "_local ON CLUSTER main\n" in formatted(store, statement)
        store.execute(statement.replace(" ON CLUSTER main", ""))
    for table in TABLES:
        made = settings_of(f"{table}_local")
        assert "merge_selector_base = 16" in made
        assert "min_parts_to_merge_at_once" not in made


@pytest.mark.parametrize("name", ["", "a b", "x; DROP TABLE y", "1a", "a" * 65])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(WattkeeperError) as caught:
        list(cluster_statements(name))
    assert caught.value.code == "store.ddl-name"
    with pytest.raises(WattkeeperError) as caught:
        list(cluster_retunings(name))
    assert caught.value.code == "store.ddl-name"


CLUSTER = """
<clickhouse><logger><level>none</level></logger><tcp_port>9000</tcp_port><remote_servers><main>
    <shard><replica><host>localhost</host><port>9000</port></replica></shard>
    <shard><replica><host>localhost</host><port>9000</port></replica></shard>
</main><away><shard><replica><host>localhost</host><port>1</port></replica></shard></away></remote_servers></clickhouse>
"""
RUN_SHARDS = f"""
from wattkeeper.store import process
plain = process.connect
process.connect = lambda folder: plain(folder + "?config-file=" + sys.argv[3])
process.TABLES = {{}}
{RUN}
"""


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpReadingStore]:
    """The distributed tables over two shards. Both are one engine's, so that each row is read twice."""
    folder = tmp_path_factory.mktemp("shards")
    (folder / "cluster.xml").write_text(CLUSTER)
    arguments = [str(folder / name) for name in ("readings", "run/store.json", "cluster.xml")]
    process = subprocess.Popen([sys.executable, "-c", "import sys" + RUN_SHARDS, *arguments])
    try:
        store = client(folder, process)
        for statement in cluster_statements("main", "default"):
            store.execute(alone(statement))
        yield store
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.parametrize("check", conformance.CHECKS, ids=lambda check: check.__name__)
def test_shards_keep_each_promise(shards: HttpReadingStore, check: Callable[[ReadingStore], None]) -> None:
    check(shards)


def test_what_no_shard_has_is_not_stored(shards: HttpReadingStore) -> None:
    """A server that keeps an insert until its shard can be reached would acknowledge what nobody can read."""
    for statement in cluster_statements("away", "default"):
        if "Distributed" in statement:
            shards.execute(alone(statement).replace("EXISTS default.", "EXISTS default.away_"))
    with pytest.raises(StoreRefused) as caught:
        shards._append("away_measurement", measurement_columns(1, measured([(1, MONTH_START_S, 7, 3)])))
    assert "Connection refused" in str(caught.value.params)


def test_what_shards_hold_can_be_verified(shards: HttpReadingStore) -> None:
    """Each question is answered; what came of it is told by `test_verify`, for an engine of one shard."""
    away: dict[str, Set[int]] = {table: set() for table in TABLES}
    nobody = (np.zeros(0, dtype=np.int64),) * 2
    checks = store_checks(
        shards,
        away,
        now_s=lambda: MONTH_START_S,
        runs=NoRuns(),
        known_owners=lambda: {"channel_id": nobody, "series_id": nobody},
    )
    found = {name: run_check(name, examine, lambda *_: None) for name, examine in checks}
    codes = {fault.code for check in found.values() for fault in check.faults}
    assert not codes & {"verify.check-failed", "verify.part-damaged"}
    assert {fault.code for fault in found["store.parts"].unproved} == {"verify.parts-on-shards"}


def _pairs(statements: list[str]) -> list[tuple[str, str]]:
    return list(zip(statements[1::2], statements[2::2], strict=True))
