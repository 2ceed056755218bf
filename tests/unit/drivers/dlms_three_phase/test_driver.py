"""The driver against our own server over a list of frames: readings, relay, clock, counters, refusals."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.core.kernel.quality import Flag, Source
from wattkeeper.core.kernel.relay import RelayState
from wattkeeper.drivers.api import (
    Answer,
    AnswerDamaged,
    DeviceConfig,
    DeviceRefused,
    Driver,
    RelayCommand,
    Request,
    Steps,
    TellsInterval,
    TellsMultiplier,
)
from wattkeeper.drivers.dlms_three_phase.driver import make_driver
from wattkeeper.protocols.dlms import objects, wrapper
from wattkeeper.protocols.dlms.date_time import encode as encode_date_time
from wattkeeper.protocols.dlms.encoding import (
    NULL,
    double_long_unsigned,
    long_unsigned,
    octet_string,
    unsigned,
)
from wattkeeper.protocols.dlms.obis import Obis
from wattkeeper.protocols.dlms.objects import Column, ObjectModel, Profile
from wattkeeper.protocols.dlms.security import Keys
from wattkeeper.protocols.dlms.server import GMAC_CLIENT, PUBLIC_CLIENT, ServerSecurity, ServerSession

T = TypeVar("T")
GUEK, GAK = bytes(range(16)), bytes(range(0xD0, 0xE0))
START_S = 1_767_225_600
INTERVAL_S = 900


@dataclass
class Meter:
    """A simulated meter: registers in Wh, 1000 profile records with status, a relay, a clock at UTC+8."""

    serial: bytes = b"12345678"
    control_mode: int = 1
    clock_s: int = START_S + 100
    relay: int = 1
    energy_unit: int = 30
    statuses: dict[int, int] = field(default_factory=dict)
    ratios: dict[int, int] = field(default_factory=dict)
    period_s: int = INTERVAL_S
    has_stamps: bool = True
    security: ServerSecurity = field(default_factory=lambda: ServerSecurity(b"SIM00001", Keys(GUEK, GAK)))

    def rows(self, from_s: int | None, to_s: int | None) -> list[list[bytes]]:
        stamps = [START_S + (self.period_s or INTERVAL_S) * i for i in range(1000)]
        return [
            [
                octet_string(encode_date_time(at_s, deviation_min=-480))
                if self.has_stamps or at_s == max(START_S, from_s or 0)
                else NULL,
                unsigned(self.statuses.get(at_s, 0)),
                double_long_unsigned((at_s - START_S) // INTERVAL_S * 7),
            ]
            for at_s in stamps
            if (from_s is None or at_s >= from_s) and (to_s is None or at_s <= to_s)
        ]

    def reconnect(self) -> None:
        self.relay = 1 if self.control_mode in (2, 4) else 2

    def model(self) -> ObjectModel:
        model = ObjectModel()
        model.add_data(objects.SERIAL_NUMBER, lambda: octet_string(self.serial))
        counter = lambda: double_long_unsigned(self.security.latest_client_counter)  # noqa: E731
        model.add_data(objects.INVOCATION_COUNTER, counter)
        for number, value in self.ratios.items():
            model.add_data(Obis(1, 0, 0, 4, number), lambda value=value: double_long_unsigned(value))
        energy = Obis(1, 0, 1, 8, 0)
        model.add_register(energy, lambda: double_long_unsigned(123_456), scaler=0, unit=self.energy_unit)
        model.add_register(Obis(1, 0, 32, 7, 0), lambda: long_unsigned(2301), scaler=-1, unit=35)
        model.add_register(Obis(1, 0, 13, 7, 0), lambda: long_unsigned(987), scaler=-3, unit=255)
        model.add_clock(lambda: self.clock_s, lambda at_s: setattr(self, "clock_s", at_s), deviation_min=-480)
        columns = (Column(8, objects.CLOCK), Column(1, Obis(0, 0, 96, 10, 1)), Column(3, energy))
        model.add_profile(Profile(columns, self.rows, self.period_s))
        model.add_disconnect_control(
            lambda: self.relay,
            lambda: setattr(self, "relay", 0),
            self.reconnect,
            control_mode=self.control_mode,
        )
        return model


@dataclass
class Line:
    """Carries frames between a driver and a meter; `spoil` may change what arrives."""

    meter: Meter
    spoil: Callable[[bytes], list[bytes]] = lambda frame: [frame]
    frames: list[bytes] = field(default_factory=list)
    late: list[bytes] = field(default_factory=list)
    questions: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.session = self.connect()

    def connect(self) -> ServerSession:
        associations = {1: GMAC_CLIENT, 16: PUBLIC_CLIENT}
        return ServerSession(self.meter.model(), associations, self.meter.security, lambda: b"S" * 16)

    def ask(self, driver: Driver, request: Request) -> Answer:
        self.questions.append(request.is_question)
        frame = wrapper.decode_frame(request.frame)
        assert frame is not None
        answer = self.session.feed(frame[0].apdu, frame[0].source)
        sent = wrapper.encode_frame(frame[0].destination, frame[0].source, answer)
        for arrived in self.spoil(sent):
            split = driver.split(arrived)
            if split.frame is not None and request.matches(split.frame):
                self.frames.append(split.frame)
                return Answer(split.frame, len(self.frames) - 1)
        raise TimeoutError

    def run(self, driver: Driver, steps: Steps[T]) -> T:
        try:
            request = next(steps)
            while True:
                request = steps.send(self.ask(driver, request))
        except StopIteration as stop:
            value: T = stop.value
            return value


@dataclass
class Reservations:
    next_value: int = 1
    sizes: list[int] = field(default_factory=list)

    def __call__(self, count: int) -> int:
        self.sizes.append(count)
        self.next_value += count
        return self.next_value - count


def config(**changes: object) -> DeviceConfig:
    values: dict[str, object] = {
        "serial_number": "12345678",
        "address": "1",
        "secrets": {"guek": GUEK, "gak": GAK},
        "reserve_counters": Reservations(),
    }
    return DeviceConfig(**(values | changes))  # type: ignore[arg-type]


@pytest.fixture
def meter() -> Meter:
    return Meter()


@pytest.fixture
def line(meter: Meter) -> Line:
    return Line(meter)


@pytest.fixture
def driver(line: Line) -> Driver:
    driver = make_driver(config())
    line.run(driver, driver.open())
    return driver


def test_live_values_are_exact_and_in_their_units(line: Line, driver: Driver) -> None:
    reads = line.run(driver, driver.read_live())
    assert {read.reading_type: read.value for read in reads} == {
        "energy_import_register_kwh": Decimal("123.456"),
        "voltage_l1_v": Decimal("230.1"),
        "power_factor_ratio": Decimal("0.987"),
    }
    assert {(read.source, read.measured_at_s, read.frame_index) for read in reads} == {
        (Source.LIVE, None, len(line.frames) - 1)
    }


def test_a_profile_is_read_in_spans_and_stamped(line: Line, driver: Driver, meter: Meter) -> None:
    meter.statuses = {START_S + INTERVAL_S: 0x20, START_S + 2 * INTERVAL_S: 0x82}
    reads = line.run(driver, driver.read_profile(START_S, START_S + 800 * INTERVAL_S))
    assert [read.measured_at_s for read in reads] == [START_S + i * INTERVAL_S for i in range(800)]
    assert [read.value for read in reads] == [Decimal(7 * i) / 1000 for i in range(800)]
    assert {read.source for read in reads} == {Source.PROFILE}
    assert [read.flags for read in reads[:4]] == [
        0,
        Flag.CLOCK_ADJUSTED,
        Flag.CLOCK_INVALID | Flag.POWER_LOST,
        0,
    ]


@pytest.mark.parametrize(("period_s", "told_s"), [(900, 900), (1800, 1800), (300, 300), (0, None)])
def test_what_a_meter_says_of_its_profile_is_believed(period_s: int, told_s: int | None) -> None:
    """Records without a stamp follow the one before by the meter's interval, not by ours."""
    line, driver = Line(Meter(period_s=period_s, has_stamps=False)), make_driver(config())
    assert isinstance(driver, TellsInterval)
    assert driver.profile_interval_s is None
    line.run(driver, driver.open())
    reads = line.run(driver, driver.read_profile(START_S, START_S + 2 * 3600))
    assert driver.profile_interval_s == told_s
    step_s = told_s or INTERVAL_S
    assert [read.measured_at_s for read in reads] == list(range(START_S, START_S + 2 * 3600, step_s))


