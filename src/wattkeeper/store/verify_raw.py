"""Reads and frames against the receipts of the batches that they came in, and their stamps.

A batch is stored in steps: frames, receipts, reads. What does not agree is asked for once more, so that
nothing is told of a batch that was in between.
"""

import time
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from wattkeeper.store import verify_queries
from wattkeeper.store.mixing import MASK
from wattkeeper.store.verify import Check, SqlStore, instant, span
from wattkeeper.store.windows import month_span

STAMP_AHEAD_MAX_S = 600
_SETTLES_WITHIN_S = 0.5  # a batch that was begun is stored so long after it, as a rule
IDS_COUNT = 3000  # of batches; a question names each three times, in 21 bytes: below the engine's 256 KiB
_READ_KEY = ("tenant_id", "batch_id", "month")
_FRAME_KEY = ("tenant_id", "batch_id")
_SUMS = ("reads_count", "reads_mix")
_EXTENT = ("first_channel_id", "last_channel_id", "first_at_s", "last_at_s")
_NOTHING = {"reads_count": 0, "reads_mix": 0}
Rows = dict[tuple[int, ...], dict[str, Any]]


def check_batches(store: SqlStore, check: Check, away: Mapping[str, Set[int]]) -> None:
    """Every read that a receipt says was stored is there, and is the same."""
    left_out = away["raw_receipt"] | away["raw_read"]
    found, receipts = read_batches(store, None)
    check.examined_count = sum(row["reads_count"] for row in _kept(check, receipts, left_out).values())
    _kept(check, found, left_out)
    doubted = [key for key in found.keys() | receipts.keys() if not agree(found.get(key), receipts.get(key))]
    if doubted:
        again, receipts_again = read_batches(store, _settled(key[1] for key in doubted))
        found, receipts = found | again, receipts | receipts_again
    for key in sorted(doubted):
        if key[2] in left_out or agree(found.get(key), receipts.get(key)):
            continue
        if key in receipts:
            _tell_batch(store, check, key, receipts[key], found.get(key, _NOTHING))
        else:
            place = _batch_place(key, found[key])
            check.fault("verify.batch-unknown", found=found[key]["reads_count"], **place)


def find_half(store: SqlStore, batch_ids: Sequence[int]) -> Rows:
    """Return what is held of batches, by month, that surely lack reads or frames, or have frames only.

    What may stand under another batch is not lacking.
    """
    found, receipts = read_batches(store, batch_ids)
    frames = _grouped(store.select(verify_queries.frames(batch_ids)).to_pylist(), _FRAME_KEY)
    half = {key[1] for key, told in receipts.items() if _is_short(store, key, told, found.get(key, _NOTHING))}
    half |= {
        key[1] for key, row in frames.items() if _is_half_framed(row["found_count"], row["wanted_count"])
    }
    months = {(*key, row["month"]) for key, row in frames.items()} | receipts.keys()
    held = dict.fromkeys(months, _NOTHING) | found
    return {key: row for key, row in held.items() if key[1] in half}


def _is_short(
    store: SqlStore, key: tuple[int, ...], wanted: Mapping[str, Any], held: Mapping[str, Any]
) -> bool:
    is_less = held["reads_count"] < wanted["reads_count"]
    return is_less and _are_elsewhere(store, key, wanted, held) is False


def _is_half_framed(found_count: int, wanted_count: int) -> bool:
    return found_count < wanted_count or wanted_count == 0 < found_count


def read_batches(store: SqlStore, batch_ids: Sequence[int] | None) -> tuple[Rows, Rows]:
    """Return reads and receipts by batch and month; receipts, which are stored first, are asked for last."""
    questions = (verify_queries.batches(batch_ids), verify_queries.receipts(batch_ids))
    found, receipts = (store.select(question).to_pylist() for question in questions)
    return _grouped(found), _grouped(receipts)


def _settled(batch_ids: Iterable[int]) -> Sequence[int]:
    """Return batches to be asked for again, once what was begun of them is stored: no more are begun."""
    time.sleep(_SETTLES_WITHIN_S)
    return sorted(set(batch_ids))[:IDS_COUNT]


def agree(held: Mapping[str, Any] | None, wanted: Mapping[str, Any] | None) -> bool:
    """Whether what is held is what receipts say, neither of them nothing."""
    return (
        held is not None
        and wanted is not None
        and all(held[name] == wanted[name] for name in (*_SUMS, *_EXTENT))
    )


def _tell_batch(
    store: SqlStore, check: Check, key: tuple[int, ...], wanted: Mapping[str, Any], held: Mapping[str, Any]
) -> None:
    """Note what is wrong with a batch that does not agree with its receipts."""
    missing, place = wanted["reads_count"] - held["reads_count"], _batch_place(key, wanted)
    if all(held[name] == wanted[name] for name in _SUMS):
        check.fault("verify.receipt-changed", **_batch_place(key, held))
    elif missing <= 0:
        check.fault("verify.batch-changed", **place)
    else:
        is_elsewhere = _are_elsewhere(store, key, wanted, held)
        if is_elsewhere is None:
            check.cannot("verify.batch-redelivered", missing=missing, **place)
        elif not is_elsewhere:
            check.fault("verify.batch-short", missing=missing, of=wanted["reads_count"], **place)


