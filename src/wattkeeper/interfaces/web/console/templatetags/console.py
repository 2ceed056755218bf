"""Filters that turn codes into words and numbers into text; tags that keep filters in links."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from django import template
from django.template.context import Context
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from wattkeeper.core.kernel.money import MINOR_DIGITS
from wattkeeper.data.alarms.models import Finding
from wattkeeper.data.billing.models import Bill, RebillProposal
from wattkeeper.data.billing.queries import BillLineRow, BillRow
from wattkeeper.data.collection.models import Job, Link
from wattkeeper.data.collection.queries import JobRow
from wattkeeper.data.registry.models import Meter, Site, UsagePoint
from wattkeeper.data.vee.models import StoredEdit
from wattkeeper.interfaces.evidence import tell_evidence, tell_subject
from wattkeeper.interfaces.messages import sentence
from wattkeeper.interfaces.web.console import texts

register = template.Library()
MILLIWH_PER_KWH_DIGITS = 6
_CHOICES = {
    "meter": Meter.State,
    "site": Site.Kind,
    "point": UsagePoint.Kind,
    "finding": Finding.State,
    "bill": Bill.State,
    "job": Job.State,
    "link": Link.Transport,
    "edit": StoredEdit.State,
    "rebill": RebillProposal.State,
    "rebill_reason": RebillProposal.Reason,
}


def _of(table: Mapping[Any, object], key: object) -> str:
    return str(table.get(key, key))


@register.filter
def label_of(code: str, choices: str) -> str:
    """Return the label of a code among the choices of one kind of row."""
    return str(_CHOICES[choices](code).label)


@register.filter
def quantity_text(code: str) -> str:
    """Return a reading type in words."""
    return _of(texts.QUANTITIES, code)


@register.filter
def provenance_text(code: int) -> str:
    """Return where a value came from, in words."""
    return _of(texts.PROVENANCES, code)


@register.filter
def at_key(table: object, key: int) -> Sequence[str]:
    """Return what a table of lists holds under a key; nothing where there is no table."""
    return table.get(key, ()) if isinstance(table, Mapping) else ()


@register.filter
def severity_text(code: str) -> str:
    """Return what a rule's finding does, in words."""
    return _of(texts.SEVERITIES, code)


@register.filter
def flag_text(code: int) -> str:
    """Return one flag in words."""
    return _of(texts.FLAGS, code)


@register.filter
def method_text(code: int) -> str:
    """Return how a value was made, in words."""
    return _of(texts.METHODS, code)


@register.filter
def source_text(code: int) -> str:
    """Return what kind of read it is, in words."""
    return _of(texts.SOURCES, code)


@register.filter
def state_text(code: str) -> str:
    """Return a command's state in words."""
    return _of(texts.STATES, code)


@register.filter
def command_text(code: str) -> str:
    """Return what a command does, in words."""
    return _of(texts.COMMANDS, code)


@register.filter
def rule_text(code: str) -> str:
    """Return a rule or an event in words."""
    return _of(texts.RULES, code)


@register.filter
def job_title(job: JobRow) -> str:
    """Return what a job does, in words."""
    if job.kind == "billing":
        return _("Bills of %(month)s") % {"month": job.label}
    return _of(texts.JOBS, job.label)


@register.filter
def family_text(code: str) -> str:
    """Return which meters a driver reads, in words."""
    return _of(texts.FAMILIES, code)


@register.filter
def class_text(code: str) -> str:
    """Return an accuracy class in words."""
    return _of(texts.ACCURACY_CLASSES, code)


@register.filter
def code_text(code: str) -> str:
    """Return an error's code as a sentence."""
    return sentence(code, {}, get_language() or "en")


