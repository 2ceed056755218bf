"""What a usage point that files made may carry: as the file tells whose intervals begin first.

Not the file that comes first: any order of the same files ends in the same state.
"""

from collections.abc import Mapping
from datetime import datetime

import numpy as np

from wattkeeper.actions.registry.installing import mark_all_dirty
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.readings.usual_power import USED_LEAST_COUNT, carried_w
from wattkeeper.data.registry.models import POWER_MAX_W, UsagePoint
from wattkeeper.formats.api import IntervalBlock

Told = tuple[bool, int, int]
"""Whether intervals are too few to tell much, when they begin (UTC seconds), minus what may be carried, W."""


def let_carry(point: UsagePoint, block: IntervalBlock, reading_type: str, *, now: datetime) -> None:
    """Let a point that files made carry the most that any quantity tells, unless a person said how much.

    Each is told by the block that begins first, of more than a few intervals where there is one. All that was
    ever read there is judged anew by another largest power.
    """
    told = _told(block)
    known = point.power_told
    if told is None or known is None or not _is_news(told, reading_type, known):
        return
    point = UsagePoint.objects.select_for_update().get(id=point.id)
    known = point.power_told
    if known is None or not _is_news(told, reading_type, known):  # another file told something meanwhile
        return
    former_w = point.power_max_w
    point.power_told = {**known, reading_type: list(told)}
    if former_w == _power_w(known):
        point.power_max_w = _power_w(point.power_told)
    point.save(update_fields=["power_told", "power_max_w"])
    if point.power_max_w != former_w:
        mark_all_dirty(point, now=now, reason="power")


def _told(block: IntervalBlock) -> Told | None:
    is_there = block.provenance != int(Provenance.MISSING)
    if not block.interval_s or not is_there.any():
        return None
    energy_milliwh = block.value_milli[is_there]
    is_little = int(np.count_nonzero(energy_milliwh > 0)) < USED_LEAST_COUNT
    return is_little, int(block.starts_at_s[is_there][0]), -carried_w(energy_milliwh, block.interval_s)


def _is_news(told: Told, reading_type: str, known: Mapping[str, list[int]]) -> bool:
    """Whether a block tells better than what is known."""
    return reading_type not in known or told < tuple(known[reading_type])


def _power_w(known: Mapping[str, list[int]]) -> int:
    return max(POWER_MAX_W, *(-told[-1] for told in known.values()), 0)
