"""The databases of earlier releases, kept as SQL: what they had taken, and how a column was declared."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from wattkeeper.data.upgrades.versions import OLDEST_SERVED

FOLDER = Path(__file__).parent / "golden" / "releases"


def dump_of(version: int = OLDEST_SERVED) -> str:
    """Return the SQL that makes a SQLite file what a release left, rows included."""
    return (FOLDER / f"schema_{version}.sql").read_text(encoding="utf-8")


def make_database(path: Path, version: int = OLDEST_SERVED) -> None:
    """Make a SQLite file as that release left it."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript(dump_of(version))


def steps_taken(version: int = OLDEST_SERVED) -> set[tuple[str, str]]:
    """Return the (app, name) of each migration that the release had."""
    rows = re.findall(r"INSERT INTO \"django_migrations\" VALUES\(\d+,'([^']+)','([^']+)'", dump_of(version))
    return set(rows)


def columns_of(path: Path) -> dict[str, dict[str, tuple[str, bool, bool]]]:
    """Return {table: {column: (type, may be left out of an insert, may be null)}} of a SQLite file."""
    found: dict[str, dict[str, tuple[str, bool, bool]]] = {}
    with closing(sqlite3.connect(path)) as database:
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in names:
            found[table] = {
                name: (kind.lower(), not is_required or default is not None or bool(is_key), not is_required)
                for _, name, kind, is_required, default, is_key in database.execute(
                    f'PRAGMA table_info("{table}")'
                )
            }
    return found


def contractions(before: Path, after: Path) -> list[str]:
    """Return what the release of `before` could no longer do on the schema of `after`."""
    old, new = columns_of(before), columns_of(after)
    faults = [f"{table} is gone" for table in old if table not in new]
    for table in old.keys() & new.keys():
        for column, (kind, _, may_be_null) in old[table].items():
            if column not in new[table]:
                faults.append(f"{table}.{column} is gone")
            elif new[table][column][0] != kind and not _is_wider(kind, new[table][column][0]):
                faults.append(f"{table}.{column} became {new[table][column][0]}")
            elif may_be_null and not new[table][column][2]:
                faults.append(f"{table}.{column} may no longer be null")
        faults += [
            f"{table}.{column} must be given"
            for column in new[table].keys() - old[table].keys()
            if not new[table][column][1]
        ]
    return sorted(faults)


def _is_wider(old: str, new: str) -> bool:
    sizes = [re.fullmatch(r"varchar\((\d+)\)", text) for text in (old, new)]
    if new == "text" and sizes[0]:
        return True
    return bool(sizes[0] and sizes[1]) and int(sizes[1][1]) >= int(sizes[0][1])  # type: ignore[index]
