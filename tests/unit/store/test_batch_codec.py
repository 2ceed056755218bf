"""A batch is the same after the spool as before it; damage is seen, never guessed at."""

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
    cut = data.draw(st.integers(0, len(content) - 40))
    with pytest.raises(BatchDamaged):
        decode_batch(content[:cut])


@given(st.binary(max_size=300))
def test_garbage_is_damaged(content: bytes) -> None:
    with pytest.raises(BatchDamaged):
        decode_batch(content)
