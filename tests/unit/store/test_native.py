"""Blocks of numbers: what is written is read again, and nothing else is taken for one."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from wattkeeper.store.columns import column_of
from wattkeeper.store.native import Columns, decode_blocks, encode_block

KINDS = (np.int8, np.int16, np.int32, np.int64, np.uint32)


def column(kind: type, rows_count: int) -> st.SearchStrategy[NDArray[Any]]:
    least, most = int(np.iinfo(kind).min), int(np.iinfo(kind).max)
    numbers = st.lists(st.integers(least, most), min_size=rows_count, max_size=rows_count)
    return numbers.map(lambda given: np.array(given, kind))


@st.composite
def blocks(draw: st.DrawFn) -> list[Columns]:
    """Blocks of the same columns, as an answer has them."""
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4))
    rows = draw(st.lists(st.integers(0, 20), max_size=3))
    return [{f"c{at}": draw(column(kind, count)) for at, kind in enumerate(kinds)} for count in rows]


def written(told: list[Columns]) -> bytes:
    return b"".join(b"".join(encode_block(each, slice(None))) for each in told)


@given(blocks())
def test_what_is_written_is_read_again(told: list[Columns]) -> None:
    found = list(decode_blocks(written(told)))
    assert len(found) == len(told)
    for name in told[0] if told else ():
        assert np.array_equal(column_of(found, name), np.concatenate([each[name] for each in told]))


@given(blocks(), st.data())
def test_an_answer_cut_within_a_block_is_refused(told: list[Columns], data: st.DataObject) -> None:
    ends = np.cumsum([0, *(len(written([each])) for each in told)]).tolist()
    content = written(told)
    cut = data.draw(st.integers(0, len(content)))
    if cut in ends:
        assert len(list(decode_blocks(content[:cut]))) == ends.index(cut)
    else:
        with pytest.raises(ValueError):
            list(decode_blocks(content[:cut]))


@pytest.mark.parametrize(
    "content",
    [
        b"Code: 241. DB::Exception: Memory limit exceeded",
        b"<html>a portal</html>",
        b"\xff" * 20,
        bytes(2),
        b"\x01" + b"\xff" * 8 + b"\x7f" + b"\x01a\x05Int64" + bytes(64),
        b"\x01\x01\x01a\x06String\x01b",
        written([{"a": np.arange(3)}]) + b"Code: 241. DB::Exception: Memory limit exceeded",
    ],
)
def test_what_is_no_block_of_numbers_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        list(decode_blocks(content))


@given(st.binary(max_size=60))
def test_anything_else_is_refused_or_a_block(content: bytes) -> None:
    try:
        list(decode_blocks(content))
    except ValueError:
        return
