"""Shapes of work: commands, billing runs, jobs, groups of findings, and the way from a bill to its frames."""

from datetime import date, datetime, time
from typing import Any

from ninja import Schema
from pydantic import Field

from wattkeeper.interfaces.web.api.schemas import In


class CommandIn(In):
    """A supply to be switched: DISCONNECT, or RECONNECT, which arms the switch; why; for how long."""

    kind: str
    reason: str = Field(max_length=240)
    valid_s: int = Field(600, gt=0)


class CommandStepOut(Schema):
    """One change of a command's state."""

    at: datetime
    from_state: str
    to_state: str
    detail: dict[str, Any]


class CommandOut(Schema):
    """A command. `is_final` False: ask again; `refusal_message` is in the caller's language."""

    command_id: int
    meter_id: int
    meter_serial_number: str
    kind: str
    reason: str
    state: str
    is_final: bool
    refusal_code: str
    refusal_message: str
    requested_by: str
    requested_at: datetime
    valid_until: datetime
    queued_at: datetime | None
    sent_at: datetime | None
    read_back_at: datetime | None
    relay_state: str | None


class CommandDetailOut(CommandOut):
    """A command with its steps, oldest first."""

    steps: list[CommandStepOut]


class CommandPage(Schema):
    """A part of the list of commands."""

    items: list[CommandOut]
    total_count: int


class KillSwitchState(In):
    """While on, no disconnect of the tenant leaves."""

    is_on: bool


class CutPolicyState(In):
    """Disconnects leave from `opens` to before `closes`, local time; on weekdays unless any day."""

    opens: time
    closes: time
    is_any_day: bool


class BillingRunIn(In):
    """The local days [first_date, end_date) to bill; `usage_point_ids` None: of every usage point.

    `accept_estimates`: issue and propose also what no registers bracket.
    """

    first_date: date
    end_date: date
    usage_point_ids: list[int] | None = None
    accept_estimates: bool = False


class JobOut(Schema):
    """A long piece of work: QUEUED, RUNNING, DONE or FAILED; `result` holds counts by name once done."""

    job_id: int
    kind: str
    label: str
    state: str
    done_count: int
    total_count: int
    result: dict[str, int]
    errors: list[dict[str, Any]]
    started_at: datetime
    ended_at: datetime | None


class FindingGroupOut(Schema):
    """Findings of one rule at one meter, usage point or other subject; `key` names the group."""

    key: str
    rule: str
    meter_id: int | None
    meter_serial_number: str | None
    usage_point_id: int | None
    usage_point_code: str | None
    findings_count: int
    open_count: int
    first_at: datetime
    last_at: datetime
    newest_id: int


class FindingGroupPage(Schema):
    """A part of the list of groups."""

    items: list[FindingGroupOut]
    total_count: int


class CloseGroupsIn(In):
    """Groups to close, by their keys, with a word on why; nothing newer than `up_to_id` is closed."""

    keys: list[str] = Field(min_length=1)
    up_to_id: int
    text: str


class Closed(Schema):
    """How many findings were closed."""

    closed_count: int


class LineIntervalOut(Schema):
    """One interval of a bill line; `part_milliwh`: what of it the line holds, None: all."""

    starts_at: datetime
    value_milliwh: int | None
    part_milliwh: int | None
    provenance: int
    flags: int
    method: int
    run_id: int


class LineTraceOut(Schema):
    """The intervals a bill line is made of, as they were in the run that was billed.

    `held_milliwh` is their sum, or that of their parts; with `is_shared` several lines share them.
    """

    series_id: int
    run_id: int
    rate_code: str
    interval_count: int
    held_milliwh: int
    is_shared: bool
    intervals: list[LineIntervalOut]


class TracedReadOut(Schema):
    """A raw read at or near an end of an interval, and the frame it came in.

    `is_corrected`: another was noted for that instant later and counts in its place.
    """

    meter_id: int
    serial_number: str
    reading_type: str
    measured_at: datetime
    value: str
    unit: str
    source: int
    is_corrected: bool
    frame_hex: str
    received_at: datetime | None


class AdvanceOut(Schema):
    """How an interval's energy follows from two reads."""

    first: str
    last: str
    multiplier: str
    energy_kwh: str


class IntervalTraceOut(Schema):
    """An interval and what it rests on; `interval_s`: its length as of the run."""

    interval: LineIntervalOut
    interval_s: int
    reads: list[TracedReadOut]
    advance: AdvanceOut | None


class MappingOut(Schema):
    """A kept mapping's name, and when it was kept."""

    mapping_id: int
    name: str
    changed_at: datetime


class DetectionOut(Schema):
    """A guess at a mapping, the fields of it that a person must confirm, and the first rows."""

    mapping: dict[str, Any]
    questions: list[str]
    preview: list[list[str]]


class RowErrorOut(Schema):
    """A row or block that would be left out, and why."""

    line: int
    column: int
    code: str
    params: dict[str, str]
    message: str


class TriedBlockOut(Schema):
    """What was read for one channel; `sum` is exact, in `unit`."""

    usage_point: str
    meter_serial: str
    channel: str
    interval_s: int
    starts_at: datetime
    ends_at: datetime
    intervals: int
    sum: str
    unit: str


class TriedOut(Schema):
    """What would become of a file: rows stored, meters met, rows left out."""

    rows: int
    meters: int
    errors_count: int
    errors: list[RowErrorOut]
    blocks: list[TriedBlockOut]
