"""What was read of a file, block by block, before or instead of storing it."""

import numpy as np

from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.formats.api import IntervalBlock
from wattkeeper.formats.blocks import to_texts
from wattkeeper.formats.units import written_unit

ABOUT = ("usage_point", "meter_serial", "channel", "interval_s", "from", "to", "intervals", "sum", "unit")


def about_block(block: IntervalBlock) -> dict[str, object]:
    """Return whose a block is, which time it covers, and the exact sum of its values in `unit`."""
    unit, exponent = written_unit(block.unit)
    total = np.array([sum(block.value_milli.tolist())], dtype=object)  # of any size
    return {
        "usage_point": block.usage_point,
        "meter_serial": block.meter_serial,
        "channel": block.channel,
        "interval_s": block.interval_s,
        "from": from_seconds(int(block.starts_at_s[0])),
        "to": from_seconds(int(block.starts_at_s[-1]) + block.interval_s),
        "intervals": len(block.starts_at_s),
        "sum": to_texts(total, exponent)[0],
        "unit": unit,
    }