def _are_elsewhere(
    store: SqlStore, key: tuple[int, ...], wanted: Mapping[str, Any], held: Mapping[str, Any]
) -> bool | None:
    """Whether what a batch is short of stands under other batches, None where that can't be told.

    Re-deliveries replace one another: all that lies there, or all of one batch, or one read, adds up to it.
    """
    missing = wanted["reads_count"] - held["reads_count"]
    missing_mix = (wanted["reads_mix"] - held["reads_mix"]) & MASK
    rows = store.select(verify_queries.others(key, wanted, missing_mix)).to_pylist()
    if any((row["reads_count"], row["reads_mix"]) == (missing, missing_mix) for row in rows):
        return True
    count = max((row["reads_count"] for row in rows), default=0)
    if count <= missing:
        return False
    return any(row["alike"] for row in rows) if missing == 1 else None


def _kept(check: Check, rows: Rows, left_out: Set[int]) -> Rows:
    """Return the rows of months that are not left out, and note which of the others there are."""
    _tell_away(check, left_out & {row["month"] for row in rows.values()})
    return {key: row for key, row in rows.items() if row["month"] not in left_out}


def _tell_away(check: Check, months: Iterable[int]) -> None:
    for month in sorted(months):
        from_s, to_s = month_span(month)
        check.cannot("verify.archived", **{"from": instant(from_s), "to": instant(to_s)})


def _grouped(rows: Iterable[dict[str, Any]], names: Sequence[str] = _READ_KEY) -> Rows:
    return {tuple(row[name] for name in names): row for row in rows}


def _batch_place(key: tuple[int, ...], row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "tenant_id": key[0],
        "batch_id": key[1],
        "month": key[2],
        "first_channel_id": row["first_channel_id"],
        "last_channel_id": row["last_channel_id"],
        "from": instant(row["first_at_s"]),
        "to": instant(row["last_at_s"]),
    }


def check_frames(store: SqlStore, check: Check, away: Mapping[str, Set[int]]) -> None:
    """Every frame that came is there as it came, and every read that names one leads to it.

    A frame lies in the month in which it came. Where the receipt that says so is archived, nobody knows it.
    """

    def ask(batch_ids: Sequence[int] | None) -> Rows:
        rows = store.select(verify_queries.frames(batch_ids)).to_pylist()
        is_unknown = bool(away["raw_receipt"])
        return _grouped((row for row in rows if row["month"] or not is_unknown), _FRAME_KEY)

    rows, left_out = ask(None), away["raw_frame"]
    _tell_away(check, left_out & {row["month"] for row in rows.values()})
    rows = {key: row for key, row in rows.items() if row["month"] not in left_out}
    check.examined_count = sum(row["wanted_count"] for row in rows.values())
    doubted = [key for key, row in rows.items() if _frames_fault(row) or row["lost"]]
    if doubted:
        rows |= ask(_settled(key[1] for key in doubted))
    for key in sorted(doubted):
        row, place = rows[key], dict(zip(_FRAME_KEY, key, strict=True))
        if code := _frames_fault(row):
            check.fault(code, found=row["found_count"], of=row["wanted_count"], **place)
        for frame_index in row["lost"]:
            (reads,) = store.select(verify_queries.naming(tuple(place.values()), frame_index)).to_pylist()
            check.fault(
                "verify.frame-named",
                frame_index=frame_index,
                reads=reads.pop("reads_count"),
                first_channel_id=reads["first_channel_id"],
                last_channel_id=reads["last_channel_id"],
                **span(reads),
                **place,
            )


def _frames_fault(row: Mapping[str, Any]) -> str:
    """Return the code of what is wrong with a batch's frames, empty where nothing is."""
    if row["found_count"] != row["wanted_count"]:
        return "verify.frames-missing" if row["wanted_count"] else "verify.frames-unknown"
    if row["found_count"] and row["wanted_mix"] not in (row["found_mix"], row["earlier_mix"]):
        return "verify.frames-changed"
    return ""


def check_stamps(store: SqlStore, check: Check, now_s: int) -> None:
    """No read is later than it came, unless its clock was known to be wrong; no value is of the future."""
    row = store.select(verify_queries.ALL_COUNTS).to_pylist()[0]
    check.examined_count = row["reads"] + row["measured"]
    for late in store.select(verify_queries.late_reads(STAMP_AHEAD_MAX_S)).to_pylist():
        check.fault(
            "verify.stamp-future",
            tenant_id=late["tenant_id"],
            channel_id=late["channel_id"],
            at=instant(late["at_s"]),
            received=instant(late["received_at_s"]),
        )
    for late in store.select(verify_queries.late_receipts(now_s + STAMP_AHEAD_MAX_S)).to_pylist():
        check.fault(
            "verify.receipt-future",
            tenant_id=late["tenant_id"],
            batch_id=late["batch_id"],
            received=instant(late["at_s"]),
        )
    for late in store.select(verify_queries.late_values(now_s)).to_pylist():
        check.fault(
            "verify.value-future",
            tenant_id=late["tenant_id"],
            series_id=late["series_id"],
            at=instant(late["at_s"]),
        )
