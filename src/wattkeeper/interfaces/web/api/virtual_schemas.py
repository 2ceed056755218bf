"""Shapes of virtual meters, sums over nodes, groups and comparisons of meters."""

from datetime import date, datetime
from typing import Any

from ninja import Schema
from pydantic import Field

from wattkeeper.core.vee.accuracy import LOSS_MAX_PPM, WINDOW_MAX_DAYS
from wattkeeper.interfaces.web.api.schemas import In


class VirtualMeterIn(In):
    """A new virtual meter; `interval_s` left out: the shortest that all parts fit into."""

    site_id: int
    code: str
    name: str
    formula: str
    at: datetime
    interval_s: int | None = Field(None, gt=0, le=86_400)


class FormulaIn(In):
    """What a virtual meter is made of from an instant on; empty: nothing."""

    formula: str
    at: datetime


class FormulaOut(Schema):
    """A formula of a virtual meter's history."""

    formula: str
    starts_at: datetime
    ends_at: datetime | None
    recorded_at: datetime
    made_by: str


class VirtualMeterOut(Schema):
    """A virtual meter and the formula in force; its values are those of its series."""

    usage_point_id: int
    code: str
    name: str
    site_id: int
    site_code: str
    time_zone: str
    series_id: int | None
    interval_s: int
    formula: str
    since_at: datetime | None


class PreviewIn(In):
    """A formula to try over the newest days of a site."""

    formula: str
    site_id: int


class PreviewDayOut(Schema):
    """What a formula says of a day; counts of intervals."""

    day: date
    energy_milliwh: int
    known_count: int
    estimated_count: int
    missing_count: int


class PreviewOut(Schema):
    """What a formula says of the newest days."""

    formula: str
    interval_s: int
    members_count: int
    days: list[PreviewDayOut]


class SumOut(Schema):
    """Energy of a part or period; `complete_permille`: how much of what is due holds a value."""

    key: str
    code: str
    name: str
    period: date | datetime | None
    energy_milliwh: int
    due_count: int
    known_count: int
    estimated_count: int
    missing_count: int
    complete_permille: int | None


class NodeSumsOut(Schema):
    """The sums of a node: as a whole, by period, by direct part."""

    tree: str
    node: str
    total: SumOut
    periods: list[SumOut]
    parts: list[SumOut]


class GroupIn(In):
    """A new group: an AREA, a FEEDER or a CUSTOMER."""

    kind: str
    code: str
    name: str


class GroupEdit(In):
    """Fields of a group to change."""

    code: str | None = None
    name: str | None = None


class GroupOut(Schema):
    """A group; `key` names it where sums are asked for."""

    id: int
    key: str
    kind: str
    code: str
    name: str


class BelongingIn(In):
    """What belongs to which group from an instant on; `whole_id` null: to none.

    `belonging`: ``area`` (an area in an area), ``site`` (in an area), ``feeder-point``, ``customer-point``.
    """

    belonging: str
    part_id: int
    whole_id: int | None
    at: datetime


class AccuracyCheckIn(In):
    """A standing comparison; `reference_id` null: with the sum of what the main point feeds."""

    main_id: int
    reference_id: int | None = None
    main_class: str = "1"
    reference_class: str = "0.5S"
    base_power_w: int = Field(gt=0)
    loss_ppm: int = Field(0, ge=0, le=LOSS_MAX_PPM)
    window_days: int = Field(30, ge=1, le=WINDOW_MAX_DAYS)


class AccuracyReportOut(Schema):
    """What a comparison said of a period; shares in parts per million, `bands` by load."""

    from_at: datetime
    to_at: datetime
    judged_at: datetime
    verdict: str
    main_milliwh: int
    reference_milliwh: int
    error_ppm: int
    uncertainty_ppm: int
    limit_ppm: int
    confidence_ppm: int
    steps_count: int
    interval_count: int
    bands: list[dict[str, Any]]


class AccuracyCheckOut(Schema):
    """A standing comparison and its newest report."""

    check_id: int
    main_id: int
    main_code: str
    reference_id: int | None
    reference_code: str | None
    main_class: str
    reference_class: str
    base_power_w: int
    loss_ppm: int
    window_days: int
    result: AccuracyReportOut | None


class JudgedOut(Schema):
    """How many comparisons were judged; 0 where nothing was measured by all."""

    judged_count: int
