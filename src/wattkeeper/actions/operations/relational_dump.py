"""The relational side in one file, as of one moment, while it is in use; and back."""

import os
import shutil
import socket
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

from psycopg.conninfo import make_conninfo

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.drills import MARKER

_PAGES_COUNT = 4096  # copied at a time; writers go on between
_NAMES = {"sqlite3": "relational.sqlite3", "postgresql": "relational.pgdump", "mysql": "relational.sql"}
_TIMEOUT_S = 6 * 3600
_TABLES = {
    "postgresql": """SELECT o.relname FROM pg_class o JOIN pg_namespace n ON n.oid = o.relnamespace
        WHERE o.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')""",
    "mysql": "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()",
}
_POSTGRES_DROPS = """DO $$ DECLARE thing TEXT; BEGIN FOR thing IN
    SELECT 'TABLE IF EXISTS ' || o.oid::regclass FROM pg_class o JOIN pg_namespace n
        ON n.oid = o.relnamespace WHERE o.relkind IN ('r', 'p')
        AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    UNION ALL SELECT 'ROUTINE IF EXISTS ' || o.oid::regprocedure FROM pg_proc o JOIN pg_namespace n
        ON n.oid = o.pronamespace WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = o.oid AND d.deptype = 'e')
    LOOP EXECUTE 'DROP ' || thing || ' CASCADE'; END LOOP; END $$"""  # an extension's functions stay


def dump_name(settings: dict[str, Any]) -> str:
    """Return the name of the file, which says what it is a dump of."""
    return _NAMES[_engine(settings)]


def dump(settings: dict[str, Any], target: Path) -> None:
    """
    Write the database of Django's `settings` to a file.

    :raises WattkeeperError: ``operations.dump-failed``, ``operations.tool-missing``
    """
    engine = _engine(settings)
    if engine == "sqlite3":
        _copy_sqlite(Path(settings["NAME"]), target)
    elif engine == "postgresql":
        with target.open("wb") as file:
            _run(["pg_dump", "--format=custom", *_postgres(settings)], settings, stdout=file)
    else:
        with target.open("wb") as file:
            options = ["--single-transaction", "--routines", "--triggers", "--hex-blob"]
            _run(["mariadb-dump", *_mariadb(settings), *options, settings["NAME"]], settings, stdout=file)


def load(settings: dict[str, Any], source: Path) -> None:
    """
    Make the empty database of Django's `settings` what the file holds.

    :raises WattkeeperError: ``operations.dump-kind`` for a dump of another engine, ``operations.dump-failed``
    """
    if source.name != dump_name(settings):
        raise WattkeeperError("operations.dump-kind", file=source.name, wanted=dump_name(settings))
    engine = _engine(settings)
    if engine == "sqlite3":
        shutil.move(source, settings["NAME"])
    elif engine == "postgresql":
        options = ["--no-owner", "--exit-on-error", "--single-transaction"]
        _run(["pg_restore", *options, *_postgres(settings), str(source)], settings)
    else:
        with source.open("rb") as file:
            _run(["mariadb", *_mariadb(settings), settings["NAME"]], settings, stdin=file)


def require_empty(settings: dict[str, Any], folder: Path | None = None) -> None:
    """
    Return if a server's database holds no table; what is in a file's folder is asked elsewhere.

    `folder`: the scratch folder whose drill may have marked the database.

    :raises WattkeeperError: ``operations.database-not-empty``, ``operations.dump-failed``
    """
    tables = _tables(settings)
    if folder is not None and tables == [MARKER] and _drill_of(settings) == _name_of(folder):
        return
    if tables and _engine(settings) != "sqlite3":
        raise WattkeeperError("operations.database-not-empty", name=settings["NAME"], count=len(tables))


def make_empty(settings: dict[str, Any]) -> None:
    """Drop all that `load` has made in a server's database, and the mark of a drill after it."""
    if _engine(settings) == "postgresql":
        _ask(settings, _POSTGRES_DROPS)
    elif tables := sorted(_tables(settings), key=lambda name: name == MARKER):
        names = ", ".join(f"`{name}`" for name in tables)
        _ask(settings, f"SET FOREIGN_KEY_CHECKS = 0; DROP TABLE {names}")


