"""By how much the values of channels move that files made, and how many digits their registers have."""

import numpy as np
from django.db.models import Q

from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.data.registry.models import Channel
from wattkeeper.formats.api import IntervalBlock

NOTHING_SHOWN = 0  # by a channel that files made: by how much its values move is not known yet
SHOWN_MOST_MILLI = 1_000_000
REGISTER_STEP_MOST_MILLI = 10**9  # a megawatt-hour


def learn_steps(channel: Channel, block: IntervalBlock) -> bool:
    """Keep what the values of a channel that files made move by at least, and how many digits it shows.

    It is the least and the most that any file told, so that their order does not matter. Return whether that
    changed: all of it is derived again then.
    """
    own = Channel.objects.filter(id=channel.id)
    digits = len(str(block.modulus_milli)) - 1
    fewer = Q(register_digits=None) | Q(register_digits__lt=digits)
    is_other = _learn_step(channel, _shown_milli(block))
    is_longer = bool(digits and own.filter(fewer, shown_count__isnull=False).update(register_digits=digits))
    return is_other or is_longer


def _learn_step(channel: Channel, told_milli: int) -> bool:
    own = Channel.objects.filter(id=channel.id)
    shown = channel.shown_count
    while shown is not None and (both := _of_both(shown, told_milli)) != shown:
        if own.filter(shown_count=shown).update(shown_count=both):
            return True
        shown = own.values_list("shown_count", flat=True).get()  # another file told something meanwhile
    return False


def _of_both(shown_milli: int, told_milli: int) -> int:
    """Return what two files tell together, each as `_shown_milli` says it."""
    if shown_milli == told_milli or NOTHING_SHOWN in (shown_milli, told_milli):
        return shown_milli or told_milli
    return min(_step_milli(-one) if one < 0 else one for one in (shown_milli, told_milli))


def _shown_milli(block: IntervalBlock) -> int:
    """Return by what a block's values move at least: those of a register as they are written, measured
    intervals by a power of ten, a kilowatt-hour at most; 0 where none but zeros tell it.

    Intervals that all took the same tell nothing but that, which is returned as a negative number.
    """
    if not block.interval_s:
        return min(block.step_milli, REGISTER_STEP_MOST_MILLI)
    told = block.value_milli[(block.provenance == int(Provenance.MEASURED)) & (block.value_milli != 0)]
    if not len(told):
        return NOTHING_SHOWN
    return -int(told[0]) if (told == told[0]).all() else _step_milli(int(np.gcd.reduce(told)))


def _step_milli(common_milli: int) -> int:
    zeros_count = len(str(common_milli)) - len(str(common_milli).rstrip("0"))
    return min(int(10**zeros_count), SHOWN_MOST_MILLI)
