"""A batch is the same after the spool as before it; damage is seen, never guessed at."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattkeeper.store.api import RawBatch, RawFrame
from wattkeeper.store.batch_codec import BatchDamaged, decode_batch, encode_batch

INT64 = st.integers(-(2**63), 2**63 - 1)
FRAMES = st.builds(RawFrame, INT64, INT64, INT64, st.binary(max_size=50))


@st.composite
def batches(draw: st.DrawFn) -> RawBatch:
    count = draw(st.integers(0, 20))
    columns = [np.array(draw(st.lists(INT64, min_size=count, max_size=count)), np.int64) for _ in range(6)]
    return RawBatch(
        draw(INT64), draw(INT64), draw(INT64), *columns, frames=tuple(draw(st.lists(FRAMES, max_size=3)))
    )


@given(batches())
def test_round_trip(batch: RawBatch) -> None:
    back = decode_batch(encode_batch(batch))
    for name in RawBatch.__slots__:
        assert np.array_equal(getattr(back, name), getattr(batch, name)) or getattr(back, name) == getattr(
            batch, name
        )


@given(batches(), st.data())
def test_a_cut_batch_is_damaged(batch: RawBatch, data: st.DataObject) -> None:
    content = encode_batch(batch)
    cut = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(BatchDamaged):
        decode_batch(content[:cut])
    with pytest.raises(BatchDamaged):
        decode_batch(content + b"\x00")


@given(st.binary(max_size=300), st.booleans())
def test_garbage_is_damaged(content: bytes, is_marked: bool) -> None:
    with pytest.raises(BatchDamaged):
        decode_batch(b"WKB2" * is_marked + content)


@given(batches(), st.data())
def test_a_changed_byte_never_raises_anything_else(batch: RawBatch, data: st.DataObject) -> None:
    content = bytearray(encode_batch(batch))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(BatchDamaged):
        back = encode_batch(decode_batch(bytes(content)))
        assert encode_batch(decode_batch(back)) == back


def test_columns_are_as_narrow_as_their_numbers() -> None:
    count = 1000
    same = np.full(count, 7)
    rising = np.arange(count)
    batch = RawBatch(1, 2, 3, rising + 10**12, rising * 900, rising * 10**5, same, same, same - 8)
    assert len(encode_batch(batch)) < 200 + count * (2 + 4 + 4)
    alike = RawBatch(1, 2, 3, *[same] * 6)
    assert len(encode_batch(alike)) < 200 + count
    assert decode_batch(encode_batch(alike)).frame_index.tolist() == [7] * count


def test_columns_of_unequal_length_are_no_batch() -> None:
    with pytest.raises(ValueError, match="unequal"):
        encode_batch(RawBatch(1, 2, 3, *[np.arange(2)] * 5, np.arange(3)))


def test_a_small_batch_is_small() -> None:
    one = np.array([1])
    batch = RawBatch(1, 2, 3, *[one] * 6, frames=(RawFrame(1, 2, 3, b"x" * 64),))
    assert len(encode_batch(batch)) < 200
