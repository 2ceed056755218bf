"""The cluster's schema against the engine's own parser, and run as far as one engine goes."""

import re
from collections.abc import Iterator

import pytest

from conformance.stores import running_store
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.store.client import HttpReadingStore
from wattkeeper.store.cluster_ddl import cluster_statements
from wattkeeper.store.schema import TABLES
from wattkeeper.store.transport import StoreRefused


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpReadingStore]:
    with running_store(tmp_path_factory.mktemp("store")) as store:
        yield store


def formatted(store: HttpReadingStore, statement: str) -> str:
    quoted = statement.replace("\\", "\\\\").replace("'", "\\'")
    answer = store.select(f"SELECT formatQuery('{quoted}') AS text FORMAT ArrowStream")
    return str(answer.to_pylist()[0]["text"])


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
        plain = re.sub(r"Replicated(\w*MergeTree)\([^)]*\)", r"\1", statement).replace(" ON CLUSTER main", "")
        store.execute(plain)
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


@pytest.mark.parametrize("name", ["", "a b", "x; DROP TABLE y", "1a", "a" * 65])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(WattkeeperError) as caught:
        list(cluster_statements(name))
    assert caught.value.code == "store.ddl-name"


def _pairs(statements: list[str]) -> list[tuple[str, str]]:
    return list(zip(statements[1::2], statements[2::2], strict=True))
