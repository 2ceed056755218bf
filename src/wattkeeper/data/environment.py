"""Strict parsers for what the environment may say: no guesses, a clear error instead."""

import os
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from wattkeeper.core.kernel.addresses import split_url
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.database_tls import host_of, tls_options
from wattkeeper.data.files import make_once

_SECRET_BYTES = 48
_BOOLS = {"true": True, "false": False}
_SILENT_S = 300  # a process that stops within a transaction, or its machine, holds its locks no longer
_MYSQL_OPTIONS = {
    "charset": "utf8mb4",
    "isolation_level": "read committed",
    "init_command": f"SET /*M! idle_transaction_timeout = {_SILENT_S}, */"
    " sql_mode = 'TRADITIONAL,NO_ENGINE_SUBSTITUTION', innodb_lock_wait_timeout = 5",
}
_POSTGRES_OPTIONS = {
    "hostaddr": "",  # the URL's host, whatever PGHOSTADDR or a service file says
    "options": f"-c idle_in_transaction_session_timeout={_SILENT_S}s",
}
_ENGINES = {
    "postgresql": "django.db.backends.postgresql",
    "mysql": "django.db.backends.mysql",
    "mariadb": "django.db.backends.mysql",
}


def read_bool(name: str, *, default: bool) -> bool:
    """Return the setting `name` as a bool.

    :raises WattkeeperError: ``settings.not-a-bool`` unless it is absent, ``true`` or ``false``
    """
    text = os.environ.get(name)
    if text is None:
        return default
    if text not in _BOOLS:
        raise WattkeeperError("settings.not-a-bool", name=name)
    return _BOOLS[text]


def read_secret(path: Path) -> str:
    """Return the secret in the file `path`, made at first use, readable by its owner only.

    :raises WattkeeperError: ``settings.data-folder-unwritable``, ``settings.secret-damaged``
    """
    try:
        if not path.exists():
            make_once(path, secrets.token_urlsafe(_SECRET_BYTES).encode(), mode=0o600)
        secret = path.read_text("ascii", "replace")
    except OSError as error:
        raise WattkeeperError(
            "settings.data-folder-unwritable", folder=str(path.parent), reason=error.strerror
        ) from error
    if len(secret) < _SECRET_BYTES:
        raise WattkeeperError("settings.secret-damaged", file=str(path))
    return secret


def database_from_url(url: str, data_folder: Path) -> dict[str, Any]:
    """Return Django's database dictionary for `url`, SQLite in `data_folder` where it is empty.

    :raises WattkeeperError: ``settings.database-address`` for one that is none, of which nothing is quoted;
        ``settings.database-url`` for a scheme that is not served, ``settings.database-option``,
        ``settings.database-insecure``, ``settings.database-file``
    """
    if not url:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": data_folder / "registry.sqlite3",
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 5,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
            },
        }
    parts = split_url(url)
    if parts is None:
        raise WattkeeperError("settings.database-address")
    if parts.scheme not in _ENGINES:
        raise WattkeeperError("settings.database-url", scheme=parts.scheme, known=", ".join(_ENGINES))
    is_postgres = parts.scheme == "postgresql"
    options = tls_options(parts, is_postgres=is_postgres)
    settings: dict[str, Any] = {
        "ENGINE": _ENGINES[parts.scheme],
        "NAME": parts.path.lstrip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host_of(parts),
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 60,
    }
    if not is_postgres:
        import pymysql

        pymysql.install_as_MySQLdb()
    settings["OPTIONS"] = (_POSTGRES_OPTIONS if is_postgres else _MYSQL_OPTIONS) | options
    return settings
