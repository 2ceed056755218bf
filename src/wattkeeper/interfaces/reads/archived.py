"""What is in the archive alone, or destroyed: who is given less for it must hear of it."""

from pathlib import Path

from wattkeeper.actions.operations.places import Places
from wattkeeper.core.kernel.instants import Span
from wattkeeper.store.archive import away_months
from wattkeeper.store.windows import month_span


def away_spans(data_folder: Path, table: str) -> dict[int, Span]:
    """Return the months (yyyymm, UTC) of a table that are not in the store, and which instants are theirs."""
    months = away_months(Places.of(data_folder).archive, [table])
    return {month: month_span(month) for month in sorted(months)}


def months_away(data_folder: Path, table: str, span: Span) -> list[str]:
    """Return the months of a table in a span that are not in the store, as 2026-03."""
    away = away_spans(data_folder, table)
    return [month_text(month) for month, own in away.items() if own[0] < span[1] and span[0] < own[1]]


def month_text(month: int) -> str:
    """Return a month (yyyymm) as commands and pages write it."""
    return f"{month // 100}-{month % 100:02}"
