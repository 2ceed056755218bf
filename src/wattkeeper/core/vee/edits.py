"""A person's edit: an input beside the raw reads, never a row written over another.

An edit names the measured value that it rejects, interval by interval. It holds until it is withdrawn or a
different value that nothing speaks against is measured; then the measured value stands and a finding says so.
What an interval takes on of the remainders of its day is a milliwatt-hour less or more once another interval
of the day comes: that is no different value.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.findings import Finding, decided_by
from wattkeeper.core.kernel.quality import Flag, Method, Provenance
from wattkeeper.core.kernel.reads import Int64s
from wattkeeper.core.readings.intervals import Gap, Intervals
from wattkeeper.core.readings.rest import find_rest
from wattkeeper.core.vee.apportion import apportion
from wattkeeper.core.vee.reasons import FREE_TEXT, REASON_CODES
from wattkeeper.core.vee.table import Mask, iter_runs

ENERGY_MAX_MILLIWH = 10**15  # of an interval: what 3 200 of them change is still a whole number of 64 bits
APPROVAL_MILLIWH = 100 * 10**6
REMAINDER_MILLIWH = 1
_OF_THE_TIME = int(Flag.POWER_LOST | Flag.DST_AMBIGUOUS)


class UnableToEdit(WattkeeperError):
    """Raised when an edit lacks what makes it one."""


@dataclass(frozen=True, slots=True)
class Edit:
    """New energy for consecutive intervals from `starts_at_s`.

    `energy_milliwh`: what shall stand; `rejected_milliwh`: the measured value that each of them rejects, None
    where nothing had been measured; `standing_milliwh`: what stood in each of them, None for nothing, empty
    where that is not asked. `reason_code` is AEMO's; code 0 needs a `reason`. `author_id` and `approver_id`
    name people. `withdrawn_at_s`: None while it holds.
    """

    edit_id: int
    starts_at_s: int
    energy_milliwh: tuple[int, ...]
    rejected_milliwh: tuple[int | None, ...]
    reason_code: int
    author_id: int
    recorded_at_s: int
    approver_id: int | None = None
    reason: str = ""
    withdrawn_at_s: int | None = None
    standing_milliwh: tuple[int | None, ...] = ()

    @property
    def changed_milliwh(self) -> int:
        """The sum of what is added to what was measured and what is taken away.

        Where nothing was measured the larger counts: what shall stand, or how far that is from what stood.
        """
        stood = self.standing_milliwh or (None,) * len(self.energy_milliwh)
        rows = zip(self.energy_milliwh, self.rejected_milliwh, stood, strict=True)
        return sum(
            abs(new - old) if old is not None else max(new, abs(new - (other or 0)))
            for new, old, other in rows
        )


def check_edit(edit: Edit, *, approval_milliwh: int = APPROVAL_MILLIWH) -> None:
    """Refuse an edit without a reason, or above the threshold without a second person.

    `approval_milliwh`: from how much changed energy on somebody else must approve; default 100 kWh.

    :raises UnableToEdit: with the first thing that is wrong
    """
    if not edit.energy_milliwh or len(edit.energy_milliwh) != len(edit.rejected_milliwh):
        raise UnableToEdit("vee.edit-length", interval_count=len(edit.rejected_milliwh))
    if min(edit.energy_milliwh) < 0:
        raise UnableToEdit("vee.edit-negative")
    if max(edit.energy_milliwh) > ENERGY_MAX_MILLIWH:
        raise UnableToEdit("vee.edit-energy", limit_kwh=ENERGY_MAX_MILLIWH // 1_000_000)
    if edit.reason_code not in REASON_CODES:
        raise UnableToEdit("vee.edit-reason", reason_code=edit.reason_code)
    if edit.reason_code == FREE_TEXT and not edit.reason.strip():
        raise UnableToEdit("vee.edit-free-text")
    if edit.approver_id == edit.author_id:
        raise UnableToEdit("vee.edit-own-approval")
    if edit.changed_milliwh >= approval_milliwh and edit.approver_id is None:
        raise UnableToEdit("vee.edit-approval", changed_milliwh=edit.changed_milliwh)


def apply_edits(
    derived: Intervals, edits: Sequence[Edit], *, as_of_s: int | None = None, has_registers: bool = False
) -> tuple[Intervals, tuple[Finding, ...]]:
    """Return the derived series with every edit that holds, and where one was overtaken.

    A pure function of a set: of two edits of one interval the later recorded one counts (then the higher id).
    `as_of_s`: only what was recorded, and not withdrawn, by then; None: now. An edited interval is EDITED,
    leaves its gap and keeps what is true of its time, a power failure say; it is overtaken where the measured
    value differs from the rejected one by more than a remainder, is not suspect and is not what the edit says
    anyway (``vee.edit-overtaken``, to be reviewed). An edit that holds decides what was told twice of its
    interval (``readings.conflict``); of a register, whose reads bound two, a noted read does.
    """
    value, rejected, has_rejected, number = _lay_out(derived, edits, as_of_s)
    is_named = number >= 0
    if not is_named.any():
        return derived, ()
    is_measured = derived.provenance == Provenance.MEASURED
    is_verified = is_measured & ((derived.flags & int(Flag.SUSPECT)) == 0)
    is_different = ~has_rejected | (np.abs(derived.value_milliwh - rejected) > REMAINDER_MILLIWH)
    is_overtaken = is_named & is_verified & is_different
    holds = is_named & ~is_overtaken
    edited = replace(
        derived,
        value_milliwh=np.where(holds, value, derived.value_milliwh),
        provenance=np.where(holds, int(Provenance.EDITED), derived.provenance),
        flags=np.where(holds, derived.flags & _OF_THE_TIME, derived.flags),
        method=np.where(holds, int(Method.NONE), derived.method),
        gaps=_without(derived, holds, value),
        findings=tuple(_decide(derived, holds, has_registers=has_registers)),
    )
    is_news = is_overtaken & (derived.value_milliwh != value)
    return edited, tuple(_overtaken(derived, is_news, value, number))


def _decide(derived: Intervals, holds: Mask, *, has_registers: bool) -> Iterator[Finding]:
    """Yield the findings, those that an edit decides with that in their evidence."""
    for finding in derived.findings:
        place = int(np.searchsorted(derived.starts_at_s, finding.starts_at_s, side="right")) - 1
        is_asked = finding.rule == "readings.conflict" and not has_registers
        if is_asked and place >= 0 and holds[place]:
            yield replace(finding, evidence={**finding.evidence, **decided_by("edit")})
        else:
            yield finding


def _lay_out(
    derived: Intervals, edits: Sequence[Edit], as_of_s: int | None
) -> tuple[Int64s, Int64s, Mask, Int64s]:
    """Return by interval: energy, rejected energy, whether there is one, and the edit's id or -1."""
    size = len(derived)
    value, rejected = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    has_rejected, number = np.zeros(size, dtype=np.bool_), np.full(size, -1, dtype=np.int64)
    for edit in sorted(edits, key=lambda each: (each.recorded_at_s, each.edit_id)):
        if not _is_in_force(edit, as_of_s):
            continue
        starts_at_s = edit.starts_at_s + derived.interval_s * np.arange(len(edit.energy_milliwh))
        at = np.searchsorted(derived.starts_at_s, starts_at_s)
        inside = at < size
        inside[inside] = derived.starts_at_s[at[inside]] == starts_at_s[inside]
        places = at[inside]
        old = np.array([-1 if each is None else each for each in edit.rejected_milliwh], dtype=np.int64)
        has_old = np.array([each is not None for each in edit.rejected_milliwh], dtype=np.bool_)
        value[places] = np.array(edit.energy_milliwh, dtype=np.int64)[inside]
        rejected[places], has_rejected[places] = old[inside], has_old[inside]
        number[places] = edit.edit_id
    return value, rejected, has_rejected, number


