"""What authority rests on: the command, and the facts read in the transaction that lets it go."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from hashlib import sha256
from json import dumps
from zoneinfo import ZoneInfo

from wattkeeper.core.commands.states import Kind

WINDOW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Command:
    """A command to one meter, and the batch it was asked for in.

    `batch_key` binds an approval to exactly what was approved (`batch_key_of`).
    """

    command_id: int
    kind: Kind
    meter_id: int
    requested_by_person_id: int
    valid_until: datetime
    batch_meter_count: int = 1
    batch_key: str = ""


@dataclass(frozen=True, slots=True)
class Approver:
    """The second person: who, who made that person's account, when, and for which batch."""

    person_id: int
    created_by_person_id: int | None
    approved_at: datetime
    batch_key: str = ""


@dataclass(frozen=True, slots=True)
class CutCalendar:
    """When a disconnect may leave, in local time: from `opens` to before `closes`.

    Unless `is_any_day`, on weekdays only, and neither on a holiday nor on the day before one.
    """

    opens: time = time(9)
    closes: time = time(15)
    is_any_day: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts about the requester, the customer, the meter and the hour before, as of now.

    The two counts are of disconnects let go strictly after `window_start(now)`; `pending_count` are those of
    the same transaction that the counts don't hold yet. `holidays` are local dates in `zone`. With
    `is_for_debt` the debt must still be open and a notice `notice_days_least` days old.
    """

    grants: frozenset[Kind]
    is_protected: bool
    is_retired: bool
    has_relay: bool
    kill_switch_on: bool
    disconnects_by_operator_last_hour: int
    disconnects_by_tenant_last_hour: int
    tenant_meter_count: int
    zone: ZoneInfo
    holidays: frozenset[date] = frozenset()
    calendar: CutCalendar = CutCalendar()
    pending_count: int = 0
    second_approver: Approver | None = None
    requester_created_by_person_id: int | None = None
    is_for_debt: bool = False
    is_debt_settled: bool = False
    notice_served_at: datetime | None = None
    notice_days_least: int = 3


def window_start(now: datetime) -> datetime:
    """Return the instant strictly after which a disconnect counts towards the caps."""
    return now - WINDOW


def batch_key_of(kind: Kind, meter_ids: Sequence[int], reason: str, valid_until: datetime) -> str:
    """Return the key of a batch: sha256, in hex, over what an approver agreed to; the order is nothing."""
    parts = [kind.value, sorted(meter_ids), reason, valid_until.isoformat()]
    return sha256(dumps(parts, ensure_ascii=False).encode()).hexdigest()