def test_a_profile_span_is_half_open(line: Line, driver: Driver) -> None:
    span = (START_S + INTERVAL_S, START_S + 3 * INTERVAL_S)
    stamps = [read.measured_at_s for read in line.run(driver, driver.read_profile(*span))]
    assert stamps == [START_S + INTERVAL_S, START_S + 2 * INTERVAL_S]
    assert line.run(driver, driver.read_profile(START_S, START_S)) == []
    assert line.run(driver, driver.read_profile(0, INTERVAL_S)) == []


def test_scalers_and_layout_are_read_once(line: Line, driver: Driver) -> None:
    line.run(driver, driver.read_profile(START_S, START_S + INTERVAL_S))
    before = len(line.frames)
    line.run(driver, driver.read_profile(START_S, START_S + INTERVAL_S))
    assert len(line.frames) == before + 1


def test_the_clock_is_read_and_set_in_its_own_deviation(line: Line, driver: Driver, meter: Meter) -> None:
    assert line.run(driver, driver.read_clock()) == START_S + 100
    line.run(driver, driver.set_clock(START_S + 5000))
    assert meter.clock_s == START_S + 5000
    assert line.run(driver, driver.read_clock()) == START_S + 5000


def test_the_relay_goes_off_and_is_armed(line: Line, driver: Driver) -> None:
    assert line.run(driver, driver.read_relay()) is RelayState.CONNECTED
    line.run(driver, driver.control_relay(RelayCommand.DISCONNECT))
    assert line.run(driver, driver.read_relay()) is RelayState.DISCONNECTED
    line.questions.clear()
    line.run(driver, driver.control_relay(RelayCommand.ARM))
    assert line.questions == [True, False]
    assert line.run(driver, driver.read_relay()) is RelayState.READY_FOR_RECONNECTION


