"""Meters that speak DL/T 645-2007: registers, load records, freezes, clock and supply relay.

The table is `registers.toml`. No socket, no clock, no log of its own.
"""

from datetime import date
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.relay import RelayState
from wattkeeper.drivers.api import (
    AnswerDamaged,
    Capability,
    DeviceConfig,
    DeviceRead,
    DeviceRefused,
    RelayCommand,
    Split,
    Steps,
)
from wattkeeper.drivers.dlt645_2007.exchange import Line, damage_named, is_absent_answer, is_empty
from wattkeeper.drivers.dlt645_2007.profile import FreezeReader, ProfileReader, live_reads
from wattkeeper.drivers.dlt645_2007.registers import LiveRow, load_table
from wattkeeper.protocols.dlt645.bcd import LocalTime, decode_digits
from wattkeeper.protocols.dlt645.frame import find_frame
from wattkeeper.protocols.dlt645.identifiers import decode_values
from wattkeeper.protocols.dlt645.services import (
    Control,
    Read,
    RelayControl,
    Write,
    decode_clock,
    encode_date_week,
    encode_relay_control,
    encode_time_of_day,
    encode_write,
)
from wattkeeper.protocols.dlt645.status import STATUS_WORD_3, decode_supply_status

COMMAND_VALID_S = 600
DATE = "04000101"
TIME_OF_DAY = "04000102"
ADDRESS = "04000401"
SERIAL_NUMBER = "04000402"
CURRENT_RATIO = "04000306"
VOLTAGE_RATIO = "04000307"

_CONTROLS = {
    RelayCommand.DISCONNECT: Control.TRIP,
    RelayCommand.ARM: Control.ALLOW_CLOSE,
    RelayCommand.CLOSE: Control.CLOSE,
}


