"""A plain list as a page: columns, rows of cells, a search, an export."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from django.http import HttpResponse
from django.utils.functional import Promise

from wattkeeper.data.registry.paging import PAGE_SIZE_MAX_COUNT, Page
from wattkeeper.interfaces.web.console.csv_export import at_text, csv_answer
from wattkeeper.interfaces.web.console.show import PAGE_ROWS_COUNT, Pages, offset_of, show
from wattkeeper.interfaces.web.console.visit import Visit

T = TypeVar("T")
Text = str | Promise


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: a text, where it leads, how it is coloured; an instant that pages show shorter than files.

    `css`: ``number`` to the right, ``when`` on one line, ``code`` as a machine wrote it.
    """

    text: object
    url: str = ""
    badge: str | None = None
    css: str = ""
    instant: datetime | None = None
    zone: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """What a list page shows. `add_url` empty: nothing can be added here."""

    name: str
    title: Text
    columns: Sequence[Text]
    rows: Sequence[Sequence[Cell]]
    pages: Pages[Any] | None = None
    search: str | None = None
    add_url: str = ""
    add_label: Text = ""
    lead: Text = ""

    @property
    def labelled_rows(self) -> list[list[tuple[Text, Cell]]]:
        """The rows, each cell with its column's name: narrow screens show it beside the cell."""
        return [list(zip(self.columns, row, strict=True)) for row in self.rows]


def at_cell(instant: datetime | None, zone: str) -> Cell:
    """Return a cell with an instant: local time on pages, with its offset in files."""
    return Cell(at_text(instant, zone), css="when", instant=instant, zone=zone)


def show_table(visit: Visit, table: Table, *, zone: str | None = None) -> HttpResponse:
    """Return a list as a page, or as a file where ``format=csv`` asks for one."""
    if visit.request.GET.get("format") == "csv":
        return csv_answer(table.name, table.columns, ([cell.text for cell in row] for row in table.rows))
    return show(visit, "table.html", {"table": table, "pages": table.pages}, zone=zone)


def every(fetch: Callable[[int, int], Page[T]]) -> list[T]:
    """Return all rows of a list asked for by (offset_index, limit_count): files hold the whole of it."""
    rows: list[T] = []
    while True:
        part = fetch(len(rows), PAGE_SIZE_MAX_COUNT)
        rows += part.items
        if not part.items or len(rows) >= part.total_count:
            return rows


def rows_shown(visit: Visit, fetch: Callable[[int, int], Page[T]]) -> tuple[Page[T], Sequence[T]]:
    """Return the page asked for of a list, and the rows to show: its own, or for a file all there are."""
    page = fetch(offset_of(visit), PAGE_ROWS_COUNT)
    return page, every(fetch) if is_export(visit) else page.items


def is_export(visit: Visit) -> bool:
    """Whether the whole list is asked for as a file."""
    return visit.request.GET.get("format") == "csv"
