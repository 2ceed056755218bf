"""Shapes of rule sets, groups of series, edits, versions of values and rebill proposals."""

from datetime import date, datetime
from typing import Any

from ninja import Schema
from pydantic import Field

from wattkeeper.interfaces.web.api.schemas import In


class RuleSetOut(Schema):
    """A rule set: `document` says only where it differs from the rules' own defaults."""

    rule_set_id: int
    code: str
    document: dict[str, Any]
    recorded_at: datetime
    made_by: str
    assignments_count: int


class RuleSetIn(In):
    """``{"code": "shops-1", "rules": {"vee.spike": {"severity": "fail", "spike_pct": 300}}}``."""

    document: dict[str, Any]


class GroupOut(Schema):
    """A group of series; ``*`` is every series."""

    group_id: int
    code: str
    name: str
    members_count: int


class GroupIn(In):
    """A new, empty group."""

    code: str
    name: str = ""


class MembersIn(In):
    """Series that move into the group; a series is in one group at a time."""

    series_ids: list[int] = Field(max_length=10_000)


class AssignmentOut(Schema):
    """From which local day on a group is judged by which rule set; null: none of its own."""

    assignment_id: int
    group_id: int
    group_code: str
    rule_set_code: str | None
    starts_date: date
    recorded_at: datetime
    made_by: str
    withdrawn_at: datetime | None


class AssignmentIn(In):
    """`rule_set_id` null: from that day on by that of every series."""

    starts_date: date
    group_code: str = "*"
    rule_set_id: int | None = None


class ChangedOut(Schema):
    """How many series are judged otherwise, and so derived again."""

    series_count: int


class EditOut(Schema):
    """An edit: energies in milliwatt-hours, one an interval; null: nothing had been measured.

    Of a reactive `quantity` they are millivar-hours.
    """

    edit_id: int
    series_id: int
    quantity: str
    interval_s: int
    usage_point_id: int
    usage_point_code: str
    starts_at: datetime
    ends_at: datetime
    energy_milliwh: list[int]
    rejected_milliwh: list[int | None]
    changed_milliwh: int
    reason_code: int
    reason: str
    state: str
    author: str
    recorded_at: datetime
    approver: str | None
    decided_at: datetime | None
    decision_note: str
    withdrawn_by: str | None
    withdrawn_at: datetime | None


class EditPage(Schema):
    """One page of edits."""

    items: list[EditOut]
    total_count: int


class EditIn(In):
    """New energies of consecutive intervals; `reason_code` is AEMO's, 0 needs a `reason`."""

    starts_at: datetime
    energy_milliwh: list[int] = Field(max_length=3200)
    reason_code: int
    reason: str = Field("", max_length=240)


class NoteIn(In):
    """Why."""

    note: str = Field(max_length=240)


class EditSettings(In):
    """From how much changed energy on an edit needs a second person; of reactive energy, millivar-hours."""

    edit_approval_milliwh: int


class VersionOut(Schema):
    """One version of a value: of how long an interval, known from when on, by which run and rule set."""

    value_milliwh: int | None
    interval_s: int
    provenance: int
    flags: int
    method: int
    run_id: int
    recorded_at: datetime | None
    known_from: datetime | None
    rule_set: str
    code_version: str


class HistoryOut(Schema):
    """Every version of an interval's value, newest first; `rules`: what was found about it."""

    versions: list[VersionOut]
    rules: list[str]
    edits: list[EditOut]


class PartOut(Schema):
    """The bill of the local days from `first` to before `end`; `bill_id`: once it is issued."""

    first: date
    end: date
    total_minor: int | None
    bill_id: int | None = None


class ProposalOut(Schema):
    """What an issued bill would be by the values of now; `total_minor` null: it can't be billed now.

    `version`: that of these figures; an approval or a rejection names it. `reason`: FIGURES, QUALITY (the
    same, but another share is estimated), PARTS or HELD. `parts`: the bills that replace it where they are of
    other days, perhaps none; null: one bill of the same period.
    """

    proposal_id: int
    bill_id: int
    usage_point_id: int
    usage_point_code: str
    starts_at: datetime
    ends_at: datetime
    currency: str
    state: str
    reason: str
    old_energy_milliwh: int
    energy_milliwh: int
    old_total_minor: int
    total_minor: int | None
    difference_minor: int | None
    held_code: str
    held_params: dict[str, str]
    version: str
    raised_at: datetime
    looked_at: datetime
    decided_at: datetime | None
    decided_by: str
    note: str
    new_bill_id: int | None
    parts: list[PartOut] | None


class ProposalPage(Schema):
    """One page of proposals."""

    items: list[ProposalOut]
    total_count: int


class RebilledOut(Schema):
    """The bills that replace the reversed one, in order of time; `id`: the first, null: none does."""

    id: int | None
    ids: list[int]


class ApprovalIn(In):
    """`version`: that of the figures that were seen; if they changed since, it is refused."""

    version: str = Field(max_length=12)


class RejectionIn(ApprovalIn, NoteIn):
    """Which figures, and why the bill stays as it is."""
