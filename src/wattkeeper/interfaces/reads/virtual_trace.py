"""From one interval of a virtual meter to the parts that its formula adds up."""

from dataclasses import dataclass

import numpy as np

from wattkeeper.core.billing.document import exact_text
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.registry.virtual_series import Term, count_expected
from wattkeeper.data.registry.models import Series
from wattkeeper.data.virtual.formulas import load_virtual
from wattkeeper.interfaces.reads.intervals import IntervalRow, rows_of
from wattkeeper.store.api import ReadingStore


@dataclass(frozen=True, slots=True)
class TracedPart:
    """One series of a formula over the interval: its factor and its own intervals within."""

    series_id: int
    code: str
    factor_text: str
    is_zero_when_missing: bool
    intervals: tuple[IntervalRow, ...]

    @property
    def energy_milliwh(self) -> int | None:
        """The sum of its intervals; None where none is known."""
        known = [row.energy_milliwh for row in self.intervals if row.provenance is not Provenance.MISSING]
        return sum(known) if known else None


def trace_parts(
    store: ReadingStore, *, series: Series, starts_at_s: int, as_of_run_id: int | None = None
) -> list[TracedPart]:
    """Return the parts that a virtual meter's formula, in force then, adds up; none for a measured series."""
    known = load_virtual(series.tenant_id)
    facts = known.facts.get(series.id)
    if facts is None:
        return []
    expected = count_expected(facts, np.array([starts_at_s], dtype=np.int64), known.interval_s_of)
    terms = [facts.terms[index] for index in np.flatnonzero(expected).tolist()]
    ids = sorted({term.series_id for term in terms})
    codes = dict(Series.objects.filter(id__in=ids).values_list("id", "usage_point__code"))
    ends_at_s = starts_at_s + series.interval_s
    values = store.measurements(series.tenant_id, ids, starts_at_s, ends_at_s, as_of_run_id=as_of_run_id)
    return [_part(term, codes[term.series_id], rows_of(values)) for term in terms]


def _part(term: Term, code: str, rows: list[IntervalRow]) -> TracedPart:
    return TracedPart(
        series_id=term.series_id,
        code=code,
        factor_text=exact_text(term.coefficient),
        is_zero_when_missing=term.is_zero_when_missing,
        intervals=tuple(
            row for row in rows if row.series_id == term.series_id and term.counts(row.starts_at_s)
        ),
    )
