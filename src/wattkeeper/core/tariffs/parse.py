"""A tariff document (plain JSON) to a `Tariff`. `document.py` writes it back."""

from collections.abc import Callable
from decimal import Decimal
from zoneinfo import ZoneInfo

from wattkeeper.core.kernel.money import MINOR_DIGITS
from wattkeeper.core.tariffs.calendar_parse import parse_calendar
from wattkeeper.core.tariffs.model import (
    Component,
    EnergyCharge,
    FixedCharge,
    MinimumCharge,
    Per,
    Proration,
    Rate,
    Tariff,
    Tax,
    TaxRounding,
    TierCounter,
    TierMode,
    Tiers,
)
from wattkeeper.core.tariffs.node import Node

DOCUMENT_FORMAT = 1
PRICE_PLACES = 6


def parse_tariff(document: object) -> Tariff:
    """Return the tariff of a document (see docs: format 1), fully validated.

    :raises TariffInvalid: ``tariffs.*`` with `path`, the first wrong field in document order
    """
    root = Node(document)
    root.only("format", "code", "version", "currency", "zone", "valid_from", "components")
    root.get("format").whole(least=DOCUMENT_FORMAT, most=DOCUMENT_FORMAT)
    currency = root.get("currency")
    if currency.text() not in MINOR_DIGITS:
        raise currency.wrong("currency-unknown")
    return Tariff(
        code=root.get("code").code(),
        version=root.get("version").whole(least=1, most=1_000_000),
        currency=currency.text(),
        zone=_zone(root.get("zone")),
        valid_from_date=root.get("valid_from").day(),
        components=_components(root.get("components")),
    )


def _zone(node: Node) -> ZoneInfo:
    try:
        return ZoneInfo(node.text())
    except (KeyError, ValueError, OSError):
        raise node.wrong("zone-unknown") from None


def _components(node: Node) -> tuple[Component, ...]:
    found: list[Component] = []
    parsers: dict[str, Callable[[Node, tuple[Component, ...]], Component]] = {
        "fixed": _fixed,
        "energy": _energy,
        "minimum": _minimum,
        "tax": _tax,
    }
    for item in node.items(at_most=100):
        kind = item.get("kind")
        if kind.text() not in parsers:
            raise kind.wrong("not-a-choice", choices=list(parsers))
        if item.get("id").code() in [component.id for component in found]:
            raise item.get("id").wrong("duplicate")
        found.append(parsers[kind.text()](item, tuple(found)))
    if not found:
        raise node.wrong("empty")
    return tuple(found)


def _label(item: Node, default: str) -> str:
    return item.get("label").code() if item.has("label") else default


def _price(node: Node) -> Decimal:
    return node.decimal(places=PRICE_PLACES)


def _span(item: Node) -> tuple[Per, Proration]:
    per = item.get("per").choice(Per)
    if per in (Per.DAY, Per.PERIOD):
        if item.has("proration"):
            raise item.get("proration").wrong("unknown-field")
        return per, Proration.BY_DAYS
    return per, item.get("proration").choice(Proration)


def _fixed(item: Node, _earlier: tuple[Component, ...]) -> FixedCharge:
    item.only("id", "kind", "label", "price", "per", "proration")
    per, proration = _span(item)
    return FixedCharge(
        item.get("id").code(), _label(item, "bill.fixed"), _price(item.get("price")), per, proration
    )


def _covers(item: Node, earlier: list[str]) -> tuple[str, ...]:
    covers = []
    for name in item.get("covers").items(at_most=100):
        if name.text() not in earlier:
            raise name.wrong("component-unknown")
        if name.text() in covers:
            raise name.wrong("duplicate")
        covers.append(name.text())
    if not covers:
        raise item.get("covers").wrong("empty")
    return tuple(covers)


