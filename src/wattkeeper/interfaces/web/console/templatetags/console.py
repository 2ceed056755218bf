"""Filters that turn codes into words and numbers into text; tags that keep filters in links."""

from decimal import Decimal
from zoneinfo import ZoneInfo

from django import template
from django.template.context import Context
from django.utils.translation import gettext as _

from wattkeeper.core.kernel.money import MINOR_DIGITS
from wattkeeper.data.billing.models import Bill, BillLine
from wattkeeper.interfaces.web.console import texts

register = template.Library()
MILLIWH_PER_KWH_DIGITS = 6


def _of(table: dict[object, object], key: object) -> str:
    return str(table.get(key, key))


@register.filter
def quantity_text(code: str) -> str:
    """Return a reading type in words."""
    return _of({**texts.QUANTITIES}, code)


@register.filter
def provenance_text(code: int) -> str:
    """Return where a value came from, in words."""
    return _of({**texts.PROVENANCES}, code)


@register.filter
def flag_text(code: int) -> str:
    """Return one flag in words."""
    return _of({**texts.FLAGS}, code)


@register.filter
def method_text(code: int) -> str:
    """Return how a value was made, in words."""
    return _of({**texts.METHODS}, code)


@register.filter
def source_text(code: int) -> str:
    """Return what kind of read it is, in words."""
    return _of({**texts.SOURCES}, code)


@register.filter
def state_text(code: str) -> str:
    """Return a command's state in words."""
    return _of({**texts.STATES}, code)


@register.filter
def command_text(code: str) -> str:
    """Return what a command does, in words."""
    return _of({**texts.COMMANDS}, code)


@register.filter
def rule_text(code: str) -> str:
    """Return a rule or an event in words."""
    return _of({**texts.RULES}, code)


@register.filter
def as_kwh(energy_milliwh: int) -> str:
    """Return milliwatt-hours as exact kilowatt-hours, without idle zeros beyond the watt-hour."""
    text = f"{Decimal(energy_milliwh).scaleb(-MILLIWH_PER_KWH_DIGITS):.{MILLIWH_PER_KWH_DIGITS}f}"
    return text.removesuffix("000")


@register.filter
def money(amount_minor: int, currency: str) -> str:
    """Return an amount of minor units as text."""
    digits = MINOR_DIGITS[currency]
    return f"{Decimal(amount_minor).scaleb(-digits):,.{digits}f} {currency}"


@register.filter
def bill_period(bill: Bill) -> str:
    """Return a bill's period in local dates, the last one included."""
    zone = ZoneInfo(bill.usage_point.site.time_zone)
    first = bill.starts_at.astimezone(zone).date()
    end = bill.ends_at.astimezone(zone).date()
    if first.day == 1 and end.day == 1 and (end - first).days <= 31:
        return first.strftime("%Y-%m")
    return f"{first} – {end}"


@register.filter
def line_text(line: BillLine) -> str:
    """Return what a bill line charges for, in words."""
    words = [_of({**texts.BILL_LINES}, line.label_code.rpartition(".")[2])]
    if line.rate:
        words.append(_of({**texts.RATES}, line.rate))
    if line.tier is not None:
        words.append(_("tier %(number)s") % {"number": line.tier})
    return ", ".join(words)


@register.simple_tag(takes_context=True)
def with_page(context: Context, page_index: int) -> str:
    """Return the query string with another page."""
    return _changed(context, page=str(page_index))


@register.simple_tag(takes_context=True)
def with_sort(context: Context, key: str) -> str:
    """Return the query string sorted by `key`; the other way round where it already is."""
    is_descending = context["request"].GET.get("sort") == key
    return _changed(context, sort=f"-{key}" if is_descending else key, page="1")


def _changed(context: Context, **changes: str) -> str:
    query = context["request"].GET.copy()
    for key, value in changes.items():
        query[key] = value
    return str(query.urlencode())
