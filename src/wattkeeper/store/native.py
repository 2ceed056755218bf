"""Blocks in ClickHouse's Native format: each column's numbers as they lie in memory, name and type first.

    columns (varint) | rows (varint) | for each column: name | type | numbers, little endian

A text is its length as a varint and its bytes. The engine reads this three times as fast as Arrow, and takes
columns narrower than its own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TYPES = {
    "int8": b"Int8",
    "int16": b"Int16",
    "int32": b"Int32",
    "int64": b"Int64",
    "uint32": b"DateTime('UTC')",
}

Columns = Mapping[str, NDArray[Any]]


def encode_block(columns: Columns, rows: slice) -> Sequence[bytes | memoryview]:
    """Return those rows of the columns, all of one length, as pieces to be sent one after the other.

    Columns are of signed types, or of uint32: instants in seconds, UTC.
    """
    pieces: list[bytes | memoryview] = []
    for name, column in columns.items():
        part = np.ascontiguousarray(column[rows])
        if not pieces:
            pieces.append(_varint(len(columns)) + _varint(len(part)))
        pieces.append(_text(name.encode()) + _text(_TYPES[part.dtype.name]))
        pieces.append(part.astype(part.dtype.newbyteorder("<"), copy=False).data.cast("B"))
    return pieces


def _text(content: bytes) -> bytes:
    return _varint(len(content)) + content


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low]) if not rest else bytes([low | 0x80]) + _varint(rest)
