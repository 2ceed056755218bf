"""Lists as CSV files that a spreadsheet opens without running anything."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from django.http import HttpResponse

from wattkeeper.formats.csv_cells import FORMULA_STARTS

_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")


def csv_answer(name: str, header: Sequence[object], rows: Iterable[Sequence[object]]) -> HttpResponse:
    """Return a CSV file, UTF-8 with a mark that spreadsheets know it by."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([safe_cell(cell) for cell in header])
    writer.writerows([safe_cell(cell) for cell in row] for row in rows)
    answer = HttpResponse(("\ufeff" + text.getvalue()).encode(), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return answer


def safe_cell(cell: object) -> str:
    """Return a cell's text; one that a spreadsheet would take for a formula gets a quote in front."""
    text = "" if cell is None else str(cell)
    is_formula = text.startswith(FORMULA_STARTS) and not _NUMBER.fullmatch(text)
    return f"'{text}" if is_formula else text


def at_text(at: datetime | None, zone: str) -> str:
    """Return an instant as local time with its offset."""
    return "" if at is None else at.astimezone(ZoneInfo(zone)).isoformat(sep=" ", timespec="seconds")
