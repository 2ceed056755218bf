"""The relational side copied while it is in use and loaded into an empty database, on every engine."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest

from conformance.mariadb import mariadb_server
from conformance.postgres import postgres_server
from wattkeeper.actions.operations.relational_dump import (
    clear_drill,
    dump,
    dump_name,
    load,
    make_empty,
    mark_drill,
    require_empty,
)
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.environment import database_from_url

ROWS = [(1, "one"), (2, "二"), (3, "it's; --")]
Connect = Callable[[dict[str, Any]], Any]


def connect_postgres(settings: dict[str, Any]) -> Any:
    return psycopg.connect(
        host=settings["HOST"],
        port=settings["PORT"],
        user=settings["USER"],
        dbname=settings["NAME"],
        autocommit=True,
    )


def connect_mariadb(settings: dict[str, Any]) -> Any:
    return pymysql.connect(
        host=settings["HOST"],
        port=int(settings["PORT"]),
        user=settings["USER"],
        database=settings["NAME"],
        autocommit=True,
    )


def ask(connection: Any, text: str, values: tuple[Any, ...] = ()) -> list[Any]:
    with closing(connection.cursor()) as cursor:
        cursor.execute(text, values)
        return list(cursor.fetchall()) if cursor.description else []


@pytest.mark.parametrize(
    ("server", "connect", "tool"),
    [(postgres_server, connect_postgres, "pg_dump"), (mariadb_server, connect_mariadb, "mariadb-dump")],
)
def test_a_server(
    server: Callable[[], AbstractContextManager[str]], connect: Connect, tool: str, tmp_path: Path
) -> None:
    with server() as url:
        own = database_from_url(url, tmp_path)
        empty = own | {"NAME": "fresh"}
        with closing(connect(own)) as connection:
            ask(connection, "CREATE DATABASE fresh")
            ask(connection, "CREATE TABLE thing (id INT PRIMARY KEY, name VARCHAR(40))")
            for row in ROWS:
                ask(connection, "INSERT INTO thing VALUES (%s, %s)", row)
            file = tmp_path / dump_name(own)
            dump(own, file)
            ask(connection, "DELETE FROM thing")
        require_empty(empty)
        load(empty, file)
        with closing(connect(empty)) as connection:
            assert ask(connection, "SELECT id, name FROM thing ORDER BY id") == ROWS
        with pytest.raises(WattkeeperError) as refused:
            require_empty(empty)
        assert refused.value.code == "operations.database-not-empty"
        make_empty(empty)
        require_empty(empty)
        kill_drills(empty, file, tmp_path / "scratch")
        load(empty, file)
        with pytest.raises(WattkeeperError) as caught:
            dump(own | {"NAME": "nowhere"}, tmp_path / "other")
        assert caught.value.code == "operations.dump-failed"
        assert caught.value.params["tool"] == tool


@pytest.fixture
def in_use(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "own.sqlite3")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT)")
        connection.executemany("INSERT INTO thing VALUES (?, ?)", ROWS)
        connection.commit()
        yield connection


def kill_drills(empty: dict[str, Any], file: Path, scratch: Path) -> None:
    """Drills that are killed leave something behind: what of it the next ones take away."""

    def is_emptied(killed: Path, after: Path, *, is_marked: bool = True) -> bool:
        make_empty(empty)
        if is_marked:
            mark_drill(empty, killed)
            with pytest.raises(WattkeeperError):
                require_empty(empty)
            require_empty(empty, killed)  # for its own restore it is
        load(empty, file)
        clear_drill(empty, after)
        try:
            require_empty(empty)
        except WattkeeperError:
            return False
        return True

    gone, elsewhere = scratch / "drill-a'b", scratch.parent / "other" / "drill-c"
    assert is_emptied(gone, scratch / "drill-d")
    assert not is_emptied(gone, scratch / "drill-d", is_marked=False)
    assert not is_emptied(elsewhere, scratch / "drill-d")
    at_work = scratch / "drill-e"
    at_work.mkdir(parents=True)
    assert not is_emptied(at_work, scratch / "drill-d")
    with pytest.MonkeyPatch.context() as patch:
        mark = "wattkeeper.actions.operations.relational_dump.socket.gethostname"
        patch.setattr(mark, iter(["there", "there", "here"]).__next__)
        assert not is_emptied(gone, scratch / "drill-d"), "another machine's"
    make_empty(empty)
    require_empty(empty)


def test_sqlite_with_a_transaction_open(in_use: sqlite3.Connection, tmp_path: Path) -> None:
    own = database_from_url("", tmp_path) | {"NAME": tmp_path / "own.sqlite3"}
    in_use.execute("INSERT INTO thing VALUES (4, 'not committed')")
    file = tmp_path / dump_name(own)
    dump(own, file)
    load(own | {"NAME": tmp_path / "fresh.sqlite3"}, file)
    with closing(sqlite3.connect(tmp_path / "fresh.sqlite3")) as connection:
        assert connection.execute("SELECT id, name FROM thing ORDER BY id").fetchall() == ROWS


def test_a_dump_of_another_engine_is_refused(tmp_path: Path) -> None:
    own = database_from_url("postgresql://someone@127.0.0.1:1/thing", tmp_path)
    with pytest.raises(WattkeeperError) as caught:
        load(own, tmp_path / "relational.sqlite3")
    assert caught.value.code == "operations.dump-kind"


def test_a_missing_tool_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    own = database_from_url("postgresql://someone@127.0.0.1:1/thing", tmp_path)
    with pytest.raises(WattkeeperError) as caught:
        dump(own, tmp_path / "file")
    assert caught.value.code == "operations.tool-missing"
