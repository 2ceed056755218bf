"""What was measured of intervals, before rules and edits: derived from the raw reads, nothing written."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import numpy as np

from wattkeeper.actions.services import Measured
from wattkeeper.bootstrap.pipeline_ports import pipeline_ports
from wattkeeper.core.kernel.instants import to_seconds
from wattkeeper.core.kernel.quality import Provenance
from wattkeeper.core.readings.advance import register_advance
from wattkeeper.pipeline.read_rules import KeptReads
from wattkeeper.pipeline.series_intervals import derive_span
from wattkeeper.pipeline.window import align
from wattkeeper.store.api import ReadingStore


def measured_by(store: ReadingStore, now: Callable[[], datetime]) -> Measured:
    """Return the question for a store."""

    def measured(tenant_id: int, series_id: int, from_s: int, to_s: int) -> list[int | None]:
        ports = pipeline_ports(store, tenant_id, now)
        facts = ports.registry.get_facts(series_id)
        starts_at_s = np.arange(from_s, to_s, facts.interval_s, dtype=np.int64)
        now_s = to_seconds(now().replace(microsecond=0))
        span = align((from_s, to_s), facts, now_s)
        if span is None:
            return [None] * len(starts_at_s)
        believed = replace(ports, raw_reads=KeptReads(ports.raw_reads, now_s))
        derived = derive_span(believed, facts, span, register_advance)
        known = dict(zip(derived.starts_at_s.tolist(), derived.value_milliwh.tolist(), strict=True))
        is_measured = derived.provenance == Provenance.MEASURED
        held = set(derived.starts_at_s[is_measured].tolist())
        return [known[at_s] if at_s in held else None for at_s in starts_at_s.tolist()]

    return measured
