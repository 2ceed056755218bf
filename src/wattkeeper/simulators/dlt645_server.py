"""A DL/T 645-2007 concentrator port: frames go to the meter they name, answers come back as from the bus."""

from collections.abc import Callable
from datetime import date
from functools import lru_cache, partial
from zoneinfo import ZoneInfo

from wattkeeper.protocols.dlt645.bcd import LocalTime, encode_bcd, encode_minute
from wattkeeper.protocols.dlt645.errors import Dlt645Error
from wattkeeper.protocols.dlt645.frame import (
    BROADCAST_ADDRESS,
    Frame,
    address_matches,
    encode_frame,
    find_frame,
)
from wattkeeper.protocols.dlt645.records import LoadRecord, encode_record
from wattkeeper.protocols.dlt645.services import (
    Answer,
    Control,
    Function,
    Read,
    ReadAddress,
    ReadMore,
    Refusal,
    RelayControl,
    Request,
    decode_request,
    encode_address_answer,
    encode_answer,
    encode_date_week,
    encode_time_of_day,
    split_data,
)
from wattkeeper.protocols.dlt645.status import STATUS_WORD_3, SupplyStatus, encode_supply_status
from wattkeeper.simulators.load import DAY_S
from wattkeeper.simulators.plant import Meter

WAKE_UP_COUNT = 4
RECORDS_MAX = 30
FREEZES_MAX = 62
SETTLEMENTS_MAX = 12
BUFFER_MAX_BYTES = 4096
_IMPORT_TOTAL = "00010000"
_VALUE_AT = 11  # in a record: mark (2), length, time (5), three empty classes
_POWER_MAX_COUNT = 799_999  # in 0.1 W, six digits of which the highest bit is the sign


def load_record(stamp_s: int, shown: int, zone: ZoneInfo) -> bytes:
    """Return a record of class 4 that holds one import register: the blank one of its instant, filled in."""
    blank = _blank_record(stamp_s, zone)
    value = encode_bcd(shown, 4)
    check_sum = blank[-2] + sum(value) & 0xFF
    return blank[:_VALUE_AT] + value + blank[_VALUE_AT + 4 : -2] + bytes((check_sum, blank[-1]))


@lru_cache(maxsize=8192)
def _blank_record(stamp_s: int, zone: ZoneInfo) -> bytes:
    return encode_record(LoadRecord(LocalTime.from_seconds(stamp_s, zone), {_IMPORT_TOTAL: 0}))


