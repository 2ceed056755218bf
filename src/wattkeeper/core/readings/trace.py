"""The knots of a whole series: installations joined through exchanges, positions at boundaries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.reads import Int64s, ReadColumns
from wattkeeper.core.readings.between import Between, by_time
from wattkeeper.core.readings.facts import InstallationFact
from wattkeeper.core.readings.knots import Knots, join_knots, no_knots
from wattkeeper.core.readings.positions import Limits, trace_installation
from wattkeeper.core.readings.resets import Part, cut_at_resets, describe_reset
from wattkeeper.core.readings.settle import is_untrusted, take

CUT_READ_SLACK_S = (
    300  # a removal or installation read this close to the instant still serves, as an estimate
)
FAR_S = 86_400  # reads farther apart than this are no polling of intervals


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """One installation's knots, with one at its start and its end where a read allows it."""

    installation: Part
    knots: Knots
    is_start_known: bool
    is_end_known: bool


def trace_series(
    installations: Sequence[InstallationFact],
    reads: Mapping[int, ReadColumns],
    limits: Limits,
    boundaries: Int64s,
    between: Between = by_time,
) -> tuple[Knots, list[Finding]]:
    """Return the knots of all `installations`, on common chains wherever an exchange was read on both sides.

    An exchange without a read at, or within 300 s of, removal or installation breaks the chain, since nobody
    knows what was used between; with a read beside the instant the cut is an estimate. Both are
    ``readings.exchange-read-missing`` findings where they lie between the first and last of `boundaries`.
    While no channel is installed the position stands still. A told reset of a register is an exchange of the
    register by itself, and a ``readings.register-reset`` finding. Untrusted reads are none.
    """
    findings: list[Finding] = []
    pieces = []
    trusted = {channel_id: take(own, ~is_untrusted(own.flags)) for channel_id, own in reads.items()}
    parts = [part for each in installations for part in cut_at_resets(each, trusted.get(each.channel_id))]
    for installation, own in parts:
        if own is None:
            pieces.append(_Piece(installation, no_knots(), is_start_known=False, is_end_known=False))
            continue
        knots, found = trace_installation(installation, own, limits, between)
        pieces.append(_anchor(installation, knots))
        findings += found
    findings += _find_unread_exchanges(pieces, int(boundaries[0]), int(boundaries[-1]))
    pieces = _chain_up(pieces)
    knots = join_knots([no_knots(), *(piece.knots for piece in pieces), *_fill_holes(pieces, boundaries)])
    return knots, findings


def _anchor(installation: Part, knots: Knots) -> _Piece:
    starts_at_s, ends_at_s = installation.starts_at_s, installation.ends_at_s
    if not len(knots):
        return _Piece(installation, knots, is_start_known=False, is_end_known=False)
    parts = [knots]
    is_start_known = int(knots.at_s[0]) - starts_at_s <= CUT_READ_SLACK_S
    if is_start_known and knots.at_s[0] > starts_at_s:
        parts.append(knots.at(0, np.array([starts_at_s], dtype=np.int64), is_exact=False))
    is_end_known = ends_at_s is not None and ends_at_s - int(knots.at_s[-1]) <= CUT_READ_SLACK_S
    if is_end_known and knots.at_s[-1] < ends_at_s:
        parts.append(knots.at(len(knots) - 1, np.array([ends_at_s], dtype=np.int64), is_exact=False))
    return _Piece(installation, join_knots(parts), is_start_known, is_end_known)


def _find_unread_exchanges(pieces: list[_Piece], from_s: int, to_s: int) -> list[Finding]:
    findings = []
    for old, new in pairwise(pieces):
        removed_at_s, installed_at_s = old.installation.ends_at_s, new.installation.starts_at_s
        if removed_at_s is None or not (from_s <= removed_at_s and installed_at_s <= to_s):
            continue
        if new.installation.after is not None:
            findings.append(describe_reset(new.installation.channel_id, new.installation.after))
            continue
        is_old_read = old.is_end_known and bool(old.knots.is_exact[-1])
        is_new_read = new.is_start_known and bool(new.knots.is_exact[0])
        if not (is_old_read and is_new_read):
            evidence: dict[str, int | str] = {
                "new_channel_id": new.installation.channel_id,
                "is_removal_read": int(is_old_read),
                "is_installation_read": int(is_new_read),
                "is_estimated": int(old.is_end_known and new.is_start_known),
            }
            findings.append(
                Finding(
                    "readings.exchange-read-missing",
                    removed_at_s,
                    max(installed_at_s, removed_at_s + 1),
                    evidence,
                    channel_id=old.installation.channel_id,
                )
            )
    return findings


def _chain_up(pieces: list[_Piece]) -> list[_Piece]:
    """Number chains and stretches through the series and let joined positions go on where the last ended."""
    chained: list[_Piece] = []
    last = None
    chain, stretch, rollover = 0, 0, 0
    for piece in pieces:
        knots = piece.knots
        if len(knots):
            is_joined = last is not None and last.is_end_known and piece.is_start_known
            if is_joined and last is not None:
                ends_at_milliwh = int(last.knots.position_milliwh[-1])
                knots = knots.shifted(position_milliwh=ends_at_milliwh - int(knots.position_milliwh[0]))
            rollover -= int(knots.rollover[0])
            knots = knots.shifted(chain=chain - is_joined, stretch=stretch, rollover=rollover)
            chain, rollover = int(knots.chain[-1]) + 1, int(knots.rollover[-1])
            stretch += 2 * len(piece.installation.multipliers)
        last = _Piece(piece.installation, knots, piece.is_start_known, piece.is_end_known)
        chained.append(last)
    return chained


