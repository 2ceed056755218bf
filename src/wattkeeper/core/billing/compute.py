"""A usage point's bill from its intervals and tariff: a pure function, the same document every time."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from wattkeeper.core.billing.charges import fixed_lines, minimum_lines, tax_lines
from wattkeeper.core.billing.document import BillDocument, BillLine, RegisterRead, bill_key
from wattkeeper.core.billing.energy import Usage, energy_lines
from wattkeeper.core.billing.intervals import IntervalColumns, UnableToBill, local_dates, take_billable
from wattkeeper.core.billing.slices import Slice, cut_by_version
from wattkeeper.core.kernel.instants import Period
from wattkeeper.core.tariffs.model import EnergyCharge, FixedCharge, MinimumCharge, Tariff, Tax

_NO_RATES: Mapping[str, int] = MappingProxyType({})


def compute_bill(
    *,
    usage_point: str,
    tariffs: Sequence[Tariff],
    period: Period,
    intervals: IntervalColumns,
    interval_s: int,
    series_id: int,
    run_id: int,
    data_version: str,
    tier_used_milliwh: int = 0,
    tier_used_by_rate_milliwh: Mapping[str, int] = _NO_RATES,
    register_reads: Sequence[RegisterRead] = (),
    accept_estimates: bool = False,
) -> BillDocument:
    """Return the bill of a period.

    `tariffs`: the versions in force, in any order; the period is cut where one begins. `period`: UTC instants
    of local midnights in the tariff's zone. `intervals` may hold more than the period. `tier_used_milliwh`:
    energy between the start of the tier counter (`counter_start`) and the period; ladders of each rate need
    it by rate code too. Money: each line half up to the minor unit, the total is the sum of rounded lines, a
    tax is rounded once per percentage. The same usage point, period, data version, tariff versions and reach
    of the tier counter give the same `document_key`.

    :raises UnableToBill: ``billing.*``; nothing is billed in part
    """
    if not tariffs:
        raise UnableToBill("billing.no-tariff")
    zone = tariffs[0].zone
    first, end = local_dates(period, zone)
    slices = cut_by_version(tariffs, first, end)
    _refuse_mixed_counters(slices)
    rows = take_billable(intervals, period, interval_s, accept_estimates=accept_estimates)
    usage = Usage(rows, interval_s, series_id, run_id)
    keys = tuple(part.tariff.key for part in slices)
    assert period.ends_at is not None
    return BillDocument(
        document_key=bill_key(
            usage_point,
            period.starts_at,
            period.ends_at,
            data_version,
            keys,
            tier_used_milliwh,
            tier_used_by_rate_milliwh,
        ),
        usage_point=usage_point,
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        zone=zone.key,
        currency=slices[0].tariff.currency,
        tariff_keys=keys,
        data_version=data_version,
        energy_milliwh=int(rows.energy_milliwh.sum()),
        lines=tuple(_lines(slices, usage, tier_used_milliwh, tier_used_by_rate_milliwh)),
        register_reads=tuple(register_reads),
        tier_used_milliwh=tier_used_milliwh,
        tier_used_by_rate_milliwh=tier_used_by_rate_milliwh,
    )


def _refuse_mixed_counters(slices: list[Slice]) -> None:
    """One count of energy is handed in, so every ladder has to count it from the same day on."""
    counters = dict.fromkeys(
        component.tiers.counter.value
        for part in slices
        for component in part.tariff.components
        if isinstance(component, EnergyCharge) and component.tiers is not None
    )
    if len(counters) > 1:
        raise UnableToBill("billing.tier-counters-differ", counters=", ".join(counters))


def _lines(
    slices: list[Slice], usage: Usage, used_milliwh: int, used_by_rate_milliwh: Mapping[str, int]
) -> list[BillLine]:
    """Fixed and energy charges first, then what tops them up, then what taxes them."""
    makers: list[tuple[type, Callable[[str, list[BillLine]], list[BillLine]]]] = [
        (FixedCharge, lambda component_id, _lines: fixed_lines(component_id, slices)),
        (
            EnergyCharge,
            lambda component_id, _lines: energy_lines(
                component_id, slices, usage, used_milliwh, used_by_rate_milliwh
            ),
        ),
        (MinimumCharge, lambda component_id, lines: minimum_lines(component_id, slices, lines)),
        (Tax, lambda component_id, lines: tax_lines(component_id, slices, lines)),
    ]
    lines: list[BillLine] = []
    for kind, make in makers:
        for component_id in _ids(slices, kind):
            lines.extend(make(component_id, lines))
    return lines


def _ids(slices: list[Slice], kind: type) -> list[str]:
    components = (component for part in slices for component in part.tariff.components)
    return list(dict.fromkeys(component.id for component in components if isinstance(component, kind)))
