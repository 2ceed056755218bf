"""A sum over the values of a run: what it wrote can be told from anything else, even once superseded."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wattkeeper.store.api import Measurements
from wattkeeper.store.mixing import find_differing, mix_columns, mix_sql

_BITS = 62  # two remainders still add up in 64 bits with a sign
MIX_MODULUS = 1 << _BITS
MIXED = ("tenant_id", "series_id", "starts_at_s", "value_milliwh", "provenance", "flags", "method")
_LIMITS = (1 << 31, 1 << 31, 1 << 32, 1 << 37, 1 << 7, 1 << 31, 1 << 7)  # what such a number may be
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


def find_changed(columns: Sequence[NDArray[np.int64]], difference: int) -> NDArray[np.int64]:
    """Return which values of a run, columns `MIXED`, are wrong if one number of one value is.

    `difference`: what the run's sum is and its values' sum is not, modulo `MIX_MODULUS`.
    """
    return np.unique(
        np.array([row for row, _, _ in find_differing(columns, difference, _BITS, _LIMITS)], np.int64)
    )
