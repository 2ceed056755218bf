"""A sum over the values of a run: what it wrote can be told from anything else, even once superseded."""

import numpy as np

from wattkeeper.store.api import Measurements
from wattkeeper.store.mixing import mix_columns, mix_sql

MIX_MODULUS = 2**62  # two of its remainders still add up in 64 bits with a sign
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
