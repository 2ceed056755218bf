"""A data folder made ready: database migrated, first administrator made."""

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from wattkeeper.bootstrap.engines import setup_django


def prepare(
    folder: Path, *, now: datetime, on_key_made: Callable[[Path], None] = lambda _path: None
) -> tuple[str, str] | None:
    """Migrate the folder's database; return (user name, password) of an administrator made now, else None.

    :raises WattkeeperError: if the settings are wrong or the folder can't be written; ``schema.*`` if this
        release can't follow what the database is; ``keys.*`` if the key file is not the right one
    """
    os.environ["WATTKEEPER_DATA"] = str(folder)
    setup_django()
    from wattkeeper.actions.accounts.first_administrator import first_administrator
    from wattkeeper.actions.keys.ready_keys import ready_keys
    from wattkeeper.data.upgrades.steps import upgrade

    upgrade(now=now)
    if made := ready_keys():
        on_key_made(made)
    return first_administrator(now=now)
