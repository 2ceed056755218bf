"""How long the intervals of a usage point are: as its profiles tell, whichever file comes first.

Registers alone tell no length. Where a profile of the same usage point does, series of which there are only
registers have that one, of several lengths the shortest.
"""

from collections.abc import Mapping
from datetime import datetime

from django.db.models import Min, Q, QuerySet

from wattkeeper.actions.registry.installing import mark_all_dirty
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.registry.models import Channel, Meter, Series, UsagePoint
from wattkeeper.data.registry.quantities import QUANTITY_OF_READING_TYPE
from wattkeeper.data.vee.models import StoredEdit
from wattkeeper.data.virtual.formulas import load_virtual
from wattkeeper.formats.api import IntervalBlock

INTERVAL_S = 900  # of a usage point that only registers are known of


def usual_length_s(point: UsagePoint) -> int:
    """Return the length for a meter that tells registers alone."""
    least = Series.objects.filter(usage_point=point).aggregate(least_s=Min("interval_s"))
    return least["least_s"] or INTERVAL_S


def fit_length(
    block: IntervalBlock, point: UsagePoint, meter: Meter, *, quantity: str | None, now: datetime
) -> dict[int, int]:
    """Let a usage point have intervals as long as a profile's, if no other profile told their length.

    What was derived of registers alone is derived again. Return how long those of each changed series were.

    :raises WattkeeperError: ``imports.interval-differs`` where a profile of the meter or of the same quantity
        told otherwise, of which each would be taken for one; or where an edit or a virtual meter rests on
        intervals as they are
    """
    rows = list(Series.objects.filter(usage_point=point))
    if not block.interval_s or {meter.interval_s, *(row.interval_s for row in rows)} == {block.interval_s}:
        return {}
    told = _told(point, meter)
    for meter_id, of, kept_s in told:
        if (meter_id == meter.id or of == quantity) and kept_s != block.interval_s:
            raise _differs(block, kept_s)
    usual_s = min([block.interval_s, *(kept_s for _, _, kept_s in told)])
    wanted_s = {row: usual_s for row in rows if row.quantity not in {of for _, of, _ in told}}
    wanted_s |= {row: block.interval_s for row in rows if row.quantity == quantity}
    changed_s = {row: length_s for row, length_s in wanted_s.items() if row.interval_s != length_s}
    _check_free(block, changed_s, point.tenant_id)
    former_s = {row.id: row.interval_s for row in changed_s}
    for row, length_s in changed_s.items():
        row.interval_s = length_s
        row.save(update_fields=["interval_s"])
    _at(point, meter).exclude(id__in={meter_id for meter_id, _, _ in told}).update(interval_s=usual_s)
    meter.interval_s = block.interval_s
    meter.save(update_fields=["interval_s"])
    if changed_s:
        mark_all_dirty(point, now=now, reason="import")
    return former_s


def _at(point: UsagePoint, meter: Meter) -> QuerySet[Meter]:
    there = point.installations.values("meter_id")
    return Meter.objects.filter(Q(id=meter.id) | Q(id__in=there))


def _told(point: UsagePoint, meter: Meter) -> list[tuple[int, str, int]]:
    """Return which meters of a usage point told of which quantities how long their intervals are.

    One that a driver reads has intervals of its own, profile or not.
    """
    telling = Channel.objects.filter(Q(is_profiled=True) | ~Q(meter__family=""), meter__in=_at(point, meter))
    columns = telling.values_list("meter_id", "reading_type", "meter__interval_s")
    return [
        (meter_id, QUANTITY_OF_READING_TYPE[reading_type], length_s)
        for meter_id, reading_type, length_s in columns
        if reading_type in QUANTITY_OF_READING_TYPE
    ]


def _check_free(block: IntervalBlock, changed_s: Mapping[Series, int], tenant_id: int) -> None:
    if not changed_s:
        return
    waiting = (StoredEdit.State.PENDING, StoredEdit.State.IN_FORCE)
    edited = set(
        StoredEdit.objects.filter(series__in=list(changed_s), state__in=waiting).values_list(
            "series", flat=True
        )
    )
    virtual = load_virtual(tenant_id)
    for row, length_s in changed_s.items():
        users = virtual.users.get(row.id, ())
        if row.id in edited or any(virtual.facts[user].interval_s % length_s for user in users):
            raise _differs(block, row.interval_s)


def _differs(block: IntervalBlock, kept_s: int) -> WattkeeperError:
    return WattkeeperError(
        "imports.interval-differs", channel=block.channel, interval_s=block.interval_s, kept_s=kept_s
    )
