"""Shapes of the API: what comes in, what goes out."""

from datetime import date, datetime
from typing import Annotated, Any

from ninja import Schema
from pydantic import BeforeValidator, ConfigDict, Field

ExactText = Annotated[str, BeforeValidator(str)]
"""An exact number as text: ``40``, ``1/100``."""


class In(Schema):
    """What comes in: an unknown field is an error, never ignored."""

    model_config = ConfigDict(extra="forbid")


class Made(Schema):
    """The id of what was made."""

    id: int


class Paging(Schema):
    """Which part of a list."""

    offset: int = Field(0, ge=0)
    limit: int = Field(50, ge=1, le=500)


class SiteOut(Schema):
    """A site and how its meters do."""

    site_id: int
    code: str
    name: str
    kind: str
    time_zone: str
    address: str
    retired_at: datetime | None
    usage_points_count: int
    meters_count: int
    meters_answering_count: int
    findings_open_count: int


class SiteIn(In):
    """A new site."""

    code: str
    name: str
    kind: str
    time_zone: str
    address: str = ""


class SiteEdit(In):
    """Fields of a site to change."""

    code: str | None = None
    name: str | None = None
    kind: str | None = None
    time_zone: str | None = None
    address: str | None = None


class CopyIn(In):
    """Code and name of a copy."""

    code: str
    name: str


class UsagePointOut(Schema):
    """A usage point, with the meter that is there now."""

    usage_point_id: int
    code: str
    name: str
    kind: str
    site_id: int
    site_code: str
    customer_name: str
    is_protected: bool
    power_max_w: int
    retired_at: datetime | None
    meter_id: int | None
    meter_serial_number: str | None
    series_id: int | None


class UsagePointPage(Schema):
    """A part of a list of usage points."""

    items: list[UsagePointOut]
    total_count: int


class UsagePointDetailOut(Schema):
    """A usage point with its facts; `series_ids` by quantity, such as ``energy_export``."""

    row: UsagePointOut
    time_zone: str
    multiplier: ExactText
    parent_id: int | None
    children_ids: list[int]
    series_ids: dict[str, int]


class UsagePointIn(In):
    """A new usage point."""

    site_id: int
    code: str
    name: str
    kind: str = "CUSTOMER"
    customer_name: str = ""
    is_protected: bool = False
    power_max_w: int = Field(20_000, gt=0)


class UsagePointEdit(In):
    """Fields of a usage point to change."""

    code: str | None = None
    name: str | None = None
    kind: str | None = None
    customer_name: str | None = None
    is_protected: bool | None = None
    power_max_w: int | None = Field(None, gt=0)


class MultiplierIn(In):
    """From `at` on, secondary energy counts `numerator`/`denominator` times."""

    at: datetime
    numerator: int = Field(gt=0)
    denominator: int = Field(1, gt=0)
    reason: str = Field("", max_length=120)


class TopologyIn(In):
    """From `at` on, the usage point is fed through `parent_id`."""

    at: datetime
    parent_id: int | None


class ContractIn(In):
    """From `at` on, the usage point is billed by `tariff_id`.

    `is_same_customer`: as of the contract that holds until then: tiers count on; else they begin anew.
    """

    at: datetime
    tariff_id: int
    is_same_customer: bool = False


class ReopenIn(In):
    """Until when the contract goes on; null: until another begins, if one does."""

    until: datetime | None = None


class WithdrawIn(In):
    """Which contract is taken away; `before_goes_on`: the one before it holds in its place."""

    contract_id: int
    before_goes_on: bool = False


class LinkOut(Schema):
    """A line and how it does; in its endpoint `***` stands for a password or registration packet.

    Written back like that to the same user, host and scheme, the endpoint keeps what is stored.
    """

    link_id: int
    name: str
    site_id: int
    site_code: str
    transport: str
    endpoint: str
    timeout_ms: int
    retries_count: int
    poll_s: int
    is_up: bool | None
    changed_at: datetime | None
    error_code: str
    meters_count: int


