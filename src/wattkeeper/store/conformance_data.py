"""Reads and values for the suite."""

from collections.abc import Sequence

import numpy as np

from wattkeeper.core.kernel.quality import Provenance, Source
from wattkeeper.store.api import Measurements, RawBatch, RawFrame
from wattkeeper.store.ranges import INSTANT_MAX_S

MONTH_START_S = 1_772_323_200  # 2026-03-01T00:00Z
ALWAYS = (0, INSTANT_MAX_S + 1)
INT64_MAX = 2**63 - 1


def batch(
    rows: Sequence[tuple[int, int, int]],
    *,
    tenant_id: int,
    batch_id: int = 1,
    frames: tuple[RawFrame, ...] = (),
    source: int = int(Source.PROFILE),
    flags: int = 0,
) -> RawBatch:
    """Return a batch of reads (channel_id, measured_at_s, value) of one source, in the first frame if any."""
    table = np.array(rows, np.int64).reshape(-1, 3)
    count = len(table)
    return RawBatch(
        tenant_id=tenant_id,
        batch_id=batch_id,
        received_at_s=MONTH_START_S,
        channel_id=table[:, 0].copy(),
        measured_at_s=table[:, 1].copy(),
        value=table[:, 2].copy(),
        flags=np.full(count, flags, np.int64),
        source=np.full(count, source, np.int64),
        frame_index=np.full(count, 0 if frames else -1, np.int64),
        frames=frames,
    )


def measured(rows: Sequence[tuple[int, int, int, int]]) -> Measurements:
    """Return measured values (series_id, starts_at_s, value_milliwh, run_id)."""
    table = np.array(rows, np.int64).reshape(-1, 4)
    zeros = np.zeros(len(table), np.int64)
    return Measurements(
        series_id=table[:, 0].copy(),
        starts_at_s=table[:, 1].copy(),
        value_milliwh=table[:, 2].copy(),
        provenance=np.full(len(table), Provenance.MEASURED, np.int64),
        flags=zeros,
        method=zeros,
        run_id=table[:, 3].copy(),
    )
