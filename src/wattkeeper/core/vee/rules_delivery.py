"""Validation rules over what a device or file delivered, before anything is derived from it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wattkeeper.core.kernel.findings import Finding
from wattkeeper.core.kernel.quality import Flag
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.vee.ranks import rank_all
from wattkeeper.core.vee.table import Mask, find_long_runs

FAILING_FLAGS = int(Flag.SUSPECT | Flag.CLOCK_INVALID)
CHANGE_PCT = 10
MEASURED_RANK = 4

Texts = NDArray[np.str_]


@dataclass(frozen=True, slots=True, eq=False)
class Deliveries:
    """Reads of many channels as delivered, one element each, shape (reads,): counts, `Flag` sets, `Source`.

    `source` None: all of one.
    """

    channel_id: Int64s
    measured_at_s: Int64s
    value: Int64s
    flags: NDArray[np.signedinteger[Any]]
    source: NDArray[np.signedinteger[Any]] | None = None

    def take(self, rows: "NDArray[np.intp] | Mask") -> "Deliveries":
        """Return the reads at some places, or of a mask."""
        source = None if self.source is None else self.source[rows]
        return Deliveries(
            self.channel_id[rows], self.measured_at_s[rows], self.value[rows], self.flags[rows], source
        )

    def finding(self, rule: str, chosen: NDArray[np.intp], **evidence: int | str) -> Finding:
        """Return a finding over the reads at the places `chosen`, all of one channel."""
        at_s = self.measured_at_s[chosen]
        return Finding(
            rule,
            starts_at_s=int(at_s.min()),
            ends_at_s=int(at_s.max()) + 1,
            evidence=evidence,
            channel_id=int(self.channel_id[chosen[0]]),
        )

    def by_channel(self, chosen: Mask) -> list[NDArray[np.intp]]:
        """Return the places of a mask, one array for each channel that has any."""
        places = np.flatnonzero(chosen)
        places = places[np.argsort(self.channel_id[places], kind="stable")]
        if not len(places):
            return []
        return np.split(places, np.flatnonzero(np.diff(self.channel_id[places])) + 1)


def find_repeats(reads: Deliveries) -> tuple[Mask, list[Finding]]:
    """V01 ``vee.duplicate``: return which reads to keep, and one finding for each channel with repeats.

    Oracle Duplicate IMD: same channel, source, instant and value is dropped, all but the first: a freeze and
    a profile that say the same are two witnesses. A different value is kept: rule V15 chooses.
    """
    source = np.zeros(len(reads.value), dtype=np.int8) if reads.source is None else reads.source
    order = np.lexsort((source, reads.value, reads.measured_at_s, reads.channel_id))
    columns = (reads.channel_id[order], reads.measured_at_s[order], reads.value[order], source[order])
    is_same = np.zeros(len(order), dtype=np.bool_)
    is_same[1:] = np.logical_and.reduce([column[1:] == column[:-1] for column in columns])
    is_kept = np.ones(len(order), dtype=np.bool_)
    is_kept[order[is_same]] = False
    findings = [
        reads.finding("vee.duplicate", places, read_count=len(places))
        for places in reads.by_channel(~is_kept)
    ]
    return is_kept, findings


def find_wrong_identities(reads: Deliveries, *, expected: Texts, answered: Texts) -> list[Finding]:
    """V04 ``vee.identity``: the serial number or address in the answer is not the one that was asked.

    California "meter identification". Texts of shape (reads,); an empty answer carries no identity. One
    finding for each channel and identity that answered.
    """
    is_other = (answered != "") & (answered != expected)
    findings = []
    for places in reads.by_channel(is_other):
        for identity in np.unique(answered[places]).tolist():
            own = places[answered[places] == identity]
            findings.append(
                reads.finding(
                    "vee.identity",
                    own,
                    expected=str(expected[own[0]]),
                    answered=identity,
                    read_count=len(own),
                )
            )
    return findings


def find_device_faults(reads: Deliveries, *, failing_flags: int = FAILING_FLAGS) -> list[Finding]:
    """V05 ``vee.device-status``: the device says itself that its values are not valid.

    IEC 61968-9 categories 1 and 4: test mode, overflow, parity, CRC, reset, low battery, clock invalid. Each
    driver maps its bits to `Flag`; `failing_flags` are SUSPECT and CLOCK_INVALID by default. One finding for
    each run of such reads of a channel.
    """
    findings = []
    for places in reads.by_channel(np.ones(len(reads.value), dtype=np.bool_)):
        own = places[np.argsort(reads.measured_at_s[places], kind="stable")]
        is_bad = (reads.flags[own] & failing_flags) != 0
        for _, first, end in find_long_runs(is_bad[np.newaxis], 1):
            run = own[first:end]
            flags = int(np.bitwise_or.reduce(reads.flags[run])) & failing_flags
            findings.append(reads.finding("vee.device-status", run, flags=flags, read_count=len(run)))
    return findings


def find_wrong_multipliers(
    reads: Deliveries,
    *,
    told_numerator: Int64s,
    told_denominator: Int64s,
    known_numerator: Int64s,
    known_denominator: Int64s,
) -> list[Finding]:
    """V17 ``vee.multiplier``: the multiplier in a message is not the registered one.

    Oracle Multiplier Check; AEMO reason 100. Fractions of shape (reads,); a told denominator of 0 means that
    the message names none. One finding for each channel.
    """
    is_wrong = (told_denominator != 0) & (
        told_numerator * known_denominator != known_numerator * told_denominator
    )
    return [
        reads.finding(
            "vee.multiplier",
            places,
            told=f"{told_numerator[places[0]]}/{told_denominator[places[0]]}",
            known=f"{known_numerator[places[0]]}/{known_denominator[places[0]]}",
            read_count=len(places),
        )
        for places in reads.by_channel(is_wrong)
    ]


def find_wrong_units(reads: Deliveries, *, told: Texts, known: Texts) -> list[Finding]:
    """V18 ``vee.unit``: the unit of a message is not the channel's (Oracle UOM check); empty: none told."""
    return [
        reads.finding(
            "vee.unit",
            places,
            told=str(told[places[0]]),
            known=str(known[places[0]]),
            read_count=len(places),
        )
        for places in reads.by_channel((told != "") & (told != known))
    ]


