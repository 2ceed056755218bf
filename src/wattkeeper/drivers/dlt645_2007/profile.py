"""Load records and frozen registers, asked for span by span."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from wattkeeper.core.kernel.instants import interval_start_s
from wattkeeper.core.kernel.quality import Flag, Source
from wattkeeper.drivers.api import AnswerDamaged, DeviceRead, DeviceRefused, Steps
from wattkeeper.drivers.dlt645_2007.exchange import Line, damage_named, is_absent_answer
from wattkeeper.drivers.dlt645_2007.registers import Freezes, Target
from wattkeeper.protocols.dlt645.bcd import LocalTime, decode_digits, decode_minute
from wattkeeper.protocols.dlt645.errors import Dlt645Error
from wattkeeper.protocols.dlt645.identifiers import FREEZES, SETTLEMENTS, Value, decode_values, get_identifier
from wattkeeper.protocols.dlt645.records import LoadRecord, decode_records
from wattkeeper.protocols.dlt645.services import Answer, Read

UNSET_DAY = "9999"
STAMPS_KEPT = 16_384  # meters of one line hold the same stamps: each is worked out once


@dataclass(frozen=True, slots=True)
class ProfileReader:
    """Reads the load records of one class."""

    line: Line
    di: str
    values: dict[str, Target]
    interval_s: int
    zone: ZoneInfo
    records_count: int

    def read(self, from_s: int, to_s: int) -> Steps[list[DeviceRead]]:
        """Return the records with from_s <= stamp < to_s; slots of the wall clock without are left out."""
        reads: list[DeviceRead] = []
        stamp_s = interval_start_s(from_s, self.interval_s, self.zone)
        is_bounded = False
        alone_until_s = stamp_s
        while stamp_s < to_s:
            most = 1 if stamp_s < alone_until_s else self.records_count
            count = min(most, -(-(to_s - stamp_s) // self.interval_s))
            records = yield from self._read_block(stamp_s, count)
            if records is not None:
                frame_index, found = records
                reads += [r for record in found for r in self._reads(record, frame_index, from_s, to_s)]
                stamp_s = self._after(found, stamp_s, count)
            elif count == 1:
                stamp_s += self.interval_s
            elif not is_bounded:
                is_bounded = True
                stamp_s, to_s = yield from self._bounds(stamp_s, to_s)
            else:
                alone_until_s = stamp_s + count * self.interval_s
        return reads

    def _after(self, found: tuple[LoadRecord, ...], stamp_s: int, count: int) -> int:
        """Return the slot after the last record found, or after the span if there is none."""
        if not found:
            return stamp_s + count * self.interval_s
        newest_s = max(self._wall_s(record.time) for record in found)
        asked_s = self._wall_s(LocalTime.from_seconds(stamp_s, self.zone))
        return stamp_s + max(0, (newest_s - asked_s) // self.interval_s) * self.interval_s + self.interval_s

    def _read_block(self, stamp_s: int, count: int) -> Steps[tuple[int, tuple[LoadRecord, ...]] | None]:
        """Return the records from `stamp_s` on, or None if the meter says it has none there."""
        start = LocalTime.from_seconds(stamp_s, self.zone)

        def is_match(answer: Answer) -> bool:
            try:
                records = _records(answer.data) if not answer.has_more else ()
                stamps_s = [self._wall_s(record.time) for record in records]
            except Dlt645Error:
                return True  # the right identifier with a broken record: damaged, not foreign
            wall_s = self._wall_s(start)
            return all(wall_s <= each < wall_s + count * self.interval_s for each in stamps_s)

        try:
            frame_index, data = yield from self.line.read(Read(self.di, count, start), is_match)
        except DeviceRefused as refused:
            if is_absent_answer(refused):
                return None
            raise
        with damage_named():
            records = _records(data)
            self._after(records, stamp_s, count)
            return frame_index, records

    def _bounds(self, from_s: int, to_s: int) -> Steps[tuple[int, int]]:
        """Return the span narrowed to what the meter holds, on its own stamps, as far as it says."""
        oldest = yield from self._read_edge("00")
        newest = yield from self._read_edge("02")
        if oldest is not None:
            from_s = max(oldest, from_s + (oldest - from_s) % self.interval_s)
        if newest is not None:
            to_s = min(to_s, newest + 1)
        return from_s, to_s

    def _read_edge(self, which: str) -> Steps[int | None]:
        try:
            _, data = yield from self.line.read(Read(self.di[:6] + which, 1))
        except DeviceRefused as refused:
            if is_absent_answer(refused):
                return None
            raise
        with damage_named():
            records = decode_records(data)
            return records[0].time.to_seconds(self.zone) if records else None

    def _reads(self, record: LoadRecord, frame_index: int, from_s: int, to_s: int) -> list[DeviceRead]:
        if record.is_wrong:
            return []
        with damage_named():
            stamp_s = _utc_s(record.time, self.zone)
        flags = int(Flag.DST_AMBIGUOUS) if is_ambiguous(record.time, self.zone) else 0
        return [
            DeviceRead(
                target.reading_type, _scaled(di, counts, target), stamp_s, Source.PROFILE, frame_index, flags
            )
            for di, target in self.values.items()
            if (counts := record.values.get(di)) is not None and (from_s <= stamp_s < to_s or flags)
        ]

    def _wall_s(self, time: LocalTime) -> int:
        return time.to_seconds(UTC)


@dataclass(frozen=True, slots=True)
class FreezeReader:
    """Reads daily freezes and monthly settlements."""

    line: Line
    freezes: Freezes
    zone: ZoneInfo

    def read_daily(self, from_s: int, to_s: int) -> Steps[list[DeviceRead]]:
        """
        Return the daily freezes stamped in the span.

        :raises AnswerDamaged: if a freeze happened meanwhile, so that the numbers moved; asking again helps
        """
        newest_s = yield from self._daily_stamp(1)
        if newest_s is None:
            return []
        reads: list[DeviceRead] = []
        stamp_s: int | None = newest_s
        number = 1
        while stamp_s is not None and stamp_s >= from_s:
            if stamp_s < to_s:
                di = f"{self.freezes.daily}{number:02X}"
                reads += yield from self._registers(di, stamp_s, Source.FREEZE_DAILY)
            number += 1
            stamp_s = (yield from self._daily_stamp(number)) if number <= FREEZES else None
        if (yield from self._daily_stamp(1)) != newest_s:
            raise AnswerDamaged("dlt645.freeze-moved", is_permanent=False)
        return reads

    def read_settlements(self, clock_s: int, from_s: int, to_s: int) -> Steps[list[DeviceRead]]:
        """Return the monthly settlements stamped in the span; `clock_s` is the meter's own present."""
        try:
            _, data = yield from self.line.read(Read("04000B01"))
        except DeviceRefused as refused:
            if is_absent_answer(refused):
                return []
            raise
        with damage_named():
            day_hour = decode_digits(data)
        reads: list[DeviceRead] = []
        for number, stamp_s in enumerate(self._settlement_stamps(day_hour, clock_s), start=1):
            if from_s <= stamp_s < to_s:
                di = f"{self.freezes.settlement}{number:02X}"
                reads += yield from self._registers(di, stamp_s, Source.FREEZE_MONTHLY)
        return reads

    def _settlement_stamps(self, day_hour: str, clock_s: int) -> list[int]:
        """Return the instants of the last twelve settlements, newest first; none if no day is set."""
        day, hour = int(day_hour[:2]), int(day_hour[2:])
        if day_hour == UNSET_DAY or not (1 <= day <= 28 and hour <= 23):
            return []
        now = LocalTime.from_seconds(clock_s, self.zone)
        month_index = now.year * 12 + now.month - 1
        stamps: list[int] = []
        for index in range(month_index, month_index - SETTLEMENTS - 2, -1):
            stamp_s = LocalTime(index // 12, index % 12 + 1, day, hour, 0).to_seconds(self.zone)
            if stamp_s <= clock_s:
                stamps.append(stamp_s)
        return stamps[:SETTLEMENTS]

    def _daily_stamp(self, number: int) -> Steps[int | None]:
        try:
            _, data = yield from self.line.read(Read(f"{self.freezes.daily_time}{number:02X}"))
        except DeviceRefused as refused:
            if is_absent_answer(refused):
                return None
            raise
        if not any(data) or data.count(0xFF) == len(data):
            return None
        with damage_named():
            return decode_minute(data).to_seconds(self.zone)

    def _registers(self, di: str, stamp_s: int, source: Source) -> Steps[list[DeviceRead]]:
        try:
            frame_index, data = yield from self.line.read(Read(di))
        except DeviceRefused as refused:
            if is_absent_answer(refused):
                return []
            raise
        with damage_named():
            values = decode_values(di, data)
        pairs = zip(self.freezes.reading_types, values, strict=False)
        return [
            DeviceRead(reading_type, value.value, stamp_s, source, frame_index)
            for reading_type, value in pairs
            if isinstance(value.value, Decimal)
        ]


def live_reads(values: list[Value], targets: dict[str, Target], frame_index: int) -> list[DeviceRead]:
    """Return the live readings among `values`; those the meter does not have are left out."""
    return [
        DeviceRead(target.reading_type, value.value * target.scale, None, Source.LIVE, frame_index)
        for value in values
        if isinstance(value.value, Decimal) and (target := targets.get(value.di)) is not None
    ]


@lru_cache(maxsize=8)
def _records(data: bytes) -> tuple[LoadRecord, ...]:
    """An answer is looked at to see whether it matches, and again for its records."""
    return tuple(decode_records(data))


@lru_cache(maxsize=STAMPS_KEPT)
def _utc_s(time: LocalTime, zone: ZoneInfo) -> int:
    return time.to_seconds(zone)


@lru_cache(maxsize=STAMPS_KEPT)
def is_ambiguous(time: LocalTime, zone: ZoneInfo) -> bool:
    """Return whether the wall-clock time happens twice in `zone`."""
    first = datetime(*time, tzinfo=zone)
    return first.utcoffset() != first.replace(fold=1).utcoffset() and (first.utcoffset() or timedelta()) > (
        first.replace(fold=1).utcoffset() or timedelta()
    )


def _scaled(di: str, counts: int, target: Target) -> Decimal:
    identifier = get_identifier(di)
    decimals = identifier.decimals if identifier else 0
    return Decimal(counts).scaleb(-decimals) * target.scale
