"""The load profile: which column is what, which records fit one answer, records to readings."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from wattkeeper.core.kernel.quality import Flag, Source
from wattkeeper.drivers.api import AnswerDamaged, DeviceRead
from wattkeeper.drivers.dlms_three_phase.settings import Register, Settings
from wattkeeper.drivers.dlms_three_phase.values import ScalerUnit, clock_flags, scaled, status_flags
from wattkeeper.protocols.dlms import date_time, objects
from wattkeeper.protocols.dlms.axdr import Value
from wattkeeper.protocols.dlms.errors import ApduDamaged
from wattkeeper.protocols.dlms.obis import Obis

RECORDS_PER_ANSWER = 336  # at 190 bytes a record still within the 64 KiB of one answer
_STATUS_OBIS = Obis(0, 0, 96, 10, 1)


@dataclass(frozen=True, slots=True)
class LayoutColumn:
    """A column that holds the value of a register of the table."""

    index: int
    register: Register
    scaler_unit: ScalerUnit = (0, 255)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a record has its stamp, its status (or nowhere) and its registers."""

    column_count: int
    clock_index: int
    status_index: int | None
    columns: tuple[LayoutColumn, ...]

    def with_scaler_units(self, scaler_units: Mapping[Obis, ScalerUnit]) -> "Layout":
        """Return the layout of the columns whose scaler and unit are known."""
        known = [column for column in self.columns if column.register.obis in scaler_units]
        columns = [replace(column, scaler_unit=scaler_units[column.register.obis]) for column in known]
        return replace(self, columns=tuple(columns))


def find_layout(definition: Value, registers: Sequence[Register]) -> Layout:
    """
    Return the layout that `capture_objects` (class 7, attribute 3) defines.

    :raises AnswerDamaged: if it is no such list or has no clock
    """
    table = {(row.class_id, row.obis.to_bytes()): row for row in registers}
    clock_index, status_index, columns = None, None, []
    if not isinstance(definition, list):
        raise AnswerDamaged("drivers.bad-profile", is_permanent=False)
    for index, column in enumerate(definition):
        class_id, obis = _object(column)
        if class_id == objects.CLASS_CLOCK and clock_index is None:
            clock_index = index
        elif obis == _STATUS_OBIS.to_bytes():
            status_index = index
        elif (class_id, obis) in table:
            columns.append(LayoutColumn(index, table[class_id, obis]))
    if clock_index is None:
        raise AnswerDamaged("drivers.bad-profile", is_permanent=False)
    return Layout(len(definition), clock_index, status_index, tuple(columns))


def _object(column: Value) -> tuple[int, bytes]:
    """Return class and OBIS code of a capture object; of one that is not a whole attribute 2, nothing."""
    match column:
        case [int(class_id), bytes(obis), int(attribute), int(data_index)]:
            return (class_id, obis) if (attribute, data_index) == (2, 0) else (0, b"")
    raise AnswerDamaged("drivers.bad-profile", is_permanent=False)


def spans(from_s: int, to_s: int, interval_s: int) -> Iterator[tuple[int, int]]:
    """Yield half-open spans (UTC seconds) that cover [from_s, to_s), each fit for one answer."""
    step_s = RECORDS_PER_ANSWER * interval_s
    while from_s < to_s:
        end_s = min(from_s + step_s, to_s)
        yield from_s, end_s
        from_s = end_s


def reads_of_rows(
    rows: Value, layout: Layout, settings: Settings, interval_s: int, frame_index: int
) -> list[DeviceRead]:
    """
    Return the readings of the records of a buffer. A record's stamp is the instant its registers were read.

    A stamp left out (null) follows the one before by the interval; a value left out stays missing.

    :raises AnswerDamaged: if a record does not have the shape of `layout`
    """
    if not isinstance(rows, list):
        raise AnswerDamaged("drivers.bad-profile", is_permanent=False)
    reads: list[DeviceRead] = []
    stamp_s: int | None = None
    for row in rows:
        if not isinstance(row, list) or len(row) != layout.column_count:
            raise AnswerDamaged("drivers.bad-profile", is_permanent=False)
        stamp_s, flags = _stamp(row[layout.clock_index], stamp_s, settings, interval_s)
        if layout.status_index is not None:
            flags |= status_flags(row[layout.status_index])
        for column in layout.columns:
            value = row[column.index]
            if isinstance(value, int):
                kind = column.register.reading_type
                exact = scaled(value, column.scaler_unit, kind)
                reads.append(DeviceRead(kind.code, exact, stamp_s, Source.PROFILE, frame_index, int(flags)))
    return reads


def _stamp(octets: Value, previous_s: int | None, settings: Settings, interval_s: int) -> tuple[int, Flag]:
    if octets is None and previous_s is not None:
        return previous_s + interval_s, Flag.NONE
    if not isinstance(octets, bytes):
        raise AnswerDamaged("drivers.bad-profile", is_permanent=False)
    inverted = settings.is_deviation_inverted
    try:
        stamp_s = date_time.to_utc_s(octets, zone=settings.zone, is_deviation_inverted=inverted)
    except ApduDamaged as error:
        raise AnswerDamaged(error.code, is_permanent=False) from None
    if stamp_s is None:
        raise AnswerDamaged("drivers.bad-profile", is_permanent=False)
    return stamp_s, clock_flags(octets)
