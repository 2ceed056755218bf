"""The rows of a spool file and whether their checksums hold, read beside whoever writes it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from fastcrc import crc32

from wattkeeper.headend.errors import SpoolFailed


def check_rows(path: Path) -> Iterator[tuple[int, bool]]:
    """
    Yield the id of each row that waits in the file, and whether it is whole.

    :raises SpoolFailed: ``headend.spool-failed`` if the file cannot be read
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            for row_id, crc, content in connection.execute(
                "SELECT row_id, crc32c, content FROM batch ORDER BY row_id"
            ):
                yield row_id, crc32.iscsi(content) == crc
    except sqlite3.Error as error:
        raise SpoolFailed("headend.spool-failed", path=str(path), reason=str(error)) from error