@pytest.mark.parametrize(("mode", "command"), [(2, RelayCommand.ARM), (1, RelayCommand.CLOSE)])
def test_a_command_that_would_do_the_other_thing_is_refused(mode: int, command: RelayCommand) -> None:
    line = Line(Meter(relay=0, control_mode=mode))
    driver = make_driver(config())
    line.run(driver, driver.open())
    with pytest.raises(DeviceRefused) as caught:
        line.run(driver, driver.control_relay(command))
    assert caught.value.code == "drivers.control-mode"
    assert line.meter.relay == 0


def test_another_meter_is_noticed() -> None:
    line, driver = Line(Meter(serial=b"87654321")), make_driver(config())
    with pytest.raises(WattkeeperError) as caught:
        line.run(driver, driver.open())
    assert caught.value.code == "drivers.wrong-device"
    assert caught.value.params == {"expected": "12345678", "found": "87654321"}


def test_a_wrong_key_is_one_refusal(line: Line) -> None:
    driver = make_driver(config(secrets={"guek": bytes(16), "gak": GAK}))
    with pytest.raises(DeviceRefused) as caught:
        line.run(driver, driver.open())
    assert caught.value.code == "dlms.key-refused"
    assert not line.session.is_open


@pytest.mark.parametrize("is_counter_read", [True, False])
def test_our_counter_moves_past_the_meters(line: Line, meter: Meter, is_counter_read: bool) -> None:
    meter.security.latest_client_counter = 5000
    reserve = Reservations()
    driver = make_driver(config(reserve_counters=reserve, settings={"is_counter_read": is_counter_read}))
    line.run(driver, driver.open())
    assert meter.security.latest_client_counter > 5000
    assert reserve.next_value > meter.security.latest_client_counter


def test_a_jump_that_burns_the_counters_is_refused(line: Line, meter: Meter) -> None:
    meter.security.latest_client_counter = (1 << 20) + 5000
    reserve = Reservations()
    driver = make_driver(config(reserve_counters=reserve))
    with pytest.raises(DeviceRefused) as caught:
        line.run(driver, driver.open())
    assert caught.value.code == "drivers.counter-jump"
    assert reserve.next_value < 200


