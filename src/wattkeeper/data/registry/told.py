"""Multipliers that meters tell themselves: kept when they change, and where they differ from the registry."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from fractions import Fraction

from django.db.models import F

from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.registry.installations import ToldRatio
from wattkeeper.data.registry.models import Series, ToldMultiplier
from wattkeeper.data.registry.owned import owned_by

NUMBER_MAX = 2**31 - 1  # products of two stay whole numbers of 64 bits


def keep_told_multiplier(*, meter_id: int, at: datetime, ratio: Fraction) -> None:
    """Keep what a meter says that its transformers multiply by, if that is new; 1 until it says something."""
    if not 0 < ratio.numerator <= NUMBER_MAX or ratio.denominator > NUMBER_MAX:
        return
    latest = ToldMultiplier.objects.filter(meter_id=meter_id).order_by("-told_at").first()
    if ratio != (Fraction(latest.numerator, latest.denominator) if latest else 1):
        ToldMultiplier.objects.update_or_create(
            meter_id=meter_id,
            told_at=at.replace(microsecond=0),
            defaults={"numerator": ratio.numerator, "denominator": ratio.denominator},
        )


def get_told_ratios(meter_ids: Collection[int]) -> Mapping[int, Sequence[ToldRatio]]:
    """Return what meters told, in order of time; meters that told nothing are left out."""
    found: dict[int, list[ToldRatio]] = defaultdict(list)
    for row in ToldMultiplier.objects.filter(meter_id__in=meter_ids).order_by("told_at"):
        ratio = Fraction(row.numerator, row.denominator)
        found[row.meter_id].append(ToldRatio(to_seconds(row.told_at), ratio))
    return found


def list_told_otherwise(tenant_id: int) -> list[int]:
    """Return the series of points with a meter that ever told another multiplier than any one recorded there.

    Some of them may have agreed at every instant: whoever asks looks closer.
    """
    point = "meter__installations__usage_point"
    known = (f"{point}__multipliers__numerator", f"{point}__multipliers__denominator")
    told = ToldMultiplier.objects.exclude(
        numerator=F("denominator")
    )  # few: all meters are not to be searched
    rows = told.filter(owned_by("meter__tenant_id", tenant_id)).values_list(
        f"{point}_id", "numerator", "denominator", *known
    )
    points = {
        point_id
        for point_id, numerator, denominator, *registered in rows
        if Fraction(numerator, denominator) != Fraction(registered[0] or 1, registered[1] or 1)
    }
    if not points:
        return []
    return list(Series.objects.filter(usage_point_id__in=points).values_list("id", flat=True))