def mark_drill(settings: dict[str, Any], folder: Path) -> None:
    """Write into a server's empty database that it is a drill's, and of which scratch folder."""
    if _engine(settings) != "sqlite3":
        _ask(settings, f"CREATE TABLE {MARKER} AS SELECT '{_name_of(folder)}' AS scratch")


def clear_drill(settings: dict[str, Any], folder: Path) -> None:
    """Empty a server's database that a killed drill left: one beside `folder`, whose own folder is gone."""
    if MARKER not in _tables(settings):
        return
    host, _, left = bytes.fromhex(_drill_of(settings)).decode().partition(":")
    if (
        host == socket.gethostname()
        and Path(left).parent == folder.resolve().parent
        and not Path(left).exists()
    ):
        make_empty(settings)


def _name_of(folder: Path) -> str:
    """Return a scratch folder of this machine as a word that needs no quoting."""
    return f"{socket.gethostname()}:{folder.resolve()}".encode().hex()


def _drill_of(settings: dict[str, Any]) -> str:
    return _ask(settings, f"SELECT scratch FROM {MARKER}").strip()  # noqa: S608


def _tables(settings: dict[str, Any]) -> list[str]:
    engine = _engine(settings)
    return _ask(settings, _TABLES[engine]).splitlines() if engine in _TABLES else []


def _ask(settings: dict[str, Any], question: str) -> str:
    """Return what a server's own shell answers, a line a row."""
    if _engine(settings) == "postgresql":
        command = ["psql", "--no-psqlrc", "-qAt", "-v", "ON_ERROR_STOP=1", *_postgres(settings)]
        return _run([*command, f"--command={question}"], settings, stdout=subprocess.PIPE)
    command = ["mariadb", *_mariadb(settings), "--skip-column-names", "--batch"]
    return _run([*command, f"--execute={question}", settings["NAME"]], settings, stdout=subprocess.PIPE)


def _copy_sqlite(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source, timeout=30)) as own, closing(sqlite3.connect(target)) as copy:
        own.backup(copy, pages=_PAGES_COUNT, sleep=0.005)
        copy.execute("PRAGMA journal_mode=DELETE")
        found = copy.execute("PRAGMA integrity_check").fetchone()
    if found != ("ok",):
        raise WattkeeperError("operations.dump-failed", tool="sqlite", reason=str(found))


def _engine(settings: dict[str, Any]) -> str:
    name: str = settings["ENGINE"].rpartition(".")[2]
    return name


def _postgres(settings: dict[str, Any]) -> list[str]:
    """All in one string: libpq's tools have no options for TLS, and their environment is not asked then."""
    pairs = (("host", "HOST"), ("port", "PORT"), ("user", "USER"), ("dbname", "NAME"))
    told = {name: settings[key] for name, key in pairs if settings.get(key)}
    return [f"--dbname={make_conninfo(**told, **settings.get('OPTIONS', {}))}"]


def _mariadb(settings: dict[str, Any]) -> list[str]:
    pairs = (("--host", "HOST"), ("--port", "PORT"), ("--user", "USER"))
    told = [f"{option}={settings[key]}" for option, key in pairs if settings.get(key)]
    tls = settings.get("OPTIONS", {}).get("ssl")
    if not tls:
        return told
    files = [f"--ssl-{name}={path}" for name, path in tls.items() if path]
    return [*told, "--ssl", "--ssl-verify-server-cert", *files]


def _run(command: list[str], settings: dict[str, Any], **streams: Any) -> str:
    """Run a tool and return what it said to a pipe.

    Passwords go by the environment, where no list of processes shows them.
    """
    password = str(settings.get("PASSWORD") or "")
    environment = {**os.environ, "PGPASSWORD": password, "MYSQL_PWD": password}
    try:
        done = subprocess.run(  # noqa: S603 - our own command line
            command, env=environment, stderr=subprocess.PIPE, timeout=_TIMEOUT_S, check=False, **streams
        )
    except FileNotFoundError as error:
        raise WattkeeperError("operations.tool-missing", tool=command[0]) from error
    if done.returncode:
        reason = done.stderr.decode("utf-8", "replace").strip()[-500:]
        raise WattkeeperError("operations.dump-failed", tool=command[0], reason=reason)
    return (done.stdout or b"").decode()
