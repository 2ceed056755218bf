"""What may be written into each kind of row: by name, all optional when editing."""

from typing import Any, TypedDict


class SiteFields(TypedDict, total=False):
    """A site's own fields."""

    code: str
    name: str
    kind: str
    time_zone: str
    address: str


class UsagePointFields(TypedDict, total=False):
    """A usage point's own fields."""

    code: str
    name: str
    kind: str
    customer_name: str
    is_protected: bool
    power_max_w: int


class LinkFields(TypedDict, total=False):
    """A link's own fields."""

    name: str
    transport: str
    endpoint: str
    timeout_ms: int
    retries_count: int
    poll_s: int
    headend: str


class MeterFields(TypedDict, total=False):
    """A meter's own fields."""

    serial_number: str
    make_model: str
    family: str
    link_id: int | None
    address: str
    interval_s: int
    memory_days: int
    has_relay: bool
    settings: dict[str, Any]


SITE_FIELDS = frozenset(SiteFields.__annotations__)
USAGE_POINT_FIELDS = frozenset(UsagePointFields.__annotations__)
LINK_FIELDS = frozenset(LinkFields.__annotations__)
METER_FIELDS = frozenset(MeterFields.__annotations__)
