"""Reads off a display: text or counts, kept first, delivered to the readings store afterwards."""

from datetime import datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.reading_types import READING_TYPES, Kind
from wattkeeper.core.readings.told import CORRECTIONS_MAX_COUNT
from wattkeeper.data.collection.models import FieldRead
from wattkeeper.data.registry.models import Channel, Meter
from wattkeeper.data.registry.quantities import DEFAULT_QUANTITY, QUANTITY_OF_READING_TYPE
from wattkeeper.data.vee.models import StoredEdit

DisplayRead = int | str
"""Counts of the channel's step, or the decimal text that the display shows."""


def keep_display_read(
    meter: Meter,
    read: DisplayRead,
    *,
    at: datetime,
    now: datetime,
    quantity: str = DEFAULT_QUANTITY,
    set_to: DisplayRead | None = None,
) -> FieldRead:
    """Keep what a register of a meter shows at an instant, and what it was set to then, if it was;
    `deliver_field_reads` takes it further. It corrects what was kept for the same instant before.

    :raises WattkeeperError: ``readings.no-register``, ``readings.not-a-number``,
        ``readings.not-a-whole-step``, ``readings.out-of-range``, ``readings.corrected-too-often``
    """
    channel = _register_of(meter, quantity)
    value_count = counts_of(channel, read)
    set_to_count = None if set_to is None else counts_of(channel, set_to)
    before = _noted_last(channel, at)
    told = (value_count, set_to_count, False)
    if before is not None and (before.value_count, before.set_to_count, before.is_withdrawal) == told:
        return before
    noted = FieldRead(
        tenant_id=meter.tenant_id,
        channel=channel,
        measured_at=at,
        value_count=value_count,
        set_to_count=set_to_count,
        recorded_at=now,
    )
    return _keep_after(before, noted)


def find_display_read(meter: Meter, *, at: datetime, quantity: str = DEFAULT_QUANTITY) -> FieldRead:
    """Return what was noted last of a register at an instant and counts.

    :raises WattkeeperError: ``readings.no-register``, ``readings.not-noted``
    """
    noted = _noted_last(_register_of(meter, quantity), at)
    if noted is None or noted.is_withdrawal:
        raise WattkeeperError("readings.not-noted", serial_number=meter.serial_number)
    return noted


def drop_display_read(read: FieldRead, *, now: datetime) -> None:
    """Keep that a noted read, the last of its instant, counts no more: by a row more, never by one less.

    :raises WattkeeperError: ``readings.not-noted`` where another is the last by now,
        ``readings.corrected-too-often``
    """
    noted = _noted_last(read.channel, read.measured_at)
    if noted is None or noted.id != read.id:
        raise WattkeeperError("readings.not-noted", serial_number=read.channel.meter.serial_number)
    withdrawal = FieldRead(
        tenant_id=read.tenant_id,
        channel=read.channel,
        measured_at=read.measured_at,
        value_count=read.value_count,
        is_withdrawal=True,
        recorded_at=now,
    )
    _keep_after(read, withdrawal)


def _noted_last(channel: Channel, at: datetime) -> FieldRead | None:
    return FieldRead.objects.filter(channel=channel, measured_at=at).order_by("-correction_index").first()


def _keep_after(before: FieldRead | None, read: FieldRead) -> FieldRead:
    """Keep a read in the place of the one before, and end the withdrawal of that one if it still waits."""
    read.correction_index = 0 if before is None else before.correction_index + 1
    if read.correction_index > CORRECTIONS_MAX_COUNT:
        raise WattkeeperError("readings.corrected-too-often", most=CORRECTIONS_MAX_COUNT)
    read.save(force_insert=True)
    if before is not None:
        waiting = before.withdrawals.filter(state=StoredEdit.State.PENDING)
        waiting.update(state=StoredEdit.State.WITHDRAWN, decided_at=read.recorded_at)
    return read


def counts_of(channel: Channel, read: DisplayRead) -> int:
    """Return a display read as counts of the channel's step, exactly."""
    counts = Fraction(read) if isinstance(read, int) else _parse(read) / _step(channel)
    if counts.denominator != 1:
        raise WattkeeperError("readings.not-a-whole-step", read=str(read), step=str(_step(channel)))
    digits = channel.register_digits
    if counts < 0 or (digits is not None and counts >= 10**digits) or counts >= 2**63:
        raise WattkeeperError("readings.out-of-range", read=str(read), digits=digits or 18)
    return counts.numerator


def _register_of(meter: Meter, quantity: str) -> Channel:
    for channel in meter.channels.order_by("id"):
        is_own = QUANTITY_OF_READING_TYPE.get(channel.reading_type) == quantity
        if is_own and READING_TYPES[channel.reading_type].kind is Kind.CUMULATIVE:
            return channel
    raise WattkeeperError("readings.no-register", serial_number=meter.serial_number)


def _parse(text: str) -> Fraction:
    try:
        return Fraction(Decimal(text.strip()))
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise WattkeeperError("readings.not-a-number", read=text[:40]) from error


def _step(channel: Channel) -> Fraction:
    return Fraction(channel.step_numerator, channel.step_denominator)