@register.filter
def evidence_text(evidence: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return what a finding saw as (name, value), in words."""
    return list(tell_evidence(evidence, get_language() or "en", at))


@register.filter
def subject_text(subject_key: str) -> str:
    """Return in words what a finding is about that is about neither a meter nor a usage point."""
    return tell_subject(subject_key, get_language() or "en")


@register.filter
def as_kwh(energy_milliwh: int) -> str:
    """Return milliwatt-hours as exact kilowatt-hours, without idle zeros beyond the watt-hour."""
    text = f"{Decimal(energy_milliwh).scaleb(-MILLIWH_PER_KWH_DIGITS):.{MILLIWH_PER_KWH_DIGITS}f}"
    return text.removesuffix("000")


@register.filter
def as_percent(share_ppm: int) -> str:
    """Return parts per million as per cent."""
    return f"{Decimal(share_ppm).scaleb(-4):.3f}"


def amount(amount_minor: int, currency: str) -> str:
    """Return an amount of minor units in the major unit, as a number that a spreadsheet adds up."""
    return f"{Decimal(amount_minor).scaleb(-MINOR_DIGITS[currency]):f}"


@register.filter
def money(amount_minor: int, currency: str) -> str:
    """Return an amount of minor units as text."""
    digits = MINOR_DIGITS[currency]
    return f"{Decimal(amount_minor).scaleb(-digits):,.{digits}f} {currency}"


@register.filter
def at(instant: datetime | None, zone: str = "") -> str:
    """Return an instant as local time to the second; in another zone than the page's, that zone is named."""
    if instant is None:
        return "–"
    page_zone = timezone.get_current_timezone_name()
    text = f"{instant.astimezone(ZoneInfo(zone or page_zone)):%Y-%m-%d %H:%M:%S}"
    return f"{text} {zone}" if zone and zone != page_zone else text


@register.filter
def at_minute(instant: datetime | None, zone: str = "") -> str:
    """Return an instant as local time to the minute; in another zone than the page's, that zone is named."""
    if instant is None:
        return "–"
    page_zone = timezone.get_current_timezone_name()
    text = f"{instant.astimezone(ZoneInfo(zone or page_zone)):%Y-%m-%d %H:%M}"
    return f"{text} {zone}" if zone and zone != page_zone else text


@register.filter
def value_of(table: Mapping[Any, object], key: object) -> object:
    """Return a table's value of a key, nothing where it has none."""
    return table.get(key, "")


@register.filter
def bill_period(bill: BillRow, zone: str) -> str:
    """Return a bill's period in local dates, the last one included."""
    first = bill.starts_at.astimezone(ZoneInfo(zone)).date()
    end = bill.ends_at.astimezone(ZoneInfo(zone)).date()
    if first.day == 1 and end.day == 1 and (end - first).days <= 31:
        return first.strftime("%Y-%m")
    return f"{first} – {end.fromordinal(end.toordinal() - 1)}"


@register.filter
def line_text(line: BillLineRow) -> str:
    """Return what a bill line charges for, in words."""
    words = [_of(texts.BILL_LINES, line.label_code.rpartition(".")[2])]
    if line.rate and line.rate != "all":
        words.append(_of(texts.RATES, line.rate))
    if line.tier is not None:
        words.append(_("tier %(number)s") % {"number": line.tier})
    if share := Fraction(line.trace.get("estimated_share", 0)):
        words.append(_("estimated") if share == 1 else _("partly estimated"))
    return " · ".join(words)


@register.filter
def line_quantity(line: BillLineRow, currency: str) -> str:
    """Return how much a bill line charges for, with its unit; a tax's base as money."""
    if line.unit == "percent":
        return money(int(line.quantity), currency) if line.quantity else ""
    if line.unit == "kWh":
        return f"{_without_idle_zeros(line.quantity)} kWh"
    return f"{line.quantity} {_of(texts.UNITS, line.unit)}"


@register.filter
def line_price(line: BillLineRow, currency: str) -> str:
    """Return a bill line's price with what it is for."""
    if line.unit == "percent":
        return f"{line.unit_price} %"
    return f"{line.unit_price} {currency}/{_of(texts.PER, line.unit)}"


@register.simple_tag
def formula_examples() -> Sequence[tuple[str, object]]:
    """Return formulas with what they mean."""
    return texts.FORMULAS


@register.simple_tag(takes_context=True)
def with_page(context: Context, page_index: int) -> str:
    """Return the query string with another page."""
    return _changed(context, page=str(page_index))


@register.simple_tag(takes_context=True)
def with_sort(context: Context, key: str) -> str:
    """Return the query string sorted by `key`; the other way round where it already is."""
    is_descending = context["request"].GET.get("sort") == key
    return _changed(context, sort=f"-{key}" if is_descending else key, page="1")


@register.simple_tag(takes_context=True)
def sorted_by(context: Context, key: str) -> str:
    """Return how a column is sorted, as ``aria-sort`` says it."""
    sort = str(context.get("sort", ""))
    if sort.removeprefix("-") != key:
        return "none"
    return "descending" if sort.startswith("-") else "ascending"


@register.simple_tag(takes_context=True)
def as_csv(context: Context) -> str:
    """Return the query string that asks for the whole list as a file."""
    return _changed(context, format="csv")


@register.simple_tag(takes_context=True)
def as_now(context: Context) -> str:
    """Return the query string that asks for what is known now."""
    return _changed(context, as_of="", page="1")


def _changed(context: Context, **changes: str) -> str:
    query = context["request"].GET.copy()
    for key, value in changes.items():
        query[key] = value
    return str(query.urlencode())


def _without_idle_zeros(text: str) -> str:
    return text.removesuffix("000") if text.partition(".")[2].endswith("000") else text