def _fill_holes(pieces: list[_Piece], boundaries: Int64s) -> list[Knots]:
    """Return a knot at each boundary where no channel was installed and the position is known."""
    filled = []
    for i, piece in enumerate(pieces):
        ends_at_s = piece.installation.ends_at_s
        starts_at_s = piece.installation.starts_at_s
        if ends_at_s is not None and piece.is_end_known:
            next_at_s = (
                pieces[i + 1].installation.starts_at_s if i + 1 < len(pieces) else int(boundaries[-1]) + 1
            )
            inside = boundaries[(boundaries > ends_at_s) & (boundaries < next_at_s)]
            last = len(piece.knots) - 1
            stretch = int(piece.knots.stretch[last]) + 1
            filled.append(piece.knots.at(last, inside, is_exact=True, stretch=stretch))
        is_before_known = i > 0 and pieces[i - 1].is_end_known
        if piece.is_start_known and not is_before_known:
            before_at_s = pieces[i - 1].installation.ends_at_s if i else int(boundaries[0]) - 1
            inside = boundaries[(boundaries > (before_at_s or 0)) & (boundaries < starts_at_s)]
            stretch = int(piece.knots.stretch[0]) - 1
            filled.append(piece.knots.at(0, inside, is_exact=True, stretch=stretch))
    return filled


def add_boundaries(knots: Knots, boundaries: Int64s, interval_s: int) -> Knots:
    """Return `knots` with interpolated ones at boundaries beside reads that lie off the grid.

    Interpolated are boundaries between two reads of one stretch at most one interval apart, and those less
    than an interval from a read (E7): so each read off the grid, polled or by hand, begins and ends what is
    estimated beside it. The reads of an exchange, a reset or a multiplier change do so only where the next
    read is more than a day away, or none beyond them within a day: else reads on the grid know exactly what
    all of it took, and theirs are cuts of that gap.
    """
    if not len(knots):
        return knots
    after = np.searchsorted(knots.at_s, boundaries, side="left")
    is_open = (after > 0) & (after < len(knots))
    after = np.where(is_open, after, 1 if len(knots) > 1 else 0)
    before = np.maximum(after - 1, 0)
    is_open &= (knots.at_s[after] != boundaries) & (knots.stretch[before] == knots.stretch[after])
    is_open &= knots.chain[before] == knots.chain[after]
    is_cut = (knots.stretch[1:] != knots.stretch[:-1]) & (knots.chain[1:] == knots.chain[:-1])
    apart_s = knots.at_s[after] - knots.at_s[before]
    begins, ends = np.concatenate(([False], is_cut)), np.concatenate((is_cut, [False]))
    plain = knots.take(np.flatnonzero(~begins & ~ends))
    is_told = apart_s <= interval_s
    for knot, is_of_cut, step_s in ((before, begins, -interval_s), (after, ends, interval_s)):
        counts = ~is_of_cut[knot] | (apart_s > FAR_S)
        counts |= ~_has_within_day(plain, knots.chain[before], boundaries, step_s)
        is_told |= counts & (np.abs(knots.at_s[knot] - boundaries) < interval_s)
    places = np.flatnonzero(is_open & is_told)
    if not len(places):
        return knots
    return join_knots([knots, _interpolate(knots, before[places], after[places], boundaries[places])])


def _has_within_day(knots: Knots, chain: Int64s, at_s: Int64s, step_s: int) -> NDArray[np.bool_]:
    """Return at which instants there is a knot of a chain a step away or farther, but less than a day."""
    if not len(knots):
        return np.zeros(len(at_s), dtype=np.bool_)
    place = np.searchsorted(knots.at_s, at_s + step_s, side="left" if step_s > 0 else "right") - (step_s < 0)
    nearest = np.clip(place, 0, len(knots) - 1)
    is_near = np.abs(knots.at_s[nearest] - at_s) < FAR_S
    result: NDArray[np.bool_] = is_near & (place == nearest) & (knots.chain[nearest] == chain)
    return result


def _interpolate(knots: Knots, before: Int64s, after: Int64s, at_s: Int64s) -> Knots:
    """Return inexact knots at `at_s`, on straight lines between the knots `before` and `after`."""
    left = knots.take(before)
    rise = knots.position_milliwh[after] - left.position_milliwh
    span_s = knots.at_s[after] - left.at_s
    elapsed_s = at_s - left.at_s
    whole, rest = np.divmod(rise, span_s)
    position = left.position_milliwh + whole * elapsed_s + rest * elapsed_s // span_s
    nothing = np.zeros_like(at_s)
    return Knots(at_s, position, left.chain, nothing, left.stretch, left.rollover, nothing)
