"""What people noted of a meter's registers, and the withdrawals of it, as pages, API and shell list them."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from wattkeeper.data.collection.models import FieldRead
from wattkeeper.data.registry.quantities import QUANTITY_OF_READING_TYPE
from wattkeeper.data.vee.models import ReadWithdrawal, StoredEdit


@dataclass(frozen=True, slots=True)
class NotedRow:
    """What was noted last for an instant: a read, or that there is none (`is_withdrawn`).

    `read` and `set_to`: as the display shows them, exact. `withdrawal_id`, `state`, `author`, `reason` and
    `changed_milliwh` are of the last withdrawal asked for, None and empty where nobody did.
    """

    field_read_id: int
    meter_id: int
    reading_type: str
    quantity: str
    measured_at: datetime
    read: str
    set_to: str | None
    is_withdrawn: bool
    withdrawal_id: int | None
    state: str
    author: str
    author_id: int | None
    reason: str
    changed_milliwh: int


def list_noted(*, tenant_id: int, meter_id: int, limit_count: int = 50) -> list[NotedRow]:
    """Return what was noted of a meter, newest instant first."""
    rows = FieldRead.objects.filter(tenant_id=tenant_id, channel__meter_id=meter_id)
    rows = rows.select_related("channel").order_by("-measured_at", "channel_id", "-correction_index")
    last: dict[tuple[int, datetime], FieldRead] = {}
    for row in rows:
        last.setdefault((row.channel_id, row.measured_at), row)
    shown_reads = list(last.values())[:limit_count]
    asked = ReadWithdrawal.objects.filter(
        field_read__channel__meter_id=meter_id,
        field_read__measured_at__in={read.measured_at for read in shown_reads},
    )
    newest = {
        (row.field_read.channel_id, row.field_read.measured_at): row
        for row in asked.select_related("author", "field_read").order_by("id")
    }
    return [_row(read, newest.get((read.channel_id, read.measured_at))) for read in shown_reads]


def get_noted(*, tenant_id: int, field_read_id: int) -> FieldRead | None:
    """Return what was noted, with its meter; None where the tenant has none of that id."""
    rows = FieldRead.objects.filter(tenant_id=tenant_id).select_related("channel__meter__site")
    return rows.filter(id=field_read_id).first()


def get_waiting(*, tenant_id: int, withdrawal_id: int) -> ReadWithdrawal | None:
    """Return a withdrawal that waits for a second person, None where there is none of that id."""
    rows = ReadWithdrawal.objects.filter(tenant_id=tenant_id, state=StoredEdit.State.PENDING)
    return rows.select_related("field_read__channel__meter__site").filter(id=withdrawal_id).first()


def shown(read: FieldRead, counts: int) -> str:
    """Return counts of a register as its display shows them."""
    value = counts * Fraction(read.channel.step_numerator, read.channel.step_denominator)
    return f"{Decimal(value.numerator) / Decimal(value.denominator):f}"


def _row(read: FieldRead, withdrawal: ReadWithdrawal | None) -> NotedRow:
    return NotedRow(
        field_read_id=read.id,
        meter_id=read.channel.meter_id,
        reading_type=read.channel.reading_type,
        quantity=QUANTITY_OF_READING_TYPE[read.channel.reading_type],
        measured_at=read.measured_at,
        read=shown(read, read.value_count),
        set_to=None if read.set_to_count is None else shown(read, read.set_to_count),
        is_withdrawn=read.is_withdrawal,
        withdrawal_id=withdrawal.id if withdrawal else None,
        state=withdrawal.state if withdrawal else "",
        author=withdrawal.author.username if withdrawal else "",
        author_id=withdrawal.author_id if withdrawal else None,
        reason=withdrawal.reason if withdrawal else "",
        changed_milliwh=withdrawal.changed_milliwh if withdrawal else 0,
    )