class _Refused(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


class Concentrator:
    """One connection to the bus; `meters` all that ever hang on it."""

    def __init__(self, meters: list[Meter], zone: ZoneInfo) -> None:
        self._meters = meters
        self._by_address = {meter.entry.address: meter for meter in meters}
        self._zone = zone
        self._buffer = b""
        self._follow_ups: dict[tuple[str, str], list[Answer]] = {}

    def feed(self, received: bytes, now_s: int) -> list[bytes]:
        """Return the answers of the meters, one frame each."""
        self._buffer = (self._buffer + received)[-BUFFER_MAX_BYTES:]
        answers: list[bytes] = []
        while self._buffer:
            found = find_frame(self._buffer)
            if not found.used_bytes:
                break
            self._buffer = self._buffer[found.used_bytes :]
            if found.frame is not None:
                answers += self._route(found.frame, now_s)
        return answers

    def _route(self, frame: Frame, now_s: int) -> list[bytes]:
        if frame.is_answer or frame.address == BROADCAST_ADDRESS:
            return []
        exact = self._by_address.get(frame.address)
        named = (
            [exact] if exact else [m for m in self._meters if address_matches(frame.address, m.entry.address)]
        )
        alive = [meter for meter in named if meter.answers(now_s)]
        if len(alive) != 1:
            return []  # nobody, or several at once whose answers destroy each other
        meter = alive[0]
        meter.requests_count += 1
        try:
            answer = self._serve(meter, decode_request(frame), now_s)
        except _Refused as refused:
            answer = encode_answer(
                meter.entry.address, Answer(frame.function, "", b"", refusal=refused.refusal)
            )
        except Dlt645Error:
            answer = encode_answer(
                meter.entry.address, Answer(frame.function, "", b"", refusal=Refusal.OTHER)
            )
        return [encode_frame(answer, WAKE_UP_COUNT)]

    def _serve(self, meter: Meter, request: Request, now_s: int) -> Frame:
        address = meter.entry.address
        if isinstance(request, ReadAddress):
            return encode_address_answer(address)
        if isinstance(request, Read):
            answers = split_data(request.di, self._read(meter, request, now_s))
            self._follow_ups[address, request.di] = answers
            return encode_answer(address, answers[0])
        if isinstance(request, ReadMore):
            answers = self._follow_ups.get((address, request.di), [])
            if request.sequence is None or not 0 < request.sequence < len(answers):
                raise _Refused(Refusal.NO_SUCH_DATA)
            return encode_answer(address, answers[request.sequence])
        if isinstance(request, RelayControl):
            _control(meter, request, self._clock(meter, now_s), now_s)
            return encode_answer(address, Answer(Function.CONTROL, "", b""))
        raise _Refused(Refusal.NOT_AUTHORIZED)

    def _clock(self, meter: Meter, now_s: int) -> LocalTime:
        return LocalTime.from_seconds(meter.registers.clock_s(now_s), self._zone)

    def _read(self, meter: Meter, request: Read, now_s: int) -> bytes:
        di = request.di
        if di.startswith("0604"):
            return self._load_records(meter, request, now_s)
        if di.startswith(("0506", "0001FF")) and di[6:] != "00":
            return self._frozen(meter, di, now_s)
        plain = _PLAIN.get(di)
        if plain is None:
            raise _Refused(Refusal.NO_SUCH_DATA)
        return plain(meter, now_s, self._clock(meter, now_s))

    def _load_records(self, meter: Meter, request: Read, now_s: int) -> bytes:
        if not request.di.startswith("060400"):
            raise _Refused(Refusal.NO_SUCH_DATA)
        interval_s = meter.registers.interval_s
        count = min(request.count or 1, RECORDS_MAX)
        if request.di == "06040001" and request.from_time is not None:
            from_s = request.from_time.to_seconds(self._zone)
            rows = meter.registers.profile(from_s, from_s + count * interval_s, now_s)
        elif request.di in ("06040000", "06040002"):
            stamps = meter.registers.profile_stamps(0, 1 << 40, now_s)
            chosen = stamps[:count] if request.di == "06040000" else stamps[-count:]
            ends = (int(chosen[0]), int(chosen[-1]) + 1) if len(chosen) else (0, 0)
            rows = meter.registers.profile(*ends, now_s)
        else:
            raise _Refused(Refusal.NO_SUCH_DATA)
        if not rows:
            raise _Refused(Refusal.NO_SUCH_DATA)
        return b"".join(load_record(stamp_s, shown, self._zone) for stamp_s, shown in rows)

    def _frozen(self, meter: Meter, di: str, now_s: int) -> bytes:
        """Return a daily freeze (0506TTnn) or a monthly settlement (0001FFnn)."""
        number = int(di[6:], 16)
        stamps = self._midnights(meter, now_s) if di.startswith("0506") else self._months(meter, now_s)
        if not 0 < number <= len(stamps):
            raise _Refused(Refusal.NO_SUCH_DATA)
        stamp_s = stamps[number - 1]
        if di.startswith("050600"):
            return encode_minute(LocalTime.from_seconds(stamp_s, self._zone))
        if di.startswith(("050601", "0001FF")):
            return encode_bcd(meter.registers.display(stamp_s - meter.registers.clock_offset_s), 4)
        raise _Refused(Refusal.NO_SUCH_DATA)

    def _midnights(self, meter: Meter, now_s: int) -> list[int]:
        """Return the meter's midnights since it was installed, newest first."""
        clock = self._clock(meter, now_s)
        newest_s = LocalTime(*clock[:3], 0, 0).to_seconds(self._zone)
        oldest_s = meter.registers.clock_s(meter.registers.installed_s)
        return [s for s in range(newest_s, newest_s - FREEZES_MAX * DAY_S, -DAY_S) if s >= oldest_s]

    def _months(self, meter: Meter, now_s: int) -> list[int]:
        clock = self._clock(meter, now_s)
        oldest_s = meter.registers.clock_s(meter.registers.installed_s)
        months = (clock.year * 12 + clock.month - 1 - back for back in range(SETTLEMENTS_MAX))
        stamps = (LocalTime(m // 12, m % 12 + 1, 1, 0, 0).to_seconds(self._zone) for m in months)
        return [stamp_s for stamp_s in stamps if stamp_s >= oldest_s]


def _control(meter: Meter, request: RelayControl, clock: LocalTime, now_s: int) -> None:
    keys = meter.entry.keys
    is_known = request.password.hex() == keys["password"] and meter.entry.has_relay
    if not is_known or clock > request.valid_until:
        raise _Refused(Refusal.NOT_AUTHORIZED)
    acts = {Control.TRIP: meter.disconnect, Control.ALLOW_CLOSE: meter.arm, Control.CLOSE: meter.close}
    act = acts.get(Control(request.command)) if request.command in Control.__members__.values() else None
    if act is None:
        raise _Refused(Refusal.OTHER)
    act(now_s)


_Plain = Callable[[Meter, int, LocalTime], bytes]


def _energy(meter: Meter, now_s: int, _clock: LocalTime) -> bytes:
    return encode_bcd(meter.registers.display(now_s), 4)


def _date(_meter: Meter, _now_s: int, clock: LocalTime) -> bytes:
    return encode_date_week(clock, date(*clock[:3]).isoweekday() % 7)


def _time(_meter: Meter, _now_s: int, clock: LocalTime) -> bytes:
    return encode_time_of_day(clock)


def _status(meter: Meter, now_s: int, _clock: LocalTime) -> bytes:
    return encode_supply_status(SupplyStatus(meter.is_switch_open(now_s), meter.is_command_open))


def _number(meter: Meter, _now_s: int, _clock: LocalTime) -> bytes:
    return bytes.fromhex(meter.entry.address)[::-1]


def _voltage(meter: Meter, now_s: int, _clock: LocalTime, *, phases: tuple[int, ...]) -> bytes:
    return b"".join(encode_bcd(meter.measures(now_s).decivolts[i], 2) for i in phases)


def _current(meter: Meter, now_s: int, _clock: LocalTime, *, phases: tuple[int, ...]) -> bytes:
    return b"".join(encode_bcd(meter.measures(now_s).milliamperes[i], 3, is_signed=True) for i in phases)


def _power(meter: Meter, now_s: int, _clock: LocalTime) -> bytes:
    return _power_digits(meter.measures(now_s).power_w)


def _reactive(meter: Meter, now_s: int, _clock: LocalTime) -> bytes:
    return _power_digits(meter.measures(now_s).reactive_var)


def _power_digits(watts: int) -> bytes:
    """Return XX.XXXX kW, or FF where the meter cannot show so much."""
    is_shown = watts * 10 <= _POWER_MAX_COUNT
    return encode_bcd(watts * 10, 3, is_signed=True) if is_shown else b"\xff\xff\xff"


def _factor(meter: Meter, now_s: int, _clock: LocalTime) -> bytes:
    return encode_bcd(meter.measures(now_s).factor_permille, 2, is_signed=True)


def _frequency(meter: Meter, now_s: int, _clock: LocalTime) -> bytes:
    return encode_bcd(meter.measures(now_s).centihertz, 2)


def _settlement_day(_meter: Meter, _now_s: int, _clock: LocalTime) -> bytes:
    return b"\x00\x01"  # hour 00 of day 01, low byte first


_ALL = (0, 1, 2)
_PLAIN: dict[str, _Plain] = {
    "0001FF00": _energy,
    _IMPORT_TOTAL: _energy,
    "04000101": _date,
    "04000102": _time,
    "04000401": _number,
    "04000402": _number,
    "04000B01": _settlement_day,
    STATUS_WORD_3: _status,
    "0201FF00": partial(_voltage, phases=_ALL),
    "0202FF00": partial(_current, phases=_ALL),
    "02030000": _power,
    "02040000": _reactive,
    "02060000": _factor,
    "02800002": _frequency,
    **{f"02010{i + 1}00": partial(_voltage, phases=(i,)) for i in _ALL},
    **{f"02020{i + 1}00": partial(_current, phases=(i,)) for i in _ALL},
}
