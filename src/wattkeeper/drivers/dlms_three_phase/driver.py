"""A three-phase DLMS/COSEM meter over the TCP wrapper (IEC 62056-47): HLS-GMAC, authenticated encryption."""

import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TypeVar

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.quality import Source
from wattkeeper.core.kernel.relay import RelayState
from wattkeeper.drivers.api import (
    Answer,
    AnswerDamaged,
    Capability,
    DeviceConfig,
    DeviceRead,
    DeviceRefused,
    RelayCommand,
    Request,
    Split,
    Steps,
)
from wattkeeper.drivers.dlms_three_phase.counters import Counters
from wattkeeper.drivers.dlms_three_phase.profile import Layout, find_layout, reads_of_rows, spans
from wattkeeper.drivers.dlms_three_phase.settings import Register, Settings, load_registers, read_settings
from wattkeeper.drivers.dlms_three_phase.values import ScalerUnit, scaled, scaler_unit_of, text_of
from wattkeeper.protocols.dlms import date_time, initiate, objects, wrapper
from wattkeeper.protocols.dlms.acse import Mechanism
from wattkeeper.protocols.dlms.apdus import Descriptor, Result
from wattkeeper.protocols.dlms.axdr import Value
from wattkeeper.protocols.dlms.client import ClientAssociation, ClientSession, Exchange
from wattkeeper.protocols.dlms.encoding import integer, octet_string
from wattkeeper.protocols.dlms.errors import DlmsError, FrameDamaged, SecurityFailed, ServiceRefused
from wattkeeper.protocols.dlms.obis import Obis
from wattkeeper.protocols.dlms.services import range_access

T = TypeVar("T")
PUBLIC_SAP = 16
_CLOCK = Descriptor(objects.CLASS_CLOCK, objects.CLOCK, 2)
_CONTROL_STATE = Descriptor(objects.CLASS_DISCONNECT_CONTROL, objects.DISCONNECT_CONTROL, 3)
_PROFILE_BUFFER = Descriptor(objects.CLASS_PROFILE, objects.LOAD_PROFILE, 2)
_SERIAL_NUMBER = Descriptor(objects.CLASS_DATA, objects.SERIAL_NUMBER, 2)
_LOGICAL_DEVICE_NAME = Descriptor(objects.CLASS_DATA, objects.LOGICAL_DEVICE_NAME, 2)
_RATIOS = tuple(
    Descriptor(objects.CLASS_DATA, Obis(1, 0, 0, 4, number), 2)
    for number in (2, 5, 3, 6)  # current, then voltage: numerator, denominator
)
_INVOCATION_COUNTER = Descriptor(objects.CLASS_DATA, objects.INVOCATION_COUNTER, 2)
_ARMING_MODES = frozenset((1, 3, 5, 6))  # control modes in which a remote reconnect only makes ready
_CLOSING_MODES = frozenset((2, 4))