def test_counters_are_reserved_before_use_and_never_twice(line: Line, meter: Meter) -> None:
    reserve = Reservations()
    for _ in range(3):
        line.session = line.connect()
        driver = make_driver(config(reserve_counters=reserve))
        line.run(driver, driver.open())
        assert meter.security.latest_client_counter < reserve.next_value
    assert reserve.sizes == [64, 64, 64]


def test_duplicates_and_late_answers_are_passed_over(line: Line, driver: Driver) -> None:
    kept: list[bytes] = []

    def repeat(frame: bytes) -> list[bytes]:
        kept.append(frame)
        return [*kept[:-1], frame]

    line.spoil = repeat
    assert len(line.run(driver, driver.read_live())) == 3
    assert line.run(driver, driver.read_relay()) is RelayState.CONNECTED


def test_a_damaged_answer_may_be_asked_again(line: Line, driver: Driver) -> None:
    line.spoil = lambda frame: [frame[:-1] + bytes((frame[-1] ^ 1,))]
    with pytest.raises(AnswerDamaged) as caught:
        line.run(driver, driver.read_relay())
    assert not caught.value.is_permanent
    line.spoil, line.session = lambda frame: [frame], line.connect()
    line.run(driver, driver.open())
    assert line.run(driver, driver.read_relay()) is RelayState.CONNECTED


def test_a_foreign_unit_is_refused() -> None:
    line, driver = Line(Meter(energy_unit=27)), make_driver(config())
    line.run(driver, driver.open())
    with pytest.raises(AnswerDamaged) as caught:
        line.run(driver, driver.read_live())
    assert caught.value.code == "drivers.unit-mismatch"


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        ({}, 1),
        ({2: 400, 5: 5}, 80),
        ({2: 400, 5: 5, 3: 10_000, 6: 100}, 8000),
        ({2: 1000, 5: 3, 3: 0}, Fraction(1000, 3)),
    ],
)
def test_the_ratios_of_transformers_are_multiplied(ratios: dict[int, int], expected: Fraction) -> None:
    line, driver = Line(Meter(ratios=ratios)), make_driver(config())
    line.run(driver, driver.open())
    assert isinstance(driver, TellsMultiplier)
    assert line.run(driver, driver.read_multiplier()) == expected


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"settings": {"auth": "magic"}}, "auth"),
        ({"settings": {"client_sap": "x"}}, "client_sap"),
        ({"settings": {"system_title": "0102"}}, "system_title"),
        ({"address": "0"}, "server_sap"),
        ({"secrets": {"guek": b"short", "gak": GAK}}, "guek"),
        ({"secrets": {"guek": GUEK}}, "gak"),
        ({"reserve_counters": None}, "reserve_counters"),
        ({"time_zone": "Nowhere/Land"}, "time_zone"),
    ],
)
def test_a_bad_setting_is_named(changes: dict[str, object], name: str) -> None:
    with pytest.raises(WattkeeperError) as caught:
        make_driver(config(**changes))
    assert (caught.value.code, caught.value.params) == ("drivers.bad-setting", {"name": name})


def test_secrets_are_not_shown() -> None:
    driver = make_driver(config())
    assert GUEK.hex() not in repr(vars(driver))
    assert repr(GUEK)[2:-1] not in repr(vars(driver))


@given(junk=st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_split_always_moves_on_or_asks_for_more(junk: bytes) -> None:
    driver = make_driver(config())
    good = wrapper.encode_frame(1, 1, b"\xd8\x01\x01")
    buffer, frames = junk + good, []
    for _ in range(len(junk) + 3):
        split = driver.split(buffer)
        buffer = buffer[split.used_bytes :]
        if split.frame is not None:
            frames.append(split.frame)
        elif not split.used_bytes:
            break
        else:
            assert split.garbage
    assert b"\x00\x01" in junk + b"\x00" or frames == [good]


@given(junk=st.binary(max_size=80))
@settings(max_examples=150, deadline=None)
def test_an_answer_of_junk_raises_only_a_drivers_error(junk: bytes) -> None:
    line, driver = Line(Meter()), make_driver(config())
    line.run(driver, driver.open())
    steps = driver.read_relay()
    next(steps)
    with pytest.raises((AnswerDamaged, DeviceRefused)):
        steps.send(Answer(wrapper.encode_frame(1, 1, junk), 0))