def _is_in_force(edit: Edit, as_of_s: int | None) -> bool:
    if as_of_s is None:
        return edit.withdrawn_at_s is None
    return edit.recorded_at_s <= as_of_s and (edit.withdrawn_at_s is None or edit.withdrawn_at_s > as_of_s)


def _without(derived: Intervals, holds: Mask, value: Int64s) -> tuple[Gap, ...]:
    """Return the gaps without their edited intervals.

    What registers bracket keeps the rest of its energy, each side of a cut its own, by length where edits cut
    it in pieces; where the edits say more than the registers advanced, nothing is known of the rest.
    """
    left: list[Gap] = []
    for gap in derived.gaps:
        inside = slice(gap.first_index, gap.end_index)
        if not holds[inside].any():
            left.append(gap)
            continue
        parts = find_rest(gap, holds[inside], value[inside], derived.interval_s) if gap.cuts else None
        if parts is not None:
            left += parts
            continue
        runs = [(first, end) for _, first, end in iter_runs(~holds[np.newaxis, inside])]
        energies: Sequence[int | None] = [None] * len(runs)
        if gap.energy_milliwh is not None and runs:
            rest = gap.energy_milliwh - int(value[inside][holds[inside]].sum())
            energies = apportion([end - first for first, end in runs], rest) if rest >= 0 else energies
        left += [
            Gap(gap.first_index + first, gap.first_index + end, energy, gap.is_exact and energy is not None)
            for (first, end), energy in zip(runs, energies, strict=True)
        ]
    return tuple(left)


def _overtaken(derived: Intervals, is_overtaken: Mask, value: Int64s, number: Int64s) -> list[Finding]:
    return [
        Finding(
            "vee.edit-overtaken",
            starts_at_s=int(derived.starts_at_s[at]),
            ends_at_s=int(derived.starts_at_s[at]) + derived.interval_s,
            evidence={
                "edit_id": int(number[at]),
                "energy_milliwh": int(derived.value_milliwh[at]),
                "edited_milliwh": int(value[at]),
            },
        )
        for at in np.flatnonzero(is_overtaken).tolist()
    ]