class DlmsThreePhase:
    """One meter. Scalers and the layout of its profile are read once an association, when first needed."""

    capabilities = frozenset((Capability.PROFILE, Capability.CLOCK, Capability.SET_CLOCK, Capability.RELAY))

    def __init__(self, config: DeviceConfig, settings: Settings, registers: Sequence[Register]) -> None:
        self._config = config
        self._settings = settings
        self._registers = registers
        self._counters = Counters(config.reserve_counters or (lambda _count: 0))
        self._session = self._make_session(settings.mechanism)
        self._sap = settings.client_sap
        self._frame_index = 0
        self._scaler_units: dict[Obis, ScalerUnit] = {}
        self._layout: Layout | None = None
        self.profile_interval_s: int | None = None

    def split(self, buffer: bytes) -> Split:
        """Return the first wrapper frame of `buffer`."""
        try:
            found = wrapper.decode_frame(buffer)
        except FrameDamaged as error:
            return Split(None, max(wrapper.skip_garbage(buffer[1:]) + 1, 1), error.code)
        return Split(None, 0) if found is None else Split(bytes(buffer[: found[1]]), found[1])

    def open(self) -> Steps[None]:
        """Associate and check that this is the meter it should be."""
        if self._settings.is_counter_read:
            yield from self._read_counter()
        try:
            yield from self._associate()
        except DeviceRefused as error:
            lowest = error.params.get("lowest")
            if isinstance(lowest, int):
                self._counters.skip_past(lowest)
            elif error.code != "dlms.refused":
                raise  # that one: our proof was taken, its answer lost, and a proof is taken only once
            yield from self._associate()
        yield from self._check_identity()

    def close(self) -> Steps[None]:
        """Release the association."""
        yield from self._run(self._session.release())

    def read_live(self) -> Steps[list[DeviceRead]]:
        """Read every register of the table that the meter has."""
        yield from self._read_scaler_units([register.obis for register in self._registers])
        known = [register for register in self._registers if register.obis in self._scaler_units]
        results = yield from self._get_many([Descriptor(row.class_id, row.obis, 2) for row in known])
        return [
            self._live_read(register, result.value)
            for register, result in zip(known, results, strict=True)
            if result.result == 0 and isinstance(result.value, int)
        ]

    def read_profile(self, from_s: int, to_s: int) -> Steps[list[DeviceRead]]:
        """Read the records of the load profile with from_s <= stamp < to_s, in spans that fit one answer."""
        layout = yield from self._profile_layout()
        reads: list[DeviceRead] = []
        interval_s = self.profile_interval_s or self._config.interval_s
        for start_s, end_s in spans(from_s, to_s, interval_s):
            rows = yield from self._get(_PROFILE_BUFFER, range_access(start_s, end_s - 1))
            found = reads_of_rows(rows, layout, self._settings, interval_s, self._frame_index)
            reads += [read for read in found if start_s <= (read.measured_at_s or 0) < end_s]
        return reads

    def read_freezes(self, from_s: int, to_s: int) -> Steps[list[DeviceRead]]:  # noqa: ARG002
        """Return nothing: the load profile holds the registers."""
        yield from ()
        return []

    def read_clock(self) -> Steps[int]:
        """Return the meter's clock in UTC seconds."""
        return self._instant((yield from self._clock()))

    def set_clock(self, now_s: int) -> Steps[None]:
        """Set the clock, in the deviation that the meter itself shows."""
        shown = yield from self._clock()
        minutes = date_time.deviation(shown)
        if minutes is None:
            minutes = self._zone_deviation_min(now_s)
        elif self._settings.is_deviation_inverted:
            minutes = -minutes
        octets = date_time.encode(now_s, deviation_min=minutes)
        octets = octets[:9] + shown[9:11] + octets[11:]
        yield from self._run(self._session.set(_CLOCK, octet_string(octets)))

    def read_relay(self) -> Steps[RelayState]:
        """Return control_state of the disconnect control."""
        state = yield from self._get(_CONTROL_STATE)
        if not isinstance(state, int) or state not in tuple(RelayState):
            raise AnswerDamaged("drivers.bad-relay-state", is_permanent=False)
        return RelayState(state)

    def control_relay(self, command: RelayCommand) -> Steps[None]:
        """Tell the relay. ARM and CLOSE are refused where the meter's control mode would do the other."""
        if command is not RelayCommand.DISCONNECT:
            mode = yield from self._get(_CONTROL_STATE._replace(attribute=4))
            if mode not in (_ARMING_MODES if command is RelayCommand.ARM else _CLOSING_MODES):
                raise DeviceRefused("drivers.control-mode", mode=mode, command=command.value)
        method = 1 if command is RelayCommand.DISCONNECT else 2
        yield from self._run(self._session.act(_CONTROL_STATE._replace(attribute=method), integer(0)))

    def read_multiplier(self) -> Steps[Fraction]:
        """Return the product of the transformers' ratios; what the meter lacks or was not told is 1."""
        results = yield from self._get_many(_RATIOS)
        values = (result.value if result.result == 0 else None for result in results)
        numbers = [value if isinstance(value, int) and value > 0 else 1 for value in values]
        return Fraction(numbers[0], numbers[1]) * Fraction(numbers[2], numbers[3])

    def on_push(self, payload: bytes, frame_index: int) -> list[DeviceRead]:  # noqa: ARG002
        """Return nothing: these meters are polled."""
        return []

    # Association

    @property
    def is_key_proved(self) -> bool:
        """Whether an association proves that the meter holds its keys: HLS-GMAC proves both sides."""
        return self._settings.mechanism is Mechanism.HLS_GMAC

    def _make_session(self, mechanism: Mechanism) -> ClientSession:
        settings = self._settings
        association = ClientAssociation(mechanism, settings.password, settings.system_title, settings.keys)
        return ClientSession(association, self._counters.take, secrets.token_bytes(16))

    def _associate(self) -> Steps[None]:
        self._session = self._make_session(self._settings.mechanism)
        self._sap = self._settings.client_sap
        self._scaler_units = {row.obis: row.scaler_unit for row in self._registers if row.scaler_unit}
        self._layout = None
        yield from self._run(self._session.associate())

    def _read_counter(self) -> Steps[None]:
        """Ask the meter, as the public client, which counter it saw latest."""
        self._session, self._sap = self._make_session(Mechanism.NONE), PUBLIC_SAP
        yield from self._run(self._session.associate())
        latest = yield from self._get(_INVOCATION_COUNTER)
        yield from self._run(self._session.release())
        if not isinstance(latest, int):
            raise AnswerDamaged("drivers.bad-counter", is_permanent=False)
        self._counters.skip_past(latest)

    def _check_identity(self) -> Steps[None]:
        results = yield from self._get_many([_SERIAL_NUMBER, _LOGICAL_DEVICE_NAME])
        names = [text_of(result.value) for result in results if result.result == 0]
        expected = self._config.serial_number
        if expected not in names:
            found = names[0] if names else None
            raise WattkeeperError("drivers.wrong-device", expected=expected, found=found)

    # Reading

    def _get_many(self, descriptors: Sequence[Descriptor]) -> Steps[list[Result]]:
        if self._session.conformance & initiate.MULTIPLE_REFERENCES and len(descriptors) > 1:
            return (yield from self._run(self._session.get_many(descriptors)))
        results = []
        for descriptor in descriptors:
            try:
                results.append(Result(0, (yield from self._get(descriptor))))
            except DeviceRefused as error:
                if error.code != "dlms.refused":
                    raise
                results.append(Result(int(str(error.params["result"]))))
        return results

    def _read_scaler_units(self, wanted: Sequence[Obis]) -> Steps[None]:
        unknown = [obis for obis in wanted if obis not in self._scaler_units]
        if not unknown:
            return
        results = yield from self._get_many([Descriptor(3, obis, 3) for obis in unknown])
        for obis, result in zip(unknown, results, strict=True):
            if result.result == 0:
                self._scaler_units[obis] = scaler_unit_of(result.value)

    def _profile_layout(self) -> Steps[Layout]:
        if self._layout is None:
            definition = yield from self._get(_PROFILE_BUFFER._replace(attribute=3))
            layout = find_layout(definition, self._registers)
            yield from self._read_scaler_units([column.register.obis for column in layout.columns])
            self._layout = layout.with_scaler_units(self._scaler_units)
            result = (yield from self._get_many([_PROFILE_BUFFER._replace(attribute=4)]))[0]
            period_s = result.value if result.result == 0 else None
            self.profile_interval_s = period_s if isinstance(period_s, int) and period_s > 0 else None
        return self._layout

    def _live_read(self, register: Register, value: Value) -> DeviceRead:
        assert isinstance(value, int)
        exact = scaled(value, self._scaler_units[register.obis], register.reading_type)
        return DeviceRead(register.reading_type.code, exact, None, Source.LIVE, self._frame_index)

    def _clock(self) -> Steps[bytes]:
        octets = yield from self._get(_CLOCK)
        if not isinstance(octets, bytes) or len(octets) != 12:
            raise AnswerDamaged("dlms.bad-date-time", is_permanent=False)
        return octets

    def _instant(self, octets: bytes) -> int:
        inverted = self._settings.is_deviation_inverted
        try:
            at_s = date_time.to_utc_s(octets, zone=self._settings.zone, is_deviation_inverted=inverted)
        except DlmsError as error:
            raise AnswerDamaged(error.code, is_permanent=False) from None
        if at_s is None:
            raise AnswerDamaged("dlms.bad-date-time", is_permanent=False)
        return at_s

    def _zone_deviation_min(self, now_s: int) -> int:
        local = datetime.fromtimestamp(now_s, UTC).astimezone(self._settings.zone)
        return -((local.utcoffset() or timedelta()) // timedelta(minutes=1))

    # Frames

    def _get(self, descriptor: Descriptor, access: bytes = b"") -> Steps[Value]:
        return self._run(self._session.get(descriptor, access), is_question=True)

    def _run(self, exchange: Exchange[T], *, is_question: bool = False) -> Steps[T]:
        """Carry the APDUs of a protocol exchange in wrapper frames and translate its errors."""
        try:
            apdu = next(exchange)
            while True:
                answer: Answer = yield Request(
                    self._frame(apdu), self._matcher(), self._renewer(), is_question
                )
                self._frame_index = answer.frame_index
                apdu = exchange.send(answer.frame[wrapper.HEADER_BYTES :])
        except StopIteration as stop:
            result: T = stop.value
            return result
        except ServiceRefused as error:
            raise DeviceRefused(error.code, result=error.result) from None
        except SecurityFailed as error:
            raise _security_error(error) from None
        except DlmsError as error:
            raise AnswerDamaged(error.code, is_permanent=False) from None

    def _frame(self, apdu: bytes) -> bytes:
        return wrapper.encode_frame(self._sap, self._settings.server_sap, apdu)

    def _renewer(self) -> Callable[[], bytes]:
        session, sap = self._session, self._sap
        return lambda: wrapper.encode_frame(sap, self._settings.server_sap, session.renew())

    def _matcher(self) -> Callable[[bytes], bool]:
        header = b"\x00\x01" + self._settings.server_sap.to_bytes(2, "big") + self._sap.to_bytes(2, "big")
        expects = self._session.expects
        return lambda frame: frame.startswith(header) and expects(frame[wrapper.HEADER_BYTES :])


def _security_error(error: SecurityFailed) -> WattkeeperError:
    """What the meter refuses for good; an answer that does not open may just be damaged."""
    if error.code in ("dlms.key-refused", "dlms.counter-refused", "dlms.counter-exhausted"):
        return DeviceRefused(error.code, **error.params)  # type: ignore[arg-type]
    return AnswerDamaged(error.code, is_permanent=False)


def make_driver(config: DeviceConfig) -> DlmsThreePhase:
    """
    Return the driver of one meter.

    :raises WattkeeperError: ``drivers.bad-setting``
    """
    return DlmsThreePhase(config, read_settings(config), load_registers())
