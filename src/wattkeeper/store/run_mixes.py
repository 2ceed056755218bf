"""Sums over what a run wrote: it can be told from anything else, even once superseded."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.readings.rollups import FIGURES, RollUpRows
from wattkeeper.store.api import Measurements
from wattkeeper.store.mixing import find_differing, mix_columns, mix_sql

_BITS = 62  # two remainders still add up in 64 bits with a sign
MIX_MODULUS = 1 << _BITS
MIXED = ("tenant_id", "series_id", "starts_at_s", "value_milliwh", "provenance", "flags", "method")
_LIMITS = (1 << 31, 1 << 31, 1 << 32, 1 << 37, 1 << 7, 1 << 31, 1 << 7)  # what such a number may be
ROLLED = ("tenant_id", "grain", "series_id", "starts_at_s", "expected_count", *FIGURES)
_ROLLED_LIMITS = (1 << 31, 1 << 7, 1 << 31, 1 << 32, 1 << 17, 1 << 44, *[1 << 17] * len(FIGURES[1:]))
VALUE_MIX = mix_sql(
    (
        "toUInt64(tenant_id)",
        "toUInt64(series_id)",
        "toUInt64(toUnixTimestamp(starts_at))",
        "toUInt64(value_milliwh)",
        "toUInt64(toInt64(provenance))",
        "toUInt64(toInt64(flags))",
        "toUInt64(toInt64(method))",
    )
)


ROLL_UP_MIX = mix_sql(
    [
        f"toUInt64({'toUnixTimestamp(starts_at)' if name == 'starts_at_s' else f'toInt64({name})'})"
        for name in ROLLED
    ]
)


def values_mix(tenant_id: int, values: Measurements) -> int:
    """Return the sum over values of one run modulo `MIX_MODULUS`; the engine's is that of `VALUE_MIX`."""
    columns = (
        np.broadcast_to(np.int64(tenant_id), values.series_id.shape),
        values.series_id,
        values.starts_at_s,
        values.value_milliwh,
        values.provenance,
        values.flags,
        values.method,
    )
    return int(mix_columns(columns).sum(dtype=np.uint64)) % MIX_MODULUS


def roll_ups_mix(tenant_id: int, rows: RollUpRows) -> int:
    """Return the sum over roll-ups of one run modulo `MIX_MODULUS`; the engine's is that of `ROLL_UP_MIX`."""
    tenant = np.broadcast_to(np.int64(tenant_id), rows.series_id.shape)
    columns = (tenant, *(getattr(rows, name) for name in ROLLED[1:]))
    return int(mix_columns(columns).sum(dtype=np.uint64)) % MIX_MODULUS


def find_changed(columns: Sequence[NDArray[np.int64]], difference: int) -> NDArray[np.int64]:
    """Return which rows of a run, columns `MIXED` or `ROLLED`, are wrong if one number of one row is.

    `difference`: what the run's sum is and its rows' sum is not, modulo `MIX_MODULUS`.
    """
    limits = _LIMITS if len(columns) == len(MIXED) else _ROLLED_LIMITS
    return np.unique(
        np.array([row for row, _, _ in find_differing(columns, difference, _BITS, limits)], np.int64)
    )
