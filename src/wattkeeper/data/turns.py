"""Turns at the database between the transactions of one long job."""

import time

from django.db import connection

_LOOK_S = 0.1  # how often, at most, SQLite looks whether what it waits for is free


def let_others_write() -> None:
    """Leave a database with one writer at a time, SQLite, to those who wait for it."""
    if connection.vendor == "sqlite":
        time.sleep(1.5 * _LOOK_S)