class LinkIn(In):
    """A new link."""

    site_id: int
    name: str
    transport: str
    endpoint: str
    timeout_ms: int = Field(2000, gt=0)
    retries_count: int = Field(2, ge=0)
    poll_s: int = Field(900, gt=0)


class LinkEdit(In):
    """Fields of a link to change."""

    name: str | None = None
    transport: str | None = None
    endpoint: str | None = None
    timeout_ms: int | None = Field(None, gt=0)
    retries_count: int | None = Field(None, ge=0)
    poll_s: int | None = Field(None, gt=0)


class LinkCopyIn(In):
    """Name and endpoint of a copy."""

    name: str
    endpoint: str


class TariffVersionOut(Schema):
    """A tariff's document from a date on."""

    tariff_version_id: int
    valid_from_date: date
    document: dict[str, Any]


class TariffOut(Schema):
    """A tariff with its versions, newest first."""

    tariff_id: int
    code: str
    name: str
    versions: list[TariffVersionOut]


class ContractOut(Schema):
    """By which tariff a usage point is billed, and when; `is_same_customer`: as of the one before.

    Null for what an earlier release kept: nobody was asked. `tiers_count_on`: from the one before.
    """

    contract_id: int
    usage_point_id: int
    tariff_id: int
    tariff_code: str
    starts_at: datetime
    ends_at: datetime | None
    is_same_customer: bool | None
    tiers_count_on: bool


class TariffVersionIn(In):
    """A tariff document (format 1); its code names the tariff, its date the version."""

    name: str = ""
    document: dict[str, Any]


class FindingOut(Schema):
    """A finding."""

    finding_id: int
    rule: str
    subject_key: str
    state: str
    starts_at: datetime
    ends_at: datetime | None
    opened_at: datetime
    closed_at: datetime | None
    evidence: dict[str, Any]
    usage_point_id: int | None
    usage_point_code: str | None
    meter_id: int | None
    meter_serial_number: str | None


class FindingPage(Schema):
    """A part of the list of findings."""

    items: list[FindingOut]
    total_count: int


class CommentIn(In):
    """What is to be said."""

    text: str


class CommentOut(Schema):
    """What was said."""

    at: datetime
    author: str
    text: str


class UserOut(Schema):
    """A person."""

    user_id: int
    username: str
    role: str
    language: str
    is_active: bool
    last_login_at: datetime | None


class UserIn(In):
    """A new person."""

    username: str
    password: str
    role: str
    language: str = ""


class UserEdit(In):
    """Fields of a person to change."""

    role: str | None = None
    language: str | None = None
    is_active: bool | None = None


class PasswordIn(In):
    """A new password; `current_password` proves that it is one's own."""

    new_password: str
    current_password: str | None = None


class ApiKeyIn(In):
    """For whom a key is, and what it is called."""

    user_id: int
    name: str


class ApiKeyMade(Schema):
    """A new key: shown this once."""

    token: str


class ApiKeyOut(Schema):
    """A key, without the key."""

    api_key_id: int
    user_id: int
    username: str
    name: str
    created_at: datetime
    revoked_at: datetime | None


class BillOut(Schema):
    """A bill."""

    bill_id: int
    usage_point_id: int
    usage_point_code: str
    usage_point_name: str
    customer_name: str
    state: str
    starts_at: datetime
    ends_at: datetime
    currency: str
    total_minor: int
    energy_milliwh: int
    run_id: int
    issued_at: datetime
    corrects_id: int | None


class BillPage(Schema):
    """A part of the list of bills."""

    items: list[BillOut]
    total_count: int


class BillLineOut(Schema):
    """One line of a bill; numbers as exact texts."""

    position: int
    component: str
    label_code: str
    rate: str
    tier: int | None
    quantity: str
    unit: str
    unit_price: str
    amount_minor: int
    trace: dict[str, Any]


class BillDetailOut(Schema):
    """A bill with its lines; `document` is the bill as it was issued, register reads included."""

    row: BillOut
    tariff_code: str
    tariff_name: str
    tariff_version_id: int
    time_zone: str
    document: dict[str, Any]
    lines: list[BillLineOut]