def find_doubtful_replacements(
    reads: Deliveries,
    *,
    old_value: Int64s,
    old_provenance: Int64s,
    old_flags: Int64s,
    new_provenance: Int64s,
    change_pct: int = CHANGE_PCT,
) -> tuple[Mask, list[Finding]]:
    """V15 ``vee.replacement``: return which new values to take at once, and the ones to be reviewed.

    Oracle Final Measurement Replacement: taken where the rank is not lower and, for a value of the same rank,
    where it differs by at most `change_pct` (default 10); an estimate gives way to any measured value. What
    an edit or a verified value holds against a different measured one is a finding, one for each read. A
    value of lower rank is dropped in silence. Arrays of shape (reads,).
    """
    old_rank, new_rank = rank_all(old_provenance, old_flags), rank_all(new_provenance, reads.flags)
    is_same = reads.value == old_value
    change = np.abs(reads.value - old_value) * 100
    is_close = change <= np.abs(old_value) * change_pct
    is_higher = new_rank > old_rank
    is_taken = is_same | is_higher | ((new_rank == old_rank) & is_close)
    is_measured_anew = new_rank >= MEASURED_RANK
    is_doubtful = ~is_taken & is_measured_anew
    findings = [
        reads.finding(
            "vee.replacement",
            np.array([place]),
            old_value=int(old_value[place]),
            value=int(reads.value[place]),
            old_rank_code=int(old_rank[place]),
            rank_code=int(new_rank[place]),
        )
        for place in np.flatnonzero(is_doubtful).tolist()
    ]
    return is_taken, findings
