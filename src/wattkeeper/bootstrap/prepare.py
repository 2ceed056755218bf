"""A data folder made ready: database migrated, first administrator made."""

import os
from datetime import datetime
from pathlib import Path

from wattkeeper.bootstrap.engines import setup_django


def prepare(folder: Path, *, now: datetime) -> tuple[str, str] | None:
    """Migrate the folder's database; return (user name, password) of an administrator made now, else None.

    :raises WattkeeperError: if the settings are wrong or the folder can't be written; ``schema.*`` if this
        release can't follow what the database is
    """
    os.environ["WATTKEEPER_DATA"] = str(folder)
    setup_django()
    from wattkeeper.actions.accounts.first_administrator import first_administrator
    from wattkeeper.data.upgrades.steps import upgrade

    upgrade(now=now)
    return first_administrator(now=now)
