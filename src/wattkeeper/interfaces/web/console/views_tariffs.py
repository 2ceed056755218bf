"""Tariffs with their versions, and the audit chain."""

import json

from django.db.models import Q
from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _

from wattkeeper.data.accounts.models import Role
from wattkeeper.data.audit.chain import find_break
from wattkeeper.data.audit.models import AuditRecord
from wattkeeper.data.billing.models import Contract
from wattkeeper.data.billing.queries import list_tariffs
from wattkeeper.interfaces.evidence import tell_actor, tell_subject
from wattkeeper.interfaces.messages import word
from wattkeeper.interfaces.web.console.show import (
    PAGE_ROWS_COUNT,
    Pages,
    main_zone,
    offset_of,
    page_number,
    show,
)
from wattkeeper.interfaces.web.console.tables import Cell, Table, at_cell, is_export, show_table
from wattkeeper.interfaces.web.console.visit import Visit, found, page

EXPORT_MAX_COUNT = 100_000


@page()
def tariffs(visit: Visit) -> HttpResponse:
    """List tariffs."""
    search = visit.request.GET.get("q", "").strip()
    rows = [
        row
        for row in list_tariffs(tenant_id=visit.tenant_id)
        if search.casefold() in f"{row.code} {row.name}".casefold()
    ]
    table = Table(
        name="tariffs",
        title=_("Tariffs"),
        columns=(_("Code"), _("Name"), _("Versions"), _("Valid from")),
        rows=[
            (
                Cell(row.code, reverse("console:tariff", args=[row.tariff_id])),
                Cell(row.name),
                Cell(len(row.versions), css="number"),
                Cell(row.versions[0].valid_from_date if row.versions else ""),
            )
            for row in rows
        ],
        search=search,
    )
    return show_table(visit, table)


@page()
def tariff(visit: Visit, tariff_id: int) -> HttpResponse:
    """Show a tariff's versions as they are priced."""
    rows = list_tariffs(tenant_id=visit.tenant_id, tariff_id=tariff_id)
    row = found(rows[0] if rows else None, "tariff", tariff_id)
    versions = [
        (version, json.dumps(version.document, ensure_ascii=False, indent=2)) for version in row.versions
    ]
    now = visit.services.now()
    begun = Contract.objects.filter(tariff_id=tariff_id, starts_at__lte=now)
    in_force = begun.filter(Q(ends_at__isnull=True) | Q(ends_at__gt=now))
    context = {"tariff": row, "versions": versions, "contracts_count": in_force.count()}
    return show(visit, "tariff.html", context)


@page(Role.ADMINISTRATOR)
def audit(visit: Visit) -> HttpResponse:
    """List who did what, newest first, and say whether the chain holds."""
    search = visit.request.GET.get("q", "").strip()
    rows = AuditRecord.objects.filter(tenant_id=visit.tenant_id)
    for part in search.split():
        rows = rows.filter(Q(actor__icontains=part) | Q(verb__icontains=part) | Q(subject__icontains=part))
    total, offset = rows.count(), offset_of(visit)
    span = slice(EXPORT_MAX_COUNT) if is_export(visit) else slice(offset, offset + PAGE_ROWS_COUNT)
    zone, language = main_zone(visit.tenant_id), get_language() or "en"
    table = Table(
        name="audit",
        title=_("Audit"),
        columns=(_("Number"), _("At"), _("Who"), _("What"), _("Of what"), _("Details")),
        rows=[
            (
                Cell(row.sequence, css="number"),
                at_cell(row.recorded_at, zone),
                Cell(tell_actor(row.actor, language)),
                Cell(f"{word(f'verb.{row.verb}', language)} ({row.verb})".lstrip()),
                Cell(tell_subject(row.subject, language)),
                Cell(json.dumps(row.detail, ensure_ascii=False, sort_keys=True), css="code"),
            )
            for row in rows.order_by("-sequence")[span]
        ],
        pages=Pages((), page_number(visit), max(-(-total // PAGE_ROWS_COUNT), 1), total),
        search=search,
        add_url="?check=chain",
        add_label=_("Check the chain"),
        lead=_chain_text(visit),
    )
    return show_table(visit, table, zone=zone)


def _chain_text(visit: Visit) -> str:
    """Return whether the whole chain holds, when asked: that is work for each record there is."""
    if visit.request.GET.get("check") != "chain":
        return ""
    broken_at = find_break(visit.tenant_id)
    if broken_at is None:
        return gettext("The chain of records is whole.")
    return gettext("The chain is broken at record %(number)s.") % {"number": broken_at}