def _minimum(item: Node, earlier: tuple[Component, ...]) -> MinimumCharge:
    item.only("id", "kind", "label", "price", "per", "proration", "covers")
    per, proration = _span(item)
    charges = [component.id for component in earlier if isinstance(component, FixedCharge | EnergyCharge)]
    return MinimumCharge(
        item.get("id").code(),
        _label(item, "bill.minimum"),
        _price(item.get("price")),
        per,
        proration,
        _covers(item, charges),
    )


def _tax(item: Node, earlier: tuple[Component, ...]) -> Tax:
    item.only("id", "kind", "label", "percent", "rounding", "covers")
    return Tax(
        item.get("id").code(),
        _label(item, "bill.tax"),
        item.get("percent").decimal(places=6),
        item.get("rounding").choice(TaxRounding) if item.has("rounding") else TaxRounding.ONCE,
        _covers(item, [component.id for component in earlier]),
    )


def _energy(item: Node, _earlier: tuple[Component, ...]) -> EnergyCharge:
    item.only("id", "kind", "label", "rates", "calendar", "tiers")
    adders, tiers = _tiers(item.get("tiers")) if item.has("tiers") else (None, None)
    rates = _rates(item.get("rates"), tiers, adders)
    calendar = parse_calendar(
        item.get("calendar") if item.has("calendar") else None, [rate.code for rate in rates], item
    )
    return EnergyCharge(item.get("id").code(), _label(item, "bill.energy"), rates, calendar, tiers)


def _tiers(node: Node) -> tuple[tuple[Decimal, ...] | None, Tiers]:
    node.only("mode", "counter", "nominal_days", "limits_kwh", "adders_per_kwh")
    mode, counter = node.get("mode").choice(TierMode), node.get("counter").choice(TierCounter)
    nominal_days = 0
    if counter is TierCounter.DAYS:
        nominal_days = node.get("nominal_days").whole(least=1, most=366)
    elif node.has("nominal_days"):
        raise node.get("nominal_days").wrong("unknown-field")
    limits = _limits(node.get("limits_kwh"))
    adders = None
    if node.has("adders_per_kwh"):
        cells = node.get("adders_per_kwh").items(at_most=20)
        if len(cells) != len(limits) + 1:
            raise node.get("adders_per_kwh").wrong("wrong-count", expected=len(limits) + 1)
        adders = tuple(cell.decimal(places=PRICE_PLACES, may_be_negative=True) for cell in cells)
    return adders, Tiers(mode, counter, limits, nominal_days)


def _limits(node: Node) -> tuple[int, ...]:
    limits: list[int] = []
    for cell in node.items(at_most=19):
        limit_milliwh = int(cell.decimal(places=6).scaleb(6))
        if limit_milliwh <= (limits[-1] if limits else 0):
            raise cell.wrong("not-ascending")
        limits.append(limit_milliwh)
    if not limits:
        raise node.wrong("empty")
    return tuple(limits)


def _rates(node: Node, tiers: Tiers | None, adders: tuple[Decimal, ...] | None) -> tuple[Rate, ...]:
    rates: list[Rate] = []
    for item in node.items(at_most=100):
        code = item.get("code")
        if code.code() in [rate.code for rate in rates]:
            raise code.wrong("duplicate")
        rates.append(Rate(code.text(), _rate_prices(item, tiers, adders)))
    if not rates:
        raise node.wrong("empty")
    return tuple(rates)


def _rate_prices(item: Node, tiers: Tiers | None, adders: tuple[Decimal, ...] | None) -> tuple[Decimal, ...]:
    if tiers is None or adders is not None:
        base = _price(item.only("code", "price_per_kwh").get("price_per_kwh"))
        prices = tuple(base + adder for adder in adders) if adders else (base,)
        if min(prices) < 0:
            raise item.get("price_per_kwh").wrong("negative")
        return prices
    cells = item.only("code", "prices_per_kwh").get("prices_per_kwh")
    found = tuple(_price(cell) for cell in cells.items(at_most=20))
    if len(found) != len(tiers.limits_milliwh) + 1:
        raise cells.wrong("wrong-count", expected=len(tiers.limits_milliwh) + 1)
    return found
