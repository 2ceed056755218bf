"""By which index a database finds what it is asked for: its own plan, in the words of each engine."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from django.db import connection
from django.test.utils import CaptureQueriesContext

_OF_SQLITE = re.compile(r"USING (?:COVERING )?INDEX (\w+)(?: \((.*)\))?")


class Use(NamedTuple):
    """An index that a question is answered by, and what the engine says it is searched for."""

    index: str
    searched: str


def uses_of(ask: Callable[[], object], what: str) -> list[list[Use]]:
    """Return, for each statement that `ask` asks and that has `what` in it, the indexes it is answered by."""
    with CaptureQueriesContext(connection) as asked:
        ask()
    return [list(_uses(query["sql"])) for query in asked.captured_queries if what in query["sql"]]


def rows_fetched(ask: Callable[[], object], what: str) -> int:
    """Return how many rows the database hands over for the statements of `ask` that have `what` in them."""
    with CaptureQueriesContext(connection) as asked:
        ask()
    statements = [query["sql"] for query in asked.captured_queries if what in query["sql"]]
    assert statements
    rows_count = 0
    with connection.cursor() as cursor:
        for sql in statements:
            cursor.execute(sql)
            rows_count += len(cursor.fetchall())
    return rows_count


def is_found_by(uses: list[Use], index: str, *columns: str) -> bool:
    """Whether rows are found by an index, searched for by these of its columns."""
    return any(use.index == index and all(name in use.searched for name in columns) for use in uses)


def learn() -> None:
    """Let the planner look at what is there, where it does not by itself."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")


def _uses(sql: str) -> Iterator[Use]:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            for *_, step in cursor.fetchall():
                if found := _OF_SQLITE.search(step):
                    yield Use(found[1], found[2] or "")
            return
        form = "(FORMAT JSON)" if connection.vendor == "postgresql" else "FORMAT=JSON"
        cursor.execute(f"EXPLAIN {form} {sql}")
        (told,) = cursor.fetchone()
        yield from _uses_told(json.loads(told) if isinstance(told, str) else told)


def _uses_told(plan: Any) -> Iterator[Use]:
    """Yield what a plan of PostgreSQL or MariaDB says, however deep."""
    if isinstance(plan, list):
        for part in plan:
            yield from _uses_told(part)
    if isinstance(plan, dict):
        if "Index Name" in plan:
            yield Use(plan["Index Name"], plan.get("Index Cond", ""))
        if "key" in plan:
            yield Use(plan["key"], " ".join(plan.get("used_key_parts", [])))
        yield from _uses_told(list(plan.values()))
