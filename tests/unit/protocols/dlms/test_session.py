"""Our client against our server: association, services, long answers, and every way to be refused."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattkeeper.protocols.dlms import objects, services
from wattkeeper.protocols.dlms.acse import Mechanism
from wattkeeper.protocols.dlms.apdus import Descriptor
from wattkeeper.protocols.dlms.client import ClientAssociation, ClientSession, Exchange
from wattkeeper.protocols.dlms.date_time import encode as encode_date_time
from wattkeeper.protocols.dlms.date_time import to_utc_s
from wattkeeper.protocols.dlms.encoding import double_long_unsigned, octet_string, unsigned
from wattkeeper.protocols.dlms.errors import DlmsError, SecurityFailed, ServiceRefused
from wattkeeper.protocols.dlms.obis import Obis
from wattkeeper.protocols.dlms.objects import Column, ObjectModel, Profile
from wattkeeper.protocols.dlms.security import Keys
from wattkeeper.protocols.dlms.server import (
    GMAC_CLIENT,
    PUBLIC_CLIENT,
    Association,
    ServerSecurity,
    ServerSession,
)

T = TypeVar("T")
KEYS = Keys(bytes(range(16)), bytes(range(0xD0, 0xE0)))
ENERGY = Obis(1, 0, 1, 8, 0)
START_S = 1_767_225_600
RELAY = Descriptor(70, objects.DISCONNECT_CONTROL, 3)


@dataclass
class Meter:
    """A small meter: 2000 records, a clock, a relay."""

    clock_s: int = START_S
    relay: int = 1
    security: ServerSecurity = field(default_factory=lambda: ServerSecurity(b"WTK00001", KEYS))

    def rows(self, from_s: int | None, to_s: int | None) -> list[list[bytes]]:
        stamps = [START_S + 900 * i for i in range(2000)]
        return [
            [octet_string(encode_date_time(at_s)), unsigned(0), double_long_unsigned(at_s // 900)]
            for at_s in stamps
            if (from_s is None or at_s >= from_s) and (to_s is None or at_s <= to_s)
        ]

    def model(self) -> ObjectModel:
        model = ObjectModel()
        model.add_data(objects.SERIAL_NUMBER, lambda: octet_string(b"12345678"))
        latest = lambda: double_long_unsigned(self.security.latest_client_counter)  # noqa: E731
        model.add_data(objects.INVOCATION_COUNTER, latest)
        model.add_register(ENERGY, lambda: double_long_unsigned(123_456), scaler=0, unit=30)
        model.add_clock(lambda: self.clock_s, lambda at_s: setattr(self, "clock_s", at_s), deviation_min=-60)
        columns = (Column(8, objects.CLOCK), Column(1, Obis(0, 0, 96, 10, 1)), Column(3, ENERGY))
        model.add_profile(Profile(columns, self.rows))
        model.add_disconnect_control(
            lambda: self.relay, lambda: setattr(self, "relay", 0), lambda: setattr(self, "relay", 2)
        )
        return model

    def session(self) -> ServerSession:
        associations = {1: GMAC_CLIENT, 2: Association(Mechanism.LLS, b"secret"), 16: PUBLIC_CLIENT}
        return ServerSession(self.model(), associations, self.security, lambda: b"S" * 16)


@dataclass
class Counter:
    next_value: int = 1

    def __call__(self) -> int:
        self.next_value += 1
        return self.next_value - 1


def make_client(
    mechanism: Mechanism = Mechanism.HLS_GMAC, keys: Keys = KEYS, start: int = 1
) -> ClientSession:
    association = ClientAssociation(mechanism, b"secret", b"HES00001", keys)
    return ClientSession(association, Counter(start), b"C" * 16)


def run(
    steps: Exchange[T], server: ServerSession, sap: int = 1, log: Callable[[bytes], None] = lambda _: None
) -> T:
    try:
        request = next(steps)
        while True:
            log(request)
            answer = server.feed(request, sap)
            log(answer)
            request = steps.send(answer)
    except StopIteration as stop:
        value: T = stop.value
        return value


@pytest.fixture
def meter() -> Meter:
    return Meter()


@pytest.fixture
def open_session(meter: Meter) -> tuple[ClientSession, ServerSession]:
    client, server = make_client(), meter.session()
    run(client.associate(), server)
    assert server.is_open
    return client, server


def test_hls_gmac_reads_everything(meter: Meter, open_session: tuple[ClientSession, ServerSession]) -> None:
    client, server = open_session
    assert run(client.get(Descriptor(3, ENERGY, 2)), server) == 123_456
    assert run(client.get(Descriptor(3, ENERGY, 3)), server) == [0, 30]
    clock = run(client.get(Descriptor(8, objects.CLOCK, 2)), server)
    assert isinstance(clock, bytes)
    assert to_utc_s(clock) == START_S
    assert clock[9:11] == b"\xff\xc4"
    run(client.set(Descriptor(8, objects.CLOCK, 2), octet_string(encode_date_time(START_S + 7))), server)
    assert meter.clock_s == START_S + 7


def test_nothing_goes_out_in_clear(meter: Meter) -> None:
    client, server = make_client(), meter.session()
    frames: list[bytes] = []
    run(client.associate(), server, log=frames.append)
    run(client.get(Descriptor(1, objects.SERIAL_NUMBER, 2)), server, log=frames.append)
    assert not any(b"12345678" in frame for frame in frames)
    assert [frame[0] for frame in frames] == [0x60, 0x61, 0xCB, 0xCF, 0xC8, 0xCC]


def test_a_profile_by_range_comes_in_blocks(open_session: tuple[ClientSession, ServerSession]) -> None:
    client, server = open_session
    frames: list[bytes] = []
    access = services.range_access(START_S + 900, START_S + 900 * 1000)
    descriptor = Descriptor(7, objects.LOAD_PROFILE, 2)
    rows = run(client.get(descriptor, access), server, log=frames.append)
    assert isinstance(rows, list)
    assert len(rows) == 1000
    assert rows[0] == [encode_date_time(START_S + 900), 0, START_S // 900 + 1]
    assert len(frames) > 40
    assert max(len(frame) for frame in frames) <= 1024


def test_a_profile_by_entry(open_session: tuple[ClientSession, ServerSession]) -> None:
    client, server = open_session
    rows = run(client.get(Descriptor(7, objects.LOAD_PROFILE, 2), services.entry_access(1999, 0)), server)
    assert isinstance(rows, list)
    assert [row[2] for row in rows if isinstance(row, list)] == [START_S // 900 + 1998, START_S // 900 + 1999]


def test_the_relay_goes_off_and_is_armed(
    meter: Meter, open_session: tuple[ClientSession, ServerSession]
) -> None:
    client, server = open_session
    run(client.act(RELAY._replace(attribute=1), b"\x0f\x00"), server)
    assert run(client.get(RELAY), server) == 0
    run(client.act(RELAY._replace(attribute=2), b"\x0f\x00"), server)
    assert run(client.get(RELAY), server) == 2


def test_a_list_answers_each(open_session: tuple[ClientSession, ServerSession]) -> None:
    client, server = open_session
    wanted = [Descriptor(3, ENERGY, 2), Descriptor(3, Obis(1, 0, 9, 9, 9), 2), RELAY]
    assert run(client.get_many(wanted), server) == [(0, 123_456), (4, None), (0, 1)]
    many = [Descriptor(3, ENERGY, 1)] * 200
    assert len(run(client.get_many(many), server)) == 200


def test_release_closes(open_session: tuple[ClientSession, ServerSession]) -> None:
    client, server = open_session
    run(client.release(), server)
    assert not server.is_open
    with pytest.raises(ServiceRefused):
        run(client.get(RELAY), server)


def test_lls(meter: Meter) -> None:
    client, server = make_client(Mechanism.LLS), meter.session()
    run(client.associate(), server, 2)
    assert run(client.get(Descriptor(3, ENERGY, 2)), server, 2) == 123_456
    wrong = ClientSession(ClientAssociation(Mechanism.LLS, b"guess"), Counter(), b"")
    with pytest.raises(ServiceRefused) as caught:
        run(wrong.associate(), meter.session(), 2)
    assert (caught.value.code, caught.value.result) == ("dlms.association-refused", 13)


def test_a_late_plain_answer_is_not_expected(meter: Meter) -> None:
    client, server = make_client(Mechanism.LLS), meter.session()
    run(client.associate(), server, 2)
    frames: list[bytes] = []
    run(client.get(RELAY), server, 2, frames.append)
    steps = client.get(RELAY)
    answer = server.feed(next(steps), 2)
    assert client.expects(answer)
    assert not client.expects(frames[1])


def test_the_public_client_sees_only_names_and_counter(meter: Meter) -> None:
    client, server = make_client(Mechanism.NONE), meter.session()
    run(client.associate(), server, 16)
    assert run(client.get(Descriptor(1, objects.INVOCATION_COUNTER, 2)), server, 16) == 0
    for attempt in (client.get(RELAY), client.act(RELAY._replace(attribute=1), b"\x0f\x00")):
        with pytest.raises(ServiceRefused) as caught:
            run(attempt, server, 16)
        assert caught.value.result == 3
    assert meter.relay == 1


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        (Keys(bytes(16), KEYS.authentication), "dlms.key-refused"),
        (Keys(KEYS.block, bytes(16)), "dlms.key-refused"),
    ],
)
def test_a_wrong_key_is_one_clear_error(meter: Meter, keys: Keys, code: str) -> None:
    server = meter.session()
    with pytest.raises(SecurityFailed) as caught:
        run(make_client(keys=keys).associate(), server)
    assert caught.value.code == code
    assert meter.security.latest_client_counter == 0
    run(make_client().associate(), server)
    assert server.is_open


def test_a_replayed_counter_is_refused_across_sessions(meter: Meter) -> None:
    run(make_client(start=100).associate(), meter.session())
    with pytest.raises(SecurityFailed) as caught:
        run(make_client(start=50).associate(), meter.session())
    assert caught.value.code == "dlms.counter-refused"
    assert caught.value.params["lowest"] == 103


def test_a_recorded_command_does_nothing_again(
    meter: Meter, open_session: tuple[ClientSession, ServerSession]
) -> None:
    client, server = open_session
    frames: list[bytes] = []
    run(client.act(RELAY._replace(attribute=1), b"\x0f\x00"), server, log=frames.append)
    meter.relay = 1
    assert server.feed(frames[0], 1)[:3] == b"\xd8\x01\x06"
    assert meter.relay == 1
    assert not client.expects(frames[1])


def test_one_byte_wrong_in_a_command_moves_nothing(
    meter: Meter, open_session: tuple[ClientSession, ServerSession]
) -> None:
    client, server = open_session
    command = next(client.act(RELAY._replace(attribute=1), b"\x0f\x00"))
    for position in range(len(command)):
        damaged = bytearray(command)
        damaged[position] ^= 0x01
        server.feed(bytes(damaged), 1)
    assert meter.relay == 1
    server.feed(command, 1)
    assert meter.relay == 0


def test_plain_requests_are_refused_in_a_ciphered_association(
    meter: Meter, open_session: tuple[ClientSession, ServerSession]
) -> None:
    _, server = open_session
    plain = services.action_request(0xC1, RELAY._replace(attribute=1), b"\x0f\x00")
    assert server.feed(plain, 1) == b"\xd8\x01\x01"
    assert meter.relay == 1


def test_before_the_proof_nothing_is_served(meter: Meter) -> None:
    client, server = make_client(), meter.session()
    steps = client.associate()
    steps.send(server.feed(next(steps), 1))
    with pytest.raises(ServiceRefused):
        run(client.get(RELAY), server)
    assert not server.is_open


def test_a_changed_byte_of_an_answer_is_noticed(open_session: tuple[ClientSession, ServerSession]) -> None:
    client, server = open_session
    steps = client.get(Descriptor(3, ENERGY, 2))
    answer = bytearray(server.feed(next(steps), 1))
    answer[10] ^= 1
    with pytest.raises(SecurityFailed):
        steps.send(bytes(answer))


def test_blocks_out_of_order_are_refused(meter: Meter) -> None:
    client, server = make_client(Mechanism.LLS), meter.session()
    run(client.associate(), server, 2)
    server.feed(services.get_request(0xC1, Descriptor(7, objects.LOAD_PROFILE, 2)), 2)
    assert server.feed(services.get_request_next(0xC1, 7), 2)[-2:] == b"\x01\x13"
    assert server.feed(services.get_request_next(0xC1, 1), 2)[-2:] == b"\x01\x10"


@given(junk=st.binary(max_size=200), sap=st.sampled_from([1, 2, 16, 99]), is_open=st.booleans())
@settings(max_examples=300, deadline=None)
def test_the_server_survives_anything(junk: bytes, sap: int, is_open: bool) -> None:
    server = Meter().session()
    if is_open:
        mechanism = {1: Mechanism.HLS_GMAC, 2: Mechanism.LLS}.get(sap, Mechanism.NONE)
        if sap != 99:
            run(make_client(mechanism).associate(), server, sap)
    for head in (b"", b"\xc0\x01\xc1", b"\xc1\x01\xc1", b"\xc3\x01\xc1", b"\x60", b"\xc8", b"\x62"):
        assert isinstance(server.feed(head + junk, sap), bytes)


@given(position=st.integers(0, 94), flip=st.integers(1, 255))
@settings(max_examples=150, deadline=None)
def test_a_damaged_association_never_opens(position: int, flip: int) -> None:
    server = Meter().session()
    steps = make_client().associate()
    request = bytearray(next(steps))
    request[position % len(request)] ^= flip
    with contextlib.suppress(DlmsError, StopIteration):
        steps.send(server.feed(bytes(request), 1))
    assert not server.is_open


@given(junk=st.binary(max_size=120))
@settings(max_examples=200, deadline=None)
def test_the_client_raises_only_its_own_errors(junk: bytes) -> None:
    server = Meter().session()
    client = make_client()
    run(client.associate(), server)
    steps = client.get(Descriptor(3, ENERGY, 2))
    next(steps)
    assert isinstance(client.expects(junk), bool)
    with pytest.raises(DlmsError):
        steps.send(junk)