class Dlt645Driver:
    """One meter on one line."""

    capabilities = frozenset(
        {
            Capability.PROFILE,
            Capability.FREEZES,
            Capability.CLOCK,
            Capability.SET_CLOCK,
            Capability.RELAY,
        }
    )

    def __init__(self, config: DeviceConfig) -> None:
        self._serial_number = config.serial_number
        self._line = Line(_address(config.address), _number(config, "wake_up", 4, 0, 4))
        self._zone = _zone(config.time_zone)
        self._password = _secret(config, "password")
        self._operator = _secret(config, "operator")
        self._phases_count = _number(config, "phases", 1, 1, 3)
        self._table = load_table()
        records_count = _number(config, "records", 6, 1, 6)
        self._profile = ProfileReader(
            self._line,
            self._table.profile_di,
            self._table.profile,
            config.interval_s,
            self._zone,
            records_count,
        )
        self._freezes = FreezeReader(self._line, self._table.freezes, self._zone)

    def split(self, buffer: bytes) -> Split:
        """Return the first frame of `buffer`; damaged bytes are skipped and counted, never raised."""
        found = find_frame(buffer)
        if found.frame is not None:
            return Split(bytes(buffer[: found.used_bytes]), found.used_bytes)
        return Split(None, found.used_bytes, found.error.code if found.error else "")

    def open(self) -> Steps[None]:
        """Compare the meter's own number (or, where it has none, its address) with the one expected."""
        expected = self._serial_number
        try:
            _, data = yield from self._line.read(Read(SERIAL_NUMBER))
        except DeviceRefused as refused:
            if not is_absent_answer(refused):
                raise
            _, data = yield from self._line.read(Read(ADDRESS))
            expected = self._line.address
        with damage_named():
            found = decode_digits(data)
        if found.lstrip("0") != expected.lstrip("0"):
            raise WattkeeperError("drivers.wrong-device", expected=expected, found=found)

    def close(self) -> Steps[None]:
        """Nothing: DL/T 645 has no sessions."""
        yield from ()

    def read_live(self) -> Steps[list[DeviceRead]]:
        """Read every row the table marks live, a block it lacks value by value; the rest is left out."""
        reads: list[DeviceRead] = []
        for row in self._table.live:
            if self._phases_count not in row.phases:
                continue
            found = yield from self._read_row(row.di, row)
            for di in row.values if found is None and row.di not in row.values else ():
                reads += (yield from self._read_row(di, row)) or []
            reads += found or []
        return reads

    def _read_row(self, di: str, row: LiveRow) -> Steps[list[DeviceRead] | None]:
        """Return the readings of one identifier, or None if the meter has no such data."""
        try:
            frame_index, data = yield from self._line.read(Read(di))
        except DeviceRefused as refused:
            if is_absent_answer(refused):
                return None
            raise
        with damage_named():
            return live_reads(decode_values(di, data), row.values, frame_index)

    def read_profile(self, from_s: int, to_s: int) -> Steps[list[DeviceRead]]:
        """Read the load records with from_s <= stamp < to_s; what the meter lacks is left out."""
        return self._profile.read(from_s, to_s)

    def read_freezes(self, from_s: int, to_s: int) -> Steps[list[DeviceRead]]:
        """Read daily freezes and monthly settlements stamped in the span."""
        daily = yield from self._freezes.read_daily(from_s, to_s)
        clock_s = yield from self.read_clock()
        monthly = yield from self._freezes.read_settlements(clock_s, from_s, to_s)
        later_s = yield from self.read_clock()
        if LocalTime.from_seconds(later_s, self._zone)[:4] != LocalTime.from_seconds(clock_s, self._zone)[:4]:
            raise AnswerDamaged("dlt645.freeze-moved", is_permanent=False)
        return daily + monthly

    def read_clock(self) -> Steps[int]:
        """Return the meter's clock in UTC seconds; around midnight the date is read again."""
        _, day = yield from self._line.read(Read(DATE))
        _, time = yield from self._line.read(Read(TIME_OF_DAY))
        if time[1:] == b"\0\0":
            _, day = yield from self._line.read(Read(DATE))
        with damage_named():
            return decode_clock(day, time).to_seconds(self._zone)

    def set_clock(self, now_s: int) -> Steps[None]:
        """Write the meter's date and time."""
        now = LocalTime.from_seconds(now_s, self._zone)
        weekday = date(now.year, now.month, now.day).isoweekday() % 7
        yield from self._write(DATE, encode_date_week(now, weekday))
        yield from self._write(TIME_OF_DAY, encode_time_of_day(now))

    def read_relay(self) -> Steps[RelayState]:
        """Return the control state: the switch itself, and whether it is armed while open."""
        _, data = yield from self._line.read(Read(STATUS_WORD_3))
        with damage_named():
            status = decode_supply_status(data)
        if not status.is_switch_open:
            return RelayState.CONNECTED
        return RelayState.DISCONNECTED if status.is_command_open else RelayState.READY_FOR_RECONNECTION

    def control_relay(self, command: RelayCommand) -> Steps[None]:
        """Tell the relay; the order is void ten minutes from now by the meter's own clock."""
        clock_s = yield from self.read_clock()
        valid_until = LocalTime.from_seconds(clock_s + COMMAND_VALID_S, self._zone)
        request = RelayControl(_CONTROLS[command], valid_until, self._password, self._operator)
        yield from self._line.ask(encode_relay_control(self._line.address, request), is_empty)

    def read_multiplier(self) -> Steps[Fraction]:
        """Return the product of the transformers' ratios; one that the meter lacks or was not told is 1."""
        product = Fraction(1)
        for di in (CURRENT_RATIO, VOLTAGE_RATIO):
            try:
                _, data = yield from self._line.read(Read(di))
            except DeviceRefused as refused:
                if not is_absent_answer(refused):
                    raise
                continue
            with damage_named():
                (ratio,) = decode_values(di, data)
            if isinstance(ratio.value, Decimal):
                product *= int(ratio.value) or 1
        return product

    def on_push(self, payload: bytes, frame_index: int) -> list[DeviceRead]:
        """Return nothing: these meters never speak first."""
        del payload, frame_index
        return []

    def _write(self, di: str, data: bytes) -> Steps[None]:
        request = Write(di, data, self._password, self._operator)
        yield from self._line.ask(encode_write(self._line.address, request), is_empty)


def make_driver(config: DeviceConfig) -> Dlt645Driver:
    """
    Return the driver of a meter.

    :raises WattkeeperError: ``dlt645_2007.*`` if its address, settings or secrets are wrong
    """
    return Dlt645Driver(config)


def _address(text: str) -> str:
    if len(text) != 12 or not (text.isascii() and text.isdigit()):
        raise WattkeeperError("dlt645_2007.bad-address", address=text)
    return text


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise WattkeeperError("dlt645_2007.bad-time-zone", time_zone=name) from error


def _secret(config: DeviceConfig, name: str) -> bytes:
    secret = config.secrets.get(name, bytes(4))
    if len(secret) != 4:
        raise WattkeeperError("dlt645_2007.bad-secret", name=name, bytes=len(secret))
    return secret


def _number(config: DeviceConfig, name: str, default: int, least: int, most: int) -> int:
    value = config.settings.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise WattkeeperError("dlt645_2007.bad-setting", name=name, value=value)
    return value
