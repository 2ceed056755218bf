"""Energy of the whole organisation, of a site, area, feeder or customer, and of what each consists of."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.virtual.nodes import REST, ROOT, Sort, names_of, node_of_key, sort_of
from wattkeeper.interfaces.reads.aggregation import Question, Sums, add_up, day_after
from wattkeeper.interfaces.reads.figures import kwh_text
from wattkeeper.interfaces.reads.node_rows import (
    SumRow,
    is_of_tenant,
    part_rows,
    period_rows,
    total_row,
)
from wattkeeper.interfaces.web.console.csv_export import csv_answer
from wattkeeper.interfaces.web.console.forms_virtual import EnergyForm
from wattkeeper.interfaces.web.console.show import asked_instant, main_zone, show, slice_pages
from wattkeeper.interfaces.web.console.tables import is_export
from wattkeeper.interfaces.web.console.visit import Visit, page


@page()
def energy(visit: Visit, key: str = "tenant") -> HttpResponse:
    """Show the energy of a node and of its parts over some days, months or hours."""
    node = node_of_key(key)
    if not is_of_tenant(visit.tenant_id, node):
        raise WattkeeperError("registry.not-found", kind="node", id=key)
    now = visit.services.now()
    zone = main_zone(visit.tenant_id)
    today = now.astimezone(ZoneInfo(zone)).date()
    as_of = asked_instant(visit, "as_of", zone)
    form = EnergyForm(visit.request.GET if "tree" in visit.request.GET else EnergyForm.usual(today))
    sums = _sums(visit, form, node, as_of) if form.is_valid() else None
    if sums is not None and is_export(visit):
        return _csv(visit, sums, key)
    parts = part_rows(visit.tenant_id, sums) if sums else []
    context = {
        "form": form,
        "as_of": as_of,
        "title": _title(visit, node),
        "key": key,
        "sums": sums,
        "total": total_row(sums) if sums else None,
        "parts": slice_pages(visit, [(row, _part_name(row), _url_of(row)) for row in parts]),
        "periods": [(row, _period(row)) for row in period_rows(sums)] if sums else [],
        "query": _query(visit),
    }
    return show(visit, "energy.html", {**context, "pages": context["parts"]})


def _sums(visit: Visit, form: EnergyForm, node: int, as_of: datetime | None) -> Sums | None:
    asked: dict[str, Any] = form.cleaned_data
    question = Question(
        asked["tree"],
        node,
        asked["grain"],
        asked["first_date"],
        day_after(asked["last_date"]),
        tuple(asked["kind"]),
    )
    return visit.ask(
        lambda store: add_up(
            store, tenant_id=visit.tenant_id, question=question, now=visit.services.now(), as_of=as_of
        ),
        None,
    )


def _csv(visit: Visit, sums: Sums, key: str) -> HttpResponse:
    """Return every part and period as a row."""
    names = names_of(visit.tenant_id, sums.parts)
    columns = (
        gettext("Code"),
        gettext("Name"),
        gettext("Period"),
        "kWh",
        gettext("Due"),
        gettext("Known"),
        gettext("Estimated"),
        gettext("Missing"),
    )
    rows = [
        (
            *names.get(part, ("", "")),
            str(period),
            kwh_text(int(sums.energy_milliwh[i, j]), 6).replace(",", ""),
            int(sums.due_count[i, j]),
            int(sums.known_count[i, j]),
            int(sums.estimated_count[i, j]),
            int(sums.missing_count[i, j]),
        )
        for i, part in enumerate(sums.parts)
        for j, period in enumerate(sums.periods)
    ]
    return csv_answer(f"energy-{key}", columns, rows)


def _title(visit: Visit, node: int) -> str:
    if node == ROOT:
        return gettext("Energy")
    if node == REST:
        return gettext("Without a group")
    return names_of(visit.tenant_id, [node])[node][1]


def _part_name(row: SumRow) -> str:
    return gettext("Without a group") if row.sort == Sort.REST.name else row.name


def _url_of(row: SumRow) -> str:
    """Return where a part's own parts are shown; a single series leads to its values."""
    if row.sort == Sort.SERIES.name:
        return reverse("console:intervals", args=[sort_of(node_of_key(row.key))[1]])
    return reverse("console:energy_node", args=[row.key])


def _period(row: SumRow) -> str:
    """Return a date, or a local time with its offset: an hour that comes twice is told apart."""
    return row.period.isoformat(" ", "minutes") if isinstance(row.period, datetime) else str(row.period)


def _query(visit: Visit) -> str:
    query = visit.request.GET.copy()
    query.pop("page", None)
    return f"?{query.urlencode()}" if query else ""
