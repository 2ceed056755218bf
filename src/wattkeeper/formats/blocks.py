"""What writers and tests need of blocks: their kinds, their texts, whether two say the same."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from wattkeeper.core.kernel.instants import from_seconds
from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.kernel.quality_codes import Quality, quality_name
from wattkeeper.formats.api import Int32s, Int64s, IntervalBlock, LossList

Key = tuple[str, str, str, str, int]


def key_of(block: IntervalBlock) -> Key:
    """Return what tells a block from the others of a file."""
    return block.usage_point, block.meter_serial, block.channel, block.unit, block.interval_s


def kinds_of(block: IntervalBlock) -> tuple[list[tuple[Quality, str]], Int64s]:
    """Return each quality and note that occurs, and which of them each interval has, shape (n,)."""
    used, place = np.unique(block.kind_index, return_inverse=True)
    kinds = [
        (Quality(Provenance(provenance), Flag(flags), Method(method)), block.notes[note])
        for provenance, flags, method, note in block.kinds[used].tolist()
    ]
    return kinds, place


def table_of(kinds: Sequence[tuple[Quality, str]]) -> tuple[Int64s, tuple[str, ...]]:
    """Return `kinds` and `notes` of a block whose `kind_index` says which of some kinds each interval has."""
    notes = {note: at for at, note in enumerate(dict.fromkeys(["", *[note for _quality, note in kinds]]))}
    rows = [(*[int(part) for part in quality], notes[note]) for quality, note in kinds]
    return np.array(rows, dtype=np.int64).reshape(-1, 4), tuple(notes)


def kind_columns(
    kinds: Sequence[tuple[Quality, str]], place: Sequence[int] | Int64s
) -> tuple[Int32s, Int64s, tuple[str, ...]]:
    """Return `kind_index`, `kinds` and `notes` of a block; `place` says which kind each interval has."""
    unlike = {kind: at for at, kind in enumerate(dict.fromkeys(kinds))}
    index = np.array([unlike[kind] for kind in kinds], dtype=np.int32)
    return index[np.asarray(place, dtype=np.int64)], *table_of(list(unlike))


def quality_columns(provenance: Int64s, flags: Int64s, method: Int64s) -> tuple[Int32s, Int64s]:
    """Return `kind_index` and `kinds` of a block without notes, from what each interval has, shape (n,).

    Flags that a later release has set, before it was rolled back, are left out.
    """
    sizes = (len(Provenance), 2 * max(Flag), len(Method), 1)
    known = flags & (sizes[1] - 1)
    codes = np.ravel_multi_index((provenance, known, method, np.zeros_like(flags)), sizes)
    unlike, place = np.unique(codes, return_inverse=True)
    return place.astype(np.int32), np.stack(np.unravel_index(unlike, sizes), axis=1)


def make_block(
    key: Key,
    starts_at_s: Sequence[int] | Int64s,
    value_milli: Sequence[int] | Int64s,
    kinds: Sequence[tuple[Quality, str]],
    place: Sequence[int] | Int64s,
) -> IntervalBlock:
    """Return a block in time order from columns of like length; `place` says which kind each interval has.

    Of intervals that start at one instant the first stays.
    """
    at_s = np.asarray(starts_at_s, dtype=np.int64)
    order = np.argsort(at_s, kind="stable")
    order = order[np.diff(at_s[order], prepend=np.iinfo(np.int64).min) != 0] if len(order) else order
    where = np.asarray(place, dtype=np.int64)[order]
    values = np.asarray(value_milli, dtype=np.int64)[order]
    return IntervalBlock(*key, at_s[order], values, *kind_columns(kinds, where))


def join_like(blocks: Sequence[IntervalBlock], losses: LossList) -> list[IntervalBlock]:
    """Return blocks of unlike keys, in the order these came: the files of an archive may tell one in parts.

    Of intervals that are told again the first stays; where the other is not the same, that is a loss.
    """
    like: dict[Key, list[IntervalBlock]] = {}
    for block in blocks:
        like.setdefault(key_of(block), []).append(block)
    return [_joined(some, losses) if len(some) > 1 else some[0] for some in like.values()]


def _joined(blocks: Sequence[IntervalBlock], losses: LossList) -> IntervalBlock:
    kinds: dict[tuple[Quality, str], int] = {}
    places = []
    for block in blocks:
        own, place = kinds_of(block)
        places.append(np.array([kinds.setdefault(kind, len(kinds)) for kind in own], dtype=np.int64)[place])
    columns = [
        np.concatenate([getattr(block, name) for block in blocks]) for name in ("starts_at_s", "value_milli")
    ]
    at_s, value, kind = *columns, np.concatenate(places)
    order = np.argsort(at_s, kind="stable")
    is_again = np.diff(at_s[order], prepend=np.iinfo(np.int64).min) == 0
    first = order[np.maximum.accumulate(np.where(is_again, 0, np.arange(len(order))))]
    is_unlike = (value[order] != value[first]) | (kind[order] != kind[first])
    if is_unlike.any():
        names = {"usage_point": blocks[0].usage_point, "channel": blocks[0].channel}
        losses.add("formats.told-unlike", int(is_unlike.sum()), **names)
    modulus_milli = max(block.modulus_milli for block in blocks)
    joined = make_block(key_of(blocks[0]), at_s, value, list(kinds), kind)
    step_milli = min((block.step_milli for block in blocks if block.step_milli), default=0)
    return replace(joined, modulus_milli=modulus_milli, step_milli=step_milli)


def rows_of(
    blocks: Iterable[IntervalBlock], *, has_notes: bool = True
) -> set[tuple[Key, int, int, Quality, str]]:
    """Return all that blocks say as a set of intervals: two files that hold the same are equal here."""
    found = set()
    for block in blocks:
        kinds, place = kinds_of(block)
        for at_s, value, index in zip(
            block.starts_at_s.tolist(), block.value_milli.tolist(), place.tolist(), strict=True
        ):
            quality, note = kinds[index]
            found.add((key_of(block), at_s, value, quality, note if has_notes else ""))
    return found


def to_texts(value_milli: Int64s, exponent: int, step_milli: int = 0) -> list[str]:
    """Return exact decimal texts of ``value / 10**exponent``, without zeros that say nothing.

    Behind the point that of a register's `step_milli` says something: it is where the last digit stands.
    """
    least = exponent + 1 - len(str(step_milli)) if step_milli else 0
    if least > 0:
        return [_with_decimals(text, least) for text in to_texts(value_milli, exponent)]
    if exponent == 0:
        return [str(value) for value in value_milli.tolist()]
    whole = np.abs(value_milli) // 10**exponent  # also of Python's own integers, which divmod does not take
    rest = np.abs(value_milli) - whole * 10**exponent
    signs = np.where(value_milli < 0, "-", "").tolist()
    return [
        f"{sign}{w}.{r:0{exponent}d}".rstrip("0") if r else f"{sign}{w}"
        for sign, w, r in zip(signs, whole.tolist(), rest.tolist(), strict=True)
    ]


def _with_decimals(text: str, least: int) -> str:
    whole, _point, decimals = text.partition(".")
    return f"{whole}.{decimals.ljust(least, '0')}"


def newest_end(blocks: Iterable[IntervalBlock]) -> datetime:
    """Return when the last interval ends, in UTC: a file without any is as old as time."""
    ends = [int(block.starts_at_s.max()) + block.interval_s for block in blocks if len(block.starts_at_s)]
    return from_seconds(max(ends, default=0))


def note_folding(losses: LossList, quality: Quality, held: Quality | None, count: int) -> None:
    """Note a quality that the format can only say as another one."""
    if held != quality and count:
        name = quality_name(held) if held is not None else "-"
        losses.add("formats.quality-folded", count, quality=quality_name(quality), held_as=name)
