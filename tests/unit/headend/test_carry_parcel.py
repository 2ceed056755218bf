"""Parcels: whole batches in, the same reads out, and nothing else taken for one."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.headend.carry_parcel import (
    STORED,
    BatchTooLarge,
    Confirmation,
    ParcelDamaged,
    decode_confirmation,
    pack_parcels,
    unpack_parcel,
)
from wattkeeper.store.api import RawBatch, RawFrame

LIMIT_BYTES = 4096
NUMBERS = st.integers(-(2**62), 2**62)


@st.composite
def batches(draw: st.DrawFn) -> RawBatch:
    count = draw(st.integers(1, 60))
    frames = tuple(
        RawFrame(1, 2, 1_700_000_000, bytes([index]) * draw(st.integers(0, 600)))
        for index in range(draw(st.integers(0, 8)))
    )
    columns = {
        name: np.array(draw(st.lists(NUMBERS, min_size=count, max_size=count)), np.int64)
        for name in ("channel_id", "measured_at_s", "value", "flags", "source")
    }
    index = draw(st.lists(st.integers(-1, len(frames) - 1), min_size=count, max_size=count))
    return RawBatch(
        tenant_id=1,
        batch_id=draw(st.integers(0, 2**63 - 1)),
        received_at_s=1_700_000_000,
        **columns,
        frame_index=np.array(index, np.int64),
        frames=frames,
    )


def reads_of(batch: RawBatch) -> list[tuple[object, ...]]:
    columns = (batch.channel_id, batch.measured_at_s, batch.value, batch.flags, batch.source)
    contents = [batch.frames[index].content if index >= 0 else None for index in batch.frame_index.tolist()]
    return list(zip(*(column.tolist() for column in columns), contents, strict=True))


@settings(max_examples=25, deadline=None)
@given(st.lists(batches(), max_size=6))
def test_every_read_and_its_frame_arrives_in_order(sent: list[RawBatch]) -> None:
    parcels = pack_parcels(sent, LIMIT_BYTES)
    assert all(len(parcel.content) <= LIMIT_BYTES for parcel in parcels)
    arrived = []
    for parcel in parcels:
        found, own = unpack_parcel(parcel.content)
        assert (found.digest, found.batches_count) == (parcel.digest, len(own))
        arrived += own
    assert [row for batch in arrived for row in reads_of(batch)] == [
        row for batch in sent for row in reads_of(batch)
    ]


@settings(max_examples=20, deadline=None)
@given(batches())
def test_the_same_batches_always_make_the_same_parcels(batch: RawBatch) -> None:
    assert packed(batch) == packed(batch)


def packed(batch: RawBatch) -> object:
    """Return the parcels of a batch at a small limit, or how one read with its frames is refused."""
    try:
        return pack_parcels([batch], 1500)
    except BatchTooLarge as error:
        return str(error)


def test_parts_have_ids_of_their_own_and_of_the_same_second() -> None:
    batch = small(reads_count=400)
    parts = [part for parcel in pack_parcels([batch], 900) for part in unpack_parcel(parcel.content)[1]]
    ids = [part.batch_id for part in parts]
    assert len(set(ids)) == len(ids) > 4
    assert {part >> 30 for part in ids} == {batch.batch_id >> 30}


def test_one_read_too_large_is_refused() -> None:
    batch = small(reads_count=1, frame_bytes=5000)
    with pytest.raises(BatchTooLarge) as caught:
        pack_parcels([batch], LIMIT_BYTES)
    assert caught.value.is_permanent


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_flipped_bit_or_a_cut_is_seen(data: st.DataObject) -> None:
    content = bytearray(pack_parcels([small(3)], LIMIT_BYTES)[0].content)
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[at] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[at:]
    with pytest.raises(ParcelDamaged):
        unpack_parcel(bytes(content))


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_none(content: bytes) -> None:
    assert decode_confirmation(content) is None
    with pytest.raises(WattkeeperError):
        unpack_parcel(content)


def test_a_confirmation_names_the_very_bytes() -> None:
    parcel, other = (pack_parcels([small(count)], LIMIT_BYTES)[0] for count in (3, 4))
    said = Confirmation(parcel.digest, 1, 7, 9, STORED)
    heard = decode_confirmation(said.encode())
    assert heard == said
    assert heard is not None
    assert heard.confirms(parcel)
    assert not heard.confirms(other)
    assert {field.name for field in fields(heard)} >= {"first_batch_id", "last_batch_id", "digest"}


def small(reads_count: int, frame_bytes: int = 4) -> RawBatch:
    numbers = np.arange(reads_count, dtype=np.int64)
    return RawBatch(
        tenant_id=1,
        batch_id=(1_700_000_000 << 30) | 5,
        received_at_s=1_700_000_000,
        channel_id=numbers + 1,
        measured_at_s=numbers,
        value=numbers * 7919,
        flags=numbers * 0,
        source=numbers * 0 + 1,
        frame_index=numbers,
        frames=tuple(RawFrame(1, 1, 1_700_000_000, b"x" * frame_bytes) for _ in range(reads_count)),
    )
