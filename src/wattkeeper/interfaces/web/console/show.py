"""Pages as answers: what every page needs around its own content, in the local time of its site."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from zoneinfo import ZoneInfo

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.dateparse import parse_datetime
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import Role
from wattkeeper.data.registry.models import Site
from wattkeeper.data.registry.paging import Page
from wattkeeper.interfaces.messages import sentence
from wattkeeper.interfaces.web.console.visit import Visit

T = TypeVar("T")
PAGE_ROWS_COUNT = 50
FIRST_YEAR, LAST_YEAR = 1990, 2200
_SECTIONS: tuple[tuple[str, Promise, Role], ...] = (
    ("overview", _("Overview"), Role.VIEWER),
    ("meters", _("Meters"), Role.VIEWER),
    ("usage_points", _("Usage points"), Role.VIEWER),
    ("sites", _("Sites"), Role.VIEWER),
    ("virtual_meters", _("Virtual meters"), Role.VIEWER),
    ("energy", _("Energy"), Role.VIEWER),
    ("accuracy_checks", _("Accuracy"), Role.VIEWER),
    ("links", _("Links"), Role.VIEWER),
    ("bills", _("Bills"), Role.VIEWER),
    ("tariffs", _("Tariffs"), Role.VIEWER),
    ("findings", _("Findings"), Role.VIEWER),
    ("rules", _("Rules"), Role.VIEWER),
    ("edits", _("Edits"), Role.VIEWER),
    ("commands", _("Commands"), Role.VIEWER),
    ("jobs", _("Jobs"), Role.VIEWER),
    ("audit", _("Audit"), Role.ADMINISTRATOR),
    ("retention", _("Retention"), Role.ADMINISTRATOR),
)


@dataclass(frozen=True, slots=True)
class Section:
    """One entry of the navigation."""

    url: str
    label: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class Pages(Generic[T]):
    """One page of a list as templates walk it."""

    rows: Sequence[T]
    number: int
    last_number: int
    total_count: int

    @property
    def previous_number(self) -> int | None:
        """The page before, None on the first."""
        return self.number - 1 if self.number > 1 else None

    @property
    def next_number(self) -> int | None:
        """The page after, None on the last."""
        return self.number + 1 if self.number < self.last_number else None


def show(
    visit: Visit, template: str, context: Mapping[str, Any], *, zone: str | None = None, status: int = 200
) -> HttpResponse:
    """Return a page; its times are local in `zone`, by default that of the tenant's first site."""
    shown_zone = zone or main_zone(visit.tenant_id)
    everywhere = {
        "navigation": _navigation(visit),
        "may_edit": visit.actor.can(Role.OPERATOR),
        "may_administer": visit.actor.can(Role.ADMINISTRATOR),
        "zone": shown_zone,
        "now": visit.services.now(),
        "store_problem": say(visit.store_problem) if visit.store_problem else "",
    }
    with timezone.override(ZoneInfo(shown_zone)):
        return render(visit.request, f"console/{template}", {**everywhere, **context}, status=status)


def main_zone(tenant_id: int) -> str:
    """Return the zone in which pages about several sites tell the time."""
    sites = Site.objects.filter(tenant_id=tenant_id).order_by("retired_at", "id")
    return sites.values_list("time_zone", flat=True).first() or "UTC"


def say(error: WattkeeperError) -> str:
    """Return an error as a sentence in the reader's language."""
    return sentence(error.code, error.params, translation.get_language() or "en")


def page_number(visit: Visit) -> int:
    """Return which page of a list is asked for, from 1."""
    text = visit.request.GET.get("page", "1")
    return max(int(text), 1) if text.isdecimal() and len(text) < 9 else 1


def offset_of(visit: Visit) -> int:
    """Return how many rows come before the page that is asked for."""
    return (page_number(visit) - 1) * PAGE_ROWS_COUNT


def pages_of(page: Page[T]) -> Pages[T]:
    """Return a query's page as templates walk it."""
    last = max(-(-page.total_count // page.limit_count), 1)
    return Pages(page.items, page.offset_index // page.limit_count + 1, last, page.total_count)


def slice_pages(visit: Visit, rows: Sequence[T]) -> Pages[T]:
    """Return the page that is asked for of a list that is there as a whole."""
    offset = offset_of(visit)
    page = Page(rows[offset : offset + PAGE_ROWS_COUNT], len(rows), offset, PAGE_ROWS_COUNT)
    return pages_of(page)


def asked_id(visit: Visit, name: str) -> int | None:
    """Return an id from the query, None where there is none."""
    text = visit.request.GET.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 19 else None


def asked_choice(visit: Visit, name: str, known: Sequence[str]) -> str | None:
    """Return a code from the query if it is one of `known`."""
    text = visit.request.GET.get(name, "")
    return text if text in known else None


def asked_instant(visit: Visit, name: str, zone: str) -> datetime | None:
    """Return a local date and time from the query, None where none is given."""
    try:
        local = parse_datetime(visit.request.GET.get(name, ""))
    except ValueError:
        return None
    if local is None or not FIRST_YEAR <= local.year < LAST_YEAR:
        return None
    return local.replace(tzinfo=ZoneInfo(zone)) if local.tzinfo is None else local


def _navigation(visit: Visit) -> list[Section]:
    sections = []
    path = visit.request.path
    for name, label, role in _SECTIONS:
        if visit.actor.can(role):
            url = reverse(f"console:{name}")
            is_current = path == url if name == "overview" else path.startswith(url)
            sections.append(Section(url, str(label), is_current))
    return sections
