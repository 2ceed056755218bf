"""A bill's days cut where a tariff version begins: each slice is priced by the version then in force."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from wattkeeper.core.billing.intervals import UnableToBill
from wattkeeper.core.tariffs.model import Component, Tariff


@dataclass(frozen=True, slots=True)
class BillDays:
    """The half-open local days [first, end) of a whole bill."""

    first: date
    end: date


@dataclass(frozen=True, slots=True)
class Slice:
    """The local days [first, end) that one tariff version prices, inside the whole bill's `days`."""

    first: date
    end: date
    tariff: Tariff
    days: BillDays

    def component(self, component_id: str) -> Component | None:
        """Return the version's component of that id."""
        return next((found for found in self.tariff.components if found.id == component_id), None)


def in_force(tariffs: Sequence[Tariff], first: date) -> tuple[Tariff, ...]:
    """Return the versions in force on or after `first`, in order of time, without those replaced before."""
    ordered = sorted(tariffs, key=lambda tariff: tariff.valid_from_date)
    begun = sum(tariff.valid_from_date <= first for tariff in ordered)
    return tuple(ordered[max(begun - 1, 0) :])


def cut_by_version(tariffs: Sequence[Tariff], first: date, end: date) -> list[Slice]:
    """Return the slices of [first, end) in time order.

    :raises UnableToBill: ``billing.no-tariff`` (none in force on the first day),
        ``billing.two-tariffs-a-day``, ``billing.version-twice`` (lines are told apart by the version's key),
        ``billing.tariffs-differ`` (zone or currency)
    """
    ordered = sorted(tariffs, key=lambda tariff: tariff.valid_from_date)
    starts = [tariff.valid_from_date for tariff in ordered]
    if len(set(starts)) != len(starts):
        raise UnableToBill("billing.two-tariffs-a-day")
    if not starts or starts[0] > first:
        raise UnableToBill("billing.no-tariff", first_date=first.isoformat())
    if len({(tariff.currency, tariff.zone.key) for tariff in ordered}) > 1:
        raise UnableToBill("billing.tariffs-differ")
    days = BillDays(first, end)
    slices = []
    for tariff, following in zip(ordered, [*starts[1:], end], strict=True):
        from_date, to_date = max(tariff.valid_from_date, first), min(following, end)
        if from_date < to_date:
            slices.append(Slice(from_date, to_date, tariff, days))
    keys = [part.tariff.key for part in slices]
    if len(set(keys)) != len(keys):
        raise UnableToBill("billing.version-twice", versions=", ".join(keys))
    return slices
