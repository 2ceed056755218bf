"""Shapes of meters and their readings."""

import re
from datetime import datetime
from fractions import Fraction
from typing import Annotated, Any

from ninja import Schema
from pydantic import AfterValidator, Field

from wattkeeper.interfaces.web.api.schemas import ExactText, In


def _is_fraction(text: str) -> str:
    """Check that a step is written as ``1/100`` or ``0.01``."""
    if not re.fullmatch(r"[0-9]{1,12}(/[1-9][0-9]{0,11}|\.[0-9]{1,9})?", text) or Fraction(text) <= 0:
        raise ValueError("a step is a fraction above zero: 1/100 or 0.01")
    return text


def _is_hex(text: str) -> str:
    """Check that a key is written as whole octets."""
    bytes.fromhex(text)
    return text


Step = Annotated[str, AfterValidator(_is_fraction)]
KeyHex = Annotated[str, Field(max_length=512), AfterValidator(_is_hex)]


class MeterOut(Schema):
    """One line of the meter list. `is_answering` null: never asked."""

    meter_id: int
    serial_number: str
    make_model: str
    family: str
    state: str
    site_id: int
    site_code: str
    link_id: int | None
    address: str
    usage_point_id: int | None
    usage_point_code: str | None
    customer_name: str | None
    is_answering: bool | None
    answered_at: datetime | None
    error_code: str
    relay_state_code: int | None
    clock_offset_s: int | None
    has_relay: bool


class MeterPage(Schema):
    """A part of the list of meters."""

    items: list[MeterOut]
    total_count: int


class MeterQuery(Schema):
    """What the list is narrowed and sorted by; a leading ``-`` turns the order round."""

    search: str = ""
    site_id: int | None = None
    link_id: int | None = None
    state: str | None = None
    family: str | None = None
    is_answering: bool | None = None
    sort: str = "serial_number"


class ChannelOut(Schema):
    """One channel; `step` is the unit of one count."""

    channel_id: int
    reading_type: str
    step: ExactText
    register_digits: int | None
    is_profiled: bool
    has_reads: bool
    quantity: str | None


class InstallationOut(Schema):
    """Where the meter was, and when."""

    usage_point_id: int
    usage_point_code: str
    starts_at: datetime
    ends_at: datetime | None


class MeterDetailOut(Schema):
    """A meter with its channels and installations. Keys are named, never shown."""

    row: MeterOut
    interval_s: int
    memory_days: int
    settings: dict[str, Any]
    time_zone: str
    retired_at: datetime | None
    multiplier: ExactText
    has_reads: bool
    channels: list[ChannelOut]
    installations: list[InstallationOut]
    key_names: list[str]


class ChannelIn(In):
    """A channel of a new meter."""

    reading_type: str
    step: Step
    register_digits: int | None = Field(None, ge=1, le=18)
    is_profiled: bool = False


class MeterIn(In):
    """A new meter, in stock. Without `channels` it gets what its family usually has. Keys are hexadecimal."""

    site_id: int
    serial_number: str
    make_model: str = ""
    family: str = ""
    link_id: int | None = None
    address: str = ""
    interval_s: int = Field(900, gt=0)
    memory_days: int = Field(62, ge=0)
    has_relay: bool = False
    settings: dict[str, Any] = Field(default_factory=dict)
    channels: list[ChannelIn] | None = None
    keys: dict[str, KeyHex] | None = None


class MeterEdit(In):
    """Fields of a meter to change; keys given are replaced."""

    serial_number: str | None = None
    make_model: str | None = None
    family: str | None = None
    link_id: int | None = None
    address: str | None = None
    interval_s: int | None = Field(None, gt=0)
    memory_days: int | None = Field(None, ge=0)
    has_relay: bool | None = None
    settings: dict[str, Any] | None = None
    keys: dict[str, KeyHex] | None = None


class MeterCopyIn(In):
    """Serial number and address of a copy."""

    serial_number: str
    address: str


class AtIn(In):
    """When it happened."""

    at: datetime


class InstallIn(In):
    """Where a meter is put, when, and what its display showed."""

    usage_point_id: int
    at: datetime
    initial_read: str | None = None


class RemoveIn(In):
    """When a meter was taken away and what its display showed."""

    at: datetime
    final_read: str | None = None


class ExchangeIn(In):
    """What replaced the meter, when, and what both displays showed, as decimal text."""

    new_meter_id: int
    at: datetime
    final_read: str
    initial_read: str


class ReadIn(In):
    """What a register showed, as decimal text, and what somebody set it to then."""

    at: datetime
    read: str
    quantity: str = "energy_import"
    set_to: str | None = None
    reason: str = Field("", max_length=120)


class NotedOut(Schema):
    """What was noted last of a register for an instant, exact in its unit; the last withdrawal asked for."""

    reading_type: str
    quantity: str
    measured_at: datetime
    read: str
    set_to: str | None
    is_withdrawn: bool
    withdrawal_id: int | None
    state: str
    author: str
    reason: str
    changed_milliwh: int


class WithdrawReadIn(In):
    """Which noted reading counts no more, and why."""

    at: datetime
    reason: str = Field(max_length=240)
    quantity: str = "energy_import"


class LatestOut(Schema):
    """The newest read of a channel: `value` exact in `unit`, as the device says it (secondary)."""

    channel_id: int
    reading_type: str
    unit: str
    value: str
    measured_at: datetime
    flags: int
    source: int


class MeasurementOut(Schema):
    """One value of a series, named by the start of its interval; `rules`: codes of open findings about it."""

    starts_at: datetime
    value_milliwh: int | None
    provenance: int
    flags: int
    method: int
    run_id: int
    rules: list[str]


class MeasurementsOut(Schema):
    """Values of a series; null where a value is missing, never 0. `as_of_run_id` null: as known now.

    Of a reactive `quantity` they are millivar-hours. Of `archived_months` (2026-03, UTC) there are none: they
    have to be restored first.
    """

    series_id: int
    usage_point_id: int
    quantity: str
    interval_s: int
    time_zone: str
    as_of_run_id: int | None
    archived_months: list[str]
    values: list[MeasurementOut]
