"""What travels between a head-end and a writer, as bytes. Pure: no socket, no clock.

A parcel is one message with whole batches, so that any writer can take it by itself:

    "WKP1" | SHA-256 of the rest (32) | count (4) | length of each batch (4 each) | the batches

Little endian; a batch is what `store.batch_codec` makes of it. A confirmation is a JSON object of the writer:
the parcel's SHA-256, checked against what arrived, how many batches it had, the ids of the first and the
last, what became of them and, where they were refused, the code why. Only a confirmation that names the very
bytes that were sent confirms anything.
"""

import hashlib
import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.store.api import RawBatch
from wattkeeper.store.batch_codec import decode_batch, encode_batch

STORED, REFUSED = "stored", "refused"
_MARK = b"WKP1"
_DIGEST_BYTES = hashlib.sha256().digest_size
_HEAD_BYTES = len(_MARK) + _DIGEST_BYTES + 4
_LENGTH_BYTES = 4
_CONFIRMATION_MAX_BYTES = 4096
_SERIAL_MASK = (1 << 30) - 1


class ParcelDamaged(WattkeeperError):
    """Raised when bytes are not a parcel, or not the one that was sent: ``carry.parcel-damaged``."""


class BatchTooLarge(WattkeeperError):
    """Raised when a single read with its frame exceeds what a message may hold: ``carry.batch-too-large``."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message and its checksum."""

    content: bytes
    batches_count: int

    @property
    def digest(self) -> bytes:
        """The SHA-256 of what it carries."""
        return self.content[len(_MARK) : len(_MARK) + _DIGEST_BYTES]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What a writer did with the parcel of this `digest`: `STORED`, or `REFUSED` for good with a code."""

    digest: bytes
    batches_count: int
    first_batch_id: int
    last_batch_id: int
    outcome: str
    code: str = ""

    def encode(self) -> bytes:
        """Return the confirmation as bytes."""
        facts = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps({**facts, "digest": self.digest.hex()}).encode()

    def confirms(self, parcel: Parcel) -> bool:
        """Whether it is about these very bytes."""
        return (self.digest, self.batches_count) == (parcel.digest, parcel.batches_count)


def decode_confirmation(content: bytes) -> Confirmation | None:
    """Return the confirmation, None for what is none."""
    try:
        if len(content) > _CONFIRMATION_MAX_BYTES:
            return None
        facts = json.loads(content)
        found = Confirmation(**{**facts, "digest": bytes.fromhex(facts["digest"])})
    except (ValueError, TypeError, KeyError):
        return None
    return found if found.outcome in (STORED, REFUSED) else None


def pack_parcels(batches: Sequence[RawBatch], limit_bytes: int) -> list[Parcel]:
    """
    Return parcels of at most `limit_bytes`; a batch that is larger by itself travels in parts.

    :raises BatchTooLarge: if a single read with its frame does not fit
    """
    room_bytes = limit_bytes - _HEAD_BYTES
    parcels: list[Parcel] = []
    group: list[bytes] = []
    group_bytes = 0
    for content in (part for batch in batches for part in _encode_parts(batch, room_bytes - _LENGTH_BYTES)):
        size_bytes = len(content) + _LENGTH_BYTES
        if group and group_bytes + size_bytes > room_bytes:
            parcels.append(_pack(group))
            group, group_bytes = [], 0
        group.append(content)
        group_bytes += size_bytes
    return [*parcels, _pack(group)] if group else parcels


def unpack_parcel(content: bytes) -> tuple[Parcel, list[RawBatch]]:
    """
    Return a parcel and its batches.

    :raises ParcelDamaged: if the bytes are none, or not those that were sent
    :raises BatchDamaged: if what was sent is no batch
    """
    body = content[len(_MARK) + _DIGEST_BYTES :]
    digest = content[len(_MARK) : len(_MARK) + _DIGEST_BYTES]
    if not content.startswith(_MARK) or len(body) < 4 or hashlib.sha256(body).digest() != digest:
        raise ParcelDamaged("carry.parcel-damaged")
    (count,) = struct.unpack_from("<I", body)
    at = 4 + _LENGTH_BYTES * count
    if len(body) < at:
        raise ParcelDamaged("carry.parcel-damaged")
    batches = []
    for length in struct.unpack_from(f"<{count}I", body, 4):
        batches.append(decode_batch(body[at : at + length]))
        at += length
    if at != len(body):
        raise ParcelDamaged("carry.parcel-damaged")
    return Parcel(content, count), batches


def _pack(contents: Sequence[bytes]) -> Parcel:
    lengths = struct.pack(f"<I{len(contents)}I", len(contents), *map(len, contents))
    body = b"".join((lengths, *contents))
    return Parcel(b"".join((_MARK, hashlib.sha256(body).digest(), body)), len(contents))


def _encode_parts(batch: RawBatch, limit_bytes: int) -> Iterator[bytes]:
    """Yield the batch as bytes, in parts where it is too large: the same parts whenever it is asked."""
    content = encode_batch(batch)
    if len(content) <= limit_bytes:
        yield content
        return
    if len(batch.value) < 2:
        raise BatchTooLarge("carry.batch-too-large", size_bytes=len(content), limit_bytes=limit_bytes)
    middle = len(batch.value) // 2
    for index, rows in enumerate((slice(None, middle), slice(middle, None))):
        yield from _encode_parts(_part(batch, rows, index), limit_bytes)


def _part(batch: RawBatch, rows: slice, index: int) -> RawBatch:
    """Return some reads of a batch with the frames they point at, under an id of their own."""
    own = batch.frame_index[rows]
    used = np.unique(own[own >= 0])
    return replace(
        batch,
        batch_id=_part_id(batch.batch_id, index),
        channel_id=batch.channel_id[rows],
        measured_at_s=batch.measured_at_s[rows],
        value=batch.value[rows],
        flags=batch.flags[rows],
        source=batch.source[rows],
        frame_index=np.where(own >= 0, np.searchsorted(used, own), own).astype(np.int64),
        frames=tuple(batch.frames[int(position)] for position in used),
    )


def _part_id(batch_id: int, index: int) -> int:
    """Return the id of a part: of the same second as the batch's, always the same."""
    mixed = hashlib.sha256(f"{batch_id}:{index}".encode()).digest()
    return (batch_id & ~_SERIAL_MASK) | (int.from_bytes(mixed[:8], "little") & _SERIAL_MASK)
