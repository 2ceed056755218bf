"""A 64-bit number for a row, and their sum modulo 2^64 for a set of rows: the same here and in the engine.

The sum depends on neither order nor slices. It finds what chance and mistakes do, not what a forger does.
"""

from collections.abc import Sequence
from zlib import crc32

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_FACTORS = (
    0x9E3779B97F4A7C15,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0xD6E8FEB86659FD93,
    0xA0761D6478BD642F,
    0xE7037ED1A0B428DB,
    0x8EBC6AF09C88C6E3,
    0x589965CC75374CC3,
    0x1D8E4E27C47D124F,
    0xEB44ACCAB455D165,
    0x9C6E6877736C46E3,
    0xCA9B0C7EBA1DA115,
    0x94D049BB133111EB,
)
_SPREAD = 0xBF58476D1CE4E5B9
MASK = 2**64 - 1


def mix_columns(columns: Sequence[NDArray[np.generic]]) -> NDArray[np.uint64]:
    """Return the number of each row of integer columns, shape (rows,)."""
    total = np.zeros(len(columns[0]), np.uint64)
    for column, factor in zip(columns, _FACTORS, strict=False):
        if column.strides == (0,) and len(column):  # all alike
            total += column[:1].astype(np.uint64) * np.uint64(factor)
        elif column.dtype == np.int64:  # the same bits; to cast them costs three times as much
            total += column.view(np.uint64) * np.uint64(factor)
        else:
            total += np.multiply(column, np.uint64(factor), dtype=np.uint64, casting="unsafe")
    total ^= total >> np.uint64(32)
    total *= np.uint64(_SPREAD)
    return total


def mix_table(table: pa.Table) -> int:
    """Return the sum over the rows of an Arrow table of integers, bytes and instants."""
    if not table.num_rows:
        return 0
    columns = [_integers(table.column(name)) for name in table.column_names]
    return int(mix_columns(columns).sum(dtype=np.uint64))


def mix_sql(expressions: Sequence[str]) -> str:
    """Return the number of a row as the engine computes it from expressions of type UInt64."""
    total = " + ".join(
        f"{expression} * {factor}" for expression, factor in zip(expressions, _FACTORS, strict=False)
    )
    return f"bitXor({total}, bitShiftRight({total}, 32)) * {_SPREAD}"


def column_sql(name: str, kind: str) -> str:
    """Return a column of the engine's type `kind` as an expression for `mix_sql`."""
    if kind.startswith("DateTime"):
        return f"toUInt64(toUnixTimestamp({name}))"
    if kind == "String":
        return f"toUInt64(CRC32({name}))"
    return name if kind == "UInt64" else f"toUInt64(toInt64({name}))"


def _integers(column: pa.ChunkedArray) -> NDArray[np.generic]:
    if pa.types.is_binary(column.type) or pa.types.is_string(column.type):
        return np.array([crc32(value) for value in column.cast(pa.binary()).to_pylist()], np.uint64)
    numbers: NDArray[np.generic] = column.to_numpy()
    return numbers


def find_differing(
    columns: Sequence[NDArray[np.int64]], difference: int, modulus_bits: int, limits: Sequence[int]
) -> list[tuple[int, int, int]]:
    """
    Return which row, if one number of it were another, would change the sum over all rows by `difference`.

    (row, column, the other number) for each that does so modulo 2 to the power of `modulus_bits`, the number
    within the column's limit. The mix can be undone, so every row tells what its number would have to be.
    """
    mixed = mix_columns(columns)
    found = []
    for part in range(1 << 64 - modulus_bits):
        wanted = _unmixed(mixed + np.uint64((difference + (part << modulus_bits)) & MASK)) - _unmixed(mixed)
        for place, (column, factor, limit) in enumerate(zip(columns, _FACTORS, limits, strict=False)):
            other = column + (wanted * np.uint64(pow(factor, -1, 1 << 64))).view(np.int64)
            is_so = (other > -limit) & (other < limit) & (other != column)
            found += [(row, place, int(other[row])) for row in np.flatnonzero(is_so).tolist()]
    return found


def _unmixed(mixed: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the totals of which `mix_columns` made numbers."""
    total = mixed * np.uint64(pow(_SPREAD, -1, 1 << 64))
    return total ^ (total >> np.uint64(32))


def mix_row(numbers: Sequence[int]) -> int:
    """Return what `mix_columns` returns for one row."""
    total = sum(number * factor for number, factor in zip(numbers, _FACTORS, strict=False)) & MASK
    return (total ^ (total >> 32)) * _SPREAD & MASK
