"""The relational side in one file, as of one moment, while it is in use; and back."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

from psycopg.conninfo import make_conninfo

from wattkeeper.core.kernel.errors import WattkeeperError

_PAGES_COUNT = 4096  # copied at a time; writers go on between
_NAMES = {"sqlite3": "relational.sqlite3", "postgresql": "relational.pgdump", "mysql": "relational.sql"}
_TIMEOUT_S = 6 * 3600


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


def _run(command: list[str], settings: dict[str, Any], **streams: Any) -> None:
    """Run a tool; passwords go by the environment, where no list of processes shows them."""
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
