"""A DLMS/COSEM three-phase meter over the TCP wrapper: HLS-GMAC clients, a public client, a load profile."""

import hashlib
from collections.abc import Callable, Sequence
from secrets import token_bytes

from wattkeeper.core.kernel.obis import Obis
from wattkeeper.protocols.dlms import date_time, objects, wrapper
from wattkeeper.protocols.dlms.encoding import (
    double_long_unsigned,
    long,
    long_unsigned,
    octet_string,
    visible_string,
)
from wattkeeper.protocols.dlms.errors import DlmsError, FrameDamaged
from wattkeeper.protocols.dlms.objects import Column, ObjectModel, Profile, refused
from wattkeeper.protocols.dlms.security import Keys
from wattkeeper.protocols.dlms.server import GMAC_CLIENT, PUBLIC_CLIENT, ServerSecurity, ServerSession
from wattkeeper.protocols.dlms.services import DataAccessResult
from wattkeeper.simulators.load import DAY_S, LOCAL_OFFSET_S
from wattkeeper.simulators.measures import Measures
from wattkeeper.simulators.plant import Meter

CLIENT_SAP, PUBLIC_SAP = 1, 16
BUFFER_MAX_BYTES = 66_000
DEVIATION_MIN = -LOCAL_OFFSET_S // 60
IMPORT_REGISTER = Obis(1, 0, 1, 8, 0)
_WH, _W, _VAR, _A, _V, _HZ, _NO_UNIT = 30, 27, 29, 33, 35, 44, 255


class DlmsMeter:
    """The meter: its objects and keys, shared by its connections."""

    def __init__(self, meter: Meter, now_s: Callable[[], int]) -> None:
        self.meter = meter
        self.sap = int(meter.entry.address)
        self.now_s = now_s
        serial = meter.entry.meter_serial
        keys = Keys(bytes.fromhex(meter.entry.keys["guek"]), bytes.fromhex(meter.entry.keys["gak"]))
        title = b"WTK" + hashlib.sha256(serial.encode()).digest()[:5]
        self.security = ServerSecurity(title, keys)
        self.model = self._build_model(serial)

    def _build_model(self, serial: str) -> ObjectModel:
        model = ObjectModel()
        model.add_data(objects.LOGICAL_DEVICE_NAME, lambda: octet_string(serial.encode()))
        model.add_data(objects.SERIAL_NUMBER, lambda: visible_string(serial))
        model.add_data(
            objects.INVOCATION_COUNTER, lambda: double_long_unsigned(self.security.latest_client_counter)
        )
        model.add_clock(self._clock_s, _refuse_clock, deviation_min=DEVIATION_MIN)
        model.add_register(IMPORT_REGISTER, self._import_wh, scaler=0, unit=_WH)
        for c, value, scaler, unit in _INSTRUMENTS:
            model.add_register(Obis(1, 0, c, 7, 0), self._instrument(value), scaler=scaler, unit=unit)
        columns = (
            Column(objects.CLASS_CLOCK, objects.CLOCK),
            Column(objects.CLASS_REGISTER, IMPORT_REGISTER),
        )
        registers = self.meter.registers
        capacity = registers.memory_days * DAY_S // registers.interval_s
        model.add_profile(Profile(columns, self._rows, registers.interval_s, capacity))
        return model

    def _clock_s(self) -> int:
        return self.meter.registers.clock_s(self.now_s())

    def _import_wh(self) -> bytes:
        return double_long_unsigned(self.meter.registers.display(self.now_s()))

    def _instrument(self, value: Callable[[Measures], bytes]) -> Callable[[], bytes]:
        return lambda: value(self.meter.measures(self.now_s()))

    def _rows(self, from_s: int | None, to_s: int | None) -> Sequence[Sequence[bytes]]:
        end_s = (1 << 40) if to_s is None else to_s + 1
        rows = self.meter.registers.profile(from_s or 0, end_s, self.now_s())
        return [
            (octet_string(date_time.encode(stamp, deviation_min=DEVIATION_MIN)), double_long_unsigned(shown))
            for stamp, shown in rows
        ]


def _refuse_clock(_at_s: int) -> None:
    raise refused(DataAccessResult.READ_WRITE_DENIED)


_INSTRUMENTS: tuple[tuple[int, Callable[[Measures], bytes], int, int], ...] = (
    (32, lambda m: long_unsigned(m.decivolts[0]), -1, _V),
    (52, lambda m: long_unsigned(m.decivolts[1]), -1, _V),
    (72, lambda m: long_unsigned(m.decivolts[2]), -1, _V),
    (31, lambda m: double_long_unsigned(m.milliamperes[0]), -3, _A),
    (51, lambda m: double_long_unsigned(m.milliamperes[1]), -3, _A),
    (71, lambda m: double_long_unsigned(m.milliamperes[2]), -3, _A),
    (1, lambda m: double_long_unsigned(m.power_w), 0, _W),
    (3, lambda m: double_long_unsigned(m.reactive_var), 0, _VAR),
    (13, lambda m: long(m.factor_permille), -3, _NO_UNIT),
    (14, lambda m: long_unsigned(m.centihertz), -2, _HZ),
)


class DlmsConnection:
    """One connection to the meter."""

    def __init__(self, device: DlmsMeter) -> None:
        self._device = device
        associations = {CLIENT_SAP: GMAC_CLIENT, PUBLIC_SAP: PUBLIC_CLIENT}
        self._session = ServerSession(
            device.model, associations, device.security, lambda: token_bytes(16), max_pdu_bytes=2048
        )
        self._buffer = b""

    def feed(self, received: bytes, now_s: int) -> list[bytes]:
        """Return the answers, one wrapper frame each."""
        self._buffer = (self._buffer + received)[-BUFFER_MAX_BYTES:]
        answers: list[bytes] = []
        while self._buffer:
            try:
                found = wrapper.decode_frame(self._buffer)
            except FrameDamaged:
                self._buffer = self._buffer[max(wrapper.skip_garbage(self._buffer[1:]) + 1, 1) :]
                continue
            if found is None:
                break
            self._buffer = self._buffer[found[1] :]
            answers += self._answer(found[0], now_s)
        return answers

    def _answer(self, frame: wrapper.WrapperFrame, now_s: int) -> list[bytes]:
        device = self._device
        if frame.destination != device.sap or not device.meter.answers(now_s):
            return []
        device.meter.requests_count += 1
        try:
            answer = self._session.feed(frame.apdu, frame.source)
            return [wrapper.encode_frame(device.sap, frame.source, answer)] if answer else []
        except DlmsError:
            return []
