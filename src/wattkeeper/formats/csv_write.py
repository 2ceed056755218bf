"""Blocks of intervals to plain CSV: one row an interval, exact, and safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Iterator, Sequence

import numpy as np

from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.kernel.quality_codes import quality_name
from wattkeeper.formats.api import IntervalBlock
from wattkeeper.formats.blocks import kinds_of, to_texts
from wattkeeper.formats.csv_cells import neutralise
from wattkeeper.formats.units import written_unit

COLUMNS = ("usage_point", "channel", "starts_at", "interval_s", "value", "unit", "quality")


def write_csv(blocks: Sequence[IntervalBlock]) -> Iterator[bytes]:
    """Yield the file by the block; `read_csv` gives the same blocks back.

    ``meter_serial`` and ``details`` (the notes) are columns where any block has them. A missing interval has
    no value. A text that a spreadsheet would take for a formula stands behind an apostrophe.
    """
    has_serials = any(block.meter_serial for block in blocks)
    has_notes = any(len(block.notes) > 1 for block in blocks)
    more = ["meter_serial"] * has_serials + ["details"] * has_notes
    yield _line([*COLUMNS, *more])
    for block in blocks:
        yield _rows(block, has_serials=has_serials, has_notes=has_notes)


def instants_of(block: IntervalBlock) -> list[str]:
    """Return when each interval starts, ISO 8601 in UTC."""
    found: list[str] = np.datetime_as_string(
        block.starts_at_s.astype("datetime64[s]"), timezone="UTC"
    ).tolist()
    return found


def values_of(block: IntervalBlock, exponent: int) -> list[str]:
    """Return the values as texts, blank where they are missing."""
    texts = to_texts(block.value_milli, exponent, block.step_milli)
    for index in np.flatnonzero(block.provenance == Provenance.MISSING).tolist():
        texts[index] = ""
    return texts


def _rows(block: IntervalBlock, *, has_serials: bool, has_notes: bool) -> bytes:
    unit, exponent = written_unit(block.unit)
    kinds, place = kinds_of(block)
    before = _line([neutralise(block.usage_point), neutralise(block.channel)]).decode()[:-2]
    tails = []
    for quality, note in kinds:
        more = [neutralise(block.meter_serial)] * has_serials + [neutralise(note)] * has_notes
        tails.append(_line([unit, quality_name(quality), *more]).decode())
    rows = zip(instants_of(block), values_of(block, exponent), place.tolist(), strict=True)
    length = block.interval_s
    return "".join(f"{before},{at},{length},{value},{tails[k]}" for at, value, k in rows).encode()


def _line(cells: Sequence[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue().encode()
